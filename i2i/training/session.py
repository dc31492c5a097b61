"""A whole training run: from options to a run folder, or on from where one stopped."""

import contextlib
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from i2i.config import Layer, Options, read_options
from i2i.config.recipes import settings_layer
from i2i.core.model import Model
from i2i.core.progress import audible
from i2i.core.registry import OWN, is_own
from i2i.data.sources import resolve_options
from i2i.distributed.processes import Processes, together
from i2i.errors import CheckpointError, OptionsError, RunError
from i2i.models.build import data_kind
from i2i.runs.bundle import bundle_weights
from i2i.runs.checkpoint import read_outline, refuse_exported
from i2i.runs.folder import (
    Run,
    find_checkpoint,
    new_name,
    open_run,
    refuse_existing,
    remove_leftovers,
)
from i2i.runs.opening import open_checkpoint
from i2i.runs.writing import RunFolder
from i2i.system.device import pick_device
from i2i.training.build import resolve_precision
from i2i.training.callbacks import Callback
from i2i.training.continuation import changes_to, continued, segments
from i2i.training.outcome import Outcome
from i2i.training.own import NOTHING, OfImages, OwnParts, Term
from i2i.training.own_schedule import OwnSchedule
from i2i.training.pretrained import source_of
from i2i.training.running import Running
from i2i.training.selection import resolve_monitor

_log = logging.getLogger(__name__)


@audible()
def start(
    options: Options,
    runs_dir: Path | str = "runs",
    name: str | None = None,
    *,
    title: str | None = None,
    device: str = "auto",
    rescue_dir: Path | str | None = None,
    tags: Sequence[str] = (),
    note: str = "",
    own: OwnParts = NOTHING,
) -> Outcome:
    """Train a new model.

    In a process that `torchrun` started, the processes train together (see
    `i2i.distributed.processes`).

    Arguments:
        options: what to do.
        runs_dir: where the folder of the run is made.
        name: of the run; by default title, data set and time, and a number where that is taken.
        title: what a run without a name is called; by default the name of the model.
        device: "auto", "cpu", "cuda", ...
        rescue_dir: takes the last checkpoint if the disk of the run folder is full; by default the
            system's folder for temporary files.
        tags, note: words to find the run again by (`i2i runs`), and a remark; kept beside what it
            runs on.
        own: objects of a program, which the options name (`OwnParts.layer`).

    Raises:
        I2iError: the options, the data or the run folder are not as they should be, or a loss was
            not finite.
    """
    with own.given(), together(device) as processes:
        own_name = name or new_name(
            (title or options.model).removeprefix(OWN), options.data.root.removeprefix(OWN)
        )
        run = Run(Path(runs_dir) / processes.of_first(own_name))
        if processes.first and name is not None:
            refuse_existing(run.folder)
        settled = _settled(options, processes)
        folder = RunFolder(run, {})
        training = Running(folder, processes, device, rescue_dir, _label(tags, note), own)
        return training.begin(settled, name is None)


@audible()
def resume(
    run_or_checkpoint: Path | str,
    changes: str | Layer | Sequence[str | Layer] | None = None,
    *,
    device: str = "auto",
    rescue_dir: Path | str | None = None,
    tags: Sequence[str] = (),
    note: str = "",
    data: Any = None,
    validation: Any = None,
    model: type[Model] | None = None,
    networks: Mapping[str, Any] = MappingProxyType({}),
    losses: Sequence[Term | tuple[str, OfImages, float]] = (),
    metrics: Sequence[str | OfImages | tuple[str, OfImages]] = (),
    callbacks: Sequence[Callback] = (),
    schedule: OwnSchedule | None = None,
) -> Outcome:
    """Go on with a run exactly where its newest checkpoint (or the one given) left it.

    A run that is over already stays as it is, and is told so. One that was made from objects
    (`i2i.train`) goes on with the same objects, which are given again; bit for bit, if they do the
    same. Other callbacks may be given, but for those that have a state.

    Arguments:
        run_or_checkpoint: a run folder, or a checkpoint file in one.
        changes: options that may differ (`i2i.training.continuation.MAY_CHANGE`): the length of
            the run, and where and how data is read; as for `load_options`: "train.steps=300",
            {"train.steps": 300}, or several of these.
        device: "auto", "cpu", "cuda", ...
        rescue_dir, tags, note: as for `start`; tags add to those that there are.
        data, validation, model, networks, losses, metrics, callbacks, schedule: the objects that
            were given to `i2i.train`.

    Raises:
        I2iError: as for `start`; somebody else trains the run; other options are to change; objects
            are missing, which are named.
    """
    several = [changes] if isinstance(changes, str | Mapping) else changes or ()
    layer = settings_layer(*several)
    own = OwnParts(networks, losses, metrics, callbacks, schedule, data, validation, model)
    with own.given(), together(device) as processes:
        return _resume(
            Path(run_or_checkpoint),
            lambda run, former: continued(run, former, layer),
            processes,
            device,
            rescue_dir,
            label=_label(tags, note),
            own=own,
        )


