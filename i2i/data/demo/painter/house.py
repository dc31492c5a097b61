"""How houses are drawn: walls with their courses, roofs, chimneys, windows and doors."""

import math
from collections.abc import Iterator
from itertools import pairwise

from i2i.data.demo.painter.canvas import Canvas
from i2i.data.demo.painter.scene import House, Point

# Height of a course and length of a brick in units of the scale of the house.
COURSES = {
    "brick": (0.0125, 0.03),
    "stone": (0.021, 0.036),
    "tiles": (0.015, 0.019),
    "slate": (0.0125, 0.026),
}


def draw_house(canvas: Canvas, house: House) -> None:
    """Draw a house with the shadow that it throws on the ground."""
    half, reach = 0.5 * house.width, 0.42 * house.height
    foot = [(house.x - half, house.ground - 0.002), (house.x + half, house.ground - 0.002)]
    aside = -0.9 * reach * canvas.light
    canvas.shadow([*foot, (house.x + half + aside, house.ground + 0.5 * reach),
                   (house.x - half + aside, house.ground + 0.5 * reach)])  # fmt: skip
    {"gable": _gable, "long": _long, "tower": _tower}[house.kind](canvas, house)


def _gable(canvas: Canvas, house: House) -> None:
    scale, ground, eaves = house.scale, house.ground, house.ground - house.height
    side = -1 if house.mirrored else 1
    top = eaves - house.roof_height

    def at(u: float, y: float) -> Point:
        return house.x + side * u * house.width, y

    faces_light = side == canvas.light
    front_shade, side_shade, roof_shade = (112, 146, 146) if faces_light else (138, 94, 102)
    front = [at(-0.5, ground), at(-0.5, eaves), at(-0.28, top), at(-0.06, eaves), at(-0.06, ground)]
    flank = [at(-0.06, ground), at(-0.06, eaves), at(0.48, eaves), at(0.48, ground - 0.012 * scale)]
    _wall(canvas, house, flank, side_shade)
    _wall(canvas, house, front, front_shade)
    canvas.shadow([at(-0.06, eaves), at(0.48, eaves), at(0.48, eaves + 0.03 * scale),
                   at(-0.06, eaves + 0.03 * scale)], side_shade - 26)  # fmt: skip
    drop = 0.018 * scale
    roof = [at(-0.28, top), at(0.27, top), at(0.52, eaves + drop), at(-0.035, eaves + drop)]
    _courses(canvas, house.roof, roof, roof_shade, scale)
    board, slope = 0.02 * scale, 0.22 * drop / house.roof_height
    low = eaves + drop
    verge = [at(-0.28, top - 0.4 * board), at(-0.5 - slope, low - 0.4 * board),
             at(-0.5 - slope, low + 0.6 * board), at(-0.28, top + board),
             at(-0.06 + slope, low + 0.6 * board), at(-0.06 + slope, low)]  # fmt: skip
    canvas.polygon(verge, house.roof, 122)
    if house.chimney is not None:
        x, y = at(-0.2 + 0.4 * house.chimney, top)
        _chimney(canvas, x, y - 0.045 * scale, y + 0.3 * house.roof_height, scale)
    closed = iter(house.closed)
    middle, width = house.door, 0.044 * scale
    _door(canvas, middle, ground, scale)
    _window(canvas, middle, eaves - 0.24 * house.roof_height, 0.034 * scale, next(closed))
    storey = house.height / house.storeys
    for level in range(house.storeys):
        y = ground - (level + 0.56) * storey
        if level:
            for u in (-0.39, -0.17):
                _window(canvas, at(u, y)[0], y, 0.8 * width, next(closed))
        for column in range(house.columns):
            x, _ = at(-0.06 + 0.54 * (column + 0.5) / house.columns, y)
            _window(canvas, x, y - 0.006 * scale, width, next(closed))


