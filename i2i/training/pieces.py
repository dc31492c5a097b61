"""A batch in pieces: cutting it, and going back to the weights of an earlier turn."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from i2i.core.batch import AnyBatch
from i2i.errors import DataError


@torch.no_grad()
def clip_weights(parameters: Iterable[Tensor], limit: float) -> None:
    """Bring weights back to between -limit and limit."""
    weights = list(parameters)
    torch._foreach_clamp_min_(weights, -limit)
    torch._foreach_clamp_max_(weights, limit)


class Weights:
    """What some tensors were before something changed them, and after.

    They are put back through `data`: autograd takes running statistics for inputs of the graph (in
    training they are not), and would refuse to go backward.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.tensors = list(tensors)
        self.before = [tensor.detach().clone() for tensor in self.tensors]
        self.after: list[Tensor] = []

    def moved(self) -> "Weights":
        self.after = [tensor.detach().clone() for tensor in self.tensors]
        return self

    def restore_before(self) -> None:
        self._restore(self.before)

    def restore_after(self) -> None:
        self._restore(self.after)

    def _restore(self, values: list[Tensor]) -> None:
        for tensor, value in zip(self.tensors, values, strict=True):
            tensor.data.copy_(value)


def pieces_of(batch: AnyBatch, count: int) -> Iterator[AnyBatch]:
    """Cut a named tuple of tensors into `count` of them along the first dimension."""
    if count == 1:
        return iter([batch])
    size = len(batch[0])
    if size % count:
        raise DataError(
            f"A batch of {size} cannot be cut into {count} equal pieces "
            "(train.gradient_accumulation)."
        )
    return (type(batch)(*parts) for parts in zip(*(t.chunk(count) for t in batch), strict=True))
