"""Plain values: nothing, truth, numbers, text, and lists and tables of them, within bounds."""

from typing import Any

MOST_DEPTH = 32
"""Tables and lists within each other. Options have 5, the state of an optimizer 6."""

MOST_VALUES = 2_000_000
"""Altogether: what a file of 16 MB can hold."""

MOST_LETTERS = 100_000
"""Of a text. The longest of a recipe is its summary."""

LARGEST = 2**64
"""Whole numbers lie below, so that each has a place in a tensor or a table of another program."""

_SHOWN = 80


class RefusedError(ValueError):
    """What is in a file is not let in; the text completes the sentence "FILE ...".

    This is for the code that reads files; a person gets one of `i2i.errors`, with the file's name.
    """


def require_plain(value: Any, leaves: tuple[type, ...] = (), most: int = MOST_VALUES) -> None:
    """Raise `RefusedError` unless a value is plain and within bounds.

    No recursion: the value may be nested as deep as it likes, and may hold itself.

    Arguments:
        value: what was read.
        leaves: further types that are let through as they are.
        most: values altogether.
    """
    seen = 0
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        seen += 1
        if seen > most:
            raise RefusedError(f"holds more than {most:,} values")
        if depth > MOST_DEPTH:
            raise RefusedError(f"is nested more than {MOST_DEPTH} levels deep")
        if isinstance(each, dict):
            for key in each:
                if not isinstance(key, str | int):
                    raise RefusedError(f"has a key of the type {type(key).__name__}")
                _require_bounded(key)
            waiting += [(inner, depth + 1) for inner in each.values()]
        elif isinstance(each, list | tuple) and not isinstance(each, leaves):
            waiting += [(inner, depth + 1) for inner in each]
        elif each is None or isinstance(each, str | int | float):
            _require_bounded(each)
        elif not isinstance(each, leaves):
            raise RefusedError(f"holds a value of the type {type(each).__name__}")


def _require_bounded(value: Any) -> None:
    if isinstance(value, str) and len(value) > MOST_LETTERS:
        raise RefusedError(f"holds a text of {len(value):,} letters (at most {MOST_LETTERS:,})")
    if isinstance(value, int) and not -LARGEST < value < LARGEST:
        raise RefusedError(f"holds a whole number of {value.bit_length()} bits (at most 64)")


def shortened(value: object) -> str:
    """A value as a person is shown it: as Python writes it, but no more than a line of it."""
    text = repr(value[: 4 * _SHOWN]) if isinstance(value, str | bytes) else _written(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _written(value: object) -> str:
    try:
        return repr(value)
    except (ValueError, RecursionError):  # a number too long to print, nesting too deep
        return f"a {type(value).__name__} too large to print"
