"""The networks of progressive growing: they begin at 4x4 pixels and double their size in training.

Karras et al., "Progressive growing of GANs for improved quality, stability, and variation", ICLR
2018, appendix A.1. Stage s works on 4 * 2**s pixels; its layers fade in while `alpha`, their share
of the result, goes from 0 to 1. Which stage it is, is a plain attribute of the network that goes
with it into a checkpoint. What layers are multiplied by while they fade in is on the device
besides, where a recorded step reads it.

The `width` is the most channels that a layer has, 512 as published: stages 0 to 3 have that many,
each further one half of those before, at least 1. (The published min(8192 / 2**(s + 1), 512) is the
same with 8192 = 16 * 512.)
"""

from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.core.registry import register_network
from i2i.networks.blocks import require_at_least
from i2i.networks.condition import (
    CodeHead,
    ScoringDiscriminator,
    beside_noise,
    doublings,
    projected,
    require_labels,
    require_square,
)
from i2i.networks.equalised import (
    EqualisedConv2d,
    EqualisedLinear,
    PixelNorm,
    minibatch_deviation,
    pixel_norm,
)

Width = Annotated[int, Ge(1), Le(16384), "most channels of a layer"]

BASE = 4


def channels_at(width: int, stage: int) -> int:
    """The channels of the layers at a stage, `width` being the most."""
    return max(min(width, 8 * width >> stage), 1)


def doubled(images: Tensor) -> Tensor:
    """Repeat each pixel: (N, C, H, W) to (N, C, 2H, 2W)."""
    return F.interpolate(images, scale_factor=2)


def halved(images: Tensor) -> Tensor:
    """Average 2x2 pixels: (N, C, 2H, 2W) to (N, C, H, W)."""
    return F.avg_pool2d(images, 2)


class Growing(nn.Module):
    """A network that grows.

    Args:
        size: height and width at the last stage, 4 * 2**n.

    Attributes:
        size: as above.
        stages: the number of resolutions, n + 1.
        stage: the current one, 0 for 4x4; at first the last.
        alpha: share of the newest layers, 0..1; at first 1. It means nothing at stage 0.
        fades: whether the former stage has a share.
        newest: the last stage whose layers have a share.

    Raises:
        OptionsError: a `size` that cannot be reached.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        _, n = doublings(size, (BASE,))
        self.size = size
        self.stages = n + 1
        self.shares: Tensor  # of the former stage's layers and of the newest
        self.register_buffer("shares", torch.zeros(2, 1), persistent=False)
        self.grow(n, 1.0)

    def grow(self, stage: int, alpha: float) -> None:
        """Go to a stage, whose newest layers have the share `alpha`."""
        assert 0 <= stage < self.stages, f"stage {stage} of {self.stages}"
        assert 0 <= alpha <= 1, f"alpha = {alpha}"
        self.stage, self.alpha = stage, float(alpha)
        # Compiled networks ask for these alone, which do not change while layers fade in.
        self.fades = stage > 0 and alpha < 1
        self.newest = stage - 1 if self.fades and alpha == 0 else stage
        self.shares[0].fill_(1 - alpha)
        self.shares[1].fill_(alpha)

    @property
    def resolution(self) -> int:
        """Height and width of the images at the current stage."""
        return BASE << self.stage

    def shrink(self, images: Tensor) -> Tensor:
        """Show real images as the discriminator sees generated ones at the current stage.

        While a stage fades in, generated images are partly those of the former stage with
        repeated pixels; so are these.

        Args:
            images: (N, C, H, H), floating point, with H a multiple of `resolution`.

        Returns:
            (N, C, resolution, resolution).
        """
        assert images.shape[2] == images.shape[3], tuple(images.shape)
        assert images.shape[2] % self.resolution == 0, f"{tuple(images.shape)}: {self.resolution}"
        shrunk = F.avg_pool2d(images, images.shape[2] // self.resolution)
        return self._faded(doubled(halved(shrunk)), shrunk) if self.fades else shrunk

    def _faded(self, old: Tensor, new: Tensor) -> Tensor:
        """`new` with the share `alpha`, and `old` with the rest."""
        # The shares have more digits than bf16: only the products are rounded to it.
        share_of_old, share_of_new = self.shares.unbind()
        return (share_of_old * old).to(old.dtype) + (share_of_new * new).to(new.dtype)

    def get_extra_state(self) -> dict[str, Any]:
        """The growth, for `state_dict`."""
        return {"stage": self.stage, "alpha": self.alpha}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Grow as it is written in a `state_dict`."""
        self.grow(state["stage"], state["alpha"])


