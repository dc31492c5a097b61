"""A discriminator that judges what a network which knows the world sees of images.

Sauer, Chitta, Müller, Geiger: Projected GANs converge faster, NeurIPS 2021. The network is frozen.
Its maps are mixed by random weights that never change, so that none of what it sees can be
overlooked, and on each mixture stands a small discriminator, which is all that learns.
"""

from itertools import pairwise
from typing import Annotated, Any, Self

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import networks, register_network
from i2i.core.size import AnySize, Size
from i2i.errors import OptionsError
from i2i.networks.blocks import require_at_least, require_size
from i2i.networks.condition import require_exactly
from i2i.networks.options import Width
from i2i.networks.patchgan import PatchGAN
from i2i.networks.spectral import SpectralConv2d

Features = Annotated[str, "network that looks at the images"]
Maps = Annotated[int, Ge(1), Le(8), "how many of its maps are judged"]
Enlarged = Annotated[int, Ge(8), Le(4096), "least shorter side that it looks at"]
PixelWidth = Annotated[
    int, Ge(0), Le(4096), "channels of a PatchGAN of the pixels beside it; 0 for none"
]

MOST = 256
"""Channels double with each halving, but not beyond this number."""


@register_network("discriminator", "projected")
class Projected(nn.Module):
    """Small discriminators of what a frozen network sees of images, each with a map of scores.

    It is quick to tell kinds of images apart, and needs few of them, for it need not learn to see.
    Distances by ImageNet networks (Fréchet, kernel) flatter what it leads to, since they look with
    similar eyes: judge by another one, and by your own.

    Its network was trained on photos and is nearly blind to faint patterns of few pixels, which a
    generator then leaves. A PatchGAN of the pixels themselves beside it sees them (Kumari et al.,
    "Ensembling off-the-shelf models for GAN training", CVPR 2022, keep such a one as well).

    Each discriminator halves its mixture until it is as large as the smallest but one, so that all
    scores but those of the smallest map stand for patches of the same size, whatever the size of
    the images. (The published ones halve to 8 x 8, and are made for one size.)

    Args:
        in_channels: 1 or 3; 6 for a grey or colour image beside its condition of as many channels
            (2 if both are grey), which are looked at one by one.
        width: channels of the mixture of the largest map; twice as many from map to map.
        features: the network: one of the role "features", see `i2i.metrics.feature_maps`.
        maps: how many of its maps are judged, the smallest ones; all, if it has fewer.
        enlarge_to: images whose shorter side is below this are enlarged to it; 224 is published.
        pixel_width: channels of the first layer of a PatchGAN of two halvings with instance norm,
            whose scores of patches of 34 pixels are among the others; 0 for none, as published.
        size: as the models that make images from noise tell it; any will do.
        classes, codes: these models may not have any: 0.

    Attributes:
        minimum: smallest height and width of an image.

    Raises:
        OptionsError: other channels, classes or codes; no such network, or its package is missing.
    """

    draws_own_weights = True
    minimum = 8

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        features: Features = "efficientnet-lite0",
        maps: Maps = 4,
        enlarge_to: Enlarged = 224,
        pixel_width: PixelWidth = 0,
        size: int | None = None,
        classes: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        if in_channels not in (1, 2, 3, 6):
            raise OptionsError(
                f"discriminator.network (='projected') looks at grey and colour images (1 or 3 "
                f"channels each), and got {in_channels} channels: take 'patchgan'."
            )
        if classes or codes:
            raise OptionsError(
                "discriminator.network (='projected') knows of no labels or codes: take 'dcgan'."
            )
        self.images = 2 if in_channels in (2, 6) else 1
        self.enlarge_to = enlarge_to
        place = torch.get_default_device()  # "meta" where only the cost is asked for
        with torch.device("cpu"), torch.no_grad():
            frozen = Frozen(networks("features").find(features)(), maps)
            seen = [found.shape[1] * self.images for found in frozen(torch.zeros(1, 3, 64, 64))]
        self.frozen = frozen.to(place)
        mixed = [width << number for number in range(len(seen))]
        for number, (before, after) in enumerate(zip(seen, mixed, strict=True)):
            self.register_buffer(f"mix{number}", _drawn(after, before, 1))
        for number, (channels, above) in enumerate(pairwise(mixed)):
            self.register_buffer(f"fuse{number}", _drawn(channels, channels + above, 3))
        self.judges = nn.ModuleList(
            _judge(channels, halvings=max(0, len(mixed) - 2 - number))
            for number, channels in enumerate(mixed)
        )
        self.pixels: PatchGAN | None = None
        if pixel_width:
            self.pixels = PatchGAN(in_channels, width=pixel_width, layers=2, norm="instance")
            self.minimum = max(self.minimum, self.pixels.minimum)

    def forward(self, images: Tensor, labels: None = None) -> Tensor:
        """Map (N, in_channels, H, W) in -1..1 to all scores (N, S), those of the largest map first
        and those of the pixels last.

        Raises:
            DataError: H or W is below `minimum`.
        """
        return self.scores(images, self.mixtures(images))

    def scores(self, images: Tensor, mixtures: list[Tensor]) -> Tensor:
        """Return all scores (N, S) of images, of which the mixtures are known."""
        pairs = zip(self.judges, mixtures, strict=True)
        scores = [judge(mixture).flatten(1) for judge, mixture in pairs]
        if self.pixels is not None:
            scores.append(self.pixels(images).flatten(1))
        return torch.cat(scores, dim=1)

    def features(self, images: Tensor, labels: None = None) -> Tensor:
        """Return the activations (N, F) just before the scores."""
        found = []
        for judge, mixture in zip(self.judges, self.mixtures(images), strict=True):
            *before, _ = judge.children()
            found.append(nn.Sequential(*before)(mixture).flatten(1))
        if self.pixels is not None:
            found.append(self.pixels.features(images))
        return torch.cat(found, dim=1)

    def mixtures(self, images: Tensor) -> list[Tensor]:
        """Return what the discriminators see, (N, C, H', W') each, largest first: a random mixture
        of each map, fused with that of the next smaller one."""
        require_size(images, minimum=self.minimum)
        count, _, height, width = images.shape
        images = images.unflatten(1, (self.images, -1)).flatten(0, 1).expand(-1, 3, -1, -1)
        if (side := min(height, width)) < self.enlarge_to:
            wanted = [max(1, round(each * self.enlarge_to / side)) for each in (height, width)]
            images = F.interpolate(images, wanted, mode="bilinear", align_corners=False)
        mixtures: list[Tensor] = []
        for number, found in reversed(list(enumerate(self.frozen(images)))):
            found = found.unflatten(0, (count, self.images)).flatten(1, 2)
            mixture = F.conv2d(found, self.get_buffer(f"mix{number}"))
            if mixtures:
                above = F.interpolate(
                    mixtures[0], mixture.shape[2:], mode="bilinear", align_corners=False
                )
                both = torch.cat([mixture, above], dim=1)
                mixture = F.conv2d(both, self.get_buffer(f"fuse{number}"), padding=1)
            mixtures.insert(0, mixture)
        return mixtures


