"""Many runs that differ in some options: which there are, and how each is trained."""

import hashlib
import itertools
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from i2i.config import Options
from i2i.config.recipes import load_options, read_toml
from i2i.config.sweep import Range, Sweep
from i2i.core.signals import parse_monitor
from i2i.errors import OptionsError, RunError, TrainingError, how_to_install
from i2i.runs.folder import Run
from i2i.runs.log import read_log
from i2i.training.outcome import Outcome
from i2i.training.session import resume_or_start

_log = logging.getLogger(__name__)

REPEATS = ("train.seed", "data.fold", "data.split_seed")
"""Varied last, so that something is known of all variants if a sweep is cut short."""

_LONGEST = 80
"""Letters of the name of a run."""


@dataclass(frozen=True)
class Trial:
    """A run of a sweep: the name of its folder, its variant ("" if there are none), and its own
    options by their dotted paths."""

    name: str
    variant: str
    settings: Mapping[str, Any]


def trials(sweep: Sweep) -> list[Trial]:
    """The runs of a sweep, always the same in the same order; of Optuna, which decides later, none.

    Raises:
        OptionsError: two of them would be the same.
    """
    match sweep.method:
        case "grid":
            chosen = list(_grid(sweep))
        case "random":
            chosen = list(_random(sweep))
        case _:
            return []
    found: dict[str, Trial] = {}
    for variant, own in chosen:
        trial = Trial(_name(sweep, variant, own), variant, sweep.variants.get(variant, {}) | own)
        if trial.name in found:
            raise OptionsError(
                f"Two runs of the sweep {sweep.name!r} are the same ({trial.name}): leave out what "
                "is there twice, or draw fewer."
            )
        found[trial.name] = trial
    return list(found.values())


def _grid(sweep: Sweep) -> Iterator[tuple[str, dict[str, Any]]]:
    values = {name: each for name, each in sweep.vary.items() if not isinstance(each, Range)}
    repeats = [name for name in REPEATS if name in values]
    others = [name for name in values if name not in REPEATS]
    for of_repeats in itertools.product(*(values[name] for name in repeats)):
        for variant in sweep.variants or [""]:
            for of_others in itertools.product(*(values[name] for name in others)):
                yield (
                    variant,
                    dict(zip(others, of_others, strict=True))
                    | dict(zip(repeats, of_repeats, strict=True)),
                )


def _random(sweep: Sweep) -> Iterator[tuple[str, dict[str, Any]]]:
    assert sweep.trials is not None
    names = list(sweep.variants) or [""]
    for number in range(sweep.trials):
        generator = np.random.default_rng([sweep.seed, number])
        variant = names[int(generator.integers(len(names)))]
        yield variant, {name: _drawn(each, generator) for name, each in sweep.vary.items()}


