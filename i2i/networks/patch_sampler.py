"""Patches of a generator's features, each as one short vector, to be told apart.

Park et al., "Contrastive learning for unpaired image-to-image translation", ECCV 2020, section 3.2.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from i2i.core.registry import register_network
from i2i.networks.blocks import require_at_least

EPS = 1e-7
"""Added to the length that a vector is divided by."""


@register_network("patch_sampler", "mlp")
class PatchSampler(nn.Module):
    """Picks positions of feature maps, and makes a vector of length 1 of each.

    Each map has a network of two linear layers of its own. The weights have the published names
    ("mlp_0.0.weight" ...). The authors create the layers when they see the first features; here the
    channels are told, so that the optimizer can be made at once.

    Args:
        channels: of each feature map.
        width: numbers of a vector.

    Raises:
        OptionsError: `width` is too small.
    """

    def __init__(
        self,
        channels: Sequence[int],
        *,
        width: Annotated[int, Ge(1), Le(65536), "numbers that describe a patch"] = 256,
    ) -> None:
        super().__init__()
        require_at_least("width", width, 1)
        self.maps = len(channels)
        for i, count in enumerate(channels):
            mlp = nn.Sequential(nn.Linear(count, width), nn.ReLU(), nn.Linear(width, width))
            self.add_module(f"mlp_{i}", mlp)

    def forward(self, features: Sequence[Tensor], positions: Sequence[Tensor]) -> list[Tensor]:
        """Map features (N, C, H, W) to vectors (N * P, width), image by image, for each map.

        Args:
            features: one tensor for each map.
            positions: for each map P numbers y * W + x, the same for all images; `draw_positions`.
        """
        assert len(features) == len(positions) == self.maps, (len(features), len(positions))
        samples = []
        for i, (each, places) in enumerate(zip(features, positions, strict=True)):
            # (N, C, P) -> (N * P, C); a few places are picked first, whatever the memory format.
            rows = each.flatten(2).index_select(2, places).transpose(1, 2).flatten(0, 1)
            vectors: Tensor = self.get_submodule(f"mlp_{i}")(rows)
            lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
            samples.append(vectors / (lengths + EPS))
        return samples


def draw_positions(features: Sequence[Tensor], patches: int) -> list[Tensor]:
    """Draw `patches` positions y * W + x of each map (N, C, H, W) without repetition.

    A map that has fewer gives all of them, in random order. From torch's generator on the device of
    the map, map by map.
    """
    drawn = []
    for each in features:
        places = each.shape[2] * each.shape[3]
        # Not randperm, which may ask the device for a value.
        drawn.append(torch.rand(places, device=each.device).argsort()[:patches])
    return drawn


def mirror_positions(
    features: Sequence[Tensor], positions: Sequence[Tensor], mirrored: Tensor
) -> list[Tensor]:
    """Return where maps of a mirrored image (left and right) show what others show at `positions`.

    Args:
        features: maps (N, C, H, W), of which only the shape counts.
        positions: for each map P numbers y * W + x.
        mirrored: a scalar, true or false, on the device; if false, the positions are kept.
    """
    found = []
    for each, places in zip(features, positions, strict=True):
        width = each.shape[3]
        found.append(torch.where(mirrored, places + width - 1 - 2 * (places % width), places))
    return found


def draw_flip(device: torch.device) -> Tensor:
    """Toss a coin for a whole batch: a scalar, true or false, from torch's generator on `device`.

    Device and host need not wait for each other if what follows is chosen with `torch.where`.
    """
    return torch.rand((), device=device) < 0.5
