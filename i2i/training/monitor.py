"""What is written down and shown while a run goes on.

Losses are gathered where they were computed and read all at once when the log is due, so that no
step waits for the device. The same scalars go to `log.jsonl` and to the other trackers.
"""

import contextlib
import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from i2i.core.batch import AnyBatch
from i2i.core.progress import Pace, Update, duration, progress, reporter
from i2i.core.registry import TRACKERS
from i2i.core.signals import with_named_sides
from i2i.errors import I2iError, TrainingError, reason
from i2i.runs.folder import Run
from i2i.runs.image_grid import ROWS
from i2i.runs.log import read_log
from i2i.runs.marked import write_marked
from i2i.runs.trackers import Tracker
from i2i.runs.trackers.json_lines import JsonLines
from i2i.runs.verdict import Verdict
from i2i.system.atomic import replacing, write_text
from i2i.training.busy import BusyWatch
from i2i.training.callbacks import Callback, Training
from i2i.training.pace import FirstSteps

_log = logging.getLogger(__name__)

LINE_INTERVAL = 15.0
"""Seconds between two progress lines where there is no terminal."""


class MetricLogger:
    """Scalars, image grids and texts, for all trackers of a run (`i2i.runs.trackers`).

    A tracker that fails is left out from then on, with a notice: it never ends a run. If somebody
    removes the folder, all that was logged there is written again.

    Arguments:
        run: whose folder it is.
        start: the step after which the run goes on.
        restore: makes the folder of the run again if it is gone.
        trackers: names of those that it has beside JSON lines.
        options: of the run by their dotted paths, for trackers.

    Raises:
        OptionsError: there is no such tracker.
    """

    def __init__(
        self,
        run: Run,
        start: int,
        restore: Callable[[], object] = lambda: None,
        trackers: Sequence[str] = ("tensorboard",),
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.run = run
        self.restore = restore
        self.rows = read_log(run.log).rows if start and run.log.exists() else []
        """All scalars so far, a row for each line of the log."""
        self._kinds: dict[str, type[Tracker]] = find_trackers(trackers)
        self._trackers: dict[str, Tracker] = {}
        self._options = dict(options)
        for title in self._kinds:
            self._open(title, start)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._require_folder()
        # JSON has no infinity and no NaN.
        finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1] |= finite
        else:
            self.rows.append({"step": step, **finite})
        self._tell(lambda tracker: tracker.scalars(step, values))

    def checkpoint(self, step: int, path: Path) -> None:
        self._tell(lambda tracker: tracker.checkpoint(step, path))

    def _open(self, title: str, start: int) -> None:
        try:
            self._trackers[title] = self._kinds[title](self.run.folder, start)
            self._trackers[title].options(self._options)
        except Exception as error:  # noqa: BLE001 (whatever it is, the training is worth more)
            self._leave_out(title, error)

    def _tell(self, what: Callable[[Tracker], None], of: Collection[str] | None = None) -> None:
        for title, tracker in list(self._trackers.items()):
            if of is None or title in of:
                try:
                    what(tracker)
                except Exception as error:  # noqa: BLE001 (as above)
                    self._leave_out(title, error)

    def _leave_out(self, title: str, error: Exception) -> None:
        self._trackers.pop(title, None)
        why = reason(error)
        _log.info(f"{title} cannot be written any more ({why}); the run goes on without it.")

    def _require_folder(self) -> None:
        """Write all rows into new files if somebody has removed the old ones.

        TensorBoard's writer would fail where nobody can help it, in a thread of its own.
        """
        if JsonLines.title not in self._trackers or self.run.log.exists():
            return
        there = [title for title, kind in self._kinds.items() if kind.in_folder]
        with contextlib.suppress(OSError, I2iError):  # opening the files will say what is wrong
            self.run.folder.mkdir(parents=True, exist_ok=True)
            self._tell(lambda tracker: tracker.close(), there)
            for title in there:
                self._kinds[title].forget(self.run.folder)
            self.restore()
        for title in there:
            self._trackers.pop(title, None)
            self._open(title, 0)
        for row in self.rows:
            values = {k: math.nan if v is None else v for k, v in row.items() if k != "step"}
            step = int(row["step"])
            self._tell(lambda tracker, s=step, v=values: tracker.scalars(s, v), there)  # type: ignore[misc]

    def sheet(self, step: int, name: str, sheet: Image.Image) -> None:
        self._require_folder()
        self._tell(lambda tracker: tracker.image(step, name, sheet))
        try:
            self.run.samples.mkdir(parents=True, exist_ok=True)
            with replacing(self.run.samples / f"step-{step:08d}.png") as partial:
                about = PngInfo()
                about.add_text(ROWS, str(sheet.info.get(ROWS, "")))
                sheet.save(partial, format="PNG", pnginfo=about)
        except OSError as error:
            _log.info(f"The image grid could not be saved: {error}.")

    def marked(self, pictures: Mapping[tuple[str, str], Image.Image]) -> None:
        """Show what a validation found wrong with outputs, in place of what the last one found."""
        try:
            write_marked(self.run.marked, pictures)
        except OSError as error:
            _log.info(f"What is wrong with outputs could not be shown: {error}.")

    def text(self, name: str, text: str) -> None:
        self._require_folder()
        self._tell(lambda tracker: tracker.text(name, text))

    def verdicts(self, found: Sequence[Verdict]) -> None:
        """Write down what is wrong with the run at present."""
        text = json.dumps([asdict(verdict) for verdict in found], indent=2)
        try:
            write_text(self.run.folder / "health.json", text + "\n")
        except OSError as error:
            _log.info(f"The verdict on the run could not be saved: {error}.")
        self.text("health", "\n\n".join(map(str, found)) or "Nothing to complain of.")

    def close(self) -> None:
        self._tell(lambda tracker: tracker.close())