@register_network("generator", "progan")
class ProGANGenerator(Growing):
    """The growing generator: noise, normalised, to images of the current resolution.

    Two convolutions a stage, each with leaky ReLU and pixel norm, behind pixels that were repeated;
    a convolution 1x1 makes the image. The latter is linear: -1..1 is the range to be learnt, not
    a limit, so clamp what is to be shown.

    Args:
        latent: numbers of noise, 512 as published.
        out_channels: channels of the images.
        width: most channels of a layer.
        size: height and width at the last stage, 4 * 2**n.
        classes: length of the labels that stand beside the noise; 0 for none.

    Raises:
        OptionsError: a number that is too small, or a `size` that cannot be reached.
    """

    draws_own_weights = True

    def __init__(
        self,
        latent: int,
        out_channels: int,
        *,
        width: Width = 512,
        size: int,
        classes: int = 0,
    ) -> None:
        super().__init__(size)
        require_at_least("latent", latent, 1)
        require_at_least("width", width, 1)
        require_at_least("classes", classes, 0)
        self.latent, self.classes = latent, classes
        channels = [channels_at(width, stage) for stage in range(self.stages)]
        # To a map of 1x1 this is a fully connected layer with one bias for each channel.
        first = EqualisedConv2d(latent + classes, channels[0], BASE, padding=BASE - 1)
        self.blocks = nn.ModuleList()
        for stage, after in enumerate(channels):
            grown = EqualisedConv2d(channels[stage - 1], after, 3) if stage else first
            self.blocks.append(
                nn.Sequential(
                    grown,
                    nn.LeakyReLU(0.2),
                    PixelNorm(),
                    EqualisedConv2d(after, after, 3),
                    nn.LeakyReLU(0.2),
                    PixelNorm(),
                )
            )
        self.to_rgb = nn.ModuleList(
            EqualisedConv2d(each, out_channels, 1, gain=1.0) for each in channels
        )

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to images of the current stage,
        (N, out_channels, resolution, resolution), nominally in -1..1."""
        features = pixel_norm(beside_noise(z, labels, self.classes))[:, :, None, None]
        features = self.blocks[0](features)
        former = features
        for stage in range(1, self.newest + 1):
            former, features = features, self.blocks[stage](doubled(features))
        images: Tensor = self.to_rgb[self.newest](features)
        if self.newest < self.stage:
            return doubled(images)
        if self.fades:
            return self._faded(doubled(self.to_rgb[self.stage - 1](former)), images)
        return images


@register_network("discriminator", "progan")
class ProGANDiscriminator(Growing, ScoringDiscriminator):
    """The growing discriminator, the mirror of the generator.

    A convolution 1x1 with leaky ReLU reads the image; two convolutions a stage follow, then 2x2
    pixels are averaged. The block at 4x4 also sees how much the images of a batch differ, so a
    score depends on the batch that the image is in.

    Args:
        in_channels: channels of the images.
        width: most channels of a layer.
        size: height and width at the last stage, 4 * 2**n.
        classes: length of the labels; the score depends on them by projection (Miyato & Koyama,
            "cGANs with projection discriminator", ICLR 2018); 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: a number that is too small, or a `size` that cannot be reached.
    """

    draws_own_weights = True

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 512,
        size: int,
        classes: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__(size)
        require_at_least("width", width, 1)
        require_at_least("classes", classes, 0)
        require_at_least("codes", codes, 0)
        self.classes = classes
        channels = [channels_at(width, stage) for stage in range(self.stages)]
        self.from_rgb = nn.ModuleList(
            nn.Sequential(EqualisedConv2d(in_channels, each, 1), nn.LeakyReLU(0.2))
            for each in channels
        )
        # Block i goes from stage i + 1 to stage i.
        self.blocks = nn.ModuleList(
            nn.Sequential(
                EqualisedConv2d(before, before, 3),
                nn.LeakyReLU(0.2),
                EqualisedConv2d(before, after, 3),
                nn.LeakyReLU(0.2),
                nn.AvgPool2d(2),
            )
            for before, after in zip(channels[1:], channels, strict=False)
        )
        self.last = nn.Sequential(
            EqualisedConv2d(channels[0] + 1, channels[0], 3),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            EqualisedLinear(channels[0] * BASE**2, channels[0]),
            nn.LeakyReLU(0.2),
        )
        self.score = EqualisedLinear(channels[0], 1, gain=1.0)
        self.projection = (
            EqualisedLinear(channels[0], classes, bias=False, gain=1.0) if classes else None
        )
        self.codes = CodeHead(channels[0], codes, norm="none") if codes else None

    def scores(self, features: Tensor, labels: Tensor | None) -> Tensor:
        scores: Tensor = self.score(features)
        if self.projection is None:
            return scores
        return projected(scores, self.projection(features), labels)

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F); it does not depend on the labels."""
        require_square(images, self.resolution)
        require_labels(labels, self.classes)
        if self.newest < self.stage:
            features = self.from_rgb[self.newest](halved(images))
        else:
            features = self.from_rgb[self.stage](images)
            if self.stage:
                features = self.blocks[self.stage - 1](features)
            if self.fades:
                former = self.from_rgb[self.stage - 1](halved(images))
                features = self._faded(former, features)
        for stage in reversed(range(self.stage - 1)):
            features = self.blocks[stage](features)
        described: Tensor = self.last(minibatch_deviation(features))
        return described
