"""The moving average of a generator's weights."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """An exponential moving average of parameters: average <- decay average + (1 - decay) weight.

    Yazici et al.: The Unusual Effectiveness of Averaging in GAN Training, 2019. It starts from the
    weights as they are when it is made. Buffers are not averaged: running statistics of batch norm
    remain those of the network itself. (`torch.optim.swa_utils` has one too, but it asks the
    device for a counter in every step, and the step would wait for the answer.)

    Arguments:
        parameters: names and tensors; the names are the keys of `state_dict`.
        decay: 0..1, for each update.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], decay: float) -> None:
        named = dict(parameters)
        self.decay = decay
        self.names = list(named)
        self.live: list[Tensor] = list(named.values())
        self.mean = [parameter.detach().clone() for parameter in self.live]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        torch._foreach_lerp_(self.mean, self.live, 1 - self.decay)

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
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        assert state.keys() == set(self.names)
        torch._foreach_copy_(self.mean, [state[name] for name in self.names])
