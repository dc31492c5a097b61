"""The folder of a run, filled by a loop of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i.config import read_options
from i2i.config.recipes import flat
from i2i.errors import OptionsError
from i2i.runs.folder import Run, environment, refuse_existing
from i2i.runs.provenance import code_states
from i2i.runs.writing import RunFolder
from i2i.training.continuation import options_file
from i2i.training.monitor import MetricLogger, ProgressLogger
from i2i.training.trainer import Trainer


class RunLog:
    """Writes down what a loop of one's own does, as a training leaves it::

        with i2i.RunLog(trainer, "runs/mine") as log:
            for batch in trainer.batches(data):
                log.step(trainer.step(batch, closely=log.due))
                if trainer.steps_done % 500 == 0:
                    log.values({"validation/sharpness": sharpness(trainer.model)})
                    log.save()

    What reads runs reads it: `i2i report`, `i2i info`, `i2i translate`, `i2i.history`, TensorBoard.
    One that a trainer was loaded from (`trainer.load`) is gone on with: what was logged after the
    step of the checkpoint is dropped, since those steps are done again.

    Arguments:
        trainer: built by `build_trainer`.
        folder: of the run.
        every: steps whose means make a row of the log; by default `train.log_every_steps`.

    Raises:
        OptionsError: the trainer does not know its options.
        RunError: the folder holds a run, and the trainer has done no step; or somebody trains it,
            or it cannot be written to.
    """

    def __init__(self, trainer: Trainer, folder: Path | str, every: int | None = None) -> None:
        if "options" not in trainer.about:
            raise OptionsError("this trainer does not know its options: make it by build_trainer.")
        options = read_options(trainer.about["options"])
        self.trainer = trainer
        self.every = options.train.log_every_steps if every is None else every
        if self.every < 1:
            raise OptionsError(f"every (={every}) must be at least 1.")
        begin, run = trainer.steps_done, Run(Path(folder))
        text = options_file(options, trainer.about.get("history", ()))
        about = environment(trainer.device) | {"code": code_states()}
        self._folder = RunFolder(run, about)
        if begin and run.best.parent.is_dir():
            self._folder.own()
            self._folder.reopen(text, begin)
        else:
            refuse_existing(run.folder)
            self._folder.create(text, unique=False)
        self._journal = MetricLogger(
            run,
            begin,
            restore=self._folder.restore,
            trackers=options.train.trackers,
            options=flat(options.to_dict()),
        )
        objectives = trainer.model.objectives.values()
        self._progress = ProgressLogger(
            self._journal,
            start=begin,
            stop=max(trainer.length, begin),
            samples_before=trainer.images,
            terms={name for each in objectives for name in each.weights},
        )
        self._written = begin

    def __enter__(self) -> "RunLog":
        self._progress.__enter__()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self._write()
        finally:
            self._progress.__exit__(kind, *error)
            self._journal.close()
            self._folder.release()

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self._folder.run.folder

    @property
    def due(self) -> bool:
        """Whether the step that comes makes a row: then `i2i train` looks closely (`Trainer.step`),
        so that the log has the gradients, by which a report judges more."""
        return (self.trainer.steps_done + 1) % self.every == 0

    def step(self, losses: Mapping[str, Tensor]) -> None:
        """Take what `trainer.step` has returned; the device is asked for it once a row.

        Raises:
            TrainingError: a loss was not finite.
        """
        self._progress.gather(self.trainer.steps_done, losses)
        if self.trainer.steps_done % self.every == 0:
            self._write()

    def values(self, values: Mapping[str, float]) -> None:
        """Write numbers beside what is logged of this step, "validation/sharpness" say."""
        self._journal.scalars(self.trainer.steps_done, values)

    def sheet(self, batch: Any = None) -> None:
        """Write an image grid of a batch, by default the last one (`Trainer.sheet`)."""
        self._journal.sheet(self.trainer.steps_done, "samples", self.trainer.sheet(batch))

    def save(self) -> Path:
        """Write a checkpoint into the folder, and return where it is. None is ever removed.

        Raises:
            CheckpointError: it cannot be written.
        """
        step = self.trainer.steps_done
        path = self._folder.run.checkpoint(step)
        self._folder.run.make_again()
        self.trainer.save(path)
        self._journal.checkpoint(step, path)
        self._progress.last_good = str(path)
        return path

    def _write(self) -> None:
        done = self.trainer.steps_done
        if done > self._written:
            self._progress.write(self.trainer.learning_rates(done - 1))
            self._written = done
