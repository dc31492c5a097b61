"""What `torch.save` wrote: first an outline, which costs no memory, then the tensors.

The file is a zip archive with a pickle of everything but the numbers. `torch.load` in its safe mode
calls no foreign code, but believes sizes: it would allocate what a storage says it has, unpack what
a member says it unpacks to, and let a pickle name a memory cell of four billion. So the pickle is
looked through first, and then read with nothing but stand-ins for tensors, whose sizes are compared
with the members of the archive.
"""

import io
import math
import pickle
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from i2i.system.gate.values import MOST_LETTERS, RefusedError, require_plain

MOST_PICKLE = 2**22
"""Bytes of the pickle: room for 20,000 tensors, twenty times as many as the largest recipe has."""

_MOST_MEMBERS = 50_000
_MOST_LIST = 2**23
"""Bytes that the list of the archive's members may have."""

MOST_DIMENSIONS = 8

_STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32,
        "Double": torch.float64,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Char": torch.int8,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}

_HARMLESS = frozenset(
    [
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINPUT",
        "LONG_BINPUT",
        "BINGET",
        "LONG_BINGET",
        "MEMOIZE",
        "EMPTY_DICT",
        "EMPTY_LIST",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "LIST",
        "DICT",
        "APPEND",
        "APPENDS",
        "SETITEM",
        "SETITEMS",
        "GLOBAL",
        "REDUCE",
        "BUILD",
        "BINPERSID",
    ]
)


@dataclass(frozen=True)
class TensorOutline:
    """A tensor without its numbers."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class _Storage:
    dtype: torch.dtype
    count: int


class _Ordered(dict[Any, Any]):
    """An ordered dictionary; of attributes it takes only what `state_dict` notes of versions."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not state.keys() <= {"_metadata"}:
            raise RefusedError("gives a table attributes of its own")
        notes = state.get("_metadata", {})
        plain = isinstance(notes, dict) and all(
            isinstance(note, dict)
            and all(isinstance(k, str) and isinstance(v, int) for k, v in note.items())
            for note in notes.values()
        )
        if not plain:
            raise RefusedError("has notes on its versions that are none")


def outline(path: Path) -> Any:
    """Read a file that `torch.save` wrote, without its numbers.

    Arguments:
        path: a file in the format of PyTorch since 1.6.

    Returns:
        plain values within the bounds of `values`, with a `TensorOutline` in place of each tensor.

    Raises:
        RefusedError: the file is damaged, holds something else than tensors and plain values, or
            says that it holds more than it does.
    """
    try:
        with path.open("rb") as file:
            size = _require_short_list(file)
            with zipfile.ZipFile(file) as archive:
                pickled, storages = _members(archive, size)
                content = archive.read(pickled)
        _look_through(content)
        found = _Outliner(content, storages).load()
    except RefusedError:
        raise
    except MemoryError:
        raise RefusedError("is damaged: it asks for more memory than there is") from None
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror or error}") from error
    except Exception as error:  # damaged zips and pickles raise nearly anything
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RefusedError(f"is damaged: {why}") from error
    require_plain(found, (TensorOutline,))
    return found


def load_tensors(path: Path, device: torch.device | str = "cpu", *, old: bool = False) -> Any:
    """Read a file that `torch.save` wrote, once its outline was let through.

    Arguments:
        path: the file.
        device: where the tensors go.
        old: whether the format before PyTorch 1.6 is read too, of which there is no outline.

    Raises:
        RefusedError: as for `outline`.
    """
    if not old or zipfile.is_zipfile(path):
        outline(path)
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # bytes that are no pickle can raise anything
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RefusedError(f"cannot be read: {why}") from error


def _require_short_list(file: Any) -> int:
    """Return the size of a file, whose list of members is not so long that it fills the memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(-min(size, 22 + 2**16), io.SEEK_END)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise RefusedError(f"is truncated ({size:,} bytes)")
    if _MOST_LIST < int.from_bytes(tail[at + 12 : at + 16], "little") < 2**32 - 1:
        raise RefusedError("has too many members")
    return int(size)


def _members(archive: zipfile.ZipFile, size: int) -> tuple[zipfile.ZipInfo, dict[str, int]]:
    """The pickle, and name -> bytes of each storage."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise RefusedError(f"has {len(members):,} members (at most {_MOST_MEMBERS:,})")
    if len({member.filename for member in members}) < len(members):
        raise RefusedError("has two members of one name")
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members):
        raise RefusedError("is compressed or encrypted, as PyTorch writes nothing")
    if any(m.file_size != m.compress_size for m in members) or (
        sum(member.file_size for member in members) > size
    ):
        raise RefusedError("says that it holds more than it has bytes")
    pickles = [member for member in members if member.filename.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1:
        raise RefusedError("is no file of tensors as PyTorch saves them")
    if pickles[0].file_size > MOST_PICKLE:
        raise RefusedError(f"describes its tensors in more than {MOST_PICKLE:,} bytes")
    below = f"{pickles[0].filename.split('/')[0]}/data/"
    return pickles[0], {
        member.filename.removeprefix(below): member.file_size
        for member in members
        if member.filename.startswith(below)
    }


def _look_through(content: bytes) -> None:
    """Refuse a pickle that would do or take more than to list tensors and plain values."""
    for code, argument, _ in pickletools.genops(content):
        if code.name not in _HARMLESS:
            raise RefusedError(f"holds more than tensors and plain values ({code.name})")
        if code.name.endswith("PUT") and isinstance(argument, int) and argument > len(content):
            raise RefusedError("is damaged: it numbers its values beyond their number")
        if isinstance(argument, str) and len(argument) > MOST_LETTERS:
            raise RefusedError(f"holds a text of {len(argument):,} letters")


class _Outliner(pickle.Unpickler):
    """Reads a pickle of `torch.save` with stand-ins for tensors; everything else is refused."""

    def __init__(self, content: bytes, storages: dict[str, int]) -> None:
        super().__init__(io.BytesIO(content))
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return _Ordered
            case "torch._utils", "_rebuild_tensor_v2":
                return _tensor
            case "torch._utils", "_rebuild_parameter":
                return _parameter
            case "torch", _ if name in _STORAGES:
                return _STORAGES[name]
        raise RefusedError(f"holds more than tensors and plain values ({module}.{name})")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, name, place, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(place, str):
            raise RefusedError("is damaged: it has a storage of no known kind")
        if not _is_count(count) or count * dtype.itemsize != self.storages.get(name):
            raise RefusedError("is damaged: it has fewer or more numbers than it says")
        return _Storage(dtype, count)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorOutline:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple):
        raise RefusedError("is damaged: it has a tensor of no known kind")
    counts = (offset, *shape, *strides)
    if not all(map(_is_count, counts)) or not len(shape) == len(strides) <= MOST_DIMENSIONS:
        raise RefusedError("is damaged: it has a tensor of an impossible shape")
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) > storage.count or (0 not in shape and last >= storage.count):
        raise RefusedError("is damaged: it has a tensor larger than its numbers")
    return TensorOutline(shape, storage.dtype)


def _parameter(tensor: Any, *_: Any) -> TensorOutline:
    if not isinstance(tensor, TensorOutline):
        raise RefusedError("is damaged: it has a parameter that is no tensor")
    return tensor


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
