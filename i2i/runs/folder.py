"""The folder of a run, and finding one again.

::

    runs/NAME/
        options.toml           every option that the run used
        environment.json       versions, device, command line; environment-STEP.json of a resumption
        resources.json         seconds, memory and energy of each session
        owner.json             who trains it, while somebody does
        log.jsonl              the scalars, one JSON object a line
        health.json            what is wrong with the training at present
        split.json             which images it learns from and validates with
                               (`i2i.data.kinds.splits`)
        events.out.tfevents.*  the scalars for TensorBoard, with the image grids
        samples/               the image grids, as PNG
        marked/                where outputs show what is wrong with them at present, as PNG
        checkpoints/           step-00001000.pt, ..., best.pt
"""

import json
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from i2i import __version__
from i2i.core.registry import WEIGHT_SOURCES
from i2i.core.signals import parse_monitor
from i2i.data.kinds.folders import MARKER, results_folder
from i2i.data.kinds.splits import SPLITS_FILE
from i2i.errors import CheckpointError, RunError, did_you_mean, in_words
from i2i.runs.bundle import bundle_weights
from i2i.runs.lock import LOCK, OWNER, RunLock
from i2i.runs.log import read_log, read_row
from i2i.system.atomic import PARTIAL, write_text

BEST = "best.pt"

_FILES = (
    *("options.toml", "environment*.json", "log.jsonl", "health.json", "events.out.tfevents.*"),
    *("resources.json", "evaluation", "trackers.json", "wandb"),
    *(SPLITS_FILE, MARKER, "samples", "marked", "checkpoints", "report.html", "progress.*"),
    *(LOCK, OWNER, f".*{PARTIAL}"),
)
"""What a run leaves in its folder."""


@dataclass(frozen=True)
class Run:
    """Where the files of a run are."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def options(self) -> Path:
        return self.folder / "options.toml"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def marked(self) -> Path:
        return self.folder / "marked"

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / BEST

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint after `step` steps belongs."""
        return self.folder / "checkpoints" / f"step-{step:08d}.pt"

    def checkpoints(self) -> list[Path]:
        """The numbered checkpoints that are there, oldest first."""
        return sorted((self.folder / "checkpoints").glob("step-*.pt"))

    def latest(self) -> Path:
        """The newest numbered checkpoint."""
        found = self.checkpoints()
        if not found:
            raise RunError(f"{self.folder} has no checkpoint yet.")
        return found[-1]

    def prune(self, spared: Callable[[Sequence[int]], Collection[int]]) -> None:
        """Remove numbered checkpoints, all but those whose steps are spared.

        Arguments:
            spared: told the steps of those that are there, oldest first.
        """
        there = {step_of(path): path for path in self.checkpoints()}
        stay = spared(list(there))
        unfinished = self.best.parent.glob(f".*{PARTIAL}")  # of a process that was killed
        for path in (*(path for step, path in there.items() if step not in stay), *unfinished):
            path.unlink(missing_ok=True)

    def make_again(self) -> bool:
        """Make the folders that somebody has removed; returns whether there were any.

        Raises:
            OSError: they cannot be made.
        """
        missing = [path for path in (self.best.parent, self.samples) if not path.is_dir()]
        for path in missing:
            path.mkdir(parents=True, exist_ok=True)
        return bool(missing)

    def forget_after(self, step: int) -> None:
        """Drop what was logged after `step`: a resumed run will do those steps again."""
        if not self.log.exists():
            return
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if (at := _step_of(line)) is not None and at <= step]
        write_text(self.log, "".join(kept))


def step_of(checkpoint: Path) -> int:
    """The step in the name of a numbered checkpoint; -1 for one of another name."""
    found = re.fullmatch(r"step-(\d+)", checkpoint.stem)
    return int(found[1]) if found else -1


def refuse_existing(folder: Path) -> None:
    """Raise RunError if there is something in the folder of a new run already."""
    if folder.is_file():
        raise RunError(f"{folder} is a file: give the new run another name.")
    if folder.is_dir() and any(folder.iterdir()):
        resume = f"resume it with `i2i train --resume {shlex.quote(str(folder))}`"
        if not Run(folder).checkpoints():
            resume = "it has no checkpoint to resume, so remove it"
        raise RunError(f"{folder} exists already: {resume}, or give the new run another name.")


