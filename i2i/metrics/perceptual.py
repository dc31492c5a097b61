"""How far two images look apart to a network: one value for each pair.

Zhang, Isola, Efros, Shechtman, Wang: The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric, 2018 (LPIPS).
"""

from typing import Protocol

import torch
from torch import Tensor

from i2i.errors import CheckpointError, DataError
from i2i.metrics.features import (
    EfficientNetLite,
    Features,
    as_colour,
    efficientnet_is_installed,
    fetched,
)

SMALLEST = 32
"""Height and width that the networks can halve as often as they do."""


class Perceptual(Protocol):
    """A distance between images; `name` says of which kind, and by which network."""

    @property
    def name(self) -> str: ...

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        """Compare (N, 1 or 3, H, W) uint8 with as many of the same size: (N,), 0 for equal ones."""
        ...


class LPIPS:
    """Version 0.1 with VGG16, as torch-fidelity computes it.

    Arguments:
        device: to compute on.

    Raises:
        CheckpointError: the weights (those of torchvision's VGG16, 528 MB, and 6 KB of LPIPS
            itself) are not in torch's folder and cannot be fetched.
    """

    name = "lpips(vgg16)"

    def __init__(self, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.sample_similarity_lpips import URL_VGG16_LPIPS, SampleSimilarityLPIPS
        from torchvision.models import VGG16_Weights

        for url in (URL_VGG16_LPIPS, VGG16_Weights.IMAGENET1K_V1.url):
            fetched(url, "leave out this measure")
        self.device = torch.device(device)
        self.network = SampleSimilarityLPIPS("lpips").to(self.device)

    @torch.inference_mode()
    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        _require_size(images, truth)
        pair = (as_colour(each).to(self.device) for each in (images, truth))
        found: Tensor = self.network(*pair)
        return found.reshape(len(images)).cpu()


class UnweightedPerceptual:
    """Equation 1 of the paper with all weights 1, by EfficientNet-Lite0: no network connection.

    The maps of the network at five sizes, each divided at every place by its length there; the
    squared difference summed over channels, the mean over places, the sum over sizes. Its values
    are not those of LPIPS, whose weights were fitted to what people see.
    """

    def __init__(self, features: EfficientNetLite) -> None:
        self.features = features
        self.name = f"lpips-unweighted({features.name})"

    @torch.inference_mode()
    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        _require_size(images, truth)
        distance = torch.zeros(len(images))
        for x, y in zip(self.features.maps(images), self.features.maps(truth), strict=True):
            x, y = (
                each / (each.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for each in (x, y)
            )
            distance += (x - y).square().sum(dim=1).mean(dim=(1, 2)).cpu()
        return distance


def choose_perceptual(
    features: Features | None, *, device: torch.device | str = "cpu"
) -> tuple[Perceptual | None, str]:
    """LPIPS if its weights are at hand or can be fetched; else its unweighted form if
    efficientnet-lite0 is installed; else None.

    Arguments:
        features: what other measures use, so that it need not be loaded twice.
        device: to compute on.

    Returns:
        the distance, and what was taken instead of LPIPS and why, or "".
    """
    try:
        return LPIPS(device), ""
    except CheckpointError as error:
        why = str(error)
    if isinstance(features, EfficientNetLite) and features.name == "efficientnet-lite0":
        network = features
    elif efficientnet_is_installed():
        network = EfficientNetLite(device)
    else:
        return None, f"no perceptual distance: {why}"
    remark = f"perceptual distance: unweighted, by efficientnet-lite0, for lack of LPIPS: {why}"
    return UnweightedPerceptual(network), remark


def _require_size(images: Tensor, truth: Tensor) -> None:
    assert images.shape == truth.shape, (images.shape, truth.shape)
    if min(images.shape[-2:]) < SMALLEST:
        raise DataError(
            f"A perceptual distance needs images of at least {SMALLEST} x {SMALLEST} pixels; "
            f"these are {images.shape[-1]} x {images.shape[-2]}."
        )
