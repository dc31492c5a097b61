"""What may change in a run that goes on, what did, and how it is done again from its beginning.

A run that goes on is the same run: options may change only if no step computes anything else for
it. There is one exception, the length of the run, over which a schedule of the learning rate is
planned. Whatever changed is in the history of the run, with the number of steps before it.
"""

import hashlib
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i.config import Layer, Options, read_options
from i2i.config.recipes import load_options, merge
from i2i.data.images.check import CheckResult
from i2i.errors import I2iError, RunError
from i2i.runs.folder import Run

_log = logging.getLogger(__name__)

PLACES = ("data.root", "data.root_b", "data.table", "data.split_table", "data.more")
"""Where the data lies; it must be the same data."""

MAY_CHANGE = (
    *PLACES,
    *("data.workers", "data.cache", "data.cache_gib", "data.skip_bad", "data.check"),
    *("train.steps", "train.epochs", "train.patience"),
    *(
        "train.log_every_steps",
        "train.validate_every_steps",
        "train.validation_share",
        "train.visualize_images",
    ),
    *("train.save_every_steps", "train.save_every_minutes", "train.visualize_every_minutes"),
    *("train.keep_checkpoints", "train.keep", "train.keep_every"),
    *("train.trackers", "train.track_checkpoints"),
    "train.threads",  # which then adds up in another order
)
"""What may be another in a run that goes on."""

FOUND_OUT = ("train.gradient_accumulation", "train.init_from")
"""What a run finds out for itself: where the memory does not suffice, and which checkpoint of
another run was the newest when it began."""

Change = dict[str, Any]
"""An entry of a history: "step", how many steps had been done; "changes", the option in dots -> its
value before and after."""


def differences(former: Layer, now: Layer, above: str = "") -> dict[str, list[Any]]:
    """The options that differ: name in dots -> the value before and after."""
    found: dict[str, list[Any]] = {}
    for key in {**former, **now}:
        one, other = former.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found |= differences(one, other, f"{above}{key}.")
        elif one != other:
            found[f"{above}{key}"] = [one, other]
    return found


def continued(run: Run, former: Options, changes: Layer) -> Options:
    """The options with which a run goes on.

    Besides the `changes`, what somebody wrote into the `options.toml` of the run counts, if it may
    change at all.

    Raises:
        RunError: something is to change that cannot.
    """
    layer = merge(merge(former.to_dict(), _edited(run, former)), changes)
    for key in ("root", "root_b"):  # a run must find its data from whichever folder it is resumed
        if (where := layer["data"].get(key)) and Path(where).exists():
            layer["data"][key] = str(Path(where).absolute())
    options = read_options(layer)
    changed = differences(former.to_dict(), options.to_dict())
    if fixed := {name: values for name, values in changed.items() if name not in MAY_CHANGE}:
        raise RunError(
            f"{_listed(fixed)} cannot change in a run that is resumed; it continues exactly. Start "
            "a new run instead."
        )
    return options


def _edited(run: Run, former: Options) -> dict[str, Any]:
    """What was written into options.toml since the last checkpoint."""
    if not run.options.is_file():
        return {}
    try:
        found = load_options(str(run.options))
    except I2iError as error:
        raise RunError(
            f"{run.options} was changed and is no longer what a run can go on with ({error}): mend "
            "it, or remove it, and the options of the checkpoint count."
        ) from error
    changed = differences(former.to_dict(), found.to_dict())
    fixed = {name: values for name, values in changed.items() if name not in MAY_CHANGE}
    fixed = {name: values for name, values in fixed.items() if name not in FOUND_OUT}
    if fixed:
        raise RunError(
            f"{run.options} was changed by hand: {_listed(fixed)} cannot change in a run that is "
            f"resumed. Put it back, or remove the file; or begin a new run by --recipe with a copy "
            "of it."
        )
    return _layer({name: values for name, values in changed.items() if name in MAY_CHANGE})


def _listed(changed: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} ({one!r} to {other!r})" for name, (one, other) in changed.items())


def history(state: Mapping[str, Any], options: Options) -> list[Change]:
    """The history of a run that goes on from a checkpoint with these options."""
    before: list[Change] = list(state.get("history", []))
    changed = differences(state["options"], options.to_dict())
    changed = {name: values for name, values in changed.items() if name not in PLACES}
    return [*before, {"step": state["step"], "changes": changed}] if changed else before


