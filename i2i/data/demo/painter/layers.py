"""A scene drawn once, as layers from which every rendering is made.

The layers are what a renderer calls a G-buffer: which material is seen at each point, how much
light falls on it, and how much snow would lie there. They are drawn larger than the image and
without blending; a rendering looks its colours up and then shrinks them, which smooths the edges.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from i2i.data.demo.painter.canvas import Canvas
from i2i.data.demo.painter.house import draw_house
from i2i.data.demo.painter.landscape import draw_background, draw_fence, draw_plant
from i2i.data.demo.painter.scene import Fence, House, Plant, Scene, compose


class Layers(NamedTuple):
    """A scene at `factor` times the resolution of the image; images of mode "L".

    `material` holds indices into `MATERIALS`, `shade` the light (`NEUTRAL` is 1), `snow` the share
    of snow in winter (0..255).
    """

    scene: Scene
    factor: int
    material: Image.Image
    shade: Image.Image
    snow: Image.Image

    @property
    def size(self) -> int:
        """The side of the image in pixels."""
        return self.material.width // self.factor


# Kept for the several renderings of one scene that are usually asked for one after the other.
@lru_cache(maxsize=4)
def draw(seed: int, size: int) -> Layers:
    """Draw the scene of `seed` for images of `size` pixels, on 512 pixels or twice the size."""
    scene = compose(seed)
    factor = max(2, math.ceil(512 / size))
    canvas = Canvas(size * factor, scene.light)
    draw_background(canvas, scene)
    for thing in (*scene.grove, *scene.things):
        match thing:
            case House():
                draw_house(canvas, thing)
            case Plant():
                draw_plant(canvas, thing)
            case Fence():
                draw_fence(canvas, thing)
    return Layers(scene, factor, *canvas.layers)