@audible()
def resume_or_start(
    options: Options,
    runs_dir: Path | str,
    name: str,
    *,
    device: str = "auto",
    rescue_dir: Path | str | None = None,
    tags: Sequence[str] = (),
    note: str = "",
) -> Outcome:
    """Go on with the run of this name if it has a checkpoint, otherwise begin it: what a job in a
    chain of jobs does, of which any may be the first. Arguments and errors are those of the two.
    """
    with together(device) as processes:
        folder = Path(runs_dir) / name
        if not processes.of_first(bool(Run(folder).checkpoints())):
            if processes.first:
                remove_leftovers(folder)
            return start(
                options,
                runs_dir,
                name,
                device=device,
                rescue_dir=rescue_dir,
                tags=tags,
                note=note,
            )

        def settled(run: Run, former: Options) -> Options:
            asked = _settled(options, processes)
            asked = resolve_precision(asked, pick_device(processes.device(device)))
            return continued(run, former, changes_to(former, asked))

        return _resume(
            folder,
            settled,
            processes,
            device,
            rescue_dir,
            shorter=True,
            label=_label(tags, note),
        )


@audible()
def replay(
    run_or_checkpoint: Path | str,
    runs_dir: Path | str = "runs",
    name: str | None = None,
    *,
    device: str = "auto",
) -> Outcome:
    """Do a run again from its beginning, with each change of its options at the step at which it
    was made. On the same machine and with as many processes, the weights are the same.

    Arguments:
        run_or_checkpoint: a run folder, or a checkpoint file.
        runs_dir, name: of the new run; by default named after the old one.
        device: "auto", "cpu", "cuda", ...
    """
    with together(device) as processes:
        path, why = find_checkpoint(Path(run_or_checkpoint), Path())
        _, state = open_checkpoint(path)
        _log.info(f"doing again {why}")
        parts = segments(state)
        name = name or f"{path.resolve().parent.parent.name}-again"
        run = Run(Path(runs_dir) / name)
        if processes.first:
            refuse_existing(run.folder)
        first = Running(RunFolder(run, {}), processes, device, None)
        outcome = first.begin(parts[0][1], unique=False, until=parts[0][0])
        for end, options in parts[1:]:
            if outcome.exit_code:
                break
            outcome = _resume(run.folder, partial(_as_told, options), processes, device, None, end)
        return outcome


def _resume(
    run_or_checkpoint: Path,
    options_after: Callable[[Run, Options], Options],
    processes: Processes,
    device: str,
    rescue_dir: Path | str | None,
    until: int | None = None,
    shorter: bool = False,
    label: Mapping[str, Any] = MappingProxyType({}),
    own: OwnParts = NOTHING,
) -> Outcome:
    path, _ = find_checkpoint(run_or_checkpoint, Path())
    refuse_exported(path, "a run folder or a checkpoint")
    if bundle_weights(path) is not None:
        raise _stateless(path, run_or_checkpoint)
    run = open_run(path.resolve().parent.parent)
    folder = RunFolder(run, {})
    if processes.first:
        folder.own()
    try:
        processes.barrier()
        path, why = find_checkpoint(run_or_checkpoint, Path())
        _require_own(own, path)
        former, state = open_checkpoint(path)
        if not state["optimizers"]:
            raise _stateless(path, run_or_checkpoint)
        options = options_after(run, former)
        options = resolve_monitor(options, "cpu")
        _log.info(f"resuming from {why}")
        training = Running(folder, processes, device, rescue_dir, label, own)
        return training.go_on(options, state, until, shorter)
    finally:
        folder.release()


def _require_own(own: OwnParts, path: Path) -> None:
    """Refuse to go on without the objects that a checkpoint names, all of them at once."""
    told = None
    with contextlib.suppress(CheckpointError, OptionsError):  # as opening it will say
        told = read_options(read_outline(path)["options"])
    if told is not None:
        own.require(told)


def _stateless(path: Path, named: Path) -> RunError:
    return RunError(
        f"{path} holds weights without the state of their training, so it cannot be resumed. Begin "
        f"a new run from them: i2i train --init-from {shlex.quote(str(named))} --dataroot DIR"
    )


def _label(tags: Sequence[str], note: str) -> dict[str, Any]:
    """What a run is called beside its name."""
    return ({"tags": list(tags)} if tags else {}) | ({"note": note} if note else {})


def _as_told(options: Options, run: Run, former: Options) -> Options:
    return options


def _settled(options: Options, processes: Processes) -> Options:
    """The options with what only the data and the installed packages can tell. A collective."""
    settled = options
    if not is_own(options.data.root):
        settled = processes.in_turns(lambda: resolve_options(options, data_kind(options)))
    if processes.first:  # it may download something
        settled = resolve_monitor(settled, "cpu")
    if settled.train.init_from:
        source = processes.in_turns(lambda: source_of(settled.train.init_from))
        train = settled.train.model_copy(update={"init_from": source})
        settled = settled.model_copy(update={"train": train})
    return read_options(processes.of_first(settled.to_dict()))
