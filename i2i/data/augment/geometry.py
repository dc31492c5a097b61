"""Random geometry that is the same for all images that belong together.

As published for pix2pix: resize to 286 x 286, cut a random 256 x 256 out of it, mirror it half of
the time (Isola et al. 2017, section 6.2). Where to cut and whether to mirror is left to
albumentations. Resizing is not: its resampling has no antialiasing, so that images that are
shrunk differ from what every other tool makes of them. `resize_pixels` is the one way to resize in
this package.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F

from i2i.core.size import AnySize, Size
from i2i.data.augment.transforms import UserTransforms
from i2i.data.images.read import Pixels
from i2i.errors import OptionsError, did_you_mean

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network
import albumentations as A

Resize = Literal["stretch", "shorter side", "none"]

# Sets these random numbers apart from others that are derived from the same seed.
_STREAM = 2


def resize_pixels(pixels: Pixels, height: int, width: int, *, nearest: bool = False) -> Pixels:
    """Resize (H, W, C) uint8 with an antialiased bicubic filter; or take the nearest pixel, of what
    are numbers of something.

    The filter is Pillow's, in the arithmetic that torchvision's v2 transforms use for uint8: in a
    quarter of the time, with values that differ by 1 or 2 here and there (0.003 on average). Where
    noise overshoots 0..255 it can be more, since Pillow clips after the rows or after the columns,
    whichever come first in its version.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype != np.uint8:
        return _resize_deep(pixels, height, width)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    if nearest:
        planes = F.interpolate(planes, size=(height, width), mode="nearest-exact")
    else:
        planes = F.interpolate(planes, size=(height, width), mode="bicubic", antialias=True)
    resized: Pixels = planes[0].permute(1, 2, 0).contiguous().numpy()
    return resized


def _resize_deep(values: Pixels, height: int, width: int) -> Pixels:
    """The same of uint16, rounded, and of float32: within the least and the greatest value."""
    planes = torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]
    planes = F.interpolate(planes, size=(height, width), mode="bicubic", antialias=True)
    resized = planes[0].permute(1, 2, 0).contiguous().numpy().clip(values.min(), values.max())
    deep: Any = resized if values.dtype == np.float32 else np.rint(resized).astype(values.dtype)
    return deep  # type: ignore[no-any-return]


