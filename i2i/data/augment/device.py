"""Augmentation of whole batches on the device that computes, with kornia.

It comes on top of the crop and the mirroring of `i2i.data.augment.geometry`, where a data set is
so small that these are not enough. It costs the CPU nothing; all its random numbers are drawn on
the device and nothing waits for it.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn

from i2i.core.batch import Labelled, Pair, Referenced, Unpaired
from i2i.core.inputs import Inputs
from i2i.core.sides import Held
from i2i.errors import OptionsError

T = TypeVar("T", Pair, Unpaired, Labelled, Referenced)


class DeviceAugment(nn.Module):
    """Moves both images of each pair alike and varies the colours of the source.

    The target keeps its colours: they are what the network has to learn. Images that are no pairs
    are each moved and coloured by themselves. A batch draws its random
    numbers from torch's global generator of its device, anew for each pair.

    Args:
        rotation: Turn by an angle of -rotation..rotation degrees.
        scale: Zoom by a factor of 1 - scale..1 + scale; below 1.
        translation: Shift by -translation..translation of the width and of the height.
        brightness: Multiply the values 0..1 by 1 - brightness..1 + brightness.
        contrast: Multiply the distance from the mean grey by 1 - contrast..1 + contrast.
        saturation: Multiply the saturation by 1 - saturation..1 + saturation; RGB sources only.
        hue: Turn the hue by -hue..hue of the full circle, up to 0.5; RGB sources only.
        maps: Fields of a batch that hold planes of label maps, which only move, pixel by pixel; or
            several inputs, each of which is moved alike, and coloured by itself if it is an image.
            Saturation and hue are changed of those with 3 channels.

    What is 0 is left out. What geometry uncovers is filled by reflection.

    Raises:
        OptionsError: a number lies outside of its range.
    """

    def __init__(
        self,
        *,
        rotation: float = 0.0,
        scale: float = 0.0,
        translation: float = 0.0,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        hue: float = 0.0,
        maps: Mapping[str, Held] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        for name, value, most in (
            ("rotation", rotation, 180),
            ("scale", scale, 0.99),
            ("translation", translation, 1),
            ("brightness", brightness, 1),
            ("contrast", contrast, 1),
            ("saturation", saturation, 1),
            ("hue", hue, 0.5),
        ):
            if not 0 <= value <= most:
                raise OptionsError(f"{name} (={value}) must lie within 0..{most}.")
        self.rotation = rotation
        self.scale = scale
        self.translation = translation
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.maps = dict(maps)

    def forward(self, batch: T) -> T:
        """Return the batch augmented; images are (N, C, H, W), -1..1, before and after.

        Raises:
            OptionsError: `saturation` or `hue` is wanted of a source that has no 3 channels.
        """
        fields = batch._asdict()
        images = {name: field for name, field in fields.items() if field.ndim == 4}
        if isinstance(batch, Pair):
            fields |= self._move(images)
        else:
            for name, field in images.items():
                fields |= self._move({name: field})
        for name in images:
            if not (isinstance(batch, Pair) and name == "target"):
                fields[name] = self._coloured(name, fields[name])
        return type(batch)(**fields)

    def _coloured(self, name: str, images: Tensor) -> Tensor:
        held = self.maps.get(name)
        if held is None:
            return self._colour(images)
        if not isinstance(held, Inputs):
            return images
        parts = held.of_planes(images)
        return torch.cat(
            [
                planes if part.labels is not None else self._colour(planes, of_several=True)
                for part, planes in parts
            ],
            dim=1,
        )

    def _move(self, alike: dict[str, Tensor]) -> dict[str, Tensor]:
        """Move all of `alike` in the same way."""
        if not (self.rotation or self.scale or self.translation):
            return alike
        from kornia.geometry.transform import get_affine_matrix2d, warp_affine

        first = next(iter(alike.values()))
        shifts = self._spread(first, self.translation, 2)
        scale = 1 + self._spread(first, self.scale, 1).expand(len(first), 2)
        angle = self._spread(first, self.rotation, 1)[:, 0]
        transforms: dict[torch.Size, Tensor] = {}  # of images of each size
        for size in {images.shape[2:] for images in alike.values()}:
            height, width = size
            # Numbers, not a tensor made of them: a device would have to wait for that.
            middle = [torch.full_like(shifts[:, 0], (length - 1) / 2) for length in (width, height)]
            transforms[size] = get_affine_matrix2d(
                translations=torch.stack([shifts[:, 0] * width, shifts[:, 1] * height], dim=1),
                center=torch.stack(middle, dim=1),
                scale=scale,
                angle=angle,
            )[:, :2]

        def moved(images: Tensor, *, mixing: bool) -> Tensor:
            result: Tensor = warp_affine(
                images,
                transforms[images.shape[2:]],
                (images.shape[2], images.shape[3]),
                mode="bilinear" if mixing else "nearest",
                padding_mode="reflection",
            )
            return result

        found = {}
        for name, images in alike.items():
            held = self.maps.get(name)
            if isinstance(held, Inputs):
                parts = held.of_planes(images)
                each = [moved(planes, mixing=part.labels is None) for part, planes in parts]
                found[name] = torch.cat(each, dim=1)
            else:
                found[name] = moved(images, mixing=held is None)
        return found

    def _colour(self, source: Tensor, *, of_several: bool = False) -> Tensor:
        if not (self.brightness or self.contrast or self.saturation or self.hue):
            return source
        from kornia import enhance

        tinted = bool(self.saturation or self.hue)
        if tinted and of_several:
            tinted = source.shape[1] == 3
        elif tinted and source.shape[1] != 3:
            raise OptionsError(
                f"saturation and hue need sources of 3 channels, these have {source.shape[1]}; "
                "set both to 0."
            )
        images = (source + 1) / 2
        if self.brightness:
            factor = 1 + self._spread(source, self.brightness, 1)[:, 0]
            images = enhance.adjust_brightness_accumulative(images, factor)
        if self.contrast:
            factor = 1 + self._spread(source, self.contrast, 1)[:, 0]
            images = enhance.adjust_contrast_with_mean_subtraction(images, factor)
        if tinted and self.saturation:
            factor = 1 + self._spread(source, self.saturation, 1)[:, 0]
            images = enhance.adjust_saturation(images, factor)
        if tinted and self.hue:
            factor = self._spread(source, 2 * math.pi * self.hue, 1)[:, 0]
            images = enhance.adjust_hue(images, factor)
        return images.clamp(0, 1) * 2 - 1

    @staticmethod
    def _spread(like: Tensor, most: float, numbers: int) -> Tensor:
        """Draw (N, numbers) uniformly from -most..most on the device of `like`."""
        drawn = torch.rand(len(like), numbers, device=like.device, dtype=like.dtype)
        return most * (2 * drawn - 1)
