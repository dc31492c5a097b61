"""What a distribution costs that should be the standard normal one."""

from torch import Tensor

from i2i.losses.precision import at_least_float32


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence from the standard normal distribution.

    -1/2 sum(1 + logvar - mean**2 - exp(logvar)): Kingma & Welling, "Auto-encoding variational
    Bayes", ICLR 2014, appendix B. As in SPADE, where its weight is 0.05, the sum is over the images
    of the batch, too.

    >>> import torch
    >>> kl_divergence(torch.ones(2, 3), torch.zeros(2, 3))
    tensor(3.)

    Args:
        mean: (N, numbers).
        logvar: logarithm of the variance, (N, numbers).
    """
    mean, logvar = at_least_float32(mean), at_least_float32(logvar)
    return -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
