"""A whole training run: from options to a run folder, or on from where one stopped."""

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from i2i.config import Layer, Options, read_options
from i2i.config.recipes import flat, merge, settings_layer
from i2i.core.plugins import keep_copies
from i2i.core.progress import audible
from i2i.core.signals import explain
from i2i.data.images.content_hash import fingerprint
from i2i.data.kinds import find_kind
from i2i.data.kinds.splits import record_splits
from i2i.data.loading.loader import default_workers, make_loader
from i2i.data.loading.prefetch import on_device
from i2i.data.sources import Source, open_source, remarks, resolve_options
from i2i.distributed.gradients import batch_share, restore_own_state, send_weights
from i2i.distributed.processes import Processes, together
from i2i.errors import CheckpointError, DataError, I2iError, OptionsError, RunError
from i2i.metrics.measures import Measure, find_measures
from i2i.models.build import batch_sizes, build_model, data_kind, growth, inference_mode
from i2i.runs.bundle import bundle_weights
from i2i.runs.checkpoint import refuse_exported
from i2i.runs.folder import (
    Run,
    environment,
    find_checkpoint,
    new_name,
    open_run,
    refuse_existing,
    remove_leftovers,
    remove_run,
)
from i2i.runs.improvement import improvement
from i2i.runs.opening import open_checkpoint, require_room
from i2i.runs.provenance import Resources, code_states
from i2i.runs.writing import RunFolder
from i2i.system.cpu import own_threads
from i2i.system.device import pick_device
from i2i.training.advice import without_gpu
from i2i.training.build import (
    build_trainer,
    learning_rate_schedule,
    resolve_precision,
    run_length,
    samples_before,
)
from i2i.training.busy import BusyWatch, resolve_threads
from i2i.training.checkpoints import CheckpointManager
from i2i.training.continuation import (
    changes_to,
    contents,
    continued,
    history,
    options_file,
    require_continuable,
    say_replanned,
    segments,
    why_over,
)
from i2i.training.cost import period_of
from i2i.training.health_watch import HealthWatch
from i2i.training.interrupt import Interrupt
from i2i.training.loop import fit
from i2i.training.monitor import MetricLogger, ProgressLogger, find_trackers
from i2i.training.oom import OOMRetry
from i2i.training.pace import FirstSteps, Pace, when_saved, when_shown
from i2i.training.pretrained import Begun, begin_from, source_of
from i2i.training.resumable import require_resumable
from i2i.training.selection import classifier_of, distance_of, require_measured, resolve_monitor
from i2i.training.together import NoJournal, StopFlag
from i2i.training.validation import Validation

_log = logging.getLogger(__name__)

