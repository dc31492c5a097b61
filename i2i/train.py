"""A whole training run: from options to a run folder, or on from where one stopped."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from i2i.builder import (
    build_model,
    build_trainer,
    data_kind,
    inference_mode,
    learning_rate_schedule,
    pick_device,
    run_length,
    samples_before,
    settle_precision,
)
from i2i.data.loader import make_loader
from i2i.errors import RunError
from i2i.options import Layer, Options, read_options
from i2i.processor import settle_threads
from i2i.recipes import merge
from i2i.sources import open_source, settle_options
from i2i.training.checkpoint import load_checkpoint
from i2i.training.interrupt import Interrupt
from i2i.training.loop import Keeper, fit
from i2i.training.memory import Rescue
from i2i.training.monitor import Journal, Monitor
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
    run = Run(Path(runs_dir) / (name or new_name(options.model, options.data.root)))
    refuse_existing(run.folder)
    options = settle_options(options, data_kind(options))
    return _train(options, run, None, device, _still_there(say))


def resume(
    run_or_checkpoint: Path | str,
    changes: Layer | None = None,
    *,
    device: str = "auto",
    say: Say = print,
) -> Outcome:
    """Go on with a run exactly where its newest checkpoint (or the one given) left it.

    Arguments:
        run_or_checkpoint: a run folder, or a checkpoint file in one.
        changes: options that may differ: the length of the run, and where and how data is read.
        device: "auto", "cpu", "cuda", ...
        say: prints a line for a person.
    """
    say = _still_there(say)
    path, why = find_checkpoint(Path(run_or_checkpoint), Path())
    run = open_run(path.resolve().parent.parent)
    state = load_checkpoint(path)
    if not state["optimizers"]:
        raise RunError(
            f"{path} holds imported weights without the state of their training, so it can be used "
            "with `i2i translate`, but not resumed."
        )
    options = read_options(merge(state["options"], changes or {}))
    say(f"resuming from {why}")
    return _train(options, run, state, device, say)


def _train(
    options: Options, run: Run, state: dict[str, Any] | None, device_name: str, say: Say
) -> Outcome:
    settle_threads()
    device = pick_device(device_name)
    options = settle_precision(options, device)
    train = options.train
    model = build_model(options)
    for notice in model.notices:
        say(f"note: {notice}")
    source = open_source(options, model.data, say)
    stop = run_length(options, source.pictures)
    trainer = build_trainer(
        options,
        model,
        device=device,
        rate=learning_rate_schedule(options, source.pictures),
        length=stop,
    )
    before = samples_before(options)
    if state is not None:
        trainer.load_state_dict(state)
        _check_continuation(state, options, source.fingerprint, stop, run, say)
    begin = trainer.steps_done
    validation = None
    if source.validation_pictures:
        validation = Validation(
            source.validation_batches(train.validation_pictures),
            inference_mode(options),
            sheet=train.sheet,
            seed=train.seed,
        )
    else:
        say("note: there is no picture left to validate with, so there will be no picture sheets.")

    with Interrupt() as interrupt:
        if state is None:
            create_run(run, environment(device))
        else:
            run.forget_after(begin)
            record_environment(run, environment(device), begin)
        (run.folder / "options.toml").write_text(options.to_toml(), encoding="utf-8")
        journal = Journal(run, begin, say)
        journal.text("options", "```toml\n" + options.to_toml() + "```")
        monitor = Monitor(
            journal,
            start=begin,
            stop=stop,
            samples_before=before,
            terms={name for names in model.terms.values() for name in names},
            say=say,
        )
        if state is not None:
            monitor.last_good = str(run.checkpoint(begin))
        keeper = Keeper(
            run,
            {"options": options.to_dict(), "data": source.fingerprint},
            keep=train.keep,
            decisive=model.decisive,
            best=state["best"] if state else None,
        )
        say(
            f"training {options.model} on {device} for {stop - begin} steps of "
            f"{before(begin + 1) - before(begin)} "
            f"({train.precision}), run folder {run.folder}; to watch: "
            f"tensorboard --logdir {run.folder.parent}"
        )

        def in_more_pieces(pieces: int) -> None:
            changed = merge(options.to_dict(), {"train": {"accumulate": pieces}})
            keeper.about = {**keeper.about, "options": changed}
            (run.folder / "options.toml").write_text(
                read_options(changed).to_toml(), encoding="utf-8"
            )
            journal.scalars(trainer.steps_done + 1, {"memory/accumulate": pieces})

        rescue = Rescue(trainer, monitor.say, in_more_pieces)
        began = time.perf_counter()
        try:
            fit(
                trainer,
                make_loader(
                    source.train,
                    batch_size=before,
                    start=begin,
                    stop=stop,
                    workers=options.data.workers,
                    pin_memory=device.type == "cuda",
                ),
                rescue=rescue,
                stop=stop,
                monitor=monitor,
                keeper=keeper,
                validation=validation,
                interrupt=interrupt,
                log_every=train.log_every,
                validate_every=train.validate_every,
                save_every=train.save_every,
            )
        finally:
            journal.close()
    steps = trainer.steps_done
    took = f"{steps - begin} steps in {time.perf_counter() - began:.0f} s"
    if steps < stop:
        say(f"stopped after step {steps} ({took}); go on with: i2i train --resume {run.folder}")
        return Outcome(run.folder, steps, interrupt.exit_code)
    best = ""
    if model.decisive is not None and keeper.best is not None:
        best = f", best validation {model.decisive[0]} {keeper.best:.4g}"
    say(f"done: {took}{best}; picture sheets in {run.samples}")
    return Outcome(run.folder, steps, 0)


def _still_there(say: Say) -> Say:
    """`say`, but if nobody listens any more (`i2i train | head`), the run goes on in silence."""

    def carefully(line: str) -> None:
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