def create_run(run: Run, about: dict[str, Any], *, unique: bool = False) -> Run:
    """Make the folder of a new run and write down what it runs on (`environment`).

    Arguments:
        run: where.
        about: what it runs on.
        unique: take the next name that is free if somebody else has this one: NAME-2, NAME-3, ...

    Returns:
        the run that was made.

    Raises:
        RunError: the folder cannot be made, or somebody else made it just now.
    """
    number, first = 1, run.folder
    while True:
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            run.best.parent.mkdir()  # whoever makes this folder owns the run
            break
        except FileExistsError:
            if not unique:
                raise RunError(
                    f"{run.folder} was made by somebody else just now: give the new run another "
                    "name."
                ) from None
            number += 1
            run = Run(first.with_name(f"{first.name}-{number}"))
        except OSError as error:
            raise RunError(f"{run.folder} cannot be made: {error.strerror}.") from error
    try:
        with results_folder(run.folder):
            run.samples.mkdir(exist_ok=True)
            record_environment(run, about)
    except OSError as error:
        remove_run(run)
        raise RunError(
            f"nothing can be written to {run.folder}: {error.strerror}. Make room, or name another "
            "folder with --runs-dir."
        ) from error
    return run


def remove_leftovers(folder: Path) -> None:
    """Remove what is left of a run that ended before its first checkpoint.

    Raises:
        RunError: somebody trains it, it has checkpoints, or there is something else.
    """
    run = Run(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    ours = all(any(path.match(each) for each in _FILES) for path in folder.iterdir())
    if not ours or not run.best.parent.is_dir() or run.checkpoints():
        refuse_existing(folder)
    lock = RunLock(folder)
    lock.acquire()
    lock.release()
    remove_run(run)


def remove_run(run: Run) -> None:
    """Remove a run that has nothing yet, so that its name is free again."""
    shutil.rmtree(run.folder, ignore_errors=True)


def record_environment(run: Run, about: dict[str, Any], step: int = 0) -> None:
    """Write down what the run runs on from `step` on."""
    name = f"environment-{step:08d}.json" if step else "environment.json"
    write_text(run.folder / name, json.dumps(about, indent=2) + "\n")


def _step_of(line: str) -> int | None:
    """The step of a line of the log; None if the line was not written to its end."""
    row = read_row(line) if line.endswith("\n") else None
    return None if row is None else int(row["step"])


def open_run(folder: Path) -> Run:
    """The run in an existing folder."""
    if not (folder / "checkpoints").is_dir():
        raise no_run(folder, "it has no checkpoints/ inside")
    return Run(folder)


def no_run(folder: Path, why: str) -> RunError:
    """What is to be said of a folder that is none of a run, with the runs that may be meant."""
    if not folder.is_dir():
        near = did_you_mean(folder.name, [path.name for path in runs_in(folder.parent)])
        return RunError(f"there is no run folder {folder}.{near}")
    runs = runs_in(folder)
    if runs:
        return RunError(
            f"{folder} is no run but holds {len(runs)}: name one of them, such as the newest, "
            f"{shlex.quote(str(runs[-1]))}."
        )
    return RunError(f"{folder} is no run folder: {why}.")


def runs_in(folder: Path) -> list[Path]:
    """The runs in a folder, by the time of their last change."""
    found = [path.parent for path in folder.glob("*/checkpoints") if path.is_dir()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def new_name(what: str, dataroot: str) -> str:
    """A name for a run of a model or recipe that sorts by time: pix2pix-facades-20261120-063000."""
    return f"{what}-{Path(dataroot).resolve().name}-{datetime.now():%Y%m%d-%H%M%S}"


def find_checkpoint(
    checkpoint: Path | None, runs_dir: Path, *, best: bool | str | None = None
) -> tuple[Path, str]:
    """Find the checkpoint file that is meant, and say in words which it is and why.

    Arguments:
        checkpoint: a file, a run folder (its newest checkpoint is taken), or None for the run
            under `runs_dir` with the newest checkpoint.
        runs_dir: the folder of the runs.
        best: of a run, take the checkpoint that validation found the best, not the last one; the
            name of a measure for the best of those that were kept, by that; None where there is no
            choice.
    """
    if checkpoint is None:
        newest = max(
            runs_dir.glob("*/checkpoints/step-*.pt"),
            key=lambda path: (path.stat().st_mtime_ns, path.name),
            default=None,
        )
        if newest is None:
            raise CheckpointError(
                f"there is no run with a checkpoint under {runs_dir}: train one with `i2i train`, "
                "or say which with --checkpoint (a run folder or a file)."
            )
        return _of_run(Run(newest.parent.parent), f"the newest run under {runs_dir}", best)
    if (source := named_source(checkpoint)) is not None:
        path, _ = find_checkpoint(source, runs_dir, best=best)
        return path, str(checkpoint)
    try:
        is_run, there = checkpoint.is_dir(), checkpoint.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or has a zero in it
        why = in_words(error) if isinstance(error, OSError) else f"{checkpoint!r}: {error}."
        raise CheckpointError(f"There is no run and no checkpoint of this name: {why}") from error
    if there and (weights := bundle_weights(checkpoint)) is not None:
        if best:
            raise CheckpointError(f"{checkpoint} has one set of weights: leave out --best.")
        return weights, str(checkpoint)
    if is_run:
        return _of_run(open_run(checkpoint), "the run", best)
    if not there:
        near = did_you_mean(checkpoint.name, [path.name for path in runs_in(checkpoint.parent)])
        raise CheckpointError(f"{checkpoint} is neither a run folder nor a checkpoint file.{near}")
    if best:
        raise CheckpointError(f"{checkpoint} is one checkpoint: leave out --best, or name its run.")
    return checkpoint, str(checkpoint)


def named_source(checkpoint: Path) -> Path | None:
    """Where weights are that are called by a name, `zoo:NAME` say; None if this is a path.

    Raises:
        I2iError: there are none of this name, or they cannot be had.
    """
    scheme, colon, name = str(checkpoint).partition(":")
    # A single letter is a drive.
    if not colon or not re.fullmatch(r"[a-z][a-z0-9-]+", scheme) or scheme not in WEIGHT_SOURCES:
        return None
    found: Path = WEIGHT_SOURCES.find(scheme)(name)
    return found


def _of_run(run: Run, name: str, best: bool | str | None) -> tuple[Path, str]:
    try:
        return _chosen(run, name, best)
    except OSError as error:  # what is not for this user, say
        raise CheckpointError(f"{run.folder} cannot be read: {in_words(error)}") from error


def _chosen(run: Run, name: str, best: bool | str | None) -> tuple[Path, str]:
    if isinstance(best, str):
        return best_by(run, best)
    if not best:
        choice = best is not None and run.best.exists()
        hint = "; --best takes that with the best validation" if choice else ""
        latest = run.latest()
        return latest, f"{latest} (the last of {name}{hint})"
    if not run.best.exists():
        raise CheckpointError(
            f"{run.folder} has no {BEST}: nothing decided which checkpoint is the best. Leave out "
            "--best to take the last one."
        )
    return run.best, f"{run.best} (the best validation of {name})"


def best_by(run: Run, measure: str) -> tuple[Path, str]:
    """Choose among the checkpoints that a run has kept, by what its validations measured.

    Arguments:
        run: whose.
        measure: as for `train.monitor`.

    Returns:
        the checkpoint, and in words which it is.

    Raises:
        RunError: there is no log.
        CheckpointError: the measure is none of the run, or no checkpoint was validated.
        OptionsError: nobody knows which way of the measure is better.
    """
    decided = parse_monitor(measure, "--best-by")
    if decided is None:
        raise CheckpointError(f"{measure!r} is no measure that a checkpoint can be chosen by.")
    name, better = decided
    rows = read_log(run.log).rows
    key = f"validation/{name}"
    if not any(key in row for row in rows):
        known = sorted(
            {
                each.removeprefix("validation/")
                for row in rows
                for each in row
                if "validation/" in each
            }
        )
        raise CheckpointError(
            f"The validations of {run.folder} have not measured {name!r}."
            f"{did_you_mean(name, known)} They have: {', '.join(known) or 'nothing'}."
        )
    measured = {int(row["step"]): row[key] for row in rows if row.get(key) is not None}
    there = [
        (measured[step], path) for path in run.checkpoints() if (step := step_of(path)) in measured
    ]
    if not there:
        raise CheckpointError(
            f"None of the checkpoints that are left of {run.folder} is of a step with a "
            "validation: train with train.keep=all (or thinned, or train.keep_every) and "
            "train.save_every_steps equal to train.validate_every_steps, so that there is a "
            "choice."
        )
    value, path = (min if better == "lower" else max)(there, key=lambda each: each[0])
    return path, f"{path} (the best of {len(there)} by {name}, {value:.4g} in validation)"


def environment(device: torch.device) -> dict[str, Any]:
    """What the run runs on, for the record."""
    packages = ("torch", "torchvision", "numpy", "pillow", "albumentations", "kornia")
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "packages": {"i2i": __version__} | {name: metadata.version(name) for name in packages},
    }
