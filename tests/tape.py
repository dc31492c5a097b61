"""A CUDA graph for a CPU: records every operation below autograd, and does them again.

As a CUDA graph does, a tape knows operations and the memory they work on, and nothing of what
Python decided or computed in between: whatever a step bakes in that should change makes a replayed
step differ from one that Python plays. And as a CUDA graph, it refuses what waits for a number.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from i2i.training.cuda_graphs import Losses, Reseed


class Tape(TorchDispatchMode):
    """Records what happens while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Callable[[Sequence[int]], None]] = []
        self.places = 0
        self.fresh = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a recording cannot wait for a number")
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        same = tree_map_only(Tensor, Tensor.detach, (args, kwargs, result))
        before = {t.untyped_storage().data_ptr() for t in tree_leaves(same[:2]) if _is(t)}
        made = [t for t in tree_leaves(same[2]) if _is(t)]
        fresh = [t.untyped_storage().data_ptr() not in before for t in made]
        self.entries.append(lambda seeds: _again(func, same, made, fresh))
        return result

    def reseed(self, piece: int) -> None:
        place = self.places
        self.places += 1
        self.entries.append(lambda seeds: _seed(seeds[place]))

    def replay(self, seeds: Sequence[int]) -> None:
        assert len(seeds) == self.places
        if self.fresh:  # what was recorded here was done, unlike on a GPU
            self.fresh = False
            return
        with torch.no_grad():
            for entry in self.entries:
                entry(seeds)


class TapeRecorder:
    """Makes tapes; `refuse` is said instead of recording, if given."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse = refuse
        self.forgotten = 0
        self.rehearsed = 0

    def rehearse(self, work: Callable[[], Losses]) -> Losses:
        self.rehearsed += 1
        return work()

    def record(
        self, work: Callable[[Reseed], Losses], seeds: Sequence[int]
    ) -> tuple[Tape, list[str], Tensor]:
        tape = Tape()
        coming = iter(seeds)

        def reseed(piece: int) -> None:
            tape.reseed(piece)
            _seed(next(coming))

        with tape:
            if self.refuse:
                raise RuntimeError(self.refuse)
            losses = work(reseed)
            values = torch.stack(list(losses.values()))
        return tape, list(losses), values

    def forget(self) -> None:
        self.forgotten += 1


def _seed(seed: int) -> None:
    torch.default_generator.manual_seed(seed)


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)


def _again(func: Any, same: Any, made: list[Tensor], fresh: list[bool]) -> None:
    args, kwargs, _ = same
    results = [t for t in tree_leaves(func(*args, **kwargs)) if _is(t)]
    for place, value, new in zip(made, results, fresh, strict=True):
        if new:
            place.copy_(value)
