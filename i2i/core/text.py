"""Numbers with their nouns, and lists that end."""

from collections.abc import Sequence


def counted(count: int, one: str, many: str) -> str:
    """ "1 image has", "3 images have"."""
    return f"{count} {one if count == 1 else many}"


def of(count: int, total: int) -> str:
    """ "3 of 120 images"."""
    return f"{count} of {counted(total, 'image', 'images')}"


def listed(items: Sequence[str], most: int) -> str:
    """ "a, b and 3 more": the first `most` of some items, and how many there are besides."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