@register_network("discriminator", "projected-classifier")
class ProjectedClassifier(nn.Module):
    """A projected discriminator that also tells the labels of images, as StarGAN needs it.

    The classifier is one linear layer on the same mixtures, each shrunk to 4 x 4 places at most
    and normalised image by image. A network that knows the world has most of an answer ready; a
    classifier that learns to see from some hundred images knows them by heart before, and then is
    fooled by what no one else takes for an answer.

    Args:
        in_channels, width, features, maps, enlarge_to, pixel_width: as for `Projected`.
        classes: domains or attributes to tell apart, at least 1.
        size: side of the images, or (width, height); the classifier sees all of an image at once.

    Raises:
        OptionsError: as for `Projected`, or a number that is too small.
    """

    draws_own_weights = True

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        features: Features = "efficientnet-lite0",
        maps: Maps = 4,
        enlarge_to: Enlarged = 224,
        pixel_width: PixelWidth = 0,
        classes: int,
        size: AnySize,
    ) -> None:
        super().__init__()
        require_at_least("classes", classes, 1)
        self.judge = Projected(
            in_channels,
            width=width,
            features=features,
            maps=maps,
            enlarge_to=enlarge_to,
            pixel_width=pixel_width,
        )
        self.size = Size.of(size)
        with torch.no_grad():
            seen = _places(self.judge.mixtures(torch.zeros(1, in_channels, *self.size.shape)))
        self.classify = nn.Linear(seen.shape[1], classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge and classify (N, in_channels, H, W) of `size`.

        Returns:
            the scores of `Projected` (N, S), and the logits of the classes (N, classes).

        Raises:
            DataError: the images have another size.
        """
        require_exactly(images, self.size)
        mixtures = self.judge.mixtures(images)
        return self.judge.scores(images, mixtures), self.classify(_places(mixtures))

    def features(self, images: Tensor) -> Tensor:
        """Return the activations (N, F) just before the scores."""
        return self.judge.features(images)


def _places(mixtures: list[Tensor]) -> Tensor:
    """Mixtures as one vector for each image: at most 4 x 4 places of each, with a mean of 0 and a
    variance of 1."""
    found = []
    for mixture in mixtures:
        height, width = (min(4, side) for side in mixture.shape[2:])
        places = F.adaptive_avg_pool2d(mixture, (height, width)).flatten(1)
        found.append(F.layer_norm(places, places.shape[1:]))
    return torch.cat(found, dim=1)


class Frozen(nn.Module):
    """A network of which nothing is trained and nothing saved: its weights are known elsewhere.

    They are buffers here, so that they still follow to other devices.

    Args:
        network: images (N, 3, H, W) -> maps (N, C, H', W'), larger ones first. Stays in evaluation
            mode.
        maps: how many of the last maps are given.
    """

    def __init__(self, network: nn.Module, maps: int) -> None:
        super().__init__()
        self.network = network.eval()
        self.maps = maps
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.track_running_stats = False  # else loading any state asks for its counter
            for name, weight in [
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ]:
                delattr(module, name)
                module.register_buffer(name, weight.detach(), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stay as it is, whatever is asked."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        found: Any = self.network(images)
        return list(found)[-self.maps :]


def _judge(channels: int, halvings: int) -> nn.Sequential:
    """A discriminator of a mixture, which ends in a map of scores."""
    layers: list[nn.Module] = []
    for _ in range(max(1, halvings)):
        after = min(2 * channels, MOST)
        kernel = {"kernel_size": 4, "stride": 2, "padding": 1} if halvings else {"kernel_size": 1}
        layers += [SpectralConv2d(channels, after, **kernel), nn.LeakyReLU(0.2, inplace=True)]
        channels = after
    return nn.Sequential(*layers, SpectralConv2d(channels, 1, 3, padding=1))


def _drawn(after: int, before: int, kernel: int) -> Tensor:
    """Weights that keep the variance of what they mix."""
    return nn.init.kaiming_normal_(
        torch.empty(after, before, kernel, kernel), nonlinearity="linear"
    )
