"""What a generator pays for a mapping that stretches some styles more than others.

Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, section 3.2: a
step of fixed length in w should change the image by the same amount everywhere. With J the
derivative of the image with respect to the styles and y an image of normal noise::

    E[(||J' y|| - a)**2]

where a is the moving average of these lengths.
"""

from torch import Tensor

from i2i.losses.precision import at_least_float32, inner_gradient


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Return ||J' y|| for each image.

    Args:
        images: (N, C, H, W), made from `ws`.
        ws: a style for each layer, (N, L, W); the length is the root of the mean over the layers of
            the squared lengths.
        noise: normal random numbers, (N, C, H, W); they are divided by sqrt(H * W).

    Returns:
        (N,), differentiable with respect to the generator's weights.
    """
    height, width = images.shape[2:]
    changed = (at_least_float32(images) * noise).sum() / (height * width) ** 0.5
    return inner_gradient(changed, ws).square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(
    lengths: Tensor, mean: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Return the penalty, a scalar, and the average length after this batch.

    As in the authors' code the average is moved first, by `decay` of its distance to the mean of
    `lengths`, and the gradient flows through it. What is kept for the next time is returned
    without gradient.

    Args:
        lengths: (N,), from `path_lengths`.
        mean: the average so far, of no dimension; 0 at first.
        decay: how much of the batch the average takes.
    """
    moved = mean.detach().lerp(lengths.mean(), decay)
    return (lengths - moved).square().mean(), moved.detach()
