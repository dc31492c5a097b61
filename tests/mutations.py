"""Good files made bad: what a fuzz test feeds to whatever reads files.

Everything follows from a generator of random numbers, so that a failure can be seen again.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch

DEEP = 3000
STRANGE: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: -1,
    lambda: 3,
    lambda: 10**7,
    lambda: 2**63,
    lambda: 10**4000,
    lambda: 0.5,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: "",
    lambda: "x",
    lambda: "../..",
    lambda: "a\0b",
    lambda: "y" * 5000,
    lambda: [],
    lambda: {},
    lambda: [[]],
    lambda: ["a", 1, None],
    lambda: {"a": {"b": 1}},
    lambda: {"": ""},
    lambda: nested(DEEP, "list"),
    lambda: nested(DEEP, "dict"),
    lambda: [0] * 1000,
)
"""What somebody may have put in the place of any value."""


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


def bytes_of(good: bytes, random: Random) -> bytes:
    """Flip, overwrite, cut out, repeat or cut off some bytes."""
    data = bytearray(good)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if not data:
            break
        at = random.randrange(len(data))
        length = random.choice((1, 2, 4, 8, 64))
        match random.randrange(7):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                data[at : at + length] = random.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                del data[at:]
            case 5:
                data[at : at + length] = random.choice((b"\0", b"\xff", b"[", b"9")) * length
            case 6:
                data[at : at + 4] = random.choice((2**31 - 1, 2**32 - 1, 2**16, 0)).to_bytes(
                    4, "little"
                )
    return bytes(data)


def value_of(good: Any, random: Random) -> Any:
    """Remove, exchange, rename, add or nest something somewhere in tables and lists."""
    value = copy.copy(good)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        changed = _changed(value, random)
        value = changed if isinstance(changed, type(good)) else value  # the outermost stays
    return value


def _changed(value: Any, random: Random) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.93:
        value = dict(value)
        key = random.choice(list(value))
        match random.randrange(8):
            case 0:
                del value[key]
            case 1:
                value[random.choice(("x", "", "é" * 300, 7, str(key) + "s"))] = value.pop(key)
            case 2:
                value[random.choice(("extra", key))] = random.choice(STRANGE)()
            case 3:
                value[key] = value[random.choice(list(value))]
            case _:
                value[key] = _changed(value[key], random)
        return value
    if isinstance(value, list | tuple) and value and random.random() < 0.7:
        value = list(value)
        at = random.randrange(len(value))
        if random.random() < 0.2:
            del value[at]
        elif random.random() < 0.2:
            value *= 2
        else:
            value[at] = _changed(value[at], random)
        return value
    if isinstance(value, torch.Tensor) and random.random() < 0.9:
        return _other_tensor(value, random)
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.6:
        return random.choice((value + 1, -value, value * 2, value * 1000, value * 10**12))
    return random.choice(STRANGE)()


def _other_tensor(value: torch.Tensor, random: Random) -> Any:
    match random.randrange(9):
        case 0:
            return value[None]
        case 1:
            return value.flatten()
        case 2:
            return value.reshape(-1)[:0]
        case 3:
            return value.to(random.choice((torch.int64, torch.bool, torch.float64, torch.bfloat16)))
        case 4:
            return value * float("nan") if value.is_floating_point() else value - 10**6
        case 5:
            return torch.zeros(1).expand(10**5, 10**5, 100)  # petabytes in four bytes
        case 6:
            return torch.cat([value.reshape(-1)] * 2)
        case 7:
            return value.to_sparse() if value.dim() else value[None]
        case _:
            return torch.zeros(2, 0, 3)


def all_files(folder: Path, random: Random, good: dict[str, bytes]) -> Iterator[Path]:
    """Write good files with one of them made bad, removed, or a folder; gives its path."""
    name = random.choice(sorted(good))
    for each, content in good.items():
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    path = folder / name
    match random.randrange(12):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            path.write_bytes(b"[" * 50_000)
        case 3:
            path.write_bytes(b"")
        case _:
            path.write_bytes(bytes_of(good[name], random))
    yield path
