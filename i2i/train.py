"""A whole training run: from options to a run folder, or on from where one stopped."""

import contextlib
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from i2i.advice import without_gpu
from i2i.builder import (
    batch_sizes,
    build_model,
    build_trainer,
    data_kind,
    growth,
    inference_mode,
    learning_rate_schedule,
    pick_device,
    run_length,
    samples_before,
    settle_precision,
)
from i2i.data.ahead import on_device
from i2i.data.loader import default_workers, make_loader
from i2i.data.splits import record_splits
from i2i.errors import I2iError, OptionsError, RunError
from i2i.judging import classifier_of, distance_of, require_measured, settle_judgement
from i2i.opening import open_checkpoint, require_room
from i2i.options import Layer, Options, read_options
from i2i.plugins import keep_copies
from i2i.processes import Processes, together
from i2i.processor import settle_threads
from i2i.recipes import merge, settings_layer
from i2i.signals import explain, side_names
from i2i.sources import open_source, remarks, settle_options
from i2i.training.busy import BusyWatch
from i2i.training.changes import refuse_changes
from i2i.training.complaints import HealthWatch
from i2i.training.distributed import (
    Agreement,
    NoJournal,
    batch_share,
    restore_own_state,
    send_weights,
)
from i2i.training.interrupt import Interrupt
from i2i.training.keeper import Keeper
from i2i.training.loop import fit
from i2i.training.memory import Rescue
from i2i.training.monitor import Journal, Monitor
from i2i.training.resumable import require_resumable
from i2i.training.run import (
    Run,
    create_run,
    environment,
    find_checkpoint,
    new_name,
    open_run,
    record_environment,
    refuse_existing,
)
from i2i.training.validation import Validation

Say = Callable[[str], None]

ECHO = 2.0
"""Seconds in which a signal is that of before: a scheduler and the launcher may both send it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its folder, the steps done, and the exit code for the shell (0 or 128+n)."""

    folder: Path
    steps: int
    exit_code: int


def start(
    options: Options,
    runs_dir: Path | str = "runs",
    name: str | None = None,
    *,
    device: str = "auto",
    say: Say = print,
) -> Outcome:
    """Train a new model.

    In a process that `torchrun` started, the processes train together (see `i2i.processes`).

    Arguments:
        options: what to do.
        runs_dir: where the folder of the run is made.
        name: of the run; by default model, data set and time.
        device: "auto", "cpu", "cuda", ...
        say: prints a line for a person.

    Raises:
        I2iError: the options, the data or the run folder are not as they should be, or a loss was
            not finite.
    """
    with together(device) as processes:
        own_name = name or new_name(options.model, options.data.root)
        run = Run(Path(runs_dir) / processes.of_first(own_name))
        if processes.first:
            refuse_existing(run.folder)
        settled = processes.in_turns(lambda: settle_options(options, data_kind(options)))
        settled = settle_judgement(settled, "cpu", _voice(say, processes))
        return _train(settled, run, None, processes, device, say)


def resume(
    run_or_checkpoint: Path | str,
    changes: str | Layer | Sequence[str | Layer] | None = None,
    *,
    device: str = "auto",
    say: Say = print,
) -> Outcome:
    """Go on with a run exactly where its newest checkpoint (or the one given) left it.

    Arguments:
        run_or_checkpoint: a run folder, or a checkpoint file in one.
        changes: options that may differ: the length of the run, and where and how data is read;
            as for `load_options`: "train.steps=300", {"train.steps": 300}, or several of these.
        device: "auto", "cpu", "cuda", ...
        say: prints a line for a person.
    """
    refuse_changes(changes or {})
    with together(device) as processes:
        path, why = find_checkpoint(Path(run_or_checkpoint), Path())
        _, state = open_checkpoint(path)
        run = open_run(path.resolve().parent.parent)
        if not state["optimizers"]:
            raise RunError(
                f"{path} holds imported weights without the state of their training, so it can be "
                "used with `i2i translate`, but not resumed."
            )
        several = [changes] if isinstance(changes, str | Mapping) else changes or ()
        options = read_options(merge(state["options"], settings_layer(*several)))
        say = _voice(say, processes)
        say(f"resuming from {why}")
        return _train(options, run, state, processes, device, say)


