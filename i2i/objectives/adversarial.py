"""What the discriminator pays for its scores, and what the generator pays for them.

Everything is a mean over all scores, whatever their shape: one per picture or a map of patches.
Below, D is a score, x a real picture and y a generated one.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.errors import OptionsError, did_you_mean
from i2i.objectives.precision import at_least_float32

ADVERSARIAL_LOSSES = ("vanilla", "least-squares", "wasserstein", "hinge")


@dataclass(frozen=True)
class Adversarial:
    """One of four adversarial losses.

    ===============  ======================  ======================  ====================
    loss             real(D(x))              fake(D(y))              fool(D(y))
    ===============  ======================  ======================  ====================
    "vanilla"        -E[log s(D(x))]         -E[log(1 - s(D(y)))]    -E[log s(D(y))]
    "least-squares"  E[(D(x) - 1)**2]        E[D(y)**2]              E[(D(y) - 1)**2]
    "wasserstein"    -E[D(x)]                E[D(y)]                 -E[D(y)]
    "hinge"          E[max(0, 1 - D(x))]     E[max(0, 1 + D(y))]     -E[D(y)]
    ===============  ======================  ======================  ====================

    - "vanilla": Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, with the
      non-saturating generator of its section 3. Scores are logits; s is the logistic function.
    - "least-squares": Mao et al., "Least squares generative adversarial networks", ICCV 2017,
      equation 9, without its factor 1/2, as CycleGAN has it.
    - "wasserstein": Arjovsky et al., "Wasserstein GAN", ICML 2017, equation 2. It needs a critic
      kept smooth: see `gradient_penalty`.
    - "hinge": Lim & Ye, "Geometric GAN", 2017; Miyato et al., "Spectral normalization for
      generative adversarial networks", ICLR 2018, equations 16 and 17.

    Label smoothing is one-sided (Salimans et al., "Improved techniques for training GANs", NeurIPS
    2016, section 3.4): a `real_label` such as 0.9 is what the discriminator is taught, while
    the generator still aims at 1.

    >>> adversarial = Adversarial("least-squares", real_label=0.9)
    >>> adversarial.real(torch.tensor([0.9, 0.9]))
    tensor(0.)
    >>> adversarial.fool(torch.tensor([1.0, 1.0]))
    tensor(0.)

    Args:
        loss: "vanilla", "least-squares", "wasserstein" or "hinge".
        real_label: the discriminator's target for real pictures; the first two losses only.
        fake_label: the discriminator's target for generated pictures; the first two losses only.

    Raises:
        OptionsError: an unknown loss; labels for one that has none; labels that are not in order
            or, with "vanilla", not probabilities.
    """

    loss: str
    real_label: float = 1.0
    fake_label: float = 0.0

    def __post_init__(self) -> None:
        if self.loss not in ADVERSARIAL_LOSSES:
            raise OptionsError(
                f"The adversarial loss is {self.loss!r}, but must be one of "
                f"{', '.join(ADVERSARIAL_LOSSES)}.{did_you_mean(self.loss, ADVERSARIAL_LOSSES)}"
            )
        labels = f"real_label {self.real_label} and fake_label {self.fake_label}"
        if self.loss in ("wasserstein", "hinge") and (self.real_label, self.fake_label) != (1, 0):
            raise OptionsError(
                f"The {self.loss} loss has no labels to smooth, but got {labels}: leave them at 1 "
                "and 0, or choose vanilla or least-squares."
            )
        if not self.fake_label < self.real_label:
            raise OptionsError(f"real_label must be above fake_label, but got {labels}.")
        if self.loss == "vanilla" and not (self.fake_label >= 0 and self.real_label <= 1):
            raise OptionsError(
                f"The labels of the vanilla loss are probabilities from 0 to 1, but got {labels}."
            )

    def real(self, scores: Tensor) -> Tensor:
        """Return what the discriminator pays for its scores of real pictures, a scalar."""
        scores = at_least_float32(scores)
        match self.loss:
            case "vanilla":
                return _cross_entropy(scores, self.real_label)
            case "least-squares":
                return (scores - self.real_label).square().mean()
            case "wasserstein":
                return -scores.mean()
            case _:
                return F.relu(1 - scores).mean()

    def fake(self, scores: Tensor) -> Tensor:
        """Return what the discriminator pays for its scores of generated pictures, a scalar."""
        scores = at_least_float32(scores)
        match self.loss:
            case "vanilla":
                return _cross_entropy(scores, self.fake_label)
            case "least-squares":
                return (scores - self.fake_label).square().mean()
            case "wasserstein":
                return scores.mean()
            case _:
                return F.relu(1 + scores).mean()

    def fool(self, scores: Tensor) -> Tensor:
        """Return what the generator pays for the scores of its pictures, a scalar."""
        scores = at_least_float32(scores)
        match self.loss:
            case "vanilla":
                return _cross_entropy(scores, 1.0)
            case "least-squares":
                return (scores - 1).square().mean()
            case _:
                return -scores.mean()


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
