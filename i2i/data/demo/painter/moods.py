"""The weather, season and hour of every coloured rendering, as data."""

from typing import NamedTuple

from i2i.data.demo.painter.materials import RGB


class Mood(NamedTuple):
    """How a scene is lit.

    `zenith` and `skyline` are the colours between which the sky runs, `light` multiplies every
    surface, `contrast` is how strongly light and shade differ (1: as drawn), `haze` the colour of
    the air and `haziness` how much of it there is. `cloud` is the colour of clouds and `cover` how
    much they hide, `disc` that of sun or moon and `halo` that of the sky close around it.
    """

    zenith: RGB
    skyline: RGB
    light: tuple[float, float, float]
    contrast: float
    haze: RGB
    haziness: float
    cloud: RGB
    cover: float
    disc: RGB
    halo: RGB
    snow: bool = False
    night: bool = False
    leaves: bool = False


MOODS: dict[str, Mood] = {
    "photo": Mood(
        zenith=(66, 132, 208), skyline=(196, 222, 238), light=(1.06, 1.03, 0.97), contrast=1.0,
        haze=(190, 212, 232), haziness=1.0, cloud=(250, 250, 252), cover=0.95,
        disc=(255, 248, 214), halo=(255, 250, 226),
    ),
    "winter": Mood(
        zenith=(150, 160, 174), skyline=(206, 210, 216), light=(0.84, 0.88, 0.96), contrast=0.6,
        haze=(200, 205, 213), haziness=1.25, cloud=(184, 190, 200), cover=0.7,
        disc=(240, 238, 230), halo=(228, 227, 222), snow=True,
    ),
    "night": Mood(
        zenith=(8, 12, 38), skyline=(38, 50, 96), light=(0.3, 0.37, 0.58), contrast=0.8,
        haze=(34, 44, 86), haziness=1.0, cloud=(56, 64, 100), cover=0.75,
        disc=(244, 240, 214), halo=(132, 140, 176), night=True,
    ),
    "autumn": Mood(
        zenith=(122, 146, 184), skyline=(252, 214, 158), light=(1.12, 0.97, 0.78), contrast=1.15,
        haze=(238, 206, 166), haziness=1.1, cloud=(255, 232, 206), cover=0.9,
        disc=(255, 236, 170), halo=(255, 228, 150), leaves=True,
    ),
}  # fmt: skip
