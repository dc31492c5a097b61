"""Label maps as networks take them: a plane for each class, and one for the borders of objects.

Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", CVPR
2018, section 3.3, as pix2pixHD and SPADE have them.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from i2i.errors import DataError

RGB = tuple[int, int, int]

MOST_CLASSES = 254
"""Label maps travel as bytes, of which one is for what is to be ignored."""

INSTANCE_BYTES = 3
"""In which the number of an object travels."""


@dataclass(frozen=True)
class LabelMaps:
    """What the label maps of a data set hold, and how networks and people see them.

    They are read, cut and sent to the device as *maps*, (N, 1, H, W) uint8: the number of the
    class of each pixel, `classes` for what is ignored. With `edges` three bytes of the number of
    the object follow: (N, 4, H, W). Networks see *planes*: see `planes`.

    Attributes:
        classes: how many there are.
        palette: the colour of each class in the files; empty if they hold numbers.
        nearest: whether other colours stand for the nearest one.
        ignored: numbers or colours of pixels that are of no class.
        ignore_plane: whether those have a plane, behind those of the classes.
        edges: whether there is a plane of the borders of objects, the last one.
        names: of the classes; may be empty.
    """

    classes: int
    palette: tuple[RGB, ...] = ()
    nearest: bool = False
    ignored: tuple[int | RGB, ...] = ()
    ignore_plane: bool = False
    edges: bool = False
    names: tuple[str, ...] = ()

    @property
    def planes(self) -> int:
        """Channels that networks see: the classes, what is ignored, borders."""
        return self.classes + self.ignore_plane + self.edges

    @property
    def channels(self) -> int:
        """Of the maps."""
        return 1 + INSTANCE_BYTES * self.edges

    def name(self, number: int) -> str:
        """What a class is called."""
        return self.names[number] if self.names else f"class {number}"

    def encoded(self, maps: Tensor) -> Tensor:
        """Planes (N, planes, H, W), 0 or 1, of maps (N, channels, H, W) uint8.

        Planes, which are floating point, are returned as they are.
        """
        if maps.is_floating_point():
            return maps
        planes = one_hot(maps[:, :1], self.classes + self.ignore_plane)
        if not self.edges:
            return planes
        parts = [instance_edges(part) for part in maps[:, 1:].split(1, dim=1)]
        return torch.cat([planes, torch.stack(parts).amax(dim=0)], dim=1)

    def require_known(self, maps: Tensor) -> None:
        """Refuse maps (N, channels, H, W) uint8 with a number of no class.

        Raises:
            DataError: there is one.
        """
        if (most := int(maps[:, 0].max())) > self.classes:
            raise DataError(
                f"A label map holds the number {most}: expected 0..{self.classes - 1} for the "
                f"classes, {self.classes} for what is of none."
            )

    def random(self, noise: Tensor) -> Tensor:
        """Maps (N, channels, H, W) of noise (N, any, H, W) in bytes."""
        maps = noise[:, :1].expand(-1, self.channels, -1, -1).clone()
        maps[:, 0] %= self.classes
        return maps

    def decided(self, planes: Tensor) -> Tensor:
        """Maps (N, 1, H, W) uint8 of the class whose plane has the greatest value."""
        return planes[:, : self.classes + self.ignore_plane].argmax(1, keepdim=True).byte()

    def shown(self, planes: Tensor) -> Tensor:
        """A picture (N, 3, H, W) in -1..1: each class in its colour, what is ignored in black,
        borders of objects half white."""
        colours = self._colours.to(planes.device)
        own = planes[:, : self.classes + self.ignore_plane].float()
        number = torch.where(own.amax(1) > 0, own.argmax(1), self.classes)
        picture = colours[number].movedim(-1, 1)
        if self.edges:
            picture = torch.where(planes[:, -1:] > 0.5, (picture + 1) / 2, picture)
        return picture

    def pictured(self, maps: Tensor) -> Tensor:
        """A picture (N, 3, H, W) uint8 of maps (N, 1 or more, H, W): each class in its colour."""
        colours = self._colours.to(maps.device).add(1).mul(127.5).round().byte()
        return colours[maps[:, 0].long()].movedim(-1, 1)

    @cached_property
    def colours(self) -> tuple[RGB, ...]:
        """A colour for each class: that of the palette, else one of its own."""
        return self.palette or tuple(map(distinct_colour, range(1, self.classes + 1)))

    @cached_property
    def _colours(self) -> Tensor:
        black = (0, 0, 0)
        return torch.tensor([*self.colours, black], dtype=torch.float32) / 127.5 - 1


def distinct_colour(number: int) -> RGB:
    """A colour that is told from those of other numbers, as Pascal VOC colours its classes: the
    three lowest bits are the highest ones of red, green and blue, and so on."""
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (number & 1) << place
        green |= (number >> 1 & 1) << place
        blue |= (number >> 2 & 1) << place
        number >>= 3
    return red, green, blue


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return a plane for each class, (N, classes, H, W), 1 where a pixel is of the class, else 0.

    Args:
        labels: numbers of classes, (N, 1, H, W), integers in 0..classes - 1. A number beyond them
            is of no class: its pixel is 0 in all planes.
        classes: how many there are; with one for "don't care", if the data have that.

    Returns:
        in torch's default floating-point type.
    """
    assert labels.shape[1] == 1, tuple(labels.shape)
    numbers = torch.arange(classes, device=labels.device)[:, None, None]
    return (labels.long() == numbers).to(torch.get_default_dtype())


def instance_edges(instances: Tensor) -> Tensor:
    """Return 1 where one of the four neighbours of a pixel belongs to another object, else 0.

    Both sides of a border are marked; the border of the image is none.

    Args:
        instances: numbers of objects, (N, 1, H, W), integers of any size and type.

    Returns:
        (N, 1, H, W), in torch's default floating-point type.
    """
    assert instances.shape[1] == 1, tuple(instances.shape)
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[..., 1:] != instances[..., :-1]
    down = instances[..., 1:, :] != instances[..., :-1, :]
    edges[..., 1:] |= across
    edges[..., :-1] |= across
    edges[..., 1:, :] |= down
    edges[..., :-1, :] |= down
    return edges.to(torch.get_default_dtype())


def label_planes(labels: Tensor, classes: int, instances: Tensor | None = None) -> Tensor:
    """Return what a network gets of a label map: `one_hot`, then `instance_edges` if given.

    Returns:
        (N, classes, H, W), or (N, classes + 1, H, W) with instances.
    """
    planes = one_hot(labels, classes)
    return planes if instances is None else torch.cat([planes, instance_edges(instances)], dim=1)
