"""What a discriminator has to say of real and generated pictures."""

from torch import Tensor


def average_generated_error(real: Tensor, generated: Tensor) -> Tensor:
    """Return mean (D(x) - 1)^2 + mean D(G(z))^2, a scalar in 0..2.

    0 where the discriminator tells everything apart, 0.5 where it has no idea (1/2 for all), 1
    where it takes everything for real, or nothing.

    Arguments:
        real: probabilities, 0..1, that real pictures are real; of any shape.
        generated: probabilities that generated pictures are real; of any shape.
    """
    return (real.float() - 1).square().mean() + generated.float().square().mean()
