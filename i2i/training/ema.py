"""Averages of weights over the steps of a training."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class HalfLife:
    """A decay that is told in images: after so many of them, a weight counts half.

    Attributes:
        images: the half-life; 0 copies the weights.
        ramp: it is at most this share of the images seen so far; None for no such bound.
    """

    images: float
    ramp: float | None = None

    def decay(self, images: float, seen: int, count: int) -> float:
        """The decay of a step of `count` images, after `seen` of them.

        `images` is the half-life of today, which may change over the run.
        """
        half_life = images if self.ramp is None else min(images, seen * self.ramp)
        return float(0.5 ** (count / max(half_life, 1e-8)))


class EMA:
    """An exponential moving average of weights: average <- decay average + (1 - decay) weight.

    Yazici et al.: The Unusual Effectiveness of Averaging in GAN Training, 2019. It starts from the
    weights as they are when it is made. Running statistics of batch norm go with the weights: they
    are averaged with them, if they are among the tensors. (`torch.optim.swa_utils` has one too, but
    it asks the device for a counter in every step, and the step would wait for the answer.)

    With a warm-up, update t (from 1) has the decay min(decay, t / (t + 9)), so that the average is
    about that of the last tenth of the updates until `decay` is reached. Without it, a share of
    decay^t of the average is the fresh weights: 74 % after 300 updates with 0.999, which makes grey
    images.

    Arguments:
        parameters: names and tensors; the names are the keys of `state_dict`.
        decay: 0..1, for each update; None if `set_decay` says it before each.
        warmup: whether the decay grows to that.
    """

    def __init__(
        self,
        parameters: Iterable[tuple[str, Tensor]],
        decay: float | None,
        *,
        warmup: bool = False,
    ) -> None:
        named = dict(parameters)
        self.decay = decay
        self.names = list(named)
        self.live: list[Tensor] = list(named.values())
        self.mean = [parameter.detach().clone() for parameter in self.live]
        # On the device, where a recorded step reads it.
        self.updates = (
            torch.zeros((), dtype=torch.float64, device=self.live[0].device) if warmup else None
        )
        self.share = torch.zeros((), dtype=self.live[0].dtype, device=self.live[0].device)

    def set_decay(self, decay: float) -> None:
        """Say the decay of the next update."""
        self.share.fill_(1 - decay)

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        if self.decay is None:
            torch._foreach_lerp_(self.mean, self.live, [self.share] * len(self.mean))
        elif self.updates is None:
            torch._foreach_lerp_(self.mean, self.live, 1 - self.decay)
        else:
            self.updates += 1
            weight = (9 / (self.updates + 9)).clamp_min(1 - self.decay)
            weights = [weight.to(mean.dtype) for mean in self.mean]
            torch._foreach_lerp_(self.mean, self.live, weights)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the networks have the averaged weights for a while."""
        own = [parameter.detach().clone() for parameter in self.live]
        try:
            self._fill(self.mean)
            yield
        finally:
            self._fill(own)

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self.live, values)

    def state_dict(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.mean, strict=True))

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor], updates: Tensor | None = None) -> None:
        """Take on a state, and how many updates it had; those of an average without a warm-up
        are not counted, and count as many."""
        assert state.keys() == set(self.names)
        torch._foreach_copy_(self.mean, [state[name] for name in self.names])
        if self.updates is not None:
            self.updates.fill_(torch.inf if updates is None else updates)


def averaging_note(decay: float, warmup: bool, steps: int) -> str:
    """Say that results are those of the average, and what is left of the fresh weights in it.

    Arguments:
        decay, warmup: of the average.
        steps: length of the run.
    """
    note = (
        "note: validation, image sheets and results are of the moving average of the generator's "
        f"weights (train.ema_decay = {decay:g}), not of the weights of the last step"
    )
    fresh = decay**steps
    if warmup or fresh < 0.01:
        return f"{note}."
    return (
        f"{note}; after {steps} steps it still holds {fresh:.0%} of the fresh weights "
        "(train.ema_warmup=true lets it forget them sooner)."
    )


class HistoricalAverage:
    """Pulls a player's weights towards the mean of all that they have been.

    The player pays weight * ||theta - mean of theta over its past turns||**2 (Salimans et al.:
    Improved Techniques for Training GANs, 2016, section 3.2): players that circle around an
    equilibrium are drawn into it.

    Arguments:
        parameters: of the player.
        weight: of this term.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], weight: float) -> None:
        self.parameters: list[Tensor] = list(parameters)
        self.weight = weight
        self.mean = [parameter.detach().clone() for parameter in self.parameters]
        # On the device, where a recorded step reads it.
        self.turns = torch.zeros((), dtype=torch.int64, device=self.parameters[0].device)

    @torch.no_grad()
    def pull(self, scale: Tensor | None = None) -> Tensor:
        """Add the gradient of the term to the player's, and return the squared distance.

        Weights without a gradient have no part in this turn and are left alone.

        Arguments:
            scale: what the player's gradients are multiplied by (fp16).
        """
        moving = [
            (parameter, mean)
            for parameter, mean in zip(self.parameters, self.mean, strict=True)
            if parameter.grad is not None
        ]
        differences = [parameter - mean for parameter, mean in moving]
        for (parameter, _), difference in zip(moving, differences, strict=True):
            pulled = difference if scale is None else difference * scale
            assert parameter.grad is not None
            parameter.grad.add_(pulled, alpha=2 * self.weight)
        return torch.stack([difference.square().sum() for difference in differences]).sum()

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after one more turn into the mean."""
        self.turns += 1
        weight = self.turns.to(self.mean[0].dtype).reciprocal()
        torch._foreach_lerp_(self.mean, self.parameters, [weight] * len(self.mean))

    def state_dict(self) -> dict[str, Any]:
        return {"turns": self.turns, "mean": self.mean}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.turns.fill_(state["turns"])
        torch._foreach_copy_(self.mean, state["mean"])