def _drawn(values: Sequence[Any] | Range, generator: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[int(generator.integers(len(values)))]
    low, high = values.low, values.high
    if values.integer and not values.log:
        return int(generator.integers(int(low), int(high) + 1))
    if not values.log:
        return float(generator.uniform(low, high))
    drawn = math.exp(generator.uniform(math.log(low), math.log(high)))
    drawn = min(max(drawn, low), high)
    return round(drawn) if values.integer else float(f"{drawn:.4g}")


def _name(sweep: Sweep, variant: str, own: Mapping[str, Any]) -> str:
    """A folder's name that says what a run is."""
    words = [sweep.name, variant] if variant else [sweep.name]
    words += [f"{name.rpartition('.')[2]}-{_word(value)}" for name, value in own.items()]
    whole = re.sub(r"[^\w.+-]+", "_", "-".join(words))
    if len(whole) <= _LONGEST:
        return whole
    told = json.dumps([variant, dict(own)], sort_keys=True, default=str)
    return f"{whole[: _LONGEST - 9]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def options_of(sweep: Sweep, trial: Trial) -> Options:
    """All options of a run.

    Raises:
        OptionsError: one is unknown or out of range.
    """
    return load_options(sweep.recipe, sweep.set, dict(trial.settings), size=sweep.size)


def require_sound(sweep: Sweep, found: Sequence[Trial]) -> None:
    """See that no mistake shows after a night: the options of all runs, and that none is trained
    twice.

    Raises:
        OptionsError: an option is unknown or out of range, or what tells two runs apart changes
            nothing.
    """
    seen: dict[str, Trial] = {}
    for trial in found:
        options = options_of(sweep, trial).model_dump_json()
        if (other := seen.setdefault(options, trial)) is not trial:
            apart = dict(other.settings) | dict(trial.settings)
            told = ", ".join(f"{name} = {_word(value)}" for name, value in apart.items())
            raise OptionsError(
                f"{other.name} and {trial.name} would be the same training: what tells them apart "
                f"is as the recipe has it ({told}). Leave one of them out, or correct it."
            )


def train_trial(
    sweep: Sweep, trial: Trial, runs_dir: Path, *, device: str = "auto"
) -> Outcome | None:
    """Train a run, or go on with it; one that is over stays as it is.

    Returns:
        None if it failed: its training cannot go on, or somebody else trains it at present.
    """
    _log.info(f"run {trial.name}")
    tags = [f"sweep:{sweep.name}", *([f"variant:{trial.variant}"] if trial.variant else [])]
    try:
        return resume_or_start(
            options_of(sweep, trial),
            runs_dir,
            trial.name,
            device=device,
            tags=tags,
        )
    except (TrainingError, RunError) as error:
        _log.info(f"{trial.name}: {error}")
        return None


def optimise(
    sweep: Sweep, runs_dir: Path, *, device: str = "auto"
) -> Iterator[tuple[Trial, Outcome | None]]:
    """Let Optuna propose the runs of a sweep, one after the other, by the best validation of those
    before. What is known is kept in `RUNS_DIR/NAME.optuna.log`, which several processes may share;
    runs that were cut short are gone on with first.

    Raises:
        OptionsError: Optuna is not installed, or a run has no measure that decides.
    """
    try:
        import optuna
    except ImportError:
        raise OptionsError(
            f"method = 'optuna' needs a package that is not there: {how_to_install('sweep')}"
        ) from None
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    runs_dir.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(runs_dir / f"{sweep.name}.optuna.log")))
    study: Any = None
    assert sweep.trials is not None

    def done(name: str, variant: str, own: Mapping[str, Any], number: int) -> Any:
        trial = Trial(name, variant, {**sweep.variants.get(variant, {}), **own})
        outcome = train_trial(sweep, trial, runs_dir, device=device)
        if outcome is None:
            study.tell(number, state=TrialState.FAIL)
        elif not outcome.exit_code:
            study.tell(number, best_validation(outcome.folder))
        return trial, outcome

    direction = _direction(sweep)
    study = optuna.create_study(
        study_name=sweep.name, storage=storage, direction=direction, load_if_exists=True
    )
    for frozen in study.get_trials(states=[TrialState.RUNNING]):
        own = dict(frozen.user_attrs["settings"])
        trial, outcome = done(
            frozen.user_attrs["run"], frozen.user_attrs["variant"], own, frozen.number
        )
        yield trial, outcome
        if outcome is not None and outcome.exit_code:
            return
    while len(study.trials) < sweep.trials:
        study.sampler = optuna.samplers.TPESampler(seed=sweep.seed + len(study.trials))
        asked = study.ask()
        variant = (
            asked.suggest_categorical("variant", list(sweep.variants)) if sweep.variants else ""
        )
        own = {name: _suggested(asked, name, each) for name, each in sweep.vary.items()}
        name = f"{sweep.name}-{asked.number:03d}"
        for key, value in (("run", name), ("variant", variant), ("settings", own)):
            asked.set_user_attr(key, value)
        trial, outcome = done(name, variant, own, asked.number)
        yield trial, outcome
        if outcome is not None and outcome.exit_code:
            return


def _suggested(asked: Any, name: str, values: Sequence[Any] | Range) -> Any:
    if not isinstance(values, Range):
        return json.loads(asked.suggest_categorical(name, [json.dumps(each) for each in values]))
    if values.integer:
        return asked.suggest_int(name, int(values.low), int(values.high), log=values.log)
    return asked.suggest_float(name, values.low, values.high, log=values.log)


def _direction(sweep: Sweep) -> Any:
    """Whether the measure that decides is to be small or large."""
    from i2i.training.selection import resolve_monitor

    options = options_of(sweep, Trial("", "", next(iter(sweep.variants.values()), {})))
    monitored = resolve_monitor(options, "cpu").train.monitored
    if monitored is None:
        raise OptionsError(
            "method = 'optuna' needs a measure that decides which run is the best: set "
            "train.monitor."
        )
    return {"lower": "minimize", "higher": "maximize"}[monitored[1]]


def best_validation(folder: Path) -> float:
    """The best value of the measure that decides, of all validations of a run.

    Raises:
        RunError: there is none.
    """
    run = Run(folder)
    monitored = parse_monitor(str(read_toml(run.options)["train"]["monitor"]))
    if monitored is not None:
        name, better = monitored
        values = [row.get(f"validation/{name}") for row in read_log(run.log).rows]
        finite = [float(value) for value in values if value is not None]
        if finite:
            return min(finite) if better == "lower" else max(finite)
    raise RunError(f"{folder} has no validation that says how good it is.")