def _long(canvas: Canvas, house: House) -> None:
    scale, ground, eaves = house.scale, house.ground, house.ground - house.height
    left, right = house.x - 0.5 * house.width, house.x + 0.5 * house.width
    top = eaves - house.roof_height
    wall = [(left, ground), (left, eaves), (right, eaves), (right, ground)]
    _wall(canvas, house, wall, 130)
    canvas.shadow([(left, eaves), (right, eaves), (right, eaves + 0.03 * scale),
                   (left, eaves + 0.03 * scale)], 100)  # fmt: skip
    if house.chimney is not None:
        x = house.x + (house.chimney - 0.5) * 0.6 * house.width
        _chimney(canvas, x, top - 0.045 * scale, top + 0.02 * scale, scale)
    out, inset, drop = 0.014 * scale, 0.1 * house.width, 0.016 * scale
    roof = [(left + inset, top), (right - inset, top), (right + out, eaves + drop),
            (left - out, eaves + drop)]  # fmt: skip
    _courses(canvas, house.roof, roof, 132, scale)
    closed = iter(house.closed)
    _door(canvas, house.door, ground, scale)
    storey, half = house.height / house.storeys, house.columns // 2
    spread = 0.5 * house.width / (half + 0.5)
    for level in range(house.storeys):
        y = ground - (level + 0.54) * storey
        steps = [i + 0.75 for i in range(half)]
        for step in (*(-s for s in reversed(steps)), *([0.0] if level else []), *steps):
            _window(canvas, house.x + step * spread, y, 0.046 * scale, next(closed))


def _tower(canvas: Canvas, house: House) -> None:
    """A round tower: upright strips that darken away from the light."""
    scale, ground, eaves = house.scale, house.ground, house.ground - house.height
    strips = 8
    radius = 0.5 * house.width
    edges = [house.x - radius * math.cos(math.pi * i / strips) for i in range(strips + 1)]
    tones = [round(118 - 36 * canvas.light * math.cos(math.pi * (i + 0.5) / strips))
             for i in range(strips)]  # fmt: skip
    for (left, right), tone in zip(pairwise(edges), tones, strict=True):
        strip = [(left, ground), (left, eaves), (right, eaves), (right, ground)]
        _courses(canvas, house.wall, strip, tone, scale)
    apex, drop = (house.x, eaves - house.roof_height), 0.012 * scale
    for (left, right), tone in zip(pairwise(edges), tones, strict=True):
        spread = [house.x + 1.3 * (x - house.x) for x in (left, right)]
        canvas.polygon([apex, (spread[1], eaves + drop), (spread[0], eaves + drop)],
                       house.roof, tone)  # fmt: skip
    closed = iter(house.closed)
    _door(canvas, house.x, ground, 0.9 * scale)
    for level in (0.52, 0.8):
        _window(canvas, house.x, ground - level * house.height, 0.036 * scale, next(closed))


def _wall(canvas: Canvas, house: House, outline: list[Point], shade: int) -> None:
    if house.wall in COURSES:
        _courses(canvas, house.wall, outline, shade, house.scale)
        return
    canvas.polygon(outline, house.wall, shade)
    if house.wall == "timber":
        _beams(canvas, house, outline, shade)


def _beams(canvas: Canvas, house: House, outline: list[Point], shade: int) -> None:
    """A timber frame: sill, rails, posts, and a collar in the gable."""
    left, right = min(x for x, _ in outline), max(x for x, _ in outline)
    eaves, thick = house.ground - house.height, 0.0085 * house.scale
    posts = max(2, round((right - left) / (0.062 * house.scale)))
    for i in range(posts + 1):
        x = left + (right - left - thick) * i / posts
        canvas.box(x, eaves, x + thick, house.ground - 0.006 * house.scale, "beam", shade)
    for level in range(house.storeys + 1):
        y = eaves + (house.height - thick) * level / house.storeys
        canvas.box(left, y, right, y + thick, "beam", shade)


