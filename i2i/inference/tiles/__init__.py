"""Exact translation of images that are too large for the memory: tile by tile, step by step.

Cutting an image into tiles and translating each by itself leaves seams, for two reasons: every
tile would be normalised by its own statistics, and a deep network looks further than any overlap.
Here it is not the image that is cut but each step of the computation.

The network is traced into a list of steps (`program`). Any part of what a step computes follows
from a part of its inputs, which `layers` knows: the same pixels for an activation, a small margin
more for a convolution. Some values are kept whole in host memory (`plan`): those that would be
expensive to compute again for every tile, which in common generators are the small ones at low
resolution. All others exist only as tiles: when the next kept value is computed, each of its tiles
goes back just as far as to the values kept before it. A normalisation waits until a pass over the
tiles of its input has summed up the statistics of the whole image. Padding happens at the borders
of the image and nowhere else.

So each number is the one that the untiled network computes, up to rounding, and tiles have no
borders that could show. The device holds the weights and a tile, the host a few of the values.
"""

from i2i.inference.tiles.layers import Region
from i2i.inference.tiles.plan import SMALLEST_TILE, Plan
from i2i.inference.tiles.program import Step, UntileableError, trace

__all__ = ["SMALLEST_TILE", "Plan", "Region", "Step", "UntileableError", "trace"]
