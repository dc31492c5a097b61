"""How much work a training step is: counted operation by operation, not guessed.

Counting takes no device: it works on tensors without data (`torch.device("meta")`) as well.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class StepWork(TorchDispatchMode):
    """Counts the work of all that torch does while it is entered, below autograd: floating-point
    operations, bytes, and operators that are started.

    Floating-point operations are those of matrix products and convolutions, 2 for each
    multiplication with its addition, by the formulas of `torch.utils.flop_counter` (whose own mode
    refuses gradients with respect to images, as penalties of critics need them).

    Bytes are what each operation reads and writes at least if it goes through memory once: the
    tensors that it takes and those that it makes or changes. Views cost nothing. Operations that
    are fused need less together, operations that read twice (normalisations) need more.

    Operators are those that do anything of that: a GPU starts a kernel for each, at least.

    Attributes:
        parts: (floating-point operations, bytes) of each operator in the order of their start.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[int, int]] = []

    @property
    def operations(self) -> int:
        """Floating-point operations of everything."""
        return sum(operations for operations, _ in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes read and written by everything."""
        return sum(moved for _, moved in self.parts)

    @property
    def operators(self) -> int:
        """How many were started."""
        return len(self.parts)

    def seconds(self, operations_per_second: float, bytes_per_second: float) -> float:
        """How long it takes a device at its ceilings, one operation after the other: each takes as
        long as its arithmetic or its memory traffic, whichever is longer (a roofline; Williams,
        Waterman, Patterson: Roofline, CACM 2009)."""
        return sum(
            max(operations / operations_per_second, moved / bytes_per_second)
            for operations, moved in self.parts
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        operations = 0 if formula is None else formula(*args, **kwargs, out_val=result)
        moved = _bytes_moved(func, args, kwargs, result)
        if operations or moved:
            self.parts.append((int(operations), moved))
        return result


def _bytes_moved(func: Any, args: Any, kwargs: Mapping[str, Any], result: Any) -> int:
    if func.is_view or func._overloadpacket.__name__.startswith(("empty", "new_empty", "detach")):
        return 0
    schema = func._schema
    given = [*zip(schema.arguments, args, strict=False)]
    given += [(each, kwargs[each.name]) for each in schema.arguments if each.name in kwargs]
    read = [tensor for _, value in given for tensor in _tensors(value)]
    changed = [
        tensor
        for argument, value in given
        if argument.alias_info is not None and argument.alias_info.is_write
        for tensor in _tensors(value)
    ]
    # Without data all have the same pointer (0), so the objects themselves are told apart.
    known = {tensor.untyped_storage()._cdata for tensor in read}
    made = [t for t in _tensors(result) if t.untyped_storage()._cdata not in known]
    if not changed and not made:  # an alias (`_unsafe_view`), or a number for Python
        return 0
    return sum(map(_size, [*read, *changed, *made]))


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _size(tensor: Tensor) -> int:
    """Bytes; of a tensor that repeats its numbers, those that are there."""
    return min(tensor.nbytes, tensor.untyped_storage().nbytes())
