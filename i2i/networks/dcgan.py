"""The networks of DCGAN: images from noise by convolutions alone.

Radford et al., "Unsupervised representation learning with deep convolutional generative adversarial
networks", ICLR 2016, section 3: strides in place of pooling, no fully connected layers,
normalisation everywhere but in the generator's output and the discriminator's first layer, ReLU and
tanh in the generator, leaky ReLU in the discriminator. Layers, kernels and names of the weights are
those of PyTorch's well-known example ("main.0.weight" ...), which has 64 pixels and width 64.
"""

from typing import Annotated, Literal

from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.condition import (
    CodeHead,
    behind_image,
    beside_noise,
    doublings,
    normalisation,
    require_counts,
    require_square,
)
from i2i.networks.options import Width

AnyNorm = Annotated[
    Literal["batch", "instance", "layer", "none"], "normalisation behind each convolution"
]


@register_network("generator", "dcgan")
class DCGANGenerator(nn.Module):
    """Transposed convolutions from noise to an image.

    The first makes a map of `base` x `base`, each further one doubles it: size = base * 2**n with a
    base of 4, 7, 5, 6 or 3.

    Args:
        latent: numbers of noise.
        out_channels: channels of the images.
        width: channels before the last layer; twice as many in each layer before.
        norm: "batch" as published, "instance", "layer" or "none". The convolutions have a bias only
            with "none".
        size: height and width of the images.
        classes: length of the labels that stand beside the noise; 0 for none.

    Raises:
        OptionsError: an unknown name, a number that is too small, or a `size` that cannot be
            reached.
    """

    def __init__(
        self,
        latent: int,
        out_channels: int,
        *,
        width: Width = 64,
        norm: AnyNorm = "batch",
        size: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(latent=latent, width=width, classes=classes)
        self.latent, self.size, self.classes = latent, size, classes
        base, n = doublings(size)
        bias = norm == "none"
        channels = width * 2 ** (n - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent + classes, channels, base, bias=bias),
            normalisation(norm, channels),
            nn.ReLU(inplace=True),
        ]
        for _ in range(n - 1):
            layers += [
                nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=bias),
                normalisation(norm, channels // 2),
                nn.ReLU(inplace=True),
            ]
            channels //= 2
        layers += [
            nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1, bias=bias),
            nn.Tanh(),
        ]
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map noise (N, latent), and labels (N, classes), to (N, out_channels, size, size) in
        -1..1."""
        images: Tensor = self.main(beside_noise(z, labels, self.classes)[:, :, None, None])
        return images


@register_network("discriminator", "dcgan")
class DCGANDiscriminator(nn.Module):
    """Strided convolutions from an image to one score, the mirror of the generator.

    The score is a convolution over the whole of the last map, of `base` x `base`; it is a logit,
    without the sigmoid of the example.

    Args:
        in_channels: channels of the images.
        width: channels of the first layer; twice as many in each layer behind.
        norm: "batch" as published, "instance", "layer" or "none". The convolutions have a bias only
            with "none".
        size: height and width of the images.
        classes: length of the labels that stand behind the image as planes; 0 for none.
        codes: logits of the auxiliary head, see `CodeHead`; 0 for none.

    Raises:
        OptionsError: an unknown name, a number that is too small, or a `size` that cannot be
            reached.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        width: Width = 64,
        norm: AnyNorm = "batch",
        size: int,
        classes: int = 0,
        codes: int = 0,
    ) -> None:
        super().__init__()
        require_counts(width=width, classes=classes, codes=codes)
        self.size, self.classes = size, classes
        base, n = doublings(size)
        bias = norm == "none"
        channels = width
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels + classes, channels, 4, stride=2, padding=1, bias=bias),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        for _ in range(n - 1):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=bias),
                normalisation(norm, 2 * channels),
                nn.LeakyReLU(0.2, inplace=True),
            ]
            channels *= 2
        layers.append(nn.Conv2d(channels, 1, base, bias=bias))
        self.main = nn.Sequential(*layers)
        self.codes = CodeHead(channels * base**2, codes, norm=norm) if codes else None

    def forward(
        self, images: Tensor, labels: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Judge (N, in_channels, size, size), given labels (N, classes).

        Returns:
            scores (N, 1); with `codes`, the scores and the logits of the codes (N, codes).

        Raises:
            DataError: the images have another size.
        """
        maps = self._maps(images, labels)
        scores: Tensor = self.main[-1](maps).flatten(1)
        return scores if self.codes is None else (scores, self.codes(maps.flatten(1)))

    def features(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the score is computed from, (N, F)."""
        return self._maps(images, labels).flatten(1)

    def _maps(self, images: Tensor, labels: Tensor | None) -> Tensor:
        require_square(images, self.size)
        maps = behind_image(images, labels, self.classes)
        for layer in self.main[:-1]:
            maps = layer(maps)
        return maps
