"""The sheet that a scene is drawn on: three layers that are drawn together.

What light falls on a point and how much snow would lie there is known best where the thing is
drawn, so every stroke carries its material, its shade and its share of snow.
"""

from PIL import Image, ImageDraw

from i2i.data.demo.painter.materials import INDEX, MATERIALS
from i2i.data.demo.painter.scene import Blob, Point

NEUTRAL = 128
"""The value of the layer `shade` at which a surface shows its own colour."""


class Canvas:
    """Draws into all layers at once, in the coordinates of a scene."""

    def __init__(self, resolution: int, light: int) -> None:
        self.resolution = resolution
        self.light = light
        self.layers = tuple(
            Image.new("L", (resolution, resolution), fill) for fill in (INDEX["sky"], NEUTRAL, 0)
        )
        self.pens = tuple(ImageDraw.Draw(layer) for layer in self.layers)

    def polygon(
        self, points: list[Point], material: str, shade: int = NEUTRAL, snow: float | None = None
    ) -> None:
        """Fill a polygon; `snow` (0..1) is that of the material unless given."""
        scaled = self._scaled(points)
        for pen, value in zip(self.pens, _values(material, shade, snow), strict=True):
            pen.polygon(scaled, fill=value)

    def box(self, left: float, top: float, right: float, bottom: float, material: str,
            shade: int = NEUTRAL, snow: float | None = None) -> None:  # fmt: skip
        """Fill an upright rectangle."""
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.polygon(corners, material, shade, snow)

    def disc(
        self, blob: Blob, material: str, shade: int = NEUTRAL, snow: float | None = None
    ) -> None:
        """Fill a disc."""
        box = self._around(*blob, blob[2])
        for pen, value in zip(self.pens, _values(material, shade, snow), strict=True):
            pen.ellipse(box, fill=value)

    def shadow(self, points: list[Point], shade: int = 78) -> None:
        """Shade what has been drawn in a polygon, whatever it is made of."""
        self.pens[1].polygon(self._scaled(points), fill=shade)

    def snowfall(self, points: list[Point], snow: float = 0.92) -> None:
        """Let snow lie on what has been drawn in a polygon."""
        self.pens[2].polygon(self._scaled(points), fill=round(255 * snow))

    def round_shadow(self, x: float, y: float, rx: float, ry: float, shade: int = 78) -> None:
        """Shade what has been drawn in an ellipse."""
        self.pens[1].ellipse(self._around(x, y, rx, ry), fill=shade)

    def joint(self, start: Point, end: Point, shade: int, width: float = 1.0) -> None:
        """Draw a line of light or shade; `width` is in 512ths of the image."""
        ends = [coordinate * self.resolution for coordinate in (*start, *end)]
        self.pens[1].line(ends, fill=shade, width=max(1, round(width * self.resolution / 512)))

    def _scaled(self, points: list[Point]) -> list[Point]:
        return [(x * self.resolution, y * self.resolution) for x, y in points]

    def _around(
        self, x: float, y: float, rx: float, ry: float
    ) -> tuple[float, float, float, float]:
        n = self.resolution
        return ((x - rx) * n, (y - ry) * n, (x + rx) * n, (y + ry) * n)


def _values(material: str, shade: int, snow: float | None) -> tuple[int, int, int]:
    share = MATERIALS[material].snow if snow is None else snow
    return INDEX[material], shade, round(255 * share)
