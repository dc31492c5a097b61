"""Activation checkpointing: less memory for training, at the price of a second forward pass.

Chen et al.: Training Deep Nets with Sublinear Memory Cost, 2016. Of a segment of layers only the
input is kept; the backward pass computes the rest again. The gradients are the same, bit for bit:
dropout draws the same numbers again, the second pass begins with the buffers that the first began
with (spectral normalisation reads them), and what the layers gather in them is gathered once.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh)


class Block(nn.Module):
    """A module whose inner values are worth computing a second time, by itself."""


class Checkpointed(nn.Module):
    """A network, or a part of one, that can save memory."""

    checkpointing: bool = False

    def run(self, layers: nn.Sequential, features: Tensor) -> Tensor:
        """Apply layers one after the other; in training with checkpoints, if they are wanted."""
        if self.checkpointing and torch.is_grad_enabled():
            return run_layers(layers, features)
        result: Tensor = layers(features)
        return result

    def recompute(self, part: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Compute a part of this network, as one segment if checkpoints are wanted.

        Args:
            part: what of this module computes it, from nothing but the inputs and the weights.
        """
        if self.checkpointing and torch.is_grad_enabled():
            return _segment(part, self, *inputs)
        return part(*inputs)


def set_checkpointing(network: nn.Module) -> bool:
    """Let a network save memory; return whether it can."""
    parts = [module for module in network.modules() if isinstance(module, Checkpointed)]
    for part in parts:
        part.checkpointing = True
    return bool(parts)


def run_layers(layers: Iterable[nn.Module], features: Tensor) -> Tensor:
    """Apply layers one after the other, with checkpoints.

    A segment ends before an activation, which may work in place, and before a module with
    checkpoints of its own; either would find its input changed the second time. A `Block` is a
    segment by itself.
    """
    for number, group in groupby(_numbered(layers), key=lambda pair: pair[0]):
        segment = nn.Sequential(*(layer for _, layer in group))
        features = segment(features) if number < 0 else _segment(segment, segment, features)
    return features


def _segment(part: Callable[..., Tensor], owner: nn.Module, *inputs: Tensor) -> Tensor:
    """What `part`, of the module `owner`, computes, of which only the inputs are kept."""
    contexts = _Contexts(list(owner.buffers()))
    result = checkpoint(part, *inputs, use_reentrant=False, context_fn=contexts)
    assert isinstance(result, Tensor)
    return result


def _numbered(layers: Iterable[nn.Module]) -> Iterator[tuple[int, nn.Module]]:
    """Each layer with the number of its segment; -1 if it belongs to none."""
    number = 0
    for layer in layers:
        direct = isinstance(layer, (*_ACTIVATIONS, Checkpointed))
        alone = direct or isinstance(layer, Block)
        number += alone
        yield (-1 if direct else number), layer
        number += alone


class _Contexts:
    """What surrounds the first and the second pass through a segment with some buffers."""

    def __init__(self, buffers: list[Tensor]) -> None:
        self.buffers = buffers
        self.at_first = [buffer.clone() for buffer in buffers]

    def __call__(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._as_at_first()

    @contextmanager
    def _as_at_first(self) -> Iterator[None]:
        now = [buffer.clone() for buffer in self.buffers]
        try:
            self._set(self.at_first)
            yield
        finally:
            self._set(now)

    def _set(self, values: list[Tensor]) -> None:
        for buffer, value in zip(self.buffers, values, strict=True):
            buffer.data.copy_(value)  # autograd would take running statistics for inputs
