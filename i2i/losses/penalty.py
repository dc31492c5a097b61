"""What a critic pays for being steep.

Both penalties differentiate the critic with respect to images, and their own gradient is then
taken with respect to its weights. So the critic must be twice differentiable, which what
`torch.compile` returns is not; and as both are meant per image, it should not mix the images of
a batch: use instance or no normalisation in it, not batch normalisation.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from i2i.losses.discriminator_outputs import tell_real_scores
from i2i.losses.precision import at_least_float32, inner_gradient


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    alpha: Tensor | None = None,
    target: float = 1.0,
) -> Tensor:
    """Return E[(||grad D(z)|| - target)**2] at points z between real and generated images.

    Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017, equation 3, to be
    weighted by 10: z = alpha * real + (1 - alpha) * fake, one alpha per image. No gradient
    reaches `real` or `fake`. Where the gradient is exactly zero, the penalty's derivative is 0.

    >>> real, fake = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    >>> gradient_penalty(lambda x: 3 * x[:, 0, 0, 0].square(), real, fake, alpha=torch.ones(2))
    tensor(25., grad_fn=<MeanBackward0>)

    Args:
        critic: maps images (N, C, H, W) to scores of any shape (N, ...), summed per image. For
            a conditional critic, a function that adds the condition.
        real: real images, (N, C, H, W).
        fake: as many generated ones.
        alpha: N numbers in 0..1, in any shape; None draws them uniformly from torch's generator.
        target: the norm that costs nothing.

    Returns:
        A scalar, float32 or float64, differentiable with respect to the critic's weights.
    """
    assert real.shape == fake.shape, (real.shape, fake.shape)
    if alpha is None:
        alpha = torch.rand(len(real), device=real.device, dtype=real.dtype)
    alpha = alpha.reshape(-1, *[1] * (real.ndim - 1))
    between = alpha * real.detach() + (1 - alpha) * fake.detach()
    # vector_norm, because the derivative of sqrt(sum of squares) at zero is not a number.
    norms: Tensor = torch.linalg.vector_norm(_gradient(critic, between), dim=1)
    return (norms - target).square().mean()


def r1(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Return E[||grad D(x)||**2] / 2 at real images x.

    Mescheder et al., "Which training methods for GANs do actually converge?", ICML 2018, equation
    9, to be weighted by its gamma, 10. No gradient reaches `real`.

    >>> r1(lambda x: 3 * x[:, 0, 0, 0].square(), torch.ones(2, 1, 4, 4))
    tensor(18., grad_fn=<DivBackward0>)

    Args:
        critic: maps images (N, C, H, W) to scores of any shape (N, ...), summed per image. For
            a conditional critic, a function that adds the condition.
        real: real images, (N, C, H, W).

    Returns:
        A scalar, float32 or float64, differentiable with respect to the critic's weights.
    """

    def judge(images: Tensor) -> Tensor:
        scores = critic(images)
        tell_real_scores(scores)
        return scores

    return _gradient(judge, real.detach()).square().sum(dim=1).mean() / 2


def squared_slopes(scores: Tensor, images: Tensor) -> Tensor:
    """Return ||grad D(x)||**2 for each of the images that are already judged.

    Half of its mean is `r1` at real images, and R2 of the same paper at generated ones; a
    relativistic discriminator needs both (Huang et al., "The GAN is dead; long live the GAN!",
    NeurIPS 2024, section 2.2). It saves a pass where the scores are wanted as well. What lies
    between the images and the discriminator, such as an augmentation, is differentiated, too.

    >>> images = torch.ones(2, 1, 4, 4, requires_grad=True)
    >>> squared_slopes(3 * images[:, 0, 0, 0].square(), images)
    tensor([36., 36.], grad_fn=<SumBackward1>)

    Args:
        scores: of the images, of any shape (N, ...), summed per image.
        images: (N, C, H, W), which require a gradient.

    Returns:
        (N,), float32 or float64, differentiable with respect to the discriminator's weights.
    """
    total = at_least_float32(scores).sum()
    slopes = inner_gradient(total, images)
    return slopes.square().sum(dim=tuple(range(1, slopes.ndim)))


def drift(scores: Tensor) -> Tensor:
    """Return E[D(x)**2], which keeps the scores of a critic from drifting away from zero.

    Karras et al., "Progressive growing of GANs", ICLR 2018, appendix A.1, to be weighted by 0.001;
    x are real images.
    """
    return at_least_float32(scores).square().mean()


def _gradient(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Return the gradient of each image's summed scores, (N, C * H * W)."""
    images = images.requires_grad_()
    scores = at_least_float32(critic(images)).sum()
    return inner_gradient(scores, images).flatten(start_dim=1)
