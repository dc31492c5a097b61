"""What the discriminator pays for its scores, and what the generator pays for them.

Everything is a mean over all scores, whatever their shape: one per image or a map of patches.
Below, D is a score, x a real image and y a generated one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.errors import OptionsError, did_you_mean
from i2i.losses.discriminator_outputs import tell_real_scores
from i2i.losses.precision import at_least_float32

Cost = Callable[[Tensor], Tensor]

Rival = Callable[[], Tensor]
"""Computes the scores of the other side: those of the generated images for the real ones, say."""

ADVERSARIAL_LOSSES = ("vanilla", "least-squares", "wasserstein", "hinge", "relativistic")


@dataclass(frozen=True)
class Adversarial:
    """One of five adversarial losses.

    ===============  ======================  ======================  ====================
    loss             real(D(x))              fake(D(y))              fool(D(y))
    ===============  ======================  ======================  ====================
    "vanilla"        -E[log s(D(x))]         -E[log(1 - s(D(y)))]    -E[log s(D(y))]
    "least-squares"  E[(D(x) - 1)**2]        E[D(y)**2]              E[(D(y) - 1)**2]
    "wasserstein"    -E[D(x)]                E[D(y)]                 -E[D(y)]
    "hinge"          E[max(0, 1 - D(x))]     E[max(0, 1 + D(y))]     -E[D(y)]
    "relativistic"   E[p(D(x) - D(y))] / 2   E[p(D(x) - D(y))] / 2   E[p(D(y) - D(x))]
    ===============  ======================  ======================  ====================

    - "vanilla": Goodfellow et al., "Generative adversarial nets", NeurIPS 2014, with the
      non-saturating generator of its section 3. Scores are logits; s is the logistic function.
    - "least-squares": Mao et al., "Least squares generative adversarial networks", ICCV 2017,
      equation 9, without its factor 1/2, as CycleGAN has it.
    - "wasserstein": Arjovsky et al., "Wasserstein GAN", ICML 2017, equation 2. It needs a critic
      kept smooth: see `gradient_penalty`.
    - "hinge": Lim & Ye, "Geometric GAN", 2017; Miyato et al., "Spectral normalization for
      generative adversarial networks", ICLR 2018, equations 16 and 17.
    - "relativistic": Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, equation 2,
      see `relativistic`; p(m) = log(1 + exp(-m)). Each real image is paired with a generated one,
      so all three need the scores of the other side, the `rival`. The discriminator's loss is one;
      its terms `real` and `fake` are a half of it each.

    Label smoothing is one-sided (Salimans et al., "Improved techniques for training GANs", NeurIPS
    2016, section 3.4): a `real_label` such as 0.9 is what the discriminator is taught, while
    the generator still aims at 1. With a `fake_label` such as 0.1 it is two-sided.

    Labels are noisy if the discriminator is told the opposite of the truth for a random share of
    its scores, `label_noise` (Chintala et al., "How to train a GAN", 2016, section 6).

    A `saturating` generator minimises the very value that the discriminator maximises, -fake(D(y))
    (Goodfellow et al., equation 1).

    >>> adversarial = Adversarial("least-squares", real_label=0.9)
    >>> adversarial.real(torch.tensor([0.9, 0.9]))
    tensor(0.)
    >>> adversarial.fool(torch.tensor([1.0, 1.0]))
    tensor(0.)

    Args:
        loss: "vanilla", "least-squares", "wasserstein", "hinge" or "relativistic".
        real_label: the discriminator's target for real images; the first two losses only.
        fake_label: the discriminator's target for generated images; the first two losses only.
        label_noise: share of scores with the wrong label, 0..0.5; drawn from torch's generator.
        saturating: whether the generator plays the original game; "vanilla" only.

    Raises:
        OptionsError: an unknown loss; labels for one that has none; labels that are not in order
            or, with "vanilla", not probabilities; a saturating generator where it means nothing.
    """

    loss: str
    real_label: float = 1.0
    fake_label: float = 0.0
    label_noise: float = 0.0
    saturating: bool = False

    def __post_init__(self) -> None:
        if self.loss not in ADVERSARIAL_LOSSES:
            raise OptionsError(
                f"The adversarial loss is {self.loss!r}, but must be one of "
                f"{', '.join(ADVERSARIAL_LOSSES)}.{did_you_mean(self.loss, ADVERSARIAL_LOSSES)}"
            )
        labels = f"real_label {self.real_label} and fake_label {self.fake_label}"
        unlabelled = ("wasserstein", "hinge", "relativistic")
        if self.loss in unlabelled and (self.real_label, self.fake_label) != (1, 0):
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
        if not 0 <= self.label_noise <= 0.5:
            raise OptionsError(
                f"label_noise is {self.label_noise}, but must be a share of the labels, 0 to 0.5."
            )
        if self.saturating and self.loss != "vanilla":
            raise OptionsError(
                f"The {self.loss} loss has no saturating generator: leave saturating off, or "
                "choose vanilla."
            )

    @property
    def probability(self) -> Callable[[Tensor], Tensor] | None:
        """Maps scores to how probably an image is real; None where scores have no such meaning.

        Least-squares scores aim at 1 and 0; what is beyond is cut off.
        """
        if self.loss == "vanilla":
            return torch.sigmoid
        return _cut_off if self.loss == "least-squares" else None

    def real(self, scores: Tensor, rival: Rival | None = None) -> Tensor:
        """Return what the discriminator pays for its scores of real images, a scalar.

        Args:
            scores: of any shape.
            rival: gives its scores of as many generated images; for "relativistic" only.

        Raises:
            OptionsError: the loss is "relativistic", and there is no rival.
        """
        tell_real_scores(scores)
        if self.loss == "relativistic":
            scores = self._margin(scores, rival)
        return self._taught(scores, self._real, self._fake)

    def fake(self, scores: Tensor, rival: Rival | None = None) -> Tensor:
        """Return what the discriminator pays for its scores of generated images, a scalar.

        Arguments are those of `real`, the rival being real images.
        """
        if self.loss == "relativistic":
            scores = self._margin(scores, rival)
        return self._taught(scores, self._fake, self._real)

    def fool(self, scores: Tensor, rival: Rival | None = None) -> Tensor:
        """Return what the generator pays for the scores of its images, a scalar.

        Arguments are those of `real`, the rival being real images; it gets no gradient.
        """
        if self.loss == "relativistic":
            with torch.no_grad():
                against = self._rival(rival)
            return relativistic(scores, against.detach())
        scores = at_least_float32(scores)
        match self.loss:
            case "vanilla":
                if self.saturating:
                    return -_cross_entropy(scores, 0.0).mean()
                return _cross_entropy(scores, 1.0).mean()
            case "least-squares":
                return (scores - 1).square().mean()
            case _:
                return -scores.mean()

    def _rival(self, rival: Rival | None) -> Tensor:
        if rival is None:
            raise OptionsError(
                f"adversarial.loss (={self.loss!r}) compares the scores of real and generated "
                "images, which this model does not: choose another loss."
            )
        return at_least_float32(rival())

    def _margin(self, scores: Tensor, rival: Rival | None) -> Tensor:
        return at_least_float32(scores) - self._rival(rival)

    def _taught(self, scores: Tensor, right: Cost, wrong: Cost) -> Tensor:
        scores = at_least_float32(scores)
        if not self.label_noise:
            return right(scores).mean()
        flipped = torch.rand(scores.shape, device=scores.device) < self.label_noise
        return torch.where(flipped, wrong(scores), right(scores)).mean()

    def _real(self, scores: Tensor) -> Tensor:
        match self.loss:
            case "vanilla":
                return _cross_entropy(scores, self.real_label)
            case "least-squares":
                return (scores - self.real_label).square()
            case "wasserstein":
                return -scores
            case "relativistic":  # scores are margins here
                return F.softplus(-scores) / 2
            case _:
                return F.relu(1 - scores)

    def _fake(self, scores: Tensor) -> Tensor:
        match self.loss:
            case "vanilla":
                return _cross_entropy(scores, self.fake_label)
            case "least-squares":
                return (scores - self.fake_label).square()
            case "wasserstein":
                return scores
            case "relativistic":
                return F.softplus(scores) / 2
            case _:
                return F.relu(1 + scores)


def relativistic(judged: Tensor, rival: Tensor) -> Tensor:
    """Return E[softplus(-(judged - rival))]: what is paid unless `judged` scores above `rival`.

    Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019; Huang et al., "The GAN is
    dead; long live the GAN! A modern GAN baseline", NeurIPS 2024, equation 2: each real image is
    paired with a generated one. The discriminator pays relativistic(D(x), D(y)), the generator
    relativistic(D(y), D(x)), to which no gradient through D(x) belongs.

    >>> relativistic(torch.tensor([[3.0]]), torch.tensor([[3.0]]))
    tensor(0.6931)

    Args:
        judged: scores of one side, of any shape: one per image or a map of patches.
        rival: those of the other side, of the same shape.

    Returns:
        A scalar.
    """
    assert judged.shape == rival.shape, (judged.shape, rival.shape)
    return F.softplus(at_least_float32(rival) - at_least_float32(judged)).mean()


def _cut_off(scores: Tensor) -> Tensor:
    return at_least_float32(scores).clamp(0, 1)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    labels = torch.full_like(logits, label)
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
