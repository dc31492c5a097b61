"""Old words: what options were called in version 0.1, and what they are called now.

Recipes, settings and checkpoints with an old word are read for one more version, with a line that
names the new one.
"""

import logging
from collections.abc import Mapping
from typing import Any

RENAMED = {
    "adversarial.critic_turns": "game.n_critic",
    "adversarial.generator_turns": "game.n_generator",
    "adversarial.pool": "game.image_pool",
    "adversarial.mixed_batch": "game.mixed_batch",
    "latent.labels": "game.class_conditional",
    "latent.redraw": "game.resample_latents",
    "train.average": "train.ema_decay",
    "train.accumulate": "train.gradient_accumulation",
    "train.best_by": "train.monitor",
    "train.stop_after": "train.patience",
    "train.validate_every": "train.validate_every_steps",
    "train.save_every": "train.save_every_steps",
    "train.log_every": "train.log_every_steps",
    "train.validation_pictures": "train.validation_images",
    "train.sheet": "train.visualize_images",
    "train.keep": "train.keep_checkpoints",
    "data.keep": "data.cache",
    "data.keep_gib": "data.cache_gib",
}
"""Old path -> new path."""

TAKEN = {"train.keep": str}
"""Old paths that are words of today for values of these types."""

NEUTRAL = {"n_critic": 1, "n_generator": 1, "image_pool": 0, "mixed_batch": False}
"""What options of [game] were in version 0.1 for models that do not know them: nothing is lost."""

VALUES: dict[str, dict[Any, Any]] = {"inference.norm": {"picture": "instance"}}
"""Path -> old value -> new value."""

MOST = 3
"""Names that the line lists."""

_said: set[str] = set()


def with_new_words(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Options of which some may have their old names, with the new ones.

    Where both stand, the new one counts.
    """
    new = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in layer.items()
    }
    renamed: list[str] = []
    for old, path in RENAMED.items():
        table, key = old.split(".")
        section = new.get(table)
        if not isinstance(section, dict) or key not in section:
            continue
        if old in TAKEN and isinstance(section[key], TAKEN[old]):
            continue
        renamed.append(f"{old} is now {path}")
        to, name = path.split(".")
        value = section.pop(key)
        target = new.setdefault(to, {})
        if isinstance(target, dict):
            target.setdefault(name, value)
    for path, values in VALUES.items():
        table, key = path.split(".")
        section = new.get(table)
        if isinstance(section, dict) and isinstance(section.get(key), str):
            value = section[key]
            if value in values:
                renamed.append(f"{path} = {value!r} is now {values[value]!r}")
                section[key] = values[value]
    _say(renamed)
    return new


def _say(renamed: list[str]) -> None:
    """One line for all old names that come together, and once: a checkpoint has many of them."""
    fresh = [line for line in renamed if line not in _said]
    _said.update(fresh)
    if fresh:
        more = f" (and {len(fresh) - MOST} more)" if len(fresh) > MOST else ""
        logging.getLogger("i2i").warning(
            "note: %s%s: the old names are understood for now.", ", ".join(fresh[:MOST]), more
        )