def _courses(canvas: Canvas, material: str, outline: list[Point], shade: int, scale: float) -> None:
    """Fill a convex outline with bricks, stones or tiles in horizontal, staggered courses."""
    canvas.polygon(outline, material, shade)
    step, length = (scale * value for value in COURSES[material])
    top, bottom = min(y for _, y in outline), max(y for _, y in outline)
    origin = min(x for x, _ in outline)
    dark = shade - 20
    for row in range(1, math.ceil((bottom - top) / step) + 1):
        y, above = min(top + row * step, bottom), top + (row - 1) * step
        left, right = _span(outline, y)
        canvas.joint((left, y), (right, y), dark)
        left, right = _span(outline, 0.5 * (y + above))
        x = origin + length * (0.5 if row % 2 else 1)
        while x < right:
            if x > left:
                canvas.joint((x, above), (x, y), dark + 6)
            x += length


def _span(outline: list[Point], y: float) -> Point:
    """From where to where a convex outline reaches at `y`."""

    def crossings() -> Iterator[float]:
        for (x0, y0), (x1, y1) in zip(outline, [*outline[1:], outline[0]], strict=True):
            if y0 != y1 and min(y0, y1) <= y <= max(y0, y1):
                yield x0 + (x1 - x0) * (y - y0) / (y1 - y0)

    found = list(crossings())
    return (min(found), max(found)) if found else (0.0, 0.0)


def _chimney(canvas: Canvas, x: float, top: float, bottom: float, scale: float) -> None:
    half = 0.017 * scale
    canvas.box(x - half, top, x + half, bottom, "chimney", 104)
    lit = (x, x + half) if canvas.light > 0 else (x - half, x)
    canvas.box(lit[0], top, lit[1], bottom, "chimney", 138)
    canvas.box(x - 1.25 * half, top - 0.008 * scale, x + 1.25 * half, top, "chimney", 128, 0.95)


def _door(canvas: Canvas, x: float, ground: float, scale: float) -> None:
    half, height = 0.022 * scale, 0.07 * scale
    canvas.box(x - half, ground - height, x + half, ground, "door", 84)
    inner = 0.8 * half
    canvas.box(x - inner, ground - 0.95 * height, x + inner, ground, "door", 136)
    left, right = x - 0.5 * half, x + 0.5 * half
    for low, high in ((0.12, 0.45), (0.55, 0.85)):
        low, high = ground - low * height, ground - high * height
        canvas.shadow([(left, low), (right, low), (right, high), (left, high)], 112)


def _window(canvas: Canvas, x: float, y: float, width: float, closed: bool) -> None:
    """A window about (x, y) with two leaves, and shutters beside it or closed over it."""
    half, tall = 0.5 * width, 0.62 * width
    leaf = 0.52 * half
    top, bottom = y - tall, y + tall
    if closed:
        canvas.box(x - half, top, x + half, bottom, "shutter", 128)
        canvas.joint((x, top), (x, bottom), 80)
        for i in range(1, 5):
            level = top + (bottom - top) * i / 5
            canvas.joint((x - half, level), (x + half, level), 104)
    else:
        for side in (-1, 1):
            inner, outer = sorted((x + side * half, x + side * (half + leaf)))
            canvas.box(inner, top, outer, bottom, "shutter", 122)
        canvas.box(x - half, top, x + half, bottom, "frame", 130)
        bar = 0.09 * width
        for left, right in ((x - half + bar, x - 0.4 * bar), (x + 0.4 * bar, x + half - bar)):
            for low, high in ((top + bar, y - 0.12 * tall), (y + 0.08 * tall, bottom - bar)):
                canvas.box(left, low, right, high, "glass", 118)
        canvas.shadow([(x - half + bar, top + bar), (x - 0.4 * bar, top + bar),
                       (x - half + bar, y - 0.2 * tall)], 170)  # fmt: skip
    canvas.box(x - 1.1 * half, bottom, x + 1.1 * half, bottom + 0.1 * width, "frame", 116, 0.9)
