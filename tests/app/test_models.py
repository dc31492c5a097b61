"""Models by name: loaded once, dropped when room is short, read again when they have changed."""

import os
import threading
from pathlib import Path

import pytest
from app_server import KnownModels, Negative, sampler, translator

from i2i.app import models as models_module
from i2i.app.models import Models, Wanted, named_models, weight_of, zoo_models
from i2i.app.refusals import BusyError, NotFoundError
from i2i.errors import OptionsError
from i2i.export.bundle import export_bundle


def test_a_model_is_loaded_once_however_many_ask() -> None:
    loads = []

    def load() -> object:
        loads.append(1)
        return translator(Negative())

    models = KnownModels({"a": load})
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        with models.use(Wanted("a")) as model:
            assert model.translator.input_channels == 3

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    models.close()
    assert loads == [1]


def test_the_longest_unused_makes_room_and_what_is_in_use_stays() -> None:
    made = {name: lambda: translator(Negative()) for name in "abc"}
    size = weight_of(translator(Negative()))
    models = KnownModels(made, memory=2 * size)
    assert size == 4

    def names() -> set[str]:
        return {each.wanted.name for each in models.loaded()}

    for name in "ab":
        with models.use(Wanted(name)):
            pass
    with models.use(Wanted("a")):
        pass
    with models.use(Wanted("c")):
        assert names() == {"a", "c"}
        with models.use(Wanted("a")), pytest.raises(BusyError), models.use(Wanted("b")):
            pass
        with models.use(Wanted("b")):
            assert names() == {"b", "c"}
    models.close()


def test_a_model_that_is_always_in_use_makes_room_for_one_that_has_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = {name: lambda: translator(Negative()) for name in "ab"}
    models = KnownModels(made, memory=4)
    a, b = Wanted("a"), Wanted("b")
    with models.use(a):
        with pytest.raises(BusyError, match="no room"), models.use(b):
            pass
        with models.use(a):
            pass  # it has not waited for long
        monkeypatch.setattr(models_module, "TURN", 0.0)
        with pytest.raises(BusyError, match="makes room for 'b'"), models.use(a):
            pass
    with models.use(b):
        pass
    with models.use(a):  # b has had its turn
        with pytest.raises(BusyError, match="no room"), models.use(b):
            pass
        monkeypatch.setattr(models_module, "ASKED", 0.0)
        with models.use(a):
            pass  # nobody asks for b any more
    models.close()


def test_a_checkpoint_that_has_changed_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "m.pt"
    file.touch()
    models = KnownModels({"a": lambda: translator(Negative())})
    models._named["a"] = file
    with models.use(Wanted("a")) as first:
        os.utime(file, ns=(1, 1))
        with models.use(Wanted("a")) as second:
            assert second is not first
            assert len(models.loaded()) == 1
        with models.use(Wanted("a")) as again:
            assert again is second
    models.close()


def test_a_translator_is_no_sampler() -> None:
    models = KnownModels({"t": lambda: translator(Negative()), "s": sampler})
    with models.use(Wanted("t")) as model, pytest.raises(OptionsError, match="translates images"):
        _ = model.sampler
    with models.use(Wanted("s")) as model, pytest.raises(OptionsError, match="from noise"):
        _ = model.translator
    models.close()


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("../secret"),
        Wanted("/etc/passwd"),
        Wanted("run", "../../x"),
        Wanted("run", "3"),
        Wanted("run", "1" * 40),
        Wanted("run", "-1"),
    ],
)
def test_no_name_leads_out_of_the_folder(wanted: Wanted, tmp_path: Path) -> None:
    (tmp_path / "runs" / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "secret" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "checkpoints" / "step-00000001.pt").touch()
    models = Models({}, runs_dir=tmp_path / "runs")
    assert models.names().keys() == {"run"}
    with pytest.raises(NotFoundError), models.use(wanted):
        pass


def test_models_are_named_by_words(tmp_path: Path) -> None:
    (tmp_path / "horses").mkdir()
    (tmp_path / "faces.onnx").touch()
    found = named_models([f"{tmp_path}/horses", f"x={tmp_path}/faces.onnx"])
    assert found == {"horses": tmp_path / "horses", "x": tmp_path / "faces.onnx"}
    with pytest.raises(OptionsError, match="two models are called 'horses'"):
        named_models([f"{tmp_path}/horses", f"horses={tmp_path}/faces.onnx"])
    with pytest.raises(OptionsError, match="there is no run"):
        named_models([f"{tmp_path}/horse"])


def test_weights_that_were_handed_on_are_models_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(__file__).parent.parent / "version_0_1" / "pix2pix"
    bundle = export_bundle(run, tmp_path / "handed-on", sheet=False)
    monkeypatch.setattr(models_module, "named_source", {Path("zoo:mine"): bundle}.get)
    models = Models(named_models([str(bundle), "zoo:mine"]), device="cpu")
    assert models.names() == {"handed-on": bundle, "mine": bundle}
    told = models.describe("mine")
    assert (told["model"], told["makes"], "error" in told) == ("pix2pix", "translations", False)
    assert "checkpoints" not in told
    with models.use(Wanted("mine")) as model:
        assert model.translator.input_channels == 3
    with pytest.raises(NotFoundError), models.use(Wanted("mine", "4")):
        pass
    models.close()


def test_the_weights_of_the_package_are_there_at_once() -> None:
    models = Models(zoo_models(), device="cpu")
    assert "zoo:seasons" in models.names()
    for name in models.names():
        assert models.describe(name)["makes"] in ("translations", "samples")
    models.close()
