"""A training, from its options to its end: data, model, trainer, folder, callbacks, loop."""

import contextlib
import logging
import shlex
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from i2i.config import Options, read_options
from i2i.config.recipes import flat, merge
from i2i.core.plugins import keep_copies
from i2i.core.signals import explain
from i2i.data.kinds import find_kind
from i2i.data.kinds.splits import record_splits
from i2i.data.loading.prefetch import on_device
from i2i.data.sources import Source
from i2i.distributed.gradients import batch_share, restore_own_state, send_weights
from i2i.distributed.processes import Processes
from i2i.errors import CheckpointError, OptionsError, RunError
from i2i.metrics.measures import Measure, find_measures
from i2i.models.build import batch_sizes, build_model, data_kind, growth
from i2i.runs.folder import environment, remove_run
from i2i.runs.improvement import improvement
from i2i.runs.opening import require_room
from i2i.runs.provenance import Resources, code_states
from i2i.runs.thresholds import WARM_UP
from i2i.runs.writing import RunFolder
from i2i.system.cpu import own_threads
from i2i.system.device import pick_device
from i2i.training.build import (
    build_trainer,
    learning_rate_schedule,
    resolve_precision,
    run_length,
    samples_before,
)
from i2i.training.busy import BusyWatch, resolve_threads
from i2i.training.callbacks import Callback, Callbacks, Training
from i2i.training.checkpoints import CheckpointManager
from i2i.training.continuation import (
    contents,
    history,
    options_file,
    require_continuable,
    say_replanned,
    why_over,
)
from i2i.training.cost import period_of
from i2i.training.health_watch import HealthWatch
from i2i.training.interrupt import Interrupt
from i2i.training.loop import fit
from i2i.training.monitor import MetricLogger, ProgressLogger, find_trackers
from i2i.training.oom import OOMRetry
from i2i.training.outcome import Outcome
from i2i.training.own import NOTHING, OwnParts
from i2i.training.own_schedule import TorchSchedules, is_torch_schedule, schedule_name
from i2i.training.pace import FirstSteps, Pace, when_saved, when_shown
from i2i.training.pretrained import Begun, begin_from
from i2i.training.resumable import require_resumable
from i2i.training.run_data import (
    batches_of,
    data_state,
    open_data,
    require_learnable,
    validation_of,
)
from i2i.training.schedule import warmed_up
from i2i.training.selection import require_measured
from i2i.training.together import NoJournal, StopFlag
from i2i.training.trainer import Trainer
from i2i.training.watching import EarlyStop, KeepBest, Sheets

_log = logging.getLogger(__name__)

ECHO = 2.0
"""Seconds in which a signal is that of before: a scheduler and the launcher may both send it."""


