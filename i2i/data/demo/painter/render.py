"""From the layers of a scene to images: the label map, the four moods, and a pencil drawing."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from i2i.data.demo.painter.canvas import NEUTRAL
from i2i.data.demo.painter.layers import Layers
from i2i.data.demo.painter.materials import LABELS, MATERIALS, RGB
from i2i.data.demo.painter.moods import Mood

Pixels = NDArray[np.uint8]
Words = NDArray[np.uint16]
Field = NDArray[np.floating]

LIVING = frozenset({"far hill", "near hill", "meadow", "broadleaf", "birch", "conifer", "bush"})
"""Labels of what is green."""

LYING = frozenset(
    {"sky", "cloud", "sun", "mountain", "far hill", "near hill", "meadow", "path", "water"}
)
"""Labels of what does not stand on the ground."""

# Thin things win a pixel of the label map with less than half of it, or a small map loses them.
THIN = {"fence": 1.5, "trunk": 1.5, "chimney": 1.3, "window": 1.1, "door": 1.1}


def render_labels(layers: Layers) -> Pixels:
    """The label map: each pixel has the colour of the label that covers most of it."""
    size, factor = layers.size, layers.factor
    names = list(LABELS)
    label_of = np.array([names.index(m.label) for m in MATERIALS.values()])
    weight_of = np.array([THIN.get(m.label, 1.0) for m in MATERIALS.values()])
    material = np.asarray(layers.material)
    pixel = np.arange(size).repeat(factor)
    ballots = (pixel[:, None] * size + pixel) * len(names) + label_of[material]
    votes = np.bincount(
        ballots.ravel(), weight_of[material].ravel(), minlength=size * size * len(names)
    )
    winners = votes.reshape(size, size, len(names)).argmax(axis=-1)
    image: Pixels = np.array(list(LABELS.values()), np.uint8)[winners]
    return image


def render_mood(layers: Layers, seed: int, mood: Mood) -> Pixels:
    """The scene in its colours, textured and lit as `mood` says."""
    return _to_pixels(_light(layers, seed, mood))


def render_bands(layers: Layers, seed: int, mood: Mood) -> Words:
    """What a sensor above a haze would see, (H, W, 6) in 12 bits: blue, green, red, red edge, near
    and short-wave infrared.

    The first three are linear in the light and veiled by haze, blue most; leaves and grass are
    bright in the fourth and fifth, water is black there, and what is built is bright in the sixth.
    """
    light = (_light(layers, seed, mood).clip(0, 255) / 255) ** 2.2
    blue, green, red = light[..., 2], light[..., 1], light[..., 0]
    fine, coarse, _ = _noise(seed, layers.size)
    living = _lookup(layers, [float(m.label in LIVING) for m in MATERIALS.values()])
    wet = _lookup(layers, [float(m.label == "water") for m in MATERIALS.values()])
    shade = _shrink(layers.shade, layers.factor) / NEUTRAL
    dry = 1 - np.maximum(living, wet)
    edge = shade * (0.25 + 0.5 * living) * (1 - 0.9 * wet)
    near = shade * (0.3 + 0.65 * living * (1 + 0.2 * coarse)) * (1 - 0.95 * wet)
    short = shade * (0.25 + 0.4 * dry * (1 + 0.2 * fine)) * (1 - 0.97 * wet)
    veils = ((blue, 0.45, 0.3), (green, 0.55, 0.2), (red, 0.65, 0.13))
    seen = [clear * share + haze * (1 + 0.1 * coarse) for clear, share, haze in veils]
    sensor = np.stack([*seen, edge, near, short], axis=-1)
    noise = np.random.default_rng((seed, 6)).normal(0, 0.004, sensor.shape)
    return np.rint(3000 * np.clip(sensor + noise, 0, 4095 / 3000)).astype(np.uint16)


def render_depth(layers: Layers) -> Words:
    """The distance of what is seen, (H, W) in millimetres of a stage 60 m deep, where the sky is.

    Ground recedes towards the horizon; what stands on it is as far as its foot.
    """
    size, horizon = layers.size, layers.scene.horizon
    line = (np.arange(size) + 0.5) / size
    ground = 2.0 / np.clip(line - horizon + 2 / 60, 2 / 60, None)  # metres, of a pinhole camera
    far = np.broadcast_to(ground[:, None], (size, size)).copy()
    sky = np.maximum(_covered(layers, "sky", "cloud"), _covered(layers, "sun")) > 0.5
    labels = _lookup(layers, [float(m.label not in LYING) for m in MATERIALS.values()]) > 0.5
    for column in range(size):  # a thing is as far as its foot, below it in the picture
        feet = far[-1, column]
        for row in range(size - 1, -1, -1):
            feet = feet if labels[row, column] else far[row, column]
            far[row, column] = feet
    far[sky] = 60.0
    depth: Words = np.rint(1000 * far.clip(0, 60)).astype(np.uint16)
    return depth


def render_light(layers: Layers, seed: int, mood: Mood) -> Words:
    """The light of a scene, (H, W) in 16 bits: luma as a linear sensor counts it, which leaves
    most of the range to the few lights of a scene and less than 8 bits to its shadows."""
    light = (_light(layers, seed, mood).clip(0, 255) / 255) ** 2.2
    luma = light @ np.array([0.299, 0.587, 0.114])
    words: Words = np.rint(60000 * luma).astype(np.uint16)
    return words


def _light(layers: Layers, seed: int, mood: Mood) -> Field:
    """The colours of a scene, (H, W, 3), 0..255 and beyond."""
    materials = MATERIALS.values()
    fine, coarse, billows = _noise(seed, layers.size)
    shade = _shrink(layers.shade, layers.factor) / NEUTRAL
    snow = _shrink(layers.snow, layers.factor) / 255 if mood.snow else np.zeros_like(shade)
    sky, disc = _covered(layers, "sky", "cloud"), _covered(layers, "sun")

    colour = _albedo(layers, mood)
    if mood.snow:
        snow = np.clip(snow * (1.07 + 0.12 * coarse) + 0.14 * fine * (snow > 0.05), 0, 1)
        colour = _mix(colour, (238, 243, 252), snow)
    grain, patches = (
        _lookup(layers, values)
        for values in ([m.grain for m in materials], [m.patches for m in materials])
    )
    texture = 1 + (grain * fine + patches * coarse) * (1 - 0.75 * snow)
    colour *= (texture * (1 + mood.contrast * (shade - 1)))[..., None]
    # What the sun does not reach is lit by the sky, and so a little bluer.
    dim = np.clip(1 - shade, 0, 1)[..., None]
    colour *= _rgb(mood.light) * (1 + dim * _rgb((-0.08, 0.0, 0.14)))

    down = np.linspace(0, 1, layers.size, dtype=np.float32)[:, None]
    colour = _mix(colour, mood.skyline, _covered(layers, "water") * (0.3 + 0.4 * (1 - down)))
    far = np.clip(1 - (down - layers.scene.horizon) / 0.35, 0, 1)
    haze = _lookup(layers, [m.haze for m in materials]) + 0.14 * far
    colour = _mix(colour, mood.haze, np.clip(haze * mood.haziness, 0, 1))

    colour = _mix(colour, _sky(layers, mood, shade, billows), sky)
    colour = _mix(colour, mood.disc, disc)
    if mood.night:
        colour += _lamps(layers)
    return colour


def render_sketch(layers: Layers, seed: int) -> Pixels:
    """Pencil on paper: an outline where the material changes, hatching where it is dark."""
    tone = _look_up(layers.material, [m.tone for m in MATERIALS.values()])
    darkness = np.asarray(tone, np.int16) + (NEUTRAL - np.asarray(layers.shade, np.int16))
    ink = np.zeros(darkness.shape, np.uint8)
    for strokes, threshold in zip(_hatching(layers.material.width), (50, 110, 175), strict=True):
        ink += strokes * (darkness > threshold)
    for layer, threshold, pressure in ((layers.shade, 9, 90), (layers.material, 0, 230)):
        ink = np.maximum(ink, _edges(layer, threshold, pressure))
    drawn = _shrink(Image.fromarray(ink), layers.factor) / 255
    fine, coarse, _ = _noise(seed, layers.size)
    paper = _rgb((250, 247, 238)) * (1 + 0.02 * fine + 0.015 * coarse)[..., None]
    # Graphite sticks to the grain of the paper, and no hand presses evenly.
    pressed = np.clip(drawn * (0.95 + 0.3 * fine + 0.2 * coarse), 0, 1)
    return _to_pixels(_mix(paper, (48, 48, 54), pressed))


def _albedo(layers: Layers, mood: Mood) -> Field:
    """The colours of all surfaces as by plain white light."""
    colours = [m.autumn if mood.leaves and m.autumn else m.colour for m in MATERIALS.values()]
    image = layers.material.copy()
    image.putpalette([value for colour in colours for value in colour])
    return np.asarray(image.convert("RGB").reduce(layers.factor), np.float32)


def _sky(layers: Layers, mood: Mood, shade: Field, billows: Field) -> Field:
    """The whole sky with what shines and floats in it, as if nothing stood before it."""
    size, scene = layers.size, layers.scene
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    rise = np.clip(line / (scene.horizon - 0.03), 0, 1)[:, None, None] ** 1.3
    zenith, skyline = _rgb(mood.zenith), _rgb(mood.skyline)
    heaven: Field = np.broadcast_to(zenith + (skyline - zenith) * rise, (size, size, 3))
    if mood.night:
        heaven = heaven + _stars(size)[..., None] * (1 - 0.8 * rise)
    halo = np.zeros((size, size), np.float32)
    for radius, strength in ((0.07, 0.5), (0.25, 0.4)):
        across, down = (np.exp(-(((line - c) / radius) ** 2)) for c in scene.sun)
        halo += strength * np.outer(down, across)
    heaven = _mix(heaven, mood.halo, halo)
    body = _rgb(mood.cloud) * (1 + 0.75 * (np.minimum(shade, 1) - 1))[..., None]
    cloud = _blurred(layers, "cloud", 0.006) * (1.05 + 0.3 * billows)
    return _mix(heaven, body, np.clip(cloud, 0, 1) * mood.cover)


def _lamps(layers: Layers) -> Field:
    """The light behind every window whose shutters are open, and on what is around it."""
    lit = _covered(layers, "glass")[..., None] * _rgb((220, 166, 84))
    glow = 85 * _blurred(layers, "glass", 0.012) + 125 * _blurred(layers, "glass", 0.045)
    return lit + glow[..., None] * _rgb((1.0, 0.66, 0.28))


def _noise(seed: int, size: int) -> tuple[Field, Field, Field]:
    """Fine, coarse and billowing noise, each (size, size) and about -1..1."""
    rng = np.random.default_rng([seed, 1])

    def octave(cells: int) -> Field:
        grid = Image.fromarray(rng.random((cells, cells), np.float32) * 2 - 1)
        return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))

    grass, leaves, tufts, fields, lands = (octave(cells) for cells in (256, 128, 48, 20, 8))
    fine = 0.5 * grass + 0.7 * leaves + 0.35 * tufts
    coarse = 0.75 * lands + 0.5 * fields + 0.25 * tufts
    billows = 0.5 * fields + 0.6 * tufts + 0.4 * leaves
    return fine, coarse, billows


@cache
def _stars(size: int) -> Field:
    """The stars, which are the same over every scene."""
    rng = np.random.default_rng(1609)
    sky = np.zeros((512, 512), np.float32)
    x, y = rng.integers(1, 511, (2, 150))
    brightness = 300 * rng.uniform(0.3, 1, 150) ** 2
    for dx, dy, share in ((0, 1, 0.5), (0, -1, 0.5), (1, 0, 0.5), (-1, 0, 0.5), (0, 0, 1.0)):
        sky[y + dy, x + dx] = share * brightness
    return np.asarray(Image.fromarray(sky).resize((size, size), Image.Resampling.BOX))


@cache
def _hatching(resolution: int) -> tuple[Pixels, Pixels, Pixels]:
    """Three sets of pencil strokes across the sheet, whose ink adds up to 204 at most."""
    y, x = np.mgrid[0:resolution, 0:resolution].astype(np.float32) * (512 / resolution)
    wobble = 1.5 * np.sin(x / 37) + 1.5 * np.sin(y / 29)

    def strokes(across: float, down: float, spacing: float) -> Pixels:
        phase = ((across * x + down * y + wobble) / spacing) % 1
        ink: Pixels = (68 * np.clip(1.6 - 3.2 * np.abs(2 * phase - 1), 0, 1)).astype(np.uint8)
        return ink

    return strokes(0.7, 0.7, 7), strokes(-0.6, 0.8, 8), strokes(0.95, 0.3, 6)


def _edges(layer: Image.Image, threshold: int, pressure: int) -> Pixels:
    """`pressure` where a layer changes by more than `threshold` and one pixel around, else 0."""
    values = np.asarray(layer, np.int16)
    change = np.zeros((values.shape[0] + 2, values.shape[1] + 2), bool)
    change[1:-2, 1:-1] = np.abs(np.diff(values, axis=0)) > threshold
    change[1:-1, 1:-2] |= np.abs(np.diff(values, axis=1)) > threshold
    rows = change[:-2] | change[1:-1] | change[2:]
    outline = rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]
    return outline * np.uint8(pressure)


def _look_up(layer: Image.Image, values: Iterable[float]) -> Image.Image:
    """Replace each material by its value (0..1) as a byte."""
    table = [round(255 * value) for value in values]
    return layer.point(table + [0] * (256 - len(table)))


def _lookup(layers: Layers, values: Iterable[float]) -> Field:
    """The value (0..1) of the material at each pixel, averaged over the pixel."""
    return _shrink(_look_up(layers.material, values), layers.factor) / 255


def _covered(layers: Layers, *materials: str) -> Field:
    """The share of each pixel that the materials cover."""
    return _lookup(layers, [float(name in materials) for name in MATERIALS])


def _blurred(layers: Layers, material: str, radius: float) -> Field:
    """The share that a material covers, blurred by a Gaussian; `radius` in image widths."""
    mask = _look_up(layers.material, [float(name == material) for name in MATERIALS])
    blur = ImageFilter.GaussianBlur(radius * layers.size)
    return np.asarray(mask.reduce(layers.factor).filter(blur), np.float32) / 255


def _shrink(layer: Image.Image, factor: int) -> Field:
    return np.asarray(layer.reduce(factor), np.float32)


def _mix(base: Field, other: Field | RGB, share: Field) -> Field:
    """Lay `share` (0..1) of another colour over `base`."""
    return base + (_rgb(other) - base) * share[..., None]


def _rgb(colour: Field | tuple[float, float, float]) -> Field:
    return np.asarray(colour, np.float32)


def _to_pixels(colour: Field) -> Pixels:
    image: Pixels = np.clip(colour + 0.5, 0, 255).astype(np.uint8)
    return image
