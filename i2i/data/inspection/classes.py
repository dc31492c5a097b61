"""Which classes label maps hold, found from the files alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from i2i.data.images.labels import colours_of, numbers_of
from i2i.data.images.probe import ImageInfo
from i2i.data.images.read import open_image
from i2i.data.images.values import find_narrow
from i2i.errors import DataError

MOST_FILES = 200
"""Of a side that are counted, spread over all of them."""

MOST_COLOURS = 64
"""More different colours than that are a picture's."""

RARE = 0.001
"""Share of the pixels below which it is said of a class."""

_EXACT = ("PNG", "BMP", "TIFF", "GIF", "WEBP")


@dataclass(frozen=True)
class Held:
    """What the label maps of a side hold.

    Attributes:
        paths: those that were counted.
        counts: number or colour (0xrrggbb) of a class -> its pixels.
        coloured: whether they are colours.
    """

    paths: tuple[Path, ...]
    counts: Mapping[int, int]
    coloured: bool

    @property
    def recipe(self) -> str:
        """What [data.A] or [data.B] has to say of them."""
        if not self.coloured:
            return f'kind = "labels", classes = {max(self.counts) + 1}'
        palette = ", ".join(f'"#{colour:06x}"' for colour in sorted(self.counts))
        return f'kind = "labels", palette = [{palette}]'

    def settings(self, side: str) -> list[str]:
        """The same as changes of options, for `--set`."""
        said = self.recipe.replace(" = ", "=").replace(", ", ",")
        kind, _, rest = said.partition(",")
        return [f"data.{side}.{kind}".replace('"', ""), f"data.{side}.{rest}"]

    @property
    def rare(self) -> list[str]:
        """The classes that hardly any pixel is of."""
        total = sum(self.counts.values())
        return [self._name(each) for each, n in sorted(self.counts.items()) if n < RARE * total]

    def __str__(self) -> str:
        total = sum(self.counts.values())
        shares = [
            f"{self._name(each)} {count / total:.1%}"
            for each, count in Counter(self.counts).most_common(12)
        ]
        more = f" and {len(self.counts) - 12} more" if len(self.counts) > 12 else ""
        what = "colours" if self.coloured else "numbers"
        return f"{len(self.counts)} {what}, by share of the pixels: {', '.join(shares)}{more}"

    def _name(self, each: int) -> str:
        return f"#{each:06x}" if self.coloured else str(each)


def examine_labels(paths: Sequence[Path], looks: Mapping[Path, ImageInfo]) -> Held | None:
    """Count the classes of one side; None if its images are no label maps, as far as can be told:
    numbers of classes as `find_narrow` knows them, or a few colours in files that keep them."""
    known = [path for path in paths if path in looks and looks[path].complete]
    if not known:
        return None
    narrow = find_narrow(known, looks)
    numbers = narrow is not None and narrow.labels
    if not numbers and not all(
        looks[path].format in _EXACT and looks[path].mode in ("RGB", "P") for path in known
    ):
        return None
    step = -(-len(known) // MOST_FILES)
    chosen = tuple(known[::step])

    def count(path: Path) -> Counter[int] | None:
        try:
            image = open_image(path)
            values, counts = np.unique(
                numbers_of(image) if numbers else colours_of(image), return_counts=True
            )
        except DataError:
            return None
        if len(values) > MOST_COLOURS:
            return None
        return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    total: Counter[int] = Counter()
    with ThreadPoolExecutor() as pool:
        for found in pool.map(count, chosen):
            if found is None:
                return None
            total.update(found)
            if len(total) > MOST_COLOURS:
                return None
    # A picture of one colour, or of two as of scanned text, says nothing of classes.
    return Held(chosen, total, coloured=not numbers) if len(total) > 2 or numbers else None