class Running:
    """A training, from its options to its end.

    Arguments:
        folder: of the run.
        processes: that train together.
        device: the name of a device.
        rescue_dir: takes the last checkpoint if the folder does not.
        label: the tags and the note of the run, as far as they are new.
        own: what a program has given.
    """

    def __init__(
        self,
        folder: RunFolder,
        processes: Processes,
        device: str,
        rescue_dir: Path | str | None,
        label: Mapping[str, Any] = MappingProxyType({}),
        own: OwnParts = NOTHING,
    ) -> None:
        self.folder = folder
        self.processes = processes
        self.device = pick_device(processes.device(device))
        self.rescue_dir = None if rescue_dir is None else Path(rescue_dir)
        self.label = label
        self.own = own

    def begin(self, options: Options, unique: bool, until: int | None = None) -> Outcome:
        """Train a new run, in a folder of its own."""
        try:
            with own_threads():
                return self._train(options, None, until, unique)
        except KeyboardInterrupt as stop:
            if not self.folder.run.checkpoints():  # else it came after all steps
                stop.add_note("no step was made, and nothing is saved")
            raise
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
        self.own.require(options)
        options = resolve_precision(options, device)
        may_use = torch.get_num_threads() if options.train.threads == "auto" else None
        options = resolve_threads(
            options, device, new=state is None, processes=processes.local_world
        )
        metrics = self._require_possible(options, state)
        model = build_model(options)
        for notice in model.notices:
            _log.info(f"note: {notice}")
        resumed = None if state is None else self.folder.run
        source = open_data(options, self.own, processes, device, resumed)
        stop = run_length(options, source.images)
        about: dict[str, Any] = {
            "options": options.to_dict(),
            "data": source.fingerprint,
            "contents": "" if len(source.unlooked) else contents(source.checked),
            "history": [] if state is None else history(state, options),
        }
        begun = None if state is None else Begun.read(state.get("init"))
        if state is None and options.train.init_from:
            begun = begin_from(model, options)
        if begun is not None:
            about["init"] = begun.told()
        if state is not None:
            require_continuable(state, about, self.folder.run)
            validated = bool(source.validation_images)
            why = why_over(state, options, stop, validated, shorter=shorter)
            if why is not None:
                _log.info(f"finished already: {self.folder.run.folder} {why}")
                return Outcome(self.folder.run.folder, state["step"], 0, self.own)
            say_replanned(state, options, stop)
        trainer = build_trainer(
            options,
            model,
            device=device,
            rate=self._rate(options, source.images),
            length=stop,
            processes=processes,
            begun=begun,
        )
        _say_growth_is_cut(options, stop)
        callbacks = Callbacks(self._schedules(options, trainer), self.own.callbacks)
        self._restore(trainer, state)
        if state is not None:
            callbacks.load_state_dict(state.get("callbacks", {}))
        validation = None
        if processes.first:
            validation = validation_of(options, source, device, metrics)
        if self.own.data is not None:
            require_learnable(trainer, source, validation)
        if validation is not None:  # what is wrong with it must not show after a thousand steps
            if state is None:
                measures = validation.distance, validation.classifier
                require_measured(options, model, validation.batches[0], *measures, metrics)
            validation.make_ready()
        keeper = self._keeper(options, about, state)
        before = samples_before(options)
        begin = trainer.steps_done
        echo = 0.0 if processes.alone else ECHO
        saves, by_clock = (
            Pace(60 * minutes)
            for minutes in (
                options.train.save_every_minutes,
                options.train.visualize_every_minutes,
            )
        )
        with Interrupt(echo=echo, silent=not processes.first, saves=saves) as own_interrupt:
            interrupt = own_interrupt if processes.alone else StopFlag(own_interrupt, processes)
            journal: MetricLogger = NoJournal()
            if processes.first:
                journal = self._write_down(options, source, about, begin, state, unique)
            keeper.run = run = processes.of_first(self.folder.run)
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
                    if processes.first and options.growth is None
                    else None
                ),
                sides=source.sides,
            )
            if state is not None:
                monitor.last_good = str(run.checkpoint(begin))
            health = HealthWatch(journal, options.train.monitored, source.sides)
            watching: list[Callback] = [monitor]
            if validation is not None:
                watching += [Sheets(validation, monitor, by_clock), KeepBest(keeper)]
            watching.append(health)
            if options.train.patience is not None:
                watching.append(EarlyStop(keeper, options.train.patience))
            callbacks.tell_first(watching)
            keeper.more = partial(_with_states, callbacks)
            _log.info(
                f"training {options.model} on {_where(device, processes)} for {stop - begin} steps "
                f"of {before(begin + 1) - before(begin)} ({options.train.precision}), run folder "
                f"{run.folder}; to watch: "
                f"tensorboard --logdir {shlex.quote(str(run.folder.parent))}"
            )
            shown = (
                f"image grids in {run.samples}: {when_shown(options.train)}; " if validation else ""
            )
            _log.info(f"{shown}saved: {when_saved(options.train)}")
            used = Resources(run.folder, device, begin)
            rescue = OOMRetry(trainer, partial(self._in_more_pieces, trainer, keeper, journal))
            began = time.perf_counter()
            try:
                over = fit(
                    Training(
                        trainer,
                        journal,
                        lambda: keeper.run,
                        stop,
                        None if state is None else begin,
                    ),
                    on_device(
                        batches_of(
                            options,
                            source,
                            processes,
                            device,
                            begin,
                            stop if until is None else min(until, stop),
                        ),
                        device,
                    ),
                    take=rescue.step,
                    monitor=monitor,
                    keeper=keeper,
                    callbacks=callbacks,
                    validation=validation,
                    interrupt=interrupt,
                    log_every_steps=options.train.log_every_steps,
                    validate_every_steps=options.train.validate_every_steps,
                    save_every_steps=options.train.save_every_steps,
                    validation_share=options.train.validation_share,
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
            return Outcome(run.folder, steps, code, self.own)
        if validation is not None:
            for line in health.summary():
                _log.info(line)
            if (found := improvement(journal.rows, options.train.monitored)) is not None:
                longer = shlex.join(
                    ["i2i", "train", "--resume", str(run.folder), "--steps", str(2 * steps)]
                )
                _log.info(
                    f"progress: {found.text(source.sides)}"
                    + (f" ({longer})" if found.state == "improving" else "")
                )
        sheets_in = f"; image grids in {run.samples}" if validation is not None else ""
        _log.info(f"done: {took}{_best(options, source, keeper)}{sheets_in}")
        return Outcome(run.folder, steps, 0, self.own)

    def _require_possible(
        self, options: Options, state: Mapping[str, Any] | None
    ) -> dict[str, Measure]:
        """Refuse what cannot be, before anything is done; returns what is measured."""
        train = options.train
        # The pieces of a run that goes on may have been found by fewer processes (`OOMRetry`).
        pieces = train.gradient_accumulation if state is None else 1
        for batch_size in batch_sizes(options):
            batch_share(batch_size, pieces, self.processes)
        require_room(options)
        find_trackers(train.trackers)
        registered = find_measures(train.metrics, has_truth=find_kind(data_kind(options)).has_truth)
        return {**registered, **self.own.measures}

    def _rate(self, options: Options, images: int) -> Callable[[int], float]:
        """step -> what learning rates are multiplied by."""
        own = self.own.schedule
        if own is None or is_torch_schedule(own):
            return learning_rate_schedule(options, images)
        return warmed_up(own, options.schedule.warmup_steps)  # type: ignore[arg-type]

    def _schedules(self, options: Options, trainer: Trainer) -> list[Callback]:
        """Schedulers of torch, if such are given."""
        make: Any = self.own.schedule
        if not is_torch_schedule(make):
            return []
        if options.schedule.warmup_steps:
            raise OptionsError(
                f"schedule.warmup_steps (={options.schedule.warmup_steps}) is for rates by a "
                f"function, and {schedule_name(make)} sets them itself: set it to 0, and let a "
                "function of the step warm up."
            )
        return [TorchSchedules(make, trainer.optimizers, options.train.monitored)]

    def _restore(self, trainer: Trainer, state: dict[str, Any] | None) -> None:
        """Let the trainer of all processes be where it was."""
        send_weights(trainer.model, self.processes)
        if state is None:
            return
        which = f"the checkpoint of step {state['step']} of {self.folder.run.folder}"
        require_resumable(trainer, state, which)
        trainer.load_state_dict(state)
        if (changed := restore_own_state(trainer.model, state, self.processes)) is not None:
            _log.info(f"note: {changed}")

    def _keeper(
        self, options: Options, about: dict[str, Any], state: Mapping[str, Any] | None
    ) -> CheckpointManager:
        train = options.train
        return CheckpointManager(
            self.folder.run,
            about,
            keep=train.keep_checkpoints,
            kept=train.keep,
            unit=train.save_every_steps,
            every=train.keep_every,
            monitor=train.monitored,
            former=state,
            processes=self.processes,
            restore=self.folder.restore,
            rescue=self.rescue_dir,
        )

    def _write_down(
        self,
        options: Options,
        source: Source,
        about: Mapping[str, Any],
        begin: int,
        state: Mapping[str, Any] | None,
        unique: bool,
    ) -> MetricLogger:
        """Make the folder of the run, or go on in it, and say there what the run is."""
        self.folder.about = environment(self.device) | {
            "processes": self.processes.world,
            "code": code_states(),
            **data_state(source),
            **self.label,
        }
        text = options_file(options, about["history"])
        if state is None:
            self.folder.create(text, unique=unique)
            copied = (each.model_dump() for each in options.plugins)
            keep_copies(copied, self.folder.run.folder)
        else:
            self.folder.reopen(text, begin)
        record_splits(self.folder.run.folder, source, source.sides, source.letters)
        journal = MetricLogger(
            self.folder.run,
            0 if state is None else begin,
            restore=self.folder.restore,
            trackers=options.train.trackers,
            options=flat(options.to_dict()),
        )
        journal.text("options", "```toml\n" + text + "```")
        return journal

    def _in_more_pieces(
        self, trainer: Trainer, keeper: CheckpointManager, journal: MetricLogger, pieces: int
    ) -> None:
        """Note that steps are cut into more pieces from here on."""
        if not self.processes.first:
            return
        changed = merge(keeper.about["options"], {"train": {"gradient_accumulation": pieces}})
        # The batch of another stage of growth may not be divisible by that; then a resumed run has
        # to find out again.
        with contextlib.suppress(OptionsError):
            now = read_options(changed)
            past = history({**keeper.about, "step": trainer.steps_done}, now)
            keeper.about = {**keeper.about, "options": changed, "history": past}
            with contextlib.suppress(RunError):  # the next checkpoint knows it too
                self.folder.describe(options_file(now, past))
        journal.scalars(trainer.steps_done + 1, {"memory/gradient_accumulation": pieces})


def _with_states(callbacks: Callbacks) -> dict[str, Any]:
    """What callbacks add to a checkpoint."""
    states = callbacks.state_dict()
    return {"callbacks": states} if states else {}


def _say_growth_is_cut(options: Options, stop: int) -> None:
    growing = growth(options)
    if growing is not None and stop < growing.steps:
        _log.info(
            f"note: the networks grow over {growing.steps} steps, the run ends after {stop}, "
            f"at {growing.stages[growing.stage(stop - 1)].size} pixels: shorten growth.stages."
        )


def _best(options: Options, source: Source, keeper: CheckpointManager) -> str:
    """What the best checkpoint is worth, for the last line."""
    if options.train.monitored is None or keeper.best is None:
        return ""
    name = options.train.monitored[0]
    meaning = explain(name, source.sides)
    best = f", best validation {name} {keeper.best:.4g}{meaning and f', {meaning}'}"
    if keeper.best_flaws and keeper.validated >= WARM_UP:  # as the lines about health above it
        best += f", though its outputs show: {', '.join(keeper.best_flaws)}"
    return best


def _idle(device: torch.device) -> bool:
    """Whether a device has nothing left to compute; those that Python waits for never have."""
    return device.type != "cuda" or torch.cuda.current_stream(device).query()


def _where(device: torch.device, processes: Processes) -> str:
    return str(device) if processes.alone else f"{processes.world} processes ({device.type})"
