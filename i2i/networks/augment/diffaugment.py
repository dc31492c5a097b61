"""DiffAugment: colour, translation and cutout, differentiable.

Zhao et al., "Differentiable augmentation for data-efficient GAN training", NeurIPS 2020, section 3
and appendix: applied to all that the discriminator sees, in its turn and in the generator's, with
new random numbers each time.
"""

import torch
from torch import Tensor

from i2i.errors import OptionsError, did_you_mean
from i2i.networks.augment.draws import Draws, column

POLICIES = ("color", "translation", "cutout")
TRANSLATION = 0.125
CUTOUT = 0.5


class DiffAugment:
    """A policy such as "color,translation,cutout", whose words are applied in the order given.

    - "color": brightness x + (u - 0.5); saturation 2u (x - m) + m with m the mean over the channels
      of each pixel; contrast (u + 0.5) (x - m) + m with m the mean over the image; u from 0..1.
    - "translation": by whole pixels, up to an eighth of each side; zeros come in.
    - "cutout": a box with half of each side becomes zero; at the edge it is smaller.

    Args:
        policy: words, with commas between them.

    Raises:
        OptionsError: an unknown word, or none.
    """

    def __init__(self, policy: str = "color,translation,cutout") -> None:
        self.policies = [word.strip() for word in policy.split(",") if word.strip()]
        if not self.policies:
            raise OptionsError(
                f"policy is {policy!r}, but must be words among {', '.join(POLICIES)} with commas "
                "between them."
            )
        for word in self.policies:
            if word not in POLICIES:
                raise OptionsError(
                    f"policy contains {word!r}, but its words are {', '.join(POLICIES)}."
                    f"{did_you_mean(word, POLICIES)}"
                )

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        """Draw the numbers for images (N, C, H, W), in the order in which they are applied.

        Returns:
            "brightness", "saturation" and "contrast" in 0..1, and in pixels "translation.dim2"
            (rows), "translation.dim3" (columns), "cutout.dim2" and "cutout.dim3"; each (N,).
        """
        count, _, *sides = images.shape
        draws: Draws = {}
        for policy in self.policies:
            if policy == "color":
                for name in ("brightness", "saturation", "contrast"):
                    draws[name] = torch.rand(count, device=images.device, generator=generator)
                continue
            for name, side in zip(("dim2", "dim3"), sides, strict=True):
                if policy == "translation":
                    low, high = -_pixels(side, TRANSLATION), _pixels(side, TRANSLATION) + 1
                else:
                    low, high = 0, side + 1 - _pixels(side, CUTOUT) % 2
                draws[f"{policy}.{name}"] = torch.randint(
                    low, high, (count,), device=images.device, generator=generator
                )
        return draws

    def transform(self, images: Tensor, draws: Draws, *, colour: bool = True) -> Tensor:
        """Augment (N, C, H, W); without `colour` it is moved and cut only."""
        for policy in self.policies:
            if policy == "translation":
                images = translate(images, draws["translation.dim2"], draws["translation.dim3"])
            elif policy == "cutout":
                images = cut_out(images, draws["cutout.dim2"], draws["cutout.dim3"])
            elif colour:
                images = brighten(images, draws["brightness"])
                images = saturate(images, draws["saturation"])
                images = stretch_contrast(images, draws["contrast"])
        return images

    def __call__(self, images: Tensor) -> Tensor:
        """Draw and apply."""
        return self.transform(images, self.draw(images))


def brighten(images: Tensor, draw: Tensor) -> Tensor:
    """Add draw - 0.5, `draw` (N,) being in 0..1."""
    return images + (column(draw, images) - 0.5)


def saturate(images: Tensor, draw: Tensor) -> Tensor:
    """Multiply the distance from each pixel's grey by 2 * draw."""
    grey = images.mean(dim=1, keepdim=True)
    return (images - grey) * (column(draw, images) * 2) + grey


def stretch_contrast(images: Tensor, draw: Tensor) -> Tensor:
    """Multiply the distance from each image's mean by draw + 0.5."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (column(draw, images) + 0.5) + mean


def translate(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Take for each pixel the one that is `rows` (N,) below and `columns` (N,) to the right; zero
    outside of the image."""
    for dim, shift in ((2, rows), (3, columns)):
        side = images.shape[dim]
        places = torch.arange(side, device=images.device) + shift.reshape(-1, 1)
        shape = [-1, 1, 1, 1]
        shape[dim] = side
        inside = ((places >= 0) & (places < side)).reshape(shape)
        places = places.clamp(0, side - 1).reshape(shape).expand_as(images)
        images = images.gather(dim, places) * inside.to(images.dtype)
    return images


def cut_out(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Set a box around row `rows` (N,) and column `columns` (N,) to zero."""
    inside = torch.ones((), dtype=torch.bool, device=images.device)
    for dim, centre in ((2, rows), (3, columns)):
        side = images.shape[dim]
        box = _pixels(side, CUTOUT)
        first = centre.reshape(-1, 1) - box // 2
        places = torch.arange(side, device=images.device)
        within = (places >= first) & (places < first + box)
        shape = [-1, 1, 1, 1]
        shape[dim] = side
        inside = inside & within.reshape(shape)
    return images * (~inside).to(images.dtype)


def _pixels(side: int, share: float) -> int:
    return int(side * share + 0.5)
