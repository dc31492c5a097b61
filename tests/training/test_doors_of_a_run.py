"""Trackers and metrics from outside, as a run meets them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i.core.registry import METRICS, TRACKERS, register_tracker
from i2i.errors import OptionsError
from i2i.metrics.measures import find_measures, register_measure
from i2i.runs.folder import Run
from i2i.runs.log import read_log
from i2i.runs.trackers import Tracker
from i2i.training import session
from i2i.training.monitor import MetricLogger, find_trackers
from shrunk import shrunk

HEARD: list[tuple[str, object]] = []


class Hearing(Tracker):
    """Remembers what it is told."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        HEARD.append(("scalars", (step, dict(values))))

    def image(self, step: int, name: str, image: Image.Image) -> None:
        HEARD.append(("image", step))

    def text(self, name: str, text: str) -> None:
        HEARD.append(("text", name))

    def checkpoint(self, step: int, path: Path) -> None:
        HEARD.append(("checkpoint", (step, path.name)))

    def close(self) -> None:
        HEARD.append(("close", None))


class Failing(Tracker):
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        raise RuntimeError("the server is gone")


@pytest.fixture
def outside() -> Iterator[None]:
    HEARD.clear()
    TRACKERS.names()
    METRICS.names()
    register_tracker("hearing")(Hearing)
    register_tracker("failing")(Failing)
    if "darkest" not in METRICS:

        @register_measure("darkest", higher_is_better=False, meaning="darkest pixel of an output")
        def darkest(outputs: Tensor, references: Tensor) -> Tensor:
            return outputs.amin(dim=(1, 2, 3))

        @register_measure(
            "bias", higher_is_better=False, meaning="difference of the means", needs_truth=False
        )
        def bias(outputs: Tensor, references: Tensor) -> Tensor:
            return (outputs.mean() - references.mean()).abs()

        @register_measure("broken", higher_is_better=False, meaning="nothing")
        def broken(outputs: Tensor, references: Tensor) -> Tensor:
            raise ZeroDivisionError("no images")

    yield
    for name in ("hearing", "failing"):
        del TRACKERS._parts[name]


@pytest.mark.usefixtures("outside")
def test_a_run_tells_its_trackers_everything_and_outlives_one_that_fails(
    tmp_path: Path, facades: Path, said: list[str]
) -> None:
    settings = (
        f"data.root={facades}",
        'train.trackers=["hearing", "failing"]',
        'train.metrics=["darkest", "bias", "l1"]',
        "train.monitor=darkest",
    )
    done = session.start(shrunk("pix2pix", *settings), tmp_path, "run", device="cpu")
    assert (done.steps, done.exit_code) == (4, 0)
    assert sum("the server is gone" in line for line in said) == 1
    run = Run(done.folder)
    assert not list(run.folder.glob("events.*"))  # TensorBoard was not asked for
    rows = read_log(run.log).rows
    heard: dict[int, dict[str, float]] = {}
    for step, values in (what for kind, what in HEARD if kind == "scalars"):  # type: ignore[misc]
        heard.setdefault(step, {"step": step}).update(values)
    assert list(heard.values()) == rows
    steps = [step for kind, step in HEARD if kind == "image"]
    assert steps
    assert ("text", "options") in HEARD
    saved = [what for kind, what in HEARD if kind == "checkpoint"]
    assert {step for step, _ in saved} == {2, 4}  # type: ignore[misc]
    assert HEARD[-1] == ("close", None)
    measured = [row for row in rows if "validation/darkest" in row]
    assert len(measured) == 2
    for row in measured:
        assert -1 <= row["validation/darkest"] <= 1
        assert 0 <= row["validation/bias"] <= 2


@pytest.mark.usefixtures("outside")
def test_a_folder_that_is_removed_is_written_again_but_not_told_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.samples.mkdir(parents=True)
    journal = MetricLogger(run, 0, trackers=["hearing"])
    journal.scalars(1, {"x": 1.0})
    run.log.unlink()
    journal.scalars(2, {"x": 2.0})
    journal.close()
    assert [row["x"] for row in read_log(run.log).rows] == [1.0, 2.0]
    assert [what for kind, what in HEARD if kind == "scalars"] == [(1, {"x": 1.0}), (2, {"x": 2.0})]


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda: find_trackers(["tensorbord"]), r"tensorbord.*Did you mean 'tensorboard'\?"),
        (lambda: find_measures(["pnsr"], has_truth=True), r"pnsr.*Did you mean 'psnr'\?"),
        (lambda: find_measures(["psnr"], has_truth=False), "compares each result with its truth"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(look: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        look()


@pytest.mark.usefixtures("outside")
def test_a_metric_that_fails_is_said_before_the_first_step(tmp_path: Path, facades: Path) -> None:
    options = shrunk("pix2pix", f"data.root={facades}", 'train.metrics=["broken"]')
    with pytest.raises(OptionsError, match=r"'broken'.*fails on images of .*ZeroDivisionError"):
        session.start(options, tmp_path, "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("outside")
def test_sets_need_no_truth() -> None:
    bias = find_measures(["bias"], has_truth=False)["bias"]
    assert bias(torch.zeros(3, 1, 2, 2), torch.ones(5, 1, 2, 2)) == 1.0
