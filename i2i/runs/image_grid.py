"""Image grids: one row for each image, one column for each thing to see of it."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from i2i.core.batch import to_bytes
from i2i.runs.captions import font_for, spelled

GAP = 4
HEADING = 20
"""Pixels above the first row."""

ROWS = "i2i-rows"
"""Where an image grid says how many rows it has: in `Image.info`, and in the text of a PNG."""

COLUMNS = 8
"""Images in a row of a contact sheet, at least."""
LABEL = 24
"""Characters of a line of the name of a row, at most."""
CUT = "…"
"""In the place of the beginning of a long one."""
PAPER = 255
VISIBLE = 96
"""Pixels: smaller images are enlarged, by as much as fits into this."""


def image_grid(columns: Mapping[str, Tensor], rows: Sequence[str] = ()) -> Image.Image:
    """Lay images out in a grid under the names of the columns.

    Arguments:
        columns: name -> (N, C, H, W), bytes or in -1..1, with 1 or 3 channels, N the same in all.
        rows: what stands left of each row, at most N; of a long line the end, which tells files
            apart. Rows before those that are named have no name.
    """
    largest = max(max(images.shape[-2:]) for images in columns.values())
    font = font_for("".join([*columns, *rows, CUT]))
    shown = [
        (spelled(name, font), as_colour(visible(images, largest)))
        for name, images in columns.items()
    ]
    widths = [max(images.shape[2], int(font.getlength(name)) + 2) for name, images in shown]
    count = len(shown[0][1])
    assert len(rows) <= count, (len(rows), count)
    lines = [[_end(line) for line in spelled(row, font).split("\n")] for row in rows]
    margin = max((int(font.getlength(each)) + GAP for row in lines for each in row), default=0)
    height = max(images.shape[1] for _, images in shown)
    size = (margin + sum(widths) + GAP * (len(widths) + 1), HEADING + count * (height + GAP))
    sheet = Image.new("RGB", size, (PAPER, PAPER, PAPER))
    sheet.info[ROWS] = str(count)
    draw = ImageDraw.Draw(sheet)
    for row, label in enumerate(map("\n".join, lines), count - len(lines)):
        middle = HEADING + row * (height + GAP) + height // 2
        draw.text((GAP, middle), label, fill=0, font=font, anchor="lm")
    left = margin + GAP
    for (name, images), width in zip(shown, widths, strict=True):
        draw.text((left, 2), name, fill=0, font=font)
        for row, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (left, HEADING + row * (height + GAP)))
        left += width + GAP
    return sheet


def rows_of(sheet: Image.Image, rows: int | None = None) -> list[Image.Image]:
    """The rows of an image grid, each below the names of the columns; the whole grid alone if
    nobody knows how many there are.

    Arguments:
        sheet: as `image_grid` made it.
        rows: how many it has, where it does not say so itself.
    """
    text = str(sheet.info.get(ROWS, rows or ""))
    count = int(text) if text.isdecimal() else 0
    each, rest = divmod(sheet.height - HEADING, count) if count else (0, 1)
    if rest or each <= GAP:
        return [sheet]
    found = []
    for row in range(count):
        top = HEADING + row * each
        strip = Image.new("RGB", (sheet.width, HEADING + each), (PAPER, PAPER, PAPER))
        strip.paste(sheet.crop((0, 0, sheet.width, HEADING)), (0, 0))
        strip.paste(sheet.crop((0, top, sheet.width, top + each)), (0, HEADING))
        found.append(strip)
    return found


def contact_sheet(images: Tensor) -> Image.Image:
    """Lay images (N, C, H, W), bytes or in -1..1, out in rows, close together."""
    pixels = as_colour(visible(images))
    count, height, width = pixels.shape[:3]
    columns = min(max(COLUMNS, math.isqrt(count)), count)
    rows = -(-count // columns)
    size = (columns * (width + 1) - 1, rows * (height + 1) - 1)
    sheet = Image.new("RGB", size, (PAPER, PAPER, PAPER))
    for number, image in enumerate(pixels):
        row, column = divmod(number, columns)
        sheet.paste(Image.fromarray(image), (column * (width + 1), row * (height + 1)))
    return sheet


def visible(images: Tensor, size: int | None = None) -> Tensor:
    """Repeat each pixel of tiny images (N, C, H, W) as often as it takes to see them.

    Arguments:
        images: of any type.
        size: the larger side of the largest image beside them; by default their own.
    """
    repeat = max(1, VISIBLE // (size or max(images.shape[-2:])))
    return images.repeat_interleave(repeat, -2).repeat_interleave(repeat, -1)


def _end(line: str) -> str:
    return line if len(line) <= LABEL else f"{CUT}{line[1 - LABEL :]}"


def as_colour(images: Tensor) -> np.ndarray:
    """(N, 1 or 3, H, W) to bytes (N, H, W, 3)."""
    if images.is_floating_point():
        images = to_bytes(images)
    if images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    return images.to("cpu", torch.uint8).permute(0, 2, 3, 1).numpy()
