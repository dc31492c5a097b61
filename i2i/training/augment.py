"""Augmentation of everything that a discriminator sees."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from i2i.core.model import Clock
from i2i.errors import OptionsError
from i2i.losses import real_scores
from i2i.networks.augment import AdaptiveProbability, AugmentPipe, Draws, Sometimes
from i2i.networks.augment.adaptive import count_signs
from i2i.training.noise import entrance


class DiscriminatorAugmentation(nn.Module):
    """Augments real and generated images alike before a discriminator sees them, in the turns of
    both players, so that it cannot learn a few real ones by heart.

    Gradients pass: to the generator, and to images whose slope is penalised, which is that at the
    image before its augmentation (Karras et al.: Training Generative Adversarial Networks with
    Limited Data, NeurIPS 2020, appendix; Zhao et al.: Differentiable Augmentation for
    Data-Efficient GAN Training, NeurIPS 2020, equations 4 to 6). Each pass has random numbers of
    its own, from torch's generator, as everything in a step.

    It acts on networks only inside of `playing` and `judging`.

    Arguments:
        augmentation: draws and transforms, with the probability `p`.
        discriminators: networks whose first argument are images (N, C, H, W).
        device: of the networks.
        condition: what the channels in front of those of the image are: see `Model.condition`.
        judged: channels of the image itself; only needed where something is in front of it.
        alike: whether all that is judged of a sample is augmented alike, as real and generated
            images must be whose layers are compared.
        adaptive: moves p; without it, p stays as it is.
        interval: steps from one move of p to the next.
        middle: the score that says neither real nor generated.
    """

    heard: Tensor
    images: Tensor

    def __init__(
        self,
        augmentation: AugmentPipe | Sometimes,
        discriminators: Iterable[nn.Module],
        *,
        device: torch.device | str = "cpu",
        condition: Literal["none", "image", "planes"] = "none",
        judged: int | None = None,
        alike: bool = False,
        adaptive: AdaptiveProbability | None = None,
        interval: int = 4,
        middle: float = 0.0,
    ) -> None:
        super().__init__()
        assert condition == "none" or judged is not None
        self.augmentation = augmentation
        self.condition = condition
        self.judged = judged
        self.alike = alike
        self.adaptive = adaptive
        self.interval = interval
        self.middle = middle
        self.sum_up: Callable[[Tensor], None] = lambda counted: None
        """Makes what was counted its sum over all processes, in place."""
        self.register_buffer("heard", torch.zeros(2))  # in this step, by `count_signs`
        self.register_buffer("images", torch.zeros(()))  # since p was last moved
        self.to(device)
        self._acts = False
        self._ever_heard = False
        self._samples = 0
        self._drawn: dict[torch.Size, Draws] = {}
        for network in discriminators:
            entrance(network).register_forward_pre_hook(self._before)

    @property
    def p(self) -> Tensor:
        """The probability, a scalar on the device; it may be set in place (`fill_`)."""
        return self.augmentation.p

    def begin(self, samples: int) -> None:
        """Say that a game is about to begin, and with how many samples."""
        self._samples = samples
        self._drawn.clear()

    @contextmanager
    def playing(self) -> Iterator[None]:
        """Augment what discriminators see inside, and listen to their scores of real images."""
        token = real_scores.set(self._listen if self.adaptive is not None else None)
        try:
            with self._acting():
                yield
        finally:
            real_scores.reset(token)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Augment what discriminators see inside, and learn nothing from it."""
        samples, self._samples = self._samples, 0
        try:
            with self._acting():
                yield
        finally:
            self._samples = samples

    @contextmanager
    def _acting(self) -> Iterator[None]:
        before, self._acts = self._acts, True
        try:
            yield
        finally:
            self._acts = before

    def readings(self) -> dict[str, Tensor]:
        """What the log tells of a step: scalars on the device."""
        told = {"augment_probability": self.p.detach().clone()}
        if self.adaptive is not None:
            signs, scores = self.heard.unbind()
            told["real_sign"] = signs / scores.clamp(min=1)
        return told

    def end_step(self, clock: Clock, images: int) -> None:
        """Move p, if it is time to; nothing waits for the device. A collective if it adapts.

        Arguments:
            clock: of the step.
            images: that all processes together have trained on in it.

        Raises:
            OptionsError: nobody has told the scores of real images.
        """
        if self.adaptive is None:
            return
        self.sum_up(self.heard)
        self.adaptive.add(self.heard)
        self.heard.zero_()
        self.images += images
        if clock.every(self.interval):
            if not self._ever_heard:
                raise OptionsError(
                    "augment_discriminator.adaptive (=true) goes by the scores of real images, but "
                    "this model pays for none (objective.real): set it to false."
                )
            self.adaptive.adjust(self.p, self.images)
            self.images.zero_()

    def kept(self) -> dict[str, Tensor]:
        """What a checkpoint needs to hold; nothing where p follows from the options."""
        return {} if self.adaptive is None else self.state_dict()

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Go on with what a checkpoint held."""
        if self.adaptive is not None:
            self.load_state_dict(dict(kept))
        self._drawn.clear()

    @torch.no_grad()
    def _listen(self, scores: Tensor) -> None:
        self._ever_heard = True
        self.heard += count_signs(scores - self.middle).to(self.heard.dtype)

    def _before(self, network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._acts:
            return inputs
        return (self.augment(inputs[0]), *inputs[1:])

    def augment(self, images: Tensor) -> Tensor:
        """Augment what a discriminator is shown, (N, C, H, W), with numbers drawn for it."""
        draws = self._draws(images)
        if self.condition == "none":
            return self.augmentation.transform(images, draws)
        assert self.judged is not None
        front = images.shape[1] - self.judged
        parts = [
            self.augmentation.transform(part, draws, colour=colour)
            for part, colour in (
                (images[:, :front], self.condition == "image"),
                (images[:, front:], True),
            )
        ]
        return torch.cat(parts, dim=1)

    def _draws(self, images: Tensor) -> Draws:
        if not self.alike or not self._samples:
            return self.augmentation.draw(images)
        times = len(images) // self._samples
        assert times * self._samples == len(images), (len(images), self._samples)
        size = images.shape[2:]
        if size not in self._drawn:
            self._drawn[size] = self.augmentation.draw(images[: self._samples])
        return {
            name: draw.repeat(times, *[1] * (draw.ndim - 1))
            for name, draw in self._drawn[size].items()
        }
