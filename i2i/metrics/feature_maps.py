"""Networks whose features a perceptual term compares, with gradients.

A network is one that a plug-in has registered (`register_network("features", NAME)`: a module
without arguments that maps images (N, 3, H, W) in -1..1 to a list of maps), or one of these:

- "vgg19": relu1_1 to relu5_1 of VGG-19 with the weights of torchvision, as pix2pixHD and SPADE have
  it. They are fetched (574 MB) where torch does not have them yet.
- "efficientnet-lite0": the last maps of each of its five sizes; its weights are an ordinary
  package, for machines without a connection.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from i2i.core.registry import networks, register_network
from i2i.errors import OptionsError, did_you_mean
from i2i.losses.perceptual import VGG_WEIGHTS
from i2i.metrics.features import EfficientNetLite, fetched
from i2i.networks.vgg import VGG19Features

BLOCK_LAYERS = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
"""The package's names of a block's convolutions and of the normalisation behind each."""

VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


class FeatureMaps(nn.Module):
    """A network that maps images (N, 1 or 3, H, W) in -1..1 to features of several sizes; nothing
    of it is trained.

    Arguments:
        network: images (N, 3, H, W) -> maps (N, C, H', W').
        weights: of the maps in a perceptual term; by default of each as much, 1 together.
    """

    def __init__(self, network: nn.Module, weights: tuple[float, ...] | None = None) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        if weights is None:
            with torch.no_grad():
                count = len(network(torch.zeros(1, 3, 64, 64)))
            weights = (1 / count,) * count
        self.weights = weights

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.network(images.expand(-1, 3, -1, -1)))


@register_network("features", "vgg19")
class VGG19(VGG19Features):
    """With the weights of torchvision."""

    def __init__(self) -> None:
        super().__init__()
        path = fetched(VGG19_URL, "take game.perceptual_features = 'efficientnet-lite0'")
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.load_state_dict({name: state[name] for name in self.state_dict()})


@register_network("features", "efficientnet-lite0")
class EfficientNet(nn.Module):
    """EfficientNet-Lite0, see `i2i.metrics.features.EfficientNetLite`.

    Its batch normalisations, whose statistics never change, are multiplied into the convolutions
    before them, which are as many operations fewer in each pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite().network
        self.network._conv_stem = _folded(self.network._conv_stem, self.network._bn0)
        for block in self.network._blocks:
            for conv, norm in BLOCK_LAYERS:
                if hasattr(block, conv):  # the first block does not expand
                    setattr(block, conv, _folded(getattr(block, conv), getattr(block, norm)))
                    setattr(block, norm, nn.Identity())

    def forward(self, images: Tensor) -> list[Tensor]:
        network = self.network
        values = network._swish(network._conv_stem((images * 127.5 + 0.5) / 128))
        found: dict[torch.Size, Tensor] = {}
        for block in network._blocks:
            values = block(values)
            found[values.shape[2:]] = values
        return list(found.values())


def _folded(conv: Any, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """A convolution of the package and the normalisation behind it, as one; what the package pads
    by itself on all sides alike, the convolution pads."""
    folded: nn.Conv2d = fuse_conv_bn_eval(conv, norm)
    if isinstance(folded.static_padding, nn.ZeroPad2d):
        left, right, above, below = folded.static_padding.padding
        if left == right == above == below:
            folded.padding = (above, left)
            folded.static_padding = nn.Identity()
    return folded


def find_feature_maps(name: str) -> FeatureMaps:
    """Make what a perceptual term compares from its name.

    Raises:
        OptionsError: there is no such network, or a package is missing.
        CheckpointError: its weights are not there and cannot be fetched.
    """
    known = networks("features")
    if name not in known:
        raise OptionsError(
            f"game.perceptual_features (={name!r}) must be one of {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    network = known.find(name)()
    return FeatureMaps(network, VGG_WEIGHTS if isinstance(network, VGG19Features) else None)