ECHO = 2.0
"""Seconds in which a signal is that of before: a scheduler and the launcher may both send it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, the steps done, and the exit code for the shell (0 or 128+n)."""

    folder: Path
    steps: int
    exit_code: int


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

    Raises:
        I2iError: the options, the data or the run folder are not as they should be, or a loss was
            not finite.
    """
    with together(device) as processes:
        own_name = name or new_name(title or options.model, options.data.root)
        run = Run(Path(runs_dir) / processes.of_first(own_name))
        if processes.first and name is not None:
            refuse_existing(run.folder)
        settled = _settled(options, processes)
        folder = RunFolder(run, {})
        training = _Training(folder, processes, device, rescue_dir, _label(tags, note))
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
) -> Outcome:
    """Go on with a run exactly where its newest checkpoint (or the one given) left it.

    A run that is over already stays as it is, and is told so.

    Arguments:
        run_or_checkpoint: a run folder, or a checkpoint file in one.
        changes: options that may differ (`i2i.training.continuation.MAY_CHANGE`): the length of
            the run, and where and how data is read; as for `load_options`: "train.steps=300",
            {"train.steps": 300}, or several of these.
        device: "auto", "cpu", "cuda", ...
        rescue_dir, tags, note: as for `start`; tags add to those that there are.

    Raises:
        I2iError: as for `start`; somebody else trains the run; other options are to change.
    """
    several = [changes] if isinstance(changes, str | Mapping) else changes or ()
    layer = settings_layer(*several)
    with together(device) as processes:
        return _resume(
            Path(run_or_checkpoint),
            lambda run, former: continued(run, former, layer),
            processes,
            device,
            rescue_dir,
            label=_label(tags, note),
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
        first = _Training(RunFolder(run, {}), processes, device, None)
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
        former, state = open_checkpoint(path)
        if not state["optimizers"]:
            raise _stateless(path, run_or_checkpoint)
        options = options_after(run, former)
        options = resolve_monitor(options, "cpu")
        _log.info(f"resuming from {why}")
        training = _Training(folder, processes, device, rescue_dir, label)
        return training.go_on(options, state, until, shorter)
    finally:
        folder.release()


def _stateless(path: Path, named: Path) -> RunError:
    return RunError(
        f"{path} holds weights without the state of their training, so it cannot be resumed. Begin "
        f"a new run from them: i2i train --init-from {shlex.quote(str(named))} --dataroot DIR"
    )


def _label(tags: Sequence[str], note: str) -> dict[str, Any]:
    """What a run is called beside its name."""
    return ({"tags": list(tags)} if tags else {}) | ({"note": note} if note else {})


def _data_state(source: Source) -> dict[str, Any]:
    """What the images of a run are, by their content, and how many; nothing where that cannot be
    told."""
    try:
        counts = {split: len(members) for split, members in source.splits.items()}
        return {"data": fingerprint(source), "images": counts}
    except (I2iError, OSError):  # `record_splits` says so
        return {}


def _as_told(options: Options, run: Run, former: Options) -> Options:
    return options


def _settled(options: Options, processes: Processes) -> Options:
    """The options with what only the data and the installed packages can tell. A collective."""
    settled = processes.in_turns(lambda: resolve_options(options, data_kind(options)))
    if processes.first:  # it may download something
        settled = resolve_monitor(settled, "cpu")
    if settled.train.init_from:
        source = processes.in_turns(lambda: source_of(settled.train.init_from))
        train = settled.train.model_copy(update={"init_from": source})
        settled = settled.model_copy(update={"train": train})
    return read_options(processes.of_first(settled.to_dict()))


class _Training:
    """A training, from its options to its end.

    Arguments:
        folder: of the run.
        processes: that train together.
        device: the name of a device.
        rescue_dir: takes the last checkpoint if the folder does not.
        label: the tags and the note of the run, as far as they are new.
    """

    def __init__(
        self,
        folder: RunFolder,
        processes: Processes,
        device: str,
        rescue_dir: Path | str | None,
        label: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.folder = folder
        self.processes = processes
        self.device = pick_device(processes.device(device))
        self.rescue_dir = None if rescue_dir is None else Path(rescue_dir)
        self.label = label

    def begin(self, options: Options, unique: bool, until: int | None = None) -> Outcome:
        """Train a new run, in a folder of its own."""
        try:
            with own_threads():
                return self._train(options, None, until, unique)
        except CheckpointError:
            run = self.folder.run
            if self.processes.first and not run.checkpoints() and not run.best.exists():
                remove_run(run)  # it would only be in the way
            raise
        finally:
            self.folder.release()

    def go_on(
        self, options: Options, state: dict[str, Any], until: int | None, shorter: bool
    ) -> Outcome:
        """Train a run whose folder is owned already."""
        with own_threads():
            return self._train(options, state, until, False, shorter)

    def _train(
        self,
        options: Options,
        state: dict[str, Any] | None,
        until: int | None,
        unique: bool,
        shorter: bool = False,
    ) -> Outcome:
        processes, device = self.processes, self.device
        run = self.folder.run
        options = resolve_precision(options, device)
        may_use = torch.get_num_threads() if options.train.threads == "auto" else None
        options = resolve_threads(
            options, device, new=state is None, processes=processes.local_world
        )
        train = options.train
        # The pieces of a run that goes on may have been found by fewer processes (`OOMRetry`).
        pieces = train.gradient_accumulation if state is None else 1
        for batch_size in batch_sizes(options):
            batch_share(batch_size, pieces, processes)
        require_room(options)
        find_trackers(train.trackers)  # which fails before anything is done
        metrics = find_measures(train.metrics, has_truth=find_kind(data_kind(options)).has_truth)
        model = build_model(options)
        for notice in model.notices:
            _log.info(f"note: {notice}")
        with _telling_where_data_is(options, None if state is None else run):
            source = processes.in_turns(lambda: open_source(options, model.data))
        if state is None and processes.first:
            with contextlib.suppress(I2iError, OSError):  # it is the training that matters
                for remark in remarks(options, model.data, source):
                    _log.info(remark)
            if line := without_gpu(options, device.type):
                _log.info(line)
        stop = run_length(options, source.images)
        about: dict[str, Any] = {
            "options": options.to_dict(),
            "data": source.fingerprint,
            "contents": contents(source.checked),
            "history": [] if state is None else history(state, options),
        }
        begun = None if state is None else Begun.read(state.get("init"))
        if state is None and train.init_from:
            begun = begin_from(model, options)
        if begun is not None:
            about["init"] = begun.told()
        if state is not None:
            require_continuable(state, about, run)
            validated = bool(source.validation_images)
            why = why_over(state, options, stop, validated, shorter=shorter)
            if why is not None:
                _log.info(f"finished already: {run.folder} {why}")
                return Outcome(run.folder, state["step"], 0)
            say_replanned(state, options, stop)
        trainer = build_trainer(
            options,
            model,
            device=device,
            rate=learning_rate_schedule(options, source.images),
            length=stop,
            processes=processes,
            begun=begun,
        )
        growing = growth(options)
        if growing is not None and stop < growing.steps:
            _log.info(
                f"note: the networks grow over {growing.steps} steps, the run ends after {stop}, "
                f"at {growing.stages[growing.stage(stop - 1)].size} pixels: shorten growth.stages."
            )
        before = samples_before(options)
        send_weights(model, processes)
        if state is not None:
            which = f"the checkpoint of step {state['step']} of {run.folder}"
            require_resumable(trainer, state, which)
            trainer.load_state_dict(state)
            if (changed := restore_own_state(model, state, processes)) is not None:
                _log.info(f"note: {changed}")
        begin = trainer.steps_done
        validation = None
        if processes.first:
            validation = _validation(options, source, device, metrics)

        keeper = CheckpointManager(
            run,
            about,
            keep=train.keep_checkpoints,
            kept=train.keep,
            unit=train.save_every_steps,
            every=train.keep_every,
            monitor=train.monitored,
            former=state,
            processes=processes,
            restore=self.folder.restore,
            rescue=self.rescue_dir,
        )
        if validation is not None:  # what is wrong with it must not show after a thousand steps
            if state is None:
                measures = validation.distance, validation.classifier
                require_measured(options, model, validation.batches[0], *measures)
            validation.make_ready()

        echo = 0.0 if processes.alone else ECHO
        saves, by_clock = (
            Pace(60 * minutes)
            for minutes in (train.save_every_minutes, train.visualize_every_minutes)
        )
        with Interrupt(echo=echo, silent=not processes.first, saves=saves) as own_interrupt:
            interrupt = own_interrupt if processes.alone else StopFlag(own_interrupt, processes)
            journal: MetricLogger = NoJournal()
            if processes.first:
                self.folder.about = environment(device) | {
                    "processes": processes.world,
                    "code": code_states(),
                    **_data_state(source),
                    **self.label,
                }
                text = options_file(options, about["history"])
                if state is None:
                    self.folder.create(text, unique=unique)
                    copied = (each.model_dump() for each in options.plugins)
                    keep_copies(copied, self.folder.run.folder)
                else:
                    self.folder.reopen(text, begin)
                keeper.run = run = self.folder.run
                record_splits(run.folder, source, source.sides)
                journal = MetricLogger(
                    run,
                    0 if state is None else begin,
                    restore=self.folder.restore,
                    trackers=train.trackers,
                    options=flat(options.to_dict()),
                )
                journal.text("options", "```toml\n" + text + "```")
            keeper.run = run = processes.of_first(run)
            monitor = ProgressLogger(
                journal,
                start=begin,
                stop=stop,
                samples_before=before,
                terms={name for each in model.objectives.values() for name in each.weights},
                mean=processes.mean,
                idle=partial(_idle, device),
                busy=(
                    BusyWatch(most=may_use) if device.type == "cpu" and processes.first else None
                ),
                first_steps=(
                    FirstSteps(stop - begin, period_of(options))
                    if processes.first and growing is None
                    else None
                ),
                sides=source.sides,
            )
            if state is not None:
                monitor.last_good = str(run.checkpoint(begin))
            health = HealthWatch(journal, train.monitored)
            _log.info(
                f"training {options.model} on {_where(device, processes)} for {stop - begin} steps "
                f"of {before(begin + 1) - before(begin)} ({train.precision}), run folder "
                f"{run.folder}; to watch: "
                f"tensorboard --logdir {shlex.quote(str(run.folder.parent))}"
            )
            shown = f"image grids in {run.samples}: {when_shown(train)}; " if validation else ""
            _log.info(f"{shown}saved: {when_saved(train)}")

            def in_more_pieces(pieces: int) -> None:
                if not processes.first:
                    return
                changed = merge(
                    keeper.about["options"], {"train": {"gradient_accumulation": pieces}}
                )
                # The batch of another stage of growth may not be divisible by that; then a resumed
                # run has to find out again.
                with contextlib.suppress(OptionsError):
                    now = read_options(changed)
                    past = history({**keeper.about, "step": trainer.steps_done}, now)
                    keeper.about = {**keeper.about, "options": changed, "history": past}
                    with contextlib.suppress(RunError):  # the next checkpoint knows it too
                        self.folder.describe(options_file(now, past))
                journal.scalars(trainer.steps_done + 1, {"memory/gradient_accumulation": pieces})

            used = Resources(run.folder, device, begin)
            rescue = OOMRetry(trainer, in_more_pieces)
            began = time.perf_counter()
            try:
                over = fit(
                    trainer,
                    on_device(
                        make_loader(
                            source.train,
                            batch_size=before,
                            start=begin,
                            stop=stop if until is None else min(until, stop),
                            workers=_workers(options, processes),
                            pin_memory=device.type == "cuda",
                            rank=processes.rank,
                            world=processes.world,
                            skipped=_Skipped() if options.data.skip_bad else None,
                        ),
                        device,
                    ),
                    take=rescue.step,
                    stop=stop,
                    monitor=monitor,
                    keeper=keeper,
                    validation=validation,
                    interrupt=interrupt,
                    log_every_steps=train.log_every_steps,
                    validate_every_steps=train.validate_every_steps,
                    save_every_steps=train.save_every_steps,
                    validation_share=train.validation_share,
                    patience=train.patience,
                    health=health,
                    sheets=by_clock,
                    resumed=None if state is None else begin,
                )
            finally:
                journal.close()
                if processes.first:
                    used.write(trainer.steps_done, {"processes": processes.world})
        steps = trainer.steps_done
        took = f"{steps - begin} steps in {time.perf_counter() - began:.0f} s"
        if not over:
            code = 0 if interrupt.signal is None else interrupt.exit_code
            if code:
                _log.info(
                    f"stopped after step {steps} ({took}); go on with: i2i train --resume "
                    f"{shlex.quote(str(run.folder))}"
                )
            return Outcome(run.folder, steps, code)
        best = ""
        if train.monitored is not None and keeper.best is not None:
            name = train.monitored[0]
            meaning = explain(name, source.sides)
            best = f", best validation {name} {keeper.best:.4g}{meaning and f', {meaning}'}"
            if keeper.best_flaws:
                best += f", though its outputs show: {', '.join(keeper.best_flaws)}"
        if validation is not None:
            for line in health.summary():
                _log.info(line)
            if (found := improvement(journal.rows, train.monitored)) is not None:
                longer = f"i2i train --resume {shlex.quote(str(run.folder))} --steps {2 * steps}"
                _log.info(
                    f"progress: {found.text(source.sides)}"
                    + (f" ({longer})" if found.state == "improving" else "")
                )
        sheets_in = f"; image grids in {run.samples}" if validation is not None else ""
        _log.info(f"done: {took}{best}{sheets_in}")
        return Outcome(run.folder, steps, 0)


class _Skipped:
    """Says which images have become unreadable while they are trained on, and counts them."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def __call__(self, text: str) -> None:
        if text not in self.known:
            self.known.add(text)
            _log.info(f"note: {text} Others take its place (--skip-bad): {len(self.known)} so far.")


