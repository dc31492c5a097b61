"""An exported file at work: a network that onnxruntime computes."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.errors import CheckpointError, OptionsError, ProcessError
from i2i.inference.onnx.description import Description
from i2i.inference.onnx.libraries import library
from i2i.inference.tiles import UntileableError
from i2i.system.cpu import cores, has_vnni
from i2i.system.gate import shortened

INPUT, OUTPUT = "images", "translated"

FORMER_INPUT = "pictures"
"""What files of version 0.1 call their input."""
"""The names of the one input and the one output of an exported file."""

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def open_session(path: Path, device: str = "cpu") -> tuple[Any, dict[str, str]]:
    """Open an ONNX file with onnxruntime; the session, and the entries of the file's metadata.

    Raises:
        CheckpointError, OptionsError: as for `ExportedNetwork`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is no file: expected what `i2i export` has written.")
    runtime = library("onnxruntime")
    providers = _providers(device, runtime.get_available_providers())
    try:
        session = runtime.InferenceSession(path, _settings(runtime), providers)
        metadata = session.get_modelmeta().custom_metadata_map  # fails where it is no text
    except Exception as error:  # its exceptions have no base of their own
        why = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as an ONNX file: {why}") from error
    return session, metadata


class ExportedNetwork(nn.Module):
    """A generator in an ONNX file, for tensors in the memory of the processor.

    It has no weights that torch knows of. It uses no more threads than torch does, nor than there
    are cores for this process.

    Arguments:
        path: the file.
        device: where onnxruntime computes: "auto" (on a GPU if it can), "cpu", "cuda", "cuda:1".

    Attributes:
        description: what the file says of itself.
        multiple: height and width must be multiples of this.
        upscale: how many times higher and wider results are.

    Raises:
        CheckpointError: the file is missing, broken, or not written by i2i.
        OptionsError: onnxruntime is not installed, or cannot compute there.
    """

    multiple: int
    upscale: int

    def __init__(self, path: Path, device: str = "cpu") -> None:
        super().__init__()
        self._session, metadata = open_session(path, device)
        self.description = Description.from_metadata(metadata, path)
        self.multiple = self.description.multiple
        self.upscale = self.description.upscale
        self._path = path
        ends = [each.name for each in self._session.get_inputs()]
        ends += [each.name for each in self._session.get_outputs()]
        if ends not in ([INPUT, OUTPUT], [FORMER_INPUT, OUTPUT]):
            raise CheckpointError(
                f"{path} has the inputs and outputs {shortened(ends)}, where {INPUT!r} and "
                f"{OUTPUT!r} were expected: it is damaged; export it again."
            )
        self._input = ends[0]
        self._process = os.getpid()

    def __deepcopy__(self, memo: dict[int, Any]) -> "ExportedNetwork":
        return self  # nothing of it ever changes

    def forward(self, images: Tensor) -> Tensor:
        """Translate (N, C, H, W) to (N, C', H, W) in -1..1, float32 on the processor.

        Raises:
            ProcessError: this process was forked from the one that opened the file: the threads of
                onnxruntime stayed there, and it would wait for them forever.
            torch.OutOfMemoryError: the memory does not suffice.
        """
        if os.getpid() != self._process:
            raise ProcessError(
                "this process was forked from the one that opened the ONNX file, whose threads are "
                "not there any more: open it after the fork, or start processes by 'spawn'."
            )
        if not isinstance(images, Tensor):  # whoever traces networks in order to cut them in tiles
            raise UntileableError("an ONNX file is computed as a whole")
        try:
            (translated,) = self._session.run([OUTPUT], {self._input: images.contiguous().numpy()})
        except Exception as error:
            if "allocate memory" in str(error) or "bad_alloc" in str(error):
                raise torch.OutOfMemoryError(str(error)) from error
            raise CheckpointError(
                f"{self._path} cannot be computed for {tuple(images.shape)}: "
                f"{str(error).splitlines()[0]}"
            ) from error
        return torch.from_numpy(translated)


def _settings(runtime: Any) -> Any:
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = min(cores(), torch.get_num_threads())
    if not has_vnni():
        # Products of bytes would be added up in 16 bits, which may overflow. With VNNI it changes
        # no result, but takes nearly twice as long.
        settings.add_session_config_entry("session.x64quantprecision", "1")
    return settings


def _providers(device: str, available: list[str]) -> list[Any]:
    """What onnxruntime calls the device, in the order in which they are to be tried."""
    cpu, cuda = _PROVIDERS["cpu"], _PROVIDERS["cuda"]
    if device == "auto":
        device = "cuda" if cuda in available else "cpu"
    kind, _, index = device.partition(":")
    if kind not in _PROVIDERS or not (index.isdigit() or not index):
        raise OptionsError(
            f"device (={device!r}) is none that ONNX files are computed on: take auto, cpu or cuda."
        )
    if _PROVIDERS[kind] not in available:
        raise OptionsError(
            f"device (={device!r}) is not known to this onnxruntime, which knows "
            f"{', '.join(available)}: take cpu, or install onnxruntime-gpu in its place."
        )
    return [cpu] if kind == "cpu" else [(cuda, {"device_id": int(index or 0)}), cpu]
