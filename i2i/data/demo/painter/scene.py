"""What stands where in a scene: composed from a seed, before anything is drawn.

Coordinates are relative to the image: x runs to the right and y down, both 0..1 inside it, and
lengths are in the same unit. Whatever stands on the meadow is the larger the lower it stands.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Point = tuple[float, float]
Blob = tuple[float, float, float]
"""A disc: x, y and radius."""


@dataclass(frozen=True)
class House:
    """A house; `x` is its middle, `ground` the y of its foot, `height` that of its eaves over it.

    `kind` is "gable" (seen over the corner, the side wall on the right or, with `mirrored`, on the
    left), "long" (seen from its long side) or "tower". `closed` says for each window, in the order
    in which they are drawn, whether its shutters are.
    """

    kind: str
    x: float
    ground: float
    width: float
    height: float
    roof_height: float
    scale: float
    wall: str
    roof: str
    mirrored: bool
    storeys: int
    columns: int
    chimney: float | None
    closed: tuple[bool, ...]

    @property
    def door(self) -> float:
        """Where the middle of the door is (x)."""
        if self.kind == "gable":
            return self.x + (0.28 if self.mirrored else -0.28) * self.width
        return self.x


@dataclass(frozen=True)
class Plant:
    """A tree or bush: `kind` is "broadleaf", "birch", "conifer" or "bush".

    `crown` are the blobs of its foliage in units of its height, from its foot (x right, y up); for
    a conifer they are its tiers: lean, foot, half width.
    """

    kind: str
    x: float
    ground: float
    height: float
    crown: tuple[Blob, ...]


@dataclass(frozen=True)
class Fence:
    """A fence from `left` to `right` with an opening from `gap[0]` to `gap[1]`."""

    left: float
    right: float
    ground: float
    height: float
    gap: Point


@dataclass(frozen=True)
class Scene:
    """One scene, in the order in which it is drawn; `things` from the back to the front."""

    horizon: float
    sun: Point
    clouds: tuple[tuple[Blob, ...], ...]
    peaks: tuple[Blob, ...]
    hills: tuple[tuple[str, tuple[Point, ...]], ...]
    grove: tuple[Plant, ...]
    meadow: tuple[Point, ...]
    lake: tuple[float, float, float, float] | None
    path: tuple[Blob, ...]
    things: tuple[House | Plant | Fence, ...]

    @property
    def light(self) -> int:
        """The side from which the light comes: -1 for left, 1 for right."""
        return -1 if self.sun[0] < 0.5 else 1


def compose(seed: int) -> Scene:
    """Compose the scene of `seed` (>= 0); the same seed always gives the same scene."""
    rng = np.random.default_rng([seed, 0])
    horizon = rng.uniform(0.42, 0.58)
    sun = (rng.uniform(0.08, 0.92), rng.uniform(0.08, horizon - 0.29))
    clouds = [_cloud(rng, horizon) for _ in range(rng.integers(0, 6))]
    mountainous = rng.random() < 0.6
    peaks = [_peak(rng, horizon) for _ in range(rng.integers(2, 6) if mountainous else 0)]
    hills = [
        (name, _ridge(rng, horizon - lift * rng.uniform(0.6, 1.3), lift * 0.5))
        for name, lift in (("far hill", 0.085), ("near hill", 0.035))
        if rng.random() < 0.8
    ]
    meadow = _ridge(rng, horizon, 0.008)
    houses = _houses(rng, horizon)
    path = _path(rng, houses[-1]) if rng.random() < 0.7 else ()
    lake = _lake(rng, horizon, houses, path) if rng.random() < 0.5 else None

    def free(x: float, ground: float, radius: float) -> bool:
        """Whether a plant can stand there: not in the water, on the path or before a house."""
        if lake:
            across = (x - lake[0]) / (lake[2] + radius)
            down = (ground - lake[1]) / (lake[3] + 0.02)
            if across**2 + down**2 < 1:
                return False
        if any(abs(x - px) < width + radius and abs(ground - py) < 0.04 for px, py, width in path):
            return False
        return not any(
            h.ground - 0.01 < ground and abs(x - h.x) < h.width / 2 + radius for h in houses
        )

    things: list[House | Plant | Fence] = [*houses, *_plants(rng, horizon, free)]
    if rng.random() < 0.45:
        things.append(_fence(rng, path))
    grove_ridge = hills[-1][1] if hills else meadow
    return Scene(
        horizon=horizon,
        sun=sun,
        clouds=tuple(c for c in clouds if not _covers(c, sun)),
        peaks=tuple(sorted(peaks, key=lambda peak: peak[1])),
        hills=tuple(hills),
        grove=_grove(rng, grove_ridge) if rng.random() < 0.7 else (),
        meadow=meadow,
        lake=lake,
        path=path,
        things=tuple(sorted(things, key=lambda thing: thing.ground)),
    )


def _cloud(rng: Generator, horizon: float) -> tuple[Blob, ...]:
    x, y = rng.uniform(0, 1), rng.uniform(0.06, horizon - 0.2)
    half, count = rng.uniform(0.06, 0.17), int(rng.integers(4, 8))
    places = np.linspace(-1, 1, count)
    radii = half * rng.uniform(0.3, 0.45, count) * (1.15 - 0.6 * places**2)
    return tuple((x + half * p, y - 0.4 * r, r) for p, r in zip(places, radii, strict=True))


def _covers(cloud: tuple[Blob, ...], point: Point) -> bool:
    return any((x - point[0]) ** 2 + (y - point[1]) ** 2 < (r + 0.045) ** 2 for x, y, r in cloud)


def _peak(rng: Generator, horizon: float) -> Blob:
    height = rng.uniform(0.1, 0.23)
    return rng.uniform(0, 1), horizon - height, height * rng.uniform(0.9, 1.7)


def _ridge(rng: Generator, level: float, amplitude: float) -> tuple[Point, ...]:
    xs = np.linspace(0, 1, 49)
    frequencies, phases = rng.uniform(0.5, 3.5, 3), rng.uniform(0, 1, 3)
    waves = np.sin(2 * np.pi * (frequencies * xs[:, None] + phases))
    ys = level + amplitude * waves @ np.array((0.6, 0.4, 0.2))
    return tuple(zip(xs.tolist(), ys.tolist(), strict=True))


def _houses(rng: Generator, horizon: float) -> list[House]:
    """One to four houses that hardly overlap, from the back to the front."""
    wanted, houses = int(rng.integers(1, 5)), list[House]()
    for _ in range(24):
        depth = rng.uniform(0.1, 0.62)
        house = _house(rng, horizon + 0.02 + depth * (0.97 - horizon), 0.5 + 0.85 * depth)
        if all(abs(house.x - h.x) > 0.46 * (house.width + h.width) for h in houses):
            houses.append(house)
        if len(houses) == wanted:
            break
    return sorted(houses, key=lambda house: house.ground)


def _house(rng: Generator, ground: float, scale: float) -> House:
    kind = rng.choice(["gable", "long", "tower"], p=[0.5, 0.36, 0.14])
    storeys = int(rng.integers(1, 3)) if kind != "tower" else 3
    width = scale * {"gable": 0.34, "long": 0.36, "tower": 0.11}[kind] * rng.uniform(0.85, 1.15)
    height = scale * (0.09 * storeys + 0.015) * rng.uniform(0.9, 1.1)
    roof = {"gable": 0.13, "long": 0.1, "tower": 0.15}[kind] * scale * rng.uniform(0.85, 1.2)
    return House(
        kind=str(kind),
        x=rng.uniform(0.45 * width, 1 - 0.45 * width),
        ground=ground,
        width=width,
        height=height,
        roof_height=roof,
        scale=scale,
        wall="stone" if kind == "tower" else str(rng.choice(["brick", "plaster", "timber"])),
        roof=str(rng.choice(["tiles", "slate"])),
        mirrored=bool(rng.random() < 0.5),
        storeys=storeys,
        columns=int(rng.integers(2, 4)) if kind == "gable" else 2 * int(rng.integers(1, 3)),
        chimney=rng.uniform(0.2, 0.8) if kind != "tower" and rng.random() < 0.75 else None,
        closed=tuple((rng.random(12) < 0.2).tolist()),
    )


def _path(rng: Generator, house: House) -> tuple[Blob, ...]:
    """From the door to the lower edge: the points of its middle with half its width there."""
    start, end = (house.door, house.ground), (rng.uniform(0.15, 0.85), 1.06)
    bend = (house.door + rng.uniform(-0.1, 0.1), 0.5 * (start[1] + end[1]))
    points = []
    for t in np.linspace(0, 1, 17).tolist():
        x, y = (
            (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c
            for a, b, c in zip(start, bend, end, strict=True)
        )
        points.append((x, y, 0.021 * house.scale + 0.065 * t * (1.06 - house.ground)))
    return tuple(points)


def _lake(
    rng: Generator, horizon: float, houses: list[House], path: tuple[Blob, ...]
) -> tuple[float, float, float, float] | None:
    """Middle and half axes of a lake that touches neither house nor path, if there is room."""
    for _ in range(12):
        x, y = rng.uniform(0, 1), rng.uniform(horizon + 0.1, 0.92)
        rx = rng.uniform(0.12, 0.3)
        ry = rx * rng.uniform(0.2, 0.3)
        feet = [(h.x + side * h.width, h.ground, 0) for h in houses for side in (-0.5, 0, 0.5)]
        clear = all(
            ((px - x) / (rx + width + 0.02)) ** 2 + ((py - y) / (ry + 0.03)) ** 2 > 1
            for px, py, width in (*feet, *path)
        )
        if clear and y - ry > horizon + 0.02:
            return x, y, rx, ry
    return None


def _plants(
    rng: Generator, horizon: float, free: Callable[[float, float, float], bool]
) -> list[Plant]:
    plants = list[Plant]()
    for _ in range(rng.integers(4, 17)):
        depth = rng.uniform(0.04, 0.95)
        kind = str(rng.choice(["broadleaf", "birch", "conifer", "bush"], p=[0.32, 0.18, 0.3, 0.2]))
        height = (0.4 + 0.85 * depth) * rng.uniform(0.22, 0.34) * (0.3 if kind == "bush" else 1)
        x, ground = rng.uniform(0, 1), horizon + 0.01 + depth * (0.97 - horizon)
        if free(x, ground, 0.3 * height):
            plants.append(_plant(rng, kind, x, ground, height))
    return plants


def _plant(rng: Generator, kind: str, x: float, ground: float, height: float) -> Plant:
    if kind == "conifer":
        tiers, half = int(rng.integers(3, 6)), rng.uniform(0.19, 0.27)
        crown = [(rng.uniform(-0.02, 0.02), 0.12 + 0.7 * i / tiers, half * (1 - 0.75 * i / tiers))
                 for i in range(tiers)]  # fmt: skip
        return Plant(kind, x, ground, height, tuple(crown))
    middle, rx, ry, radius, count = {
        "broadleaf": (0.64, 0.24, 0.19, 0.17, 8),
        "birch": (0.6, 0.09, 0.27, 0.12, 8),
        "bush": (0.4, 0.6, 0.2, 0.42, 5),
    }[kind]
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 2 * np.pi)
    reach = rng.uniform(0.75, 1.1, count)
    # From the top down, so that the lower and nearer tufts lie over the upper ones.
    ring = sorted(
        zip(rx * reach * np.cos(turn), middle + ry * reach * np.sin(turn),
            radius * rng.uniform(0.75, 1.15, count), strict=True),
        key=lambda blob: -blob[1],
    )  # fmt: skip
    ring.insert(count // 2, (0.0, middle, radius * 1.5))
    return Plant(kind, x, ground, height, tuple((float(a), float(b), float(c)) for a, b, c in ring))


def _grove(rng: Generator, ridge: tuple[Point, ...]) -> tuple[Plant, ...]:
    """A few small trees along a piece of a ridge."""
    start, count = int(rng.integers(0, 36)), int(rng.integers(4, 12))
    kind = str(rng.choice(["broadleaf", "conifer"]))
    feet = ridge[start : start + count]
    return tuple(_plant(rng, kind, x, y + 0.012, rng.uniform(0.05, 0.075)) for x, y in feet)


def _fence(rng: Generator, path: tuple[Blob, ...]) -> Fence:
    ground = rng.uniform(0.9, 0.97)
    length = rng.uniform(0.4, 0.75)
    left, right = ((0.0, 1.0), (0.0, length), (1 - length, 1.0))[rng.integers(0, 3)]
    gap = (2.0, 2.0)
    if path:
        x, _, width = min(path, key=lambda point: abs(point[1] - ground))
        gap = (x - width - 0.03, x + width + 0.03)
    return Fence(left, right, ground, 0.075, gap)