def segments(state: Mapping[str, Any]) -> list[tuple[int, Options]]:
    """The options with which a run began and went on, each with the steps done when they end.

    The last ones hold until the step of the checkpoint.
    """
    found = []
    layer, end = dict(state["options"]), state["step"]
    for change in reversed(state.get("history", [])):
        found.append((end, read_options(layer)))
        undone = _layer({name: [now, was] for name, (was, now) in change["changes"].items()})
        layer = merge(layer, undone)
        end = change["step"]
    found.append((end, read_options(layer)))
    return found[::-1]


def options_file(options: Options, changes: Sequence[Change]) -> str:
    """The options of a run as TOML, with its history as comments."""
    lines = [
        f"# after step {change['step']}: {name} = {before!r} became {after!r}\n"
        for change in changes
        for name, (before, after) in change["changes"].items()
    ]
    if lines:
        lines.insert(0, "# As the run is now. It is done again by i2i train --replay RUN.\n")
    return "".join(lines) + options.to_toml()


def changes_to(former: Options, asked: Options) -> dict[str, Any]:
    """What has to change for a run to be as it is asked for, as a layer of options."""
    return _layer(
        {
            name: values
            for name, values in differences(former.to_dict(), asked.to_dict()).items()
            if name not in FOUND_OUT and values[1] != "auto"
        }
    )


def _layer(changed: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, (_, value) in changed.items():
        *sections, key = name.split(".")
        place = layer
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return layer


def contents(checked: CheckResult) -> str:
    """A short word that changes with what is in the files of a data set, not with their place; ""
    where nothing is known of single files."""
    found = sorted((path.name, look.digest) for path, look in checked.looks.items())
    text = "\n".join(f"{name}\0{digest}" for name, digest in found)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16] if found else ""


def require_continuable(state: Mapping[str, Any], about: Mapping[str, Any], run: Run) -> None:
    """Refuse to go on elsewhere than where a run was, or with other data.

    Arguments:
        state: the checkpoint.
        about: what the next one will say of itself.
        run: that goes on.

    Raises:
        RunError: it cannot go on.
    """
    done = state["step"]
    newer = [path.name for path in run.checkpoints() if path > run.checkpoint(done)]
    if newer:
        raise RunError(
            f"{run.folder} has newer checkpoints than step {done} ({', '.join(newer)}): resume the "
            "run folder itself, or move them away."
        )
    known = state.get("contents", about["contents"])
    # Of a large data set, of which a sample is looked at, nothing is known of single files.
    alike = about["contents"] == known or "" in (about["contents"], known)
    if about["data"] == state["data"] and alike:
        return
    places = [name for name in differences(state["options"], about["options"]) if name in PLACES]
    if places:
        where = about["options"]["data"]["root"]
        raise RunError(
            f"{where} does not hold the images that {run.folder} began with, and a run goes on "
            f"with its own. Begin a new run from its weights: i2i train --init-from "
            f"{shlex.quote(str(run.folder))} --dataroot {shlex.quote(str(where))}"
        )
    _log.info(
        "note: the training images are not those that the run began with, so the best checkpoint "
        "is looked for anew."
    )


def why_over(
    state: Mapping[str, Any], options: Options, stop: int, validated: bool, *, shorter: bool = False
) -> str | None:
    """Why there is nothing left to do for a run; None if there is.

    Arguments:
        state: the checkpoint.
        options: with which it would go on.
        stop: how long it then is, in steps.
        validated: whether it is validated.
        shorter: whether a run that is longer than it was to be is simply over: so for a chain of
            jobs, while somebody who resumes a run may mean so many steps more.

    Raises:
        RunError: it would have to be shorter than it is.
    """
    done, patience = state["step"], options.train.patience
    if done > stop and shorter:
        return f"has done {done} steps, {stop} were asked for; extend it with --steps or --epochs."
    if done > stop:
        raise RunError(
            f"the run has done {done} steps and is to be {stop} long, so nothing is left to do: "
            "extend it with --steps or --epochs."
        )
    if done == stop and not (validated and state.get("validated", done) < done):
        return f"has done {done} steps and is {stop} long; extend it with --steps or --epochs."
    if patience is not None and state.get("stale", 0) >= patience:
        return (
            f"has done {done} steps, the last {state['stale']} validations without a better one; "
            "go on with a larger --patience."
        )
    return None


def say_replanned(state: Mapping[str, Any], options: Options, stop: int) -> None:
    """Say if the learning rates will not be as if the run had been planned as it is now."""
    former = read_options(state["options"]).train
    length = (options.train.steps, options.train.epochs)
    if (former.steps, former.epochs) != length and options.schedule.name != "constant":
        _log.info(
            f"note: the {options.schedule.name} learning rate is now planned over {stop} steps, so "
            "from here on it differs from that of the shorter run."
        )
