"""Activation checkpointing: less memory for training, at the price of a second forward pass.

Chen et al.: Training Deep Nets with Sublinear Memory Cost, 2016. Of a segment of layers only the
input is kept; the backward pass computes the rest again. The gradients are the same, bit for bit:
dropout draws the same numbers again, and statistics that the layers gather are gathered once.
"""

from collections.abc import Iterable, Iterator
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
        if number < 0:
            features = segment(features)
        else:
            result = checkpoint(
                segment, features, use_reentrant=False, context_fn=_Contexts(segment)
            )
            assert isinstance(result, Tensor)
            features = result
    return features


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
    """What surrounds the first and the second pass through a segment."""

    def __init__(self, segment: nn.Module) -> None:
        self.segment = segment

    def __call__(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _unchanged(list(self.segment.buffers()))


@contextmanager
def _unchanged(buffers: list[Tensor]) -> Iterator[None]:
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.data.copy_(value)  # autograd would take running statistics for inputs