def _train(
    options: Options,
    run: Run,
    state: dict[str, Any] | None,
    processes: Processes,
    device_name: str,
    say: Say,
) -> Outcome:
    settle_threads()
    say = _voice(say, processes)
    device = pick_device(processes.device(device_name))
    options = settle_precision(options, device)
    train = options.train
    # The pieces of a run that goes on may have been found by fewer processes (`Rescue`).
    pieces = train.accumulate if state is None else 1
    for batch_size in batch_sizes(options):
        batch_share(batch_size, pieces, processes)
    require_room(options)
    model = build_model(options)
    for notice in model.notices:
        say(f"note: {notice}")
    source = processes.in_turns(lambda: open_source(options, model.data, say))
    if state is None and processes.first:
        with contextlib.suppress(I2iError, OSError):  # it is the training that matters
            for remark in remarks(options, model.data, source):
                say(remark)
        if line := without_gpu(options, device.type):
            say(line)
    stop = run_length(options, source.pictures)
    trainer = build_trainer(
        options,
        model,
        device=device,
        rate=learning_rate_schedule(options, source.pictures),
        length=stop,
        processes=processes,
        say=say,
    )
    growing = growth(options)
    if growing is not None and stop < growing.steps:
        say(
            f"note: the networks grow over {growing.steps} steps, the run ends after {stop}, at "
            f"{growing.stages[growing.stage(stop - 1)].size} pixels: shorten growth.stages."
        )
    before = samples_before(options)
    send_weights(model, processes)
    if state is not None:
        require_resumable(trainer, state, f"the checkpoint of step {state['step']} of {run.folder}")
        trainer.load_state_dict(state)
        if (changed := restore_own_state(model, state, processes)) is not None:
            say(f"note: {changed}")
        _check_continuation(state, options, source.fingerprint, stop, run, say)
    begin = trainer.steps_done
    validation = None
    if source.validation_pictures:  # measured by the first process; all must know when it does
        validation = Validation(
            source.validation_batches(train.validation_pictures),
            inference_mode(options),
            sheet=train.sheet,
            seed=train.seed,
            distance=distance_of(options, device, say),
            classifier=classifier_of(options, source, device, say),
        )
    else:
        say("note: there is no picture left to validate with, so there will be no picture sheets.")

    keeper = Keeper(
        run,
        {"options": options.to_dict(), "data": source.fingerprint},
        keep=train.keep,
        decisive=train.decisive,
        former=state,
        processes=processes,
    )
    if validation is not None and state is None:
        measures = validation.distance, validation.classifier
        require_measured(options, model, validation.batches[0], *measures)

    echo = 0.0 if processes.alone else ECHO
    with Interrupt(echo=echo, silent=not processes.first) as own_interrupt:
        interrupt = own_interrupt if processes.alone else Agreement(own_interrupt, processes)
        about = environment(device) | {"processes": processes.world}
        journal: Journal = NoJournal()
        if processes.first:
            journal = _open_run_folder(run, options, about, None if state is None else begin, say)
            record_splits(run.folder, source, say)
        monitor = Monitor(
            journal,
            start=begin,
            stop=stop,
            samples_before=before,
            terms={name for each in model.objectives.values() for name in each.weights},
            say=say,
            mean=processes.mean,
            shown=processes.first,
            idle=partial(_idle, device),
            busy=BusyWatch(say) if device.type == "cpu" and processes.first else None,
        )
        if state is not None:
            monitor.last_good = str(run.checkpoint(begin))
        health = HealthWatch(journal, train.decisive, monitor.say)
        say(
            f"training {options.model} on {_where(device, processes)} for {stop - begin} steps of "
            f"{before(begin + 1) - before(begin)} ({train.precision}), run folder {run.folder}; "
            f"to watch: "
            f"tensorboard --logdir {shlex.quote(str(run.folder.parent))}"
        )

        def in_more_pieces(pieces: int) -> None:
            if not processes.first:
                return
            changed = merge(options.to_dict(), {"train": {"accumulate": pieces}})
            # The batch of another stage of growth may not be divisible by that; then a resumed run
            # has to find out again.
            with contextlib.suppress(OptionsError):
                text = read_options(changed).to_toml()
                keeper.about = {**keeper.about, "options": changed}
                (run.folder / "options.toml").write_text(text, encoding="utf-8")
            journal.scalars(trainer.steps_done + 1, {"memory/accumulate": pieces})

        rescue = Rescue(trainer, monitor.say, in_more_pieces)
        began = time.perf_counter()
        try:
            over = fit(
                trainer,
                on_device(
                    make_loader(
                        source.train,
                        batch_size=before,
                        start=begin,
                        stop=stop,
                        workers=_workers(options, processes),
                        pin_memory=device.type == "cuda",
                        rank=processes.rank,
                        world=processes.world,
                    ),
                    device,
                ),
                take=rescue.step,
                stop=stop,
                monitor=monitor,
                keeper=keeper,
                validation=validation,
                interrupt=interrupt,
                log_every=train.log_every,
                validate_every=train.validate_every,
                save_every=train.save_every,
                validation_share=train.validation_share,
                stop_after=train.stop_after,
                health=health,
            )
        finally:
            journal.close()
    steps = trainer.steps_done
    took = f"{steps - begin} steps in {time.perf_counter() - began:.0f} s"
    if not over:
        folder = shlex.quote(str(run.folder))
        say(f"stopped after step {steps} ({took}); go on with: i2i train --resume {folder}")
        return Outcome(run.folder, steps, interrupt.exit_code)
    best = ""
    if train.decisive is not None and keeper.best is not None:
        name = train.decisive[0]
        meaning = explain(name, side_names(options.data.root, options.data.root_b))
        best = f", best validation {name} {keeper.best:.4g}{meaning and f', {meaning}'}"
    if validation is not None:
        for line in health.summary():
            say(line)
    sheets = f"; picture sheets in {run.samples}" if validation is not None else ""
    say(f"done: {took}{best}{sheets}")
    return Outcome(run.folder, steps, 0)


