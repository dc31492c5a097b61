"""What networks between noise and images share: sizes, labels, norms, the head that reads codes.

A label reaches a network as one row of numbers for each image, one-hot for classes: Mirza &
Osindero, "Conditional generative adversarial nets", 2014. A generator takes it beside the noise; a
discriminator takes it as planes of constant numbers behind the channels of the image.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from i2i.core.size import Size
from i2i.errors import DataError, OptionsError
from i2i.networks import blocks

BASES = (4, 7, 5, 6, 3)
NORMS = ("batch", "instance", "layer", "none")


def doublings(size: int, bases: tuple[int, ...] = BASES) -> tuple[int, int]:
    """Split `size` into base and n, with size = base * 2**n, n at least 1.

    Args:
        size: height and width of the images.
        bases: sizes that may be doubled; the first one that fits is taken.

    Raises:
        OptionsError: no base fits; names the sizes next to it.
    """
    for base in bases:
        n = (size // base).bit_length() - 1
        if n >= 1 and size == base * 2**n:
            return base, n
    possible = sorted({base * 2**n for base in bases for n in range(1, 16)})
    near = [each for each in possible if each < size][-2:]
    near += [each for each in possible if each > size][:2]
    raise OptionsError(
        f"size (={size}) cannot be reached by doubling {_one_of(bases)}: "
        f"take {_one_of(tuple(near))}."
    )


def _one_of(numbers: tuple[int, ...]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last


def normalisation(norm: str, channels: int) -> nn.Module:
    """Return the normalisation called `norm` for (N, `channels`, H, W).

    "layer" normalises all channels of an image together, with a learnt scale and shift, and suits
    a critic whose gradient is penalised image by image (Gulrajani et al., "Improved training of
    Wasserstein GANs", NIPS 2017, section 4). The others are those of `blocks.normalisation`.

    Raises:
        OptionsError: `norm` is none of these.
    """
    if norm not in NORMS:
        raise blocks.unknown("norm", norm, NORMS)
    return nn.GroupNorm(1, channels) if norm == "layer" else blocks.normalisation(norm, channels)


def require_counts(*, classes: int, codes: int = 0, **layers: int) -> None:
    """Raise an OptionsError unless each of `layers` (latent, width, ...), by the names of the
    options, is at least 1, and labels and codes, of which there may be none, at least 0."""
    for option, count in layers.items():
        blocks.require_at_least(option, count, 1)
    blocks.require_at_least("classes", classes, 0)
    blocks.require_at_least("codes", codes, 0)


def require_square(images: Tensor, size: int) -> None:
    """Raise a DataError unless images (N, C, H, W) have H = W = `size`."""
    require_exactly(images, Size(size, size))


def require_exactly(images: Tensor, size: Size) -> None:
    """Raise a DataError unless images (N, C, H, W) have this size."""
    height, width = images.shape[-2:]
    if (height, width) != size.shape:
        raise DataError(
            f"An image of {height}x{width} (height x width) does not fit this discriminator, "
            f"which was made for {size.height}x{size.width}: resize or crop it."
        )


def require_labels(labels: Tensor | None, classes: int) -> None:
    """Assert that there are labels (N, `classes`) if there are classes, and else none."""
    if classes:
        assert labels is not None, f"labels (N, {classes}) are missing"
        assert labels.shape[1:] == (classes,), tuple(labels.shape)
    else:
        assert labels is None, "labels for a network without classes"


def beside_noise(z: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Join rows of noise (N, latent) and labels (N, classes) to (N, latent + classes)."""
    require_labels(labels, classes)
    return z if labels is None else torch.cat([z, labels.to(z.dtype)], dim=1)


def behind_image(images: Tensor, labels: Tensor | None, classes: int) -> Tensor:
    """Join images (N, C, H, W) and labels (N, classes) to (N, C + classes, H, W)."""
    require_labels(labels, classes)
    if labels is None:
        return images
    planes = labels.to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
    return torch.cat([images, planes], dim=1)


class CodeHead(nn.Sequential):
    """The auxiliary head of InfoGAN, which guesses the code that an image was made from.

    Fully connected 128, norm, leaky ReLU, fully connected: Chen et al., "InfoGAN: Interpretable
    representation learning by information maximizing generative adversarial nets", NIPS 2016,
    appendix C.1 (recognition network). It reads (N, features) and returns logits (N, codes).

    Args:
        features: numbers that describe an image to the body of the discriminator.
        codes: logits to return.
        norm: that of the body; "batch" as published. To one row of numbers "instance" and "layer"
            are the same.
    """

    def __init__(self, features: int, codes: int, *, norm: str) -> None:
        hidden = 128
        normalise: nn.Module
        match norm:
            case "batch":
                normalise = nn.BatchNorm1d(hidden)
            case "none":
                normalise = nn.Identity()
            case _:
                normalise = nn.LayerNorm(hidden)
        super().__init__(
            nn.Linear(features, hidden, bias=norm == "none"),
            normalise,
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, codes),
        )


class ScoringDiscriminator(nn.Module, ABC):
    """A discriminator that gives an image one score, computed from features of it.

    A subclass says what these are, and what their score is. `codes` reads the codes that an image
    was made from, if there are any.
    """

    codes: CodeHead | None

    def forward(
        self, images: Tensor, labels: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Judge (N, in_channels, size, size), given labels (N, classes). The size of networks that
        grow is that of their stage.

        Returns:
            scores (N, 1); with `codes`, the scores and the logits of the codes (N, codes).

        Raises:
            DataError: the images have another size.
        """
        features = self.features(images, labels)
        scores = self.scores(features, labels)
        return scores if self.codes is None else (scores, self.codes(features))

    @abstractmethod
    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F). Whether it depends on the labels, the network
        decides."""

    @abstractmethod
    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """The scores (N, 1) of images with such features."""


def projected(scores: Tensor, projection: Tensor, labels: Tensor | None) -> Tensor:
    """Add to scores (N, 1) what a projection (N, classes) of their features says of the labels
    (Miyato & Koyama, "cGANs with projection discriminator", ICLR 2018, equation 5)."""
    assert labels is not None
    return scores + (projection * labels.to(projection.dtype)).sum(1, keepdim=True)
