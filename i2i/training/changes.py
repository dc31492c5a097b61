"""What may change in a run that is resumed: one rule for the command line and for Python."""

from collections.abc import Mapping
from typing import Any

from i2i.errors import OptionsError

RESUMABLE = (
    *("data.root", "data.root_b", "data.workers", "data.keep", "data.skip_bad"),
    *("train.steps", "train.epochs", "train.stop_after"),
)
"""Options of a resumed run that may differ: how long it is, where and how its data is read. With
any other, the options of the run would say of it what was never so."""


def refuse_changes(changes: Mapping[str, Any]) -> None:
    """Raise OptionsError if these changes of a resumed run contain what cannot change.

    Arguments:
        changes: section -> option -> value.
    """
    named = [
        f"{section}.{key}"
        for section, values in changes.items()
        for key in (values if isinstance(values, Mapping) else ())
    ]
    named += [name for name, values in changes.items() if not isinstance(values, Mapping)]
    fixed = [name for name in named if name not in RESUMABLE]
    if fixed:
        raise OptionsError(
            f"{', '.join(fixed)} cannot change in a run that is resumed, since it continues "
            f"exactly: start a new run instead. What may change is {', '.join(RESUMABLE)}."
        )