def _open_run_folder(
    run: Run, options: Options, about: dict[str, Any], resumed: int | None, say: Say
) -> Journal:
    """Write down what the run is (`resumed` after which step, if at all); what it does goes to the
    journal."""
    if resumed is None:
        create_run(run, about)
        keep_copies((each.model_dump() for each in options.plugins), run.folder)
    else:
        run.forget_after(resumed)
        record_environment(run, about, resumed)
    (run.folder / "options.toml").write_text(options.to_toml(), encoding="utf-8")
    journal = Journal(run, resumed or 0, say)
    journal.text("options", "```toml\n" + options.to_toml() + "```")
    return journal


def _idle(device: torch.device) -> bool:
    """Whether a device has nothing left to compute; those that Python waits for never have."""
    return device.type != "cuda" or torch.cuda.current_stream(device).query()


def _where(device: torch.device, processes: Processes) -> str:
    return str(device) if processes.alone else f"{processes.world} processes ({device.type})"


def _workers(options: Options, processes: Processes) -> int:
    workers = options.data.workers
    return default_workers(processes.local_world) if workers == "auto" else workers


def _voice(say: Say, processes: Processes) -> Say:
    """`say` of the first process. If nobody listens any more (`i2i train | head`), the run goes on
    in silence."""

    def carefully(line: str) -> None:
        if processes.first:
            with contextlib.suppress(OSError):
                say(line)

    return carefully


def _check_continuation(
    state: dict[str, Any], options: Options, fingerprint: str, stop: int, run: Run, say: Say
) -> None:
    """Refuse what cannot go on; say what will not be as if the run had never stopped."""
    done = state["step"]
    if done >= stop:
        raise RunError(
            f"{run.folder} has done {done} steps and is {stop} long, so nothing is left to do: "
            "extend it with --steps or --epochs."
        )
    newer = [path.name for path in run.checkpoints() if path > run.checkpoint(done)]
    if newer:
        raise RunError(
            f"{run.folder} has newer checkpoints than step {done} ({', '.join(newer)}): resume the "
            "run folder itself, or move them away."
        )
    if fingerprint != state["data"]:
        say("note: the training pictures are not those that the run began with.")
    former = read_options(state["options"])
    same_length = (former.train.steps, former.train.epochs) == (
        options.train.steps,
        options.train.epochs,
    )
    if not same_length and options.schedule.name != "constant":
        say(
            f"note: the {options.schedule.name} learning rate is now planned over {stop} steps, so "
            "from here on it differs from that of the shorter run."
        )