def find_trackers(names: Sequence[str]) -> dict[str, type[Tracker]]:
    """The trackers of these names and JSON lines, by what they are called in messages.

    Raises:
        OptionsError: there is no such tracker; lists those that there are. Or what it needs is not
            installed.
    """
    found = [(name, TRACKERS.find(name)) for name in ("json-lines", *names)]
    for _, kind in found:
        kind.require()
    return {kind.title or name: kind for name, kind in found}


class ProgressLogger(Callback):
    """Gathers the losses of each step; writes their means down and shows how far the run is.

    It is the first of the callbacks, so that all others see what is logged.

    Arguments:
        journal: where the scalars go.
        start, stop: the steps of this run.
        samples_before: how many images come before a step.
        terms: what is shown of each player while it trains; everything goes into the log.
        mean: what makes tensors their mean over all processes; called by `write` alone.
        busy: says when the processor is busy with something else.
        first_steps: tell how long all of it takes.
        sides: what the two domains are called in what is shown.
        idle: whether the device has computed all that it was asked for. A device that is still
            busy when a batch has come did not wait for it, however long Python did; of one that is
            not, nobody knows since when, so that the share of waiting is at most what is written.
    """

    def __init__(
        self,
        journal: MetricLogger,
        *,
        start: int,
        stop: int,
        samples_before: Callable[[int], int],
        terms: Collection[str],
        mean: Callable[[Tensor], Tensor] = lambda values: values,
        idle: Callable[[], bool] = lambda: True,
        busy: BusyWatch | None = None,
        first_steps: FirstSteps | None = None,
        sides: tuple[str, str] = ("A", "B"),
    ) -> None:
        self.journal = journal
        self.idle = idle
        self.mean = mean
        self.stop = stop
        self.samples_before = samples_before
        self.terms = terms
        self.last_good: str = "none yet"
        self.busy = busy
        self.first_steps = first_steps
        self.sides = sides
        self._step = start
        self._gathered: list[tuple[int, str, Tensor]] = []
        self._waited = 0.0
        self._busy_since = self._said = time.perf_counter()
        self._since = self._start = start
        self._text = ""
        self._pace = Pace(stop - start)
        self._task = contextlib.ExitStack()
        self._show: Update | None = None

    def __enter__(self) -> "ProgressLogger":
        if self.busy is not None:
            self.busy.begin()
        if reporter().live:
            self._show = self._task.enter_context(progress("training"))
        self._said = self._busy_since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._task.close()

    def batches(self, loader: Iterable[AnyBatch]) -> Iterator[AnyBatch]:
        """Hand on the batches of a loader; the time that the steps wait for them is counted."""
        batches = iter(loader)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            if self.idle():
                self._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def on_step(self, training: Training, losses: Mapping[str, Tensor]) -> None:
        self.gather(training.step, losses)
        if training.logged:
            self.write(training.trainer.learning_rates(training.step - 1))

    def on_validation(self, training: Training, values: Mapping[str, float]) -> None:
        self.journal.scalars(training.step, {f"validation/{k}": v for k, v in values.items()})

    def on_save(self, training: Training, path: Path) -> None:
        self.last_good = str(path)
        self.journal.checkpoint(training.step, path)

    def gather(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Take the losses of a step, without looking at them."""
        self._step = step
        self._gathered.extend((step, name, value) for name, value in losses.items())
        if self._show is not None:
            self._show(step - self._start, self.stop - self._start, self._text)
        else:
            self._pace.reached(step - self._start)
        if self.first_steps is not None and (told := self.first_steps.reached(step - self._start)):
            each, left = told
            ends = time.strftime("%A %H:%M", time.localtime(time.time() + left))
            _log.info(
                f"step {step}: at the pace of the first steps ({each:.2g} s each), all "
                f"{self.stop} take about {duration(left)} more, until {ends}"
            )

    def write(self, rates: Mapping[str, float]) -> None:
        """Read what was gathered since the last time, check it, and write the means down.

        Raises:
            TrainingError: a loss was not finite; names the step, the term and the last good
                checkpoint.
        """
        means = self._read()
        now = time.perf_counter()
        steps, seconds = self._step - self._since, max(now - self._busy_since, 1e-9)
        images = self.samples_before(self._step) - self.samples_before(self._since)
        speed = {
            "speed/images_per_second": images / seconds,
            "speed/steps_per_second": steps / seconds,
            "speed/data_wait": self._waited / seconds,
        }
        learning = {f"learning_rate/{player}": rate for player, rate in rates.items()}
        if steps:
            self.journal.scalars(self._step, {**means, **learning, **speed})
        rate = speed["speed/images_per_second"]
        terms = {name: value for name, value in means.items() if name.split("/")[1] in self.terms}
        self._text = "  ".join(
            [
                f"{rate:.1f} images/s",
                *(
                    f"{with_named_sides(name, self.sides)} {value:.3g}"
                    for name, value in terms.items()
                ),
            ]
        )
        if self._show is None and (now - self._said > LINE_INTERVAL or self._step == self.stop):
            self._said = now
            left = self._pace.left()
            remaining = "" if left is None else f"  {duration(left)} left"
            _log.info(f"step {self._step}/{self.stop}{remaining}  {self._text}")
        if self.busy is not None:
            self.busy.look()
        self._since = self._step
        self.restart_clock()

    def restart_clock(self) -> None:
        """Do not count the time since the last `write` as training: something else was done."""
        self._busy_since = time.perf_counter()
        self._waited = 0.0
        if self.busy is not None:
            self.busy.restart()

    def _read(self) -> dict[str, float]:
        if not self._gathered:
            return {}
        gathered = torch.stack([value.float() for _, _, value in self._gathered])
        values = self.mean(gathered).tolist()
        sums: dict[str, list[float]] = {}
        for (step, name, _), value in zip(self._gathered, values, strict=True):
            # A scaled gradient that overflows (fp16) only leaves out a step.
            if not math.isfinite(value) and not name.endswith("/gradient_norm"):
                self.journal.scalars(step, {name: value})
                raise TrainingError(
                    f"step {step}: {name} is {value}, so the run cannot go on. "
                    f"The last good checkpoint: {self.last_good}. A lower learning rate, "
                    "precision fp32 or bf16, or another seed may help."
                )
            sums.setdefault(name, []).append(value)
        self._gathered.clear()
        return {name: sum(values) / len(values) for name, values in sums.items()}
