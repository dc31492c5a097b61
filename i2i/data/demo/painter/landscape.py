"""How the land is drawn: sky and hills, water and path, and what grows or stands on the meadow."""

import math
from itertools import pairwise

from i2i.data.demo.painter.canvas import Canvas
from i2i.data.demo.painter.scene import Blob, Fence, Plant, Scene

SUN_RADIUS = 0.036


def draw_background(canvas: Canvas, scene: Scene) -> None:
    """Draw everything that nothing can stand behind, from the sky to the path."""
    canvas.disc((*scene.sun, SUN_RADIUS), "sun")
    for cloud in scene.clouds:
        _draw_cloud(canvas, cloud)
    for peak in scene.peaks:
        _draw_peak(canvas, peak)
    for name, ridge in scene.hills:
        canvas.polygon([*ridge, (1, 1), (0, 1)], name)
    canvas.polygon([*scene.meadow, (1, 1), (0, 1)], "meadow")
    if scene.lake:
        _draw_lake(canvas, *scene.lake)
    if scene.path:
        left = [(x - width, y) for x, y, width in scene.path]
        right = [(x + width, y) for x, y, width in scene.path]
        canvas.polygon([*left, *right[::-1]], "path")


def _draw_cloud(canvas: Canvas, cloud: tuple[Blob, ...]) -> None:
    for x, y, r in cloud:
        canvas.disc((x, y, r), "cloud", 108)
    for x, y, r in cloud:
        canvas.disc((x + 0.08 * r * canvas.light, y - 0.16 * r, 0.84 * r), "cloud", 120)
    for x, y, r in cloud:
        canvas.disc((x + 0.15 * r * canvas.light, y - 0.3 * r, 0.62 * r), "cloud", 132)


def _draw_peak(canvas: Canvas, peak: Blob) -> None:
    """A mountain with a lit and a shaded flank, and snow on its top all year."""
    x, top, half = peak
    height, half, cap = 0.36, 1.6 * half, 0.055
    # From the foot up, along the jagged line where the flanks meet.
    crest = [(x, top + height), (x + 0.02, top + 0.2), (x - 0.018, top + 0.11), (x, top)]
    for side in (-1, 1):
        slope = [(x + side * half * t, top + t * (height + 0.012 * math.sin(9 * t + 40 * x)))
                 for t in (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)]  # fmt: skip
        canvas.polygon([*slope, *crest], "mountain", 150 if side == canvas.light else 94)
    for side in (-1, 1):
        reach = side * half * cap / height
        snow = [(x + reach, top + cap), (x + 0.4 * reach, top + 0.7 * cap), (x, top + 1.15 * cap)]
        canvas.polygon([(x, top), *snow], "peak", 140 if side == canvas.light else 104)


def _draw_lake(canvas: Canvas, x: float, y: float, rx: float, ry: float) -> None:
    turns = [2 * math.pi * i / 64 for i in range(64)]
    shore = [(x + rx * (1 + 0.06 * math.sin(3 * t + 20 * x)) * math.cos(t), y + ry * math.sin(t))
             for t in turns]  # fmt: skip
    canvas.polygon(shore, "water")
    for i in range(7):
        # Ripples lie closer together the farther away they are.
        level = -0.8 + 1.6 * (i / 6) ** 1.3
        half = 0.7 * rx * math.sqrt(1 - level * level)
        centre, short = x + 0.35 * half * math.sin(5 * i + 30 * x), 0.55 * half
        canvas.joint((centre - short, y + level * ry), (centre + short, y + level * ry), 160, 1.5)


def draw_plant(canvas: Canvas, plant: Plant) -> None:
    """Draw a tree or a bush with its shadow on the ground."""
    x, ground, height, light = plant.x, plant.ground, plant.height, canvas.light
    reach = 0.9 if plant.kind == "bush" else 0.3
    canvas.round_shadow(x - 0.5 * reach * height * light, ground + 0.02 * height,
                        reach * height, 0.16 * reach * height)  # fmt: skip
    if plant.kind != "bush":
        trunk = "pale trunk" if plant.kind == "birch" else "trunk"
        half, top = (0.018 if plant.kind == "birch" else 0.032) * height, ground - 0.5 * height
        canvas.polygon([(x - 0.6 * half, top), (x + 0.6 * half, top), (x + half * 1.3, ground),
                        (x - half * 1.3, ground)], trunk, 112)  # fmt: skip
    if plant.kind == "conifer":
        _draw_conifer(canvas, plant)
        return
    blobs = [(x + dx * height, ground - dy * height, r * height) for dx, dy, r in plant.crown]
    for bx, by, r in blobs:
        canvas.disc((bx, by, r), plant.kind, 84, 0.22)
    for bx, by, r in blobs:
        canvas.disc((bx + 0.14 * r * light, by - 0.16 * r, 0.78 * r), plant.kind, 118, 0.5)
        canvas.disc((bx + 0.28 * r * light, by - 0.34 * r, 0.48 * r), plant.kind, 148, 0.95)


def _draw_conifer(canvas: Canvas, plant: Plant) -> None:
    height = plant.height
    for lean, foot, half in plant.crown:
        bottom = plant.ground - foot * height
        tip = (plant.x + lean * height, max(bottom - 0.4 * height, plant.ground - height))
        left, right = plant.x - half * height, plant.x + half * height
        canvas.polygon([tip, (right, bottom), (plant.x, bottom + 0.03 * height), (left, bottom)],
                       plant.kind, 96, 0.3)  # fmt: skip
        lit = right if canvas.light > 0 else left
        middle = plant.x + 0.12 * half * height * canvas.light
        canvas.polygon([tip, (lit, bottom), (middle, bottom)], plant.kind, 140, 0.45)
        # Snow lies on the upper part of each tier.
        span, edge = 0.55 * half * height, tip[1] + 0.55 * (bottom - tip[1])
        hem = ((1, 0), (0.3, 0.02), (-0.3, -0.01), (-1, 0))
        canvas.snowfall([tip, *((plant.x + dx * span, edge + dy * height) for dx, dy in hem)])


def draw_fence(canvas: Canvas, fence: Fence) -> None:
    """Draw the posts and the two rails of a fence, but none in its gap."""
    posts = round((fence.right - fence.left) / 0.055)
    xs = [fence.left + (fence.right - fence.left) * (i + 0.5) / posts for i in range(posts)]
    xs = [x for x in xs if not fence.gap[0] < x < fence.gap[1]]
    top = fence.ground - fence.height
    for rail in (0.3, 0.68):
        y = top + rail * fence.height
        for x, following in pairwise(xs):
            if following - x < 0.08:
                canvas.box(x, y, following, y + 0.012, "fence", 116)
                canvas.box(x, y, following, y + 0.004, "fence", 140, 0.95)
    for x in xs:
        canvas.shadow([(x, fence.ground), (x + 0.013, fence.ground),
                       (x - 0.04 * canvas.light, fence.ground + 0.03)], 92)  # fmt: skip
        canvas.polygon([(x - 0.008, fence.ground), (x - 0.008, top), (x, top - 0.008),
                        (x + 0.008, top), (x + 0.008, fence.ground)], "fence", 130)  # fmt: skip
        canvas.box(x - 0.008, top - 0.006, x + 0.008, top + 0.006, "fence", 140, 0.95)
