"""Weights in pickled networks, without running anything that is pickled with them.

The published networks of StyleGAN2 and R3GAN are pickles of whole Python objects, with source code
in them that their own loader executes. A pickle may name any function and have it called. Here it
is read by an unpickler that knows no function but its own: tensors are rebuilt from their bytes,
and every other class or function that is named becomes a `Placeholder`, whose calls do nothing but
note what they were given. Nothing is imported, and no source code is looked at.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.errors import CheckpointError

DEEPEST = 64
"""Modules within modules; a module that is within itself has no end."""


class Placeholder:
    """What stands for an object of a class, or the result of a function, that is not run.

    Attributes:
        given: the arguments of the call.
        items: what was set by key, as in a dictionary.
        state: what the object is to be restored from.
    """

    def __new__(cls, *arguments: Any, **named: Any) -> "Placeholder":
        made = super().__new__(cls)
        made.given = arguments
        made.items = {}
        made.state = None
        return made

    given: tuple[Any, ...]
    items: dict[Any, Any]
    state: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def __call__(self, *arguments: Any, **named: Any) -> "Placeholder":
        return Placeholder(*arguments)

    def append(self, value: Any) -> None:
        """A list's; what is appended holds no weights."""

    def extend(self, values: Any) -> None:
        """A list's."""

    def add(self, value: Any) -> None:
        """A set's."""


class _Weight(Placeholder):
    """A tensor. It is none itself, since a pickle may restore the state of what it has made."""

    tensor: Tensor


def _storage(content: Any) -> Any:
    """The numbers of a tensor, from bytes that torch wrote."""
    if not isinstance(content, bytes):
        raise pickle.UnpicklingError("a storage is not made of bytes")
    found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("what should be a storage is none")
    return found


def _weight(storage: Any, offset: Any, size: Any, stride: Any, *unused: Any) -> _Weight:
    """A tensor whose numbers are all in its storage, and at least as many there."""
    numbers = [offset, *size, *stride]
    if not isinstance(storage, torch.storage.TypedStorage) or len(size) != len(stride):
        raise pickle.UnpicklingError("a tensor is not made of a storage")
    if not all(type(number) is int and 0 <= number < 2**40 for number in numbers):
        raise pickle.UnpicklingError("a tensor has an impossible shape")
    held = storage._size()
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    count = 1
    for n in size:
        count *= n
    if count > held or (count and last >= held):
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    made = _Weight()
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    made.tensor = flat.as_strided(size, stride, offset).clone()
    return made


def _parameter(data: Any, *unused: Any) -> Any:
    return data


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _weight,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
}
"""All that a pickle can call; of torch's names, functions of this file."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # Something new for each name, since a pickle may also set the attributes of what it names.
        known = _KNOWN.get((module, name))
        if known is None:
            return type("Placeholder", (Placeholder,), {})
        return lambda *arguments: known(*arguments)


def pickled_networks(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the weights of the networks in a pickled dictionary, such as "G", "D" and "G_ema".

    Returns:
        network -> name of each weight and buffer -> tensor, on the CPU.

    Raises:
        CheckpointError: the file is no such pickle.
    """
    try:
        with path.open("rb") as file:
            found = _Unpickler(file).load()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # bytes that are no pickle can raise anything
        raise CheckpointError(
            f"{path} cannot be read: expected a pickle of networks, whole ({type(error).__name__}: "
            f"{error})."
        ) from error
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{path} holds a {type(found).__name__}: expected a dictionary of networks, such as "
            "G, D and G_ema."
        )
    networks = {
        str(name): weights
        for name, network in found.items()
        if (weights := dict(_weights(network, path)))
    }
    if not networks:
        raise CheckpointError(
            f"{path} holds no weights of PyTorch. Pickles of TensorFlow must be converted first, "
            "by legacy.py of stylegan2-ada-pytorch (which runs what is in them)."
        )
    return networks


def _weights(
    module: Any, path: Path, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Tensor]]:
    """The weights and buffers of a module, with their full names."""
    if depth > DEEPEST:
        raise CheckpointError(f"{path} holds modules more than {DEEPEST} deep: it is damaged.")
    attributes = _attributes(module)
    for kind in ("_parameters", "_buffers"):
        for name, value in _entries(attributes.get(kind)):
            if isinstance(value, _Weight):
                yield f"{prefix}{name}", value.tensor
    for name, inner in _entries(attributes.get("_modules")):
        yield from _weights(inner, path, f"{prefix}{name}.", depth + 1)


def _attributes(module: Any) -> Mapping[Any, Any]:
    """The attributes of a pickled module: an ordinary one, or one of those whose source code is
    pickled with them, which are made by a function that is given a table with their `state`."""
    if not isinstance(module, Placeholder):
        return {}
    if isinstance(module.state, dict):
        return module.state
    for given in module.given:
        state = dict(_entries(given)).get("state")
        if isinstance(state, dict):
            return state
    return {}


def _entries(table: Any) -> list[tuple[Any, Any]]:
    if isinstance(table, Placeholder):
        return list(table.items.items())
    return list(table.items()) if isinstance(table, dict) else []