class JointGeometry:
    """Resize, crop and mirror images of one size alike.

    Args:
        load_size: What "stretch" and "shorter side" resize to before the crop, in pixels: the side
            of a square, or (width, height).
        crop_size: Of the result, likewise. An image that would be smaller after resizing is
            enlarged until it covers the crop.
        resize: "stretch": to load_size, whatever the proportions (published);
            "shorter side": keeps the proportions, and just covers load_size;
            "none": crops from the image as it is.
        random_crop: Crop anywhere, else in the centre.
        flip: Mirror left and right with probability 1/2.
        transforms: What comes after all that: (seed, position, images, their sides) -> images.
        nearest: The sides ("A", "B", or inputs of one: "A.parts.mask") whose images are label maps,
            of which pixels are not mixed.
        ratios: Side -> how many times wider and higher its images are than the others, and are
            cut, at the same place.

    Raises:
        OptionsError: `resize` is an unknown word.
    """

    def __init__(
        self,
        load_size: AnySize = 286,
        crop_size: AnySize = 256,
        resize: Resize = "stretch",
        random_crop: bool = True,
        flip: bool = True,
        transforms: UserTransforms | None = None,
        nearest: Collection[str] = (),
        ratios: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        if resize not in get_args(Resize):
            raise OptionsError(
                f"resize (={resize!r}) must be one of {', '.join(map(repr, get_args(Resize)))}."
                f"{did_you_mean(resize, get_args(Resize))}"
            )
        self.load_size = Size.of(load_size)
        self.crop_size = Size.of(crop_size)
        self.resize = resize
        self.flip = flip
        self.transforms = transforms
        self.nearest = nearest
        self.ratios = dict(ratios)
        crop = A.RandomCrop if random_crop else A.CenterCrop
        self._crop = crop(*self.crop_size.shape)
        self._mirror = A.HorizontalFlip(p=0.5 if flip else 0.0)

    def __call__(self, seed: int, position: int, *images: Pixels) -> tuple[Pixels, ...]:
        """Transform images (H, W, C) uint8 of equal H and W, but for `ratios`, to those of the
        crop.

        All that is random follows from (seed, position).
        """
        return self.cut(seed, position, *self.resize_all(*images))

    def resize_all(self, *images: Pixels, sides: Sequence[str] = "AB") -> tuple[Pixels, ...]:
        """The part in which nothing is random: images as they are just before the crop.

        Of those that are larger, the pixels that belong to one of the others are channels of it
        (`folded`), so that all are (H, W, C) of equal H and W.
        """
        shapes = {
            (image.shape[0] // ratio, image.shape[1] // ratio)
            for image, ratio in zip(images, self._ratios(sides), strict=False)
        }
        assert len(shapes) == 1, "sizes differ"
        height, width = self.resized(*shapes.pop())
        resized = self._resized(images, height, width, sides)
        return tuple(map(folded, resized, self._ratios(sides))) if self.ratios else resized

    def _ratios(self, sides: Sequence[str]) -> list[int]:
        return [self.ratios.get(side, 1) for side in sides]

    def _resized(
        self, images: tuple[Pixels, ...], height: int, width: int, sides: Sequence[str]
    ) -> tuple[Pixels, ...]:
        return tuple(
            resize_pixels(image, ratio * height, ratio * width, nearest=side in self.nearest)
            for image, side, ratio in zip(images, sides, self._ratios(sides), strict=False)
        )

    def _unfolded(self, images: tuple[Pixels, ...], sides: Sequence[str]) -> tuple[Pixels, ...]:
        return tuple(map(unfolded, images, self._ratios(sides))) if self.ratios else images

    def cut(
        self, seed: int, position: int, *resized: Pixels, sides: Sequence[str] = "AB"
    ) -> tuple[Pixels, ...]:
        """The random part: what `resize_all` has returned, cropped and mirrored alike, and then
        transformed; `sides` says which side each image is of."""
        images = self._cropped(seed, position, *resized, sides=sides)
        if self.transforms is None:
            return images
        return self.transforms(seed, position, images, sides[: len(images)])

    def _cropped(
        self, seed: int, position: int, *resized: Pixels, sides: Sequence[str]
    ) -> tuple[Pixels, ...]:
        height, width = resized[0].shape[:2]
        if not self.flip and (height, width) == self.crop_size.shape:
            # To draw nothing would take longer than to read a small image.
            return self._unfolded(resized, sides)
        generator = np.random.default_rng((seed, _STREAM, position))
        # Each draws from a seed of its own: else every crop from the left, say, would be mirrored.
        # The first number is that of an A.Compose of the two. It would give the same images, but
        # its checks and its copies would take ten times as long.
        _, *seeds = generator.integers(2**63, size=3).tolist()
        for transform, own in zip((self._crop, self._mirror), seeds, strict=True):
            transform.set_random_state(generator, Random(own))
        where = self._crop.get_params_dependent_on_data({"shape": (height, width)}, {})
        left, top, right, bottom = where["crop_coords"]
        cropped = tuple(image[top:bottom, left:right] for image in resized)
        if self.ratios:
            cropped = self._unfolded(cropped, sides)
        return tuple(map(_mirrored, cropped)) if self._mirror.should_apply() else cropped

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of an image just before the crop."""
        least = tuple(map(max, self.load_size.shape, self.crop_size.shape))
        if self.resize == "stretch":
            return least[0], least[1]
        if self.resize == "none":
            least = tuple(map(max, (height, width), self.crop_size.shape))
            if least == (height, width):
                return height, width
        scale = max(wanted / side for wanted, side in zip(least, (height, width), strict=True))
        return round(height * scale), round(width * scale)


class ResizedCrop(JointGeometry):
    """Cut out a part of random size and proportions, half of the time, and resize it; mirror.

    As published for StarGAN v2 (Choi et al., CVPR 2020): with probability 1/2 a part of 0.8 to 1 of
    the area, 0.9 to 1.1 times as wide as high in comparison; else everything. Either is stretched
    to the size of the crop.
    """

    AREAS = (0.8, 1.0)
    RATIOS = (0.9, 1.1)

    def _cropped(
        self, seed: int, position: int, *resized: Pixels, sides: Sequence[str]
    ) -> tuple[Pixels, ...]:
        generator = np.random.default_rng((seed, _STREAM, position))
        if generator.random() < 0.5:
            top, left, height, width = self._part(generator, *resized[0].shape[:2])
            resized = tuple(image[top : top + height, left : left + width] for image in resized)
        parts = tuple(map(np.ascontiguousarray, self._unfolded(resized, sides)))
        cropped = self._resized(parts, *self.crop_size.shape, sides)
        return tuple(map(_mirrored, cropped) if self.flip and generator.random() < 0.5 else cropped)

    def _part(
        self, generator: np.random.Generator, height: int, width: int
    ) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width) of a part; all there is if ten draws do not fit."""
        for _ in range(10):
            area = height * width * generator.uniform(*self.AREAS)
            ratio = np.exp(generator.uniform(*np.log(self.RATIOS)))  # symmetric in both sides
            across, down = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if 0 < across <= width and 0 < down <= height:
                top = int(generator.integers(height - down + 1))
                return top, int(generator.integers(width - across + 1)), down, across
        return 0, 0, height, width


def evaluation_geometry(
    crop_size: AnySize = 256,
    resize: Resize = "stretch",
    nearest: Collection[str] = (),
    ratios: Mapping[str, int] = MappingProxyType({}),
) -> JointGeometry:
    """Return the geometry of validation: loaded at `crop_size`, nothing random, centre crop."""
    return JointGeometry(
        crop_size,
        crop_size,
        resize,
        random_crop=False,
        flip=False,
        nearest=nearest,
        ratios=ratios,
    )


def folded(pixels: Pixels, ratio: int) -> Pixels:
    """(ratio * H, ratio * W, C) as (H, W, ratio * ratio * C)."""
    if ratio == 1:
        return pixels
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // ratio, ratio, width // ratio, ratio, channels)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(height // ratio, width // ratio, -1)


def unfolded(pixels: Pixels, ratio: int) -> Pixels:
    """The inverse of `folded`."""
    if ratio == 1:
        return pixels
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height, width, ratio, ratio, channels // ratio**2)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(ratio * height, ratio * width, -1)


def _mirrored(pixels: Pixels) -> Pixels:
    if not pixels.flags.writeable:
        pixels = pixels.copy()  # or torch warns
    if pixels.dtype == np.uint16:  # with which torch can do little, but the bytes are the same
        words: Any = torch.from_numpy(pixels.view(np.int16)).flip(1).numpy().view(np.uint16)
        return words  # type: ignore[no-any-return]
    mirrored: Pixels = torch.from_numpy(pixels).flip(1).numpy()  # ten times as fast as numpy
    return mirrored