def _validation(
    options: Options,
    source: Source,
    device: torch.device,
    metrics: Mapping[str, Measure],
) -> Validation | None:
    if not source.validation_images:
        _log.info("note: there is no image left to validate with, so there will be no image grids.")
        return None
    return Validation(
        source.validation_batches(options.train.validation_images),
        inference_mode(options),
        sheet=options.train.visualize_images,
        rows=(
            source.validation_names(options.train.visualize_images)
            if find_kind(data_kind(options)).translates
            else ()
        ),
        sides=source.sides,
        seed=options.train.seed,
        distance=distance_of(options, device),
        classifier=classifier_of(options, source, device),
        metrics=metrics,
    )


@contextlib.contextmanager
def _telling_where_data_is(options: Options, resumed: Run | None) -> Iterator[None]:
    """Name the way out if the data of a run has moved since it began, or nobody knows any more
    where it was: a checkpoint alone has no more than its name."""
    try:
        yield
    except DataError as error:
        if resumed is None or Path(options.data.root).exists():
            raise
        raise DataError(
            f"{error} If the images have moved, say where to: i2i train --resume "
            f"{shlex.quote(str(resumed.folder))} --dataroot DIR"
        ) from None


def _idle(device: torch.device) -> bool:
    """Whether a device has nothing left to compute; those that Python waits for never have."""
    return device.type != "cuda" or torch.cuda.current_stream(device).query()


def _where(device: torch.device, processes: Processes) -> str:
    return str(device) if processes.alone else f"{processes.world} processes ({device.type})"


def _workers(options: Options, processes: Processes) -> int:
    workers = options.data.workers
    return default_workers(processes.local_world) if workers == "auto" else workers
