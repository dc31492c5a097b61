"""What a file says of itself comes back, and what cannot be run is refused."""

import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from i2i.errors import CheckpointError, OptionsError
from i2i.export.graph import describe_file
from i2i.inference.onnx import session
from i2i.inference.onnx.description import Description, Quantisation, is_exported
from i2i.inference.onnx.session import ExportedNetwork
from i2i.inference.tiles import UntileableError

DESCRIPTION = Description(
    options={"model": "stargan", "data": {"domains": ["a", "ü"]}, "train": {"seed": 2**60}},
    made_from="faces/step-00000001.pt",
    direction="BtoA",
    input_channels=3,
    output_channels=1,
    planes=("a", "ü"),
    multiple=4,
    norm="running",
    quantisation=Quantisation("all convolutions", 8, 2, 3, "PSNR to the truth", 20.5, 20.25, 40.0),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that makes negatives, put together by hand."""
    sizes = ["batch", 3, "4*rows", "4*columns"]
    images, translated = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sizes)
        for name in ("images", "translated")
    )
    node = onnx.helper.make_node("Neg", ["images"], ["translated"])
    graph = onnx.helper.make_graph([node], "negative", [images], [translated])
    opset = onnx.helper.make_opsetid("", 20)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.save(model, tmp_path / "negative.onnx")
    describe_file(tmp_path / "negative.onnx", DESCRIPTION.to_metadata())
    return tmp_path / "negative.onnx"


def test_it_computes_tensors_in_any_order_of_memory(path: Path) -> None:
    network = ExportedNetwork(path)
    images = torch.rand(2, 3, 8, 12).to(memory_format=torch.channels_last)
    assert torch.equal(network(images), -images)
    with pytest.raises(UntileableError, match="as a whole"):
        torch.fx.symbolic_trace(network)


def test_metadata_come_back(path: Path) -> None:
    network = ExportedNetwork(path)
    assert network.description == DESCRIPTION
    assert network.multiple == 4
    assert DESCRIPTION.quantisation is not None
    assert DESCRIPTION.quantisation.loss == 0.25
    assert "20.25 dB, in fp32 20.50 dB: 0.250 dB lost" in str(DESCRIPTION.quantisation)


@pytest.mark.parametrize(
    ("int8", "said"),
    [(20.4999, ": nothing lost;"), (20.5004, ": nothing lost;"), (20.501, ": 0.001 dB gained;")],
)
def test_rounding_is_no_loss(int8: float, said: str) -> None:
    assert DESCRIPTION.quantisation is not None
    assert said in str(replace(DESCRIPTION.quantisation, int8=int8))


def test_which_files_are_meant() -> None:
    assert is_exported("a/b.onnx")
    assert is_exported(Path("B.ONNX"))
    assert not is_exported("runs/onnx")
    assert not is_exported(None)


def test_foreign_broken_missing_and_newer_files_are_refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no file"):
        ExportedNetwork(path.with_name("other.onnx"))
    describe_file(path, DESCRIPTION.to_metadata() | {"i2i.version": "99"})
    with pytest.raises(CheckpointError, match="version 99"):
        ExportedNetwork(path)
    describe_file(path, {"author": "somebody"})
    with pytest.raises(CheckpointError, match="not written by i2i"):
        ExportedNetwork(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="cannot be read as an ONNX file"):
        ExportedNetwork(path)


def test_missing_libraries_are_named_with_what_brings_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    command = r"pip install 'i2i-toolkit\[onnx\]'"
    with pytest.raises(OptionsError, match=rf"onnxruntime is not .* {command}"):
        ExportedNetwork(path)


@pytest.mark.parametrize(
    ("device", "available", "providers"),
    [
        ("auto", ["CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (
            "auto",
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"],
        ),
        (
            "cuda:1",
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"],
        ),
        (
            "cpu",
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
            ["CPUExecutionProvider"],
        ),
    ],
)
def test_where_it_is_computed(device: str, available: list[str], providers: list[object]) -> None:
    assert session._providers(device, available) == providers


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "cuda:x", "gpu"])
def test_devices_that_are_not_there_are_refused(device: str) -> None:
    with pytest.raises(OptionsError, match=device):
        session._providers(device, ["CPUExecutionProvider"])


def test_no_more_threads_than_cores(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    for cores, torch_has, expected in ((3, 8, 3), (8, 2, 2)):
        monkeypatch.setattr(session, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(torch, "get_num_threads", lambda torch_has=torch_has: torch_has)
        assert session._settings(onnxruntime).intra_op_num_threads == expected


def test_bytes_are_added_up_without_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    for vnni in (True, False):
        monkeypatch.setattr(session, "has_vnni", lambda vnni=vnni: vnni)
        settings = session._settings(onnxruntime)
        if vnni:
            with pytest.raises(RuntimeError):
                settings.get_session_config_entry("session.x64quantprecision")
        else:
            assert settings.get_session_config_entry("session.x64quantprecision") == "1"


def test_short_memory_is_told_as_torch_does(path: Path) -> None:
    network = ExportedNetwork(path)

    class Short:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 1")

    network._session = Short()
    with pytest.raises(torch.OutOfMemoryError):
        network(torch.zeros(1, 3, 8, 8))
