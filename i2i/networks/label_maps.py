"""Label maps as networks take them: a plane for each class, and one for the borders of objects.

Wang et al., "High-resolution image synthesis and semantic manipulation with conditional GANs", CVPR
2018, section 3.3, as pix2pixHD and SPADE have them.
"""

import torch
from torch import Tensor


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return a plane for each class, (N, classes, H, W), 1 where a pixel is of the class, else 0.

    Args:
        labels: numbers of classes, (N, 1, H, W), integers in 0..classes - 1. A number beyond them
            is of no class: its pixel is 0 in all planes.
        classes: how many there are; with one for "don't care", if the data have that.

    Returns:
        in torch's default floating-point type.
    """
    assert labels.shape[1] == 1, tuple(labels.shape)
    numbers = torch.arange(classes, device=labels.device)[:, None, None]
    return (labels.long() == numbers).to(torch.get_default_dtype())


def instance_edges(instances: Tensor) -> Tensor:
    """Return 1 where one of the four neighbours of a pixel belongs to another object, else 0.

    Both sides of a border are marked; the border of the image is none.

    Args:
        instances: numbers of objects, (N, 1, H, W), integers of any size and type.

    Returns:
        (N, 1, H, W), in torch's default floating-point type.
    """
    assert instances.shape[1] == 1, tuple(instances.shape)
    edges = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[..., 1:] != instances[..., :-1]
    down = instances[..., 1:, :] != instances[..., :-1, :]
    edges[..., 1:] |= across
    edges[..., :-1] |= across
    edges[..., 1:, :] |= down
    edges[..., :-1, :] |= down
    return edges.to(torch.get_default_dtype())


def label_planes(labels: Tensor, classes: int, instances: Tensor | None = None) -> Tensor:
    """Return what a network gets of a label map: `one_hot`, then `instance_edges` if given.

    Returns:
        (N, classes, H, W), or (N, classes + 1, H, W) with instances.
    """
    planes = one_hot(labels, classes)
    return planes if instances is None else torch.cat([planes, instance_edges(instances)], dim=1)
