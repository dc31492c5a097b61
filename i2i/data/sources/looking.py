"""Which images are looked at before a training: all, or of very many a sample.

Of a sample nothing depends but what is said: no image is left out on account of it, so that the
order of a training does not depend on what was looked at when. Images that turn out to be of no use
are replaced when they come (`i2i.data.loading.loader`).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import TypeVar

import numpy as np

from i2i.config import Data
from i2i.data.images.paths import take
from i2i.data.kinds.layouts import first_few
from i2i.errors import DataError

_log = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE = 10_000
"""Images that are all looked at where nobody says otherwise: in a minute or two."""

SAMPLE = 2000
"""Images of a sample: of what one in a thousand files has, it misses 14 % of the time."""

LEAST = 16
"""Of each part."""

BAD = 0.01
"""Share of the images of a sample that may be of no use."""


def looked_at(data: Data, total: int) -> float:
    """Which share of the images of a data set is looked at before a training: 1 for all."""
    if data.check == "all" or (data.check == "auto" and (total <= AT_ONCE or data.skip_bad)):
        return 1.0
    return min(1.0, SAMPLE / max(1, total))


def a_sample(items: Sequence[T], share: float) -> Sequence[T]:
    """Some of the items, always the same ones, in their order."""
    count = min(len(items), max(LEAST, ceil(share * len(items))))
    places = np.random.default_rng(len(items)).choice(len(items), count, replace=False)
    return take(items, np.sort(places))


def require_mostly_good(why: Iterable[str], looked: int, data: Data) -> None:
    """Say which images of a sample are of no use.

    Raises:
        DataError: they are too many.
    """
    lines = list(why)
    if not lines:
        return
    said = f"{len(lines)} of {looked} that were looked at cannot be used:\n{first_few(lines)}\n"
    if len(lines) == looked or (len(lines) > BAD * looked and not data.skip_bad):
        raise DataError(
            f"{said}Mend them, or leave out what cannot be used with --skip-bad, for which all "
            "images are looked at."
        )
    _log.warning("%sOthers take their place when they come.", said)


def sound_first(
    items: Sequence[T], count: int, unusable: Callable[[Sequence[T]], Iterable[bool]]
) -> Sequence[T]:
    """Leave out what is of no use of the first so many items, and of those that take their place.

    What validates a training is not replaced, and is the same whatever was looked at before.
    """
    while any(bad := list(unusable(items[:count]))):
        kept = [place for place, each in enumerate(bad) if not each]
        items = take(items, [*kept, *range(len(bad), len(items))])
    return items
