"""Image grids small enough to be part of a page."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

BUDGET = 20_000_000
"""Bytes of all the sheets of a page, as they stand in it."""

MOST = 120
"""Sheets on a page: a slider with more cannot be set by hand."""

SIDE = 2400
"""Pixels of a sheet, at most, along its longer side; larger ones are made smaller."""

QUALITY = 92


@dataclass(frozen=True)
class Sheet:
    """An image grid as a data URI, with the step it was made at and its size in pixels."""

    step: int
    uri: str
    width: int
    height: int


def embed(
    sheets: Sequence[tuple[int, Path]], budget: int = BUDGET, most: int = MOST
) -> tuple[list[Sheet], int]:
    """Encode as many sheets as fit, evenly spread over the training, the newest among them.

    Also returns how many could not be read, which are left out.

    Arguments:
        sheets: step and file of each, oldest first.
        budget: bytes of all together.
        most: how many at most.
    """
    made: dict[Path, Sheet | None] = {}
    count = min(most, len(sheets))
    while count > 0:
        chosen = evenly(len(sheets), count)
        for step, path in (sheets[number] for number in chosen):
            if path not in made:
                made[path] = encode(step, path)
        found = [sheet for number in chosen if (sheet := made[sheets[number][1]]) is not None]
        size = sum(len(sheet.uri) for sheet in found)
        if size <= budget:
            return found, count - len(found)
        count = min(count - 1, count * budget // size)
    return [], 0


LARGEST = 2**27
"""Pixels of a sheet: what declares more was not made by a training."""


def evenly(total: int, count: int) -> list[int]:
    """Return `count` of the numbers below `total`, evenly spaced, the last among them."""
    return [total - 1 - n * (total - 1) // max(count - 1, 1) for n in reversed(range(count))]


def encode(step: int, path: Path) -> Sheet | None:
    """A picture as it stands in a page; None where it cannot be read."""
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                return None
            image = opened.convert("RGB")
    except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
        return None
    image.thumbnail((SIDE, SIDE))
    file = BytesIO()
    # Full colour resolution: the images on a sheet may be 64 pixels wide.
    image.save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    text = base64.b64encode(file.getvalue()).decode("ascii")
    return Sheet(step, f"data:image/jpeg;base64,{text}", *image.size)
