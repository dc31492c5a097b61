"""What is in an image file or a data set, in a short word: copies and changes are known by it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from i2i.data.images.paths import in_blocks
from i2i.errors import DataError


class Member(NamedTuple):
    """An image of a split.

    Attributes:
        name: its path below the data set, or what else tells it from the others.
        hash: of its content: `content_hash` of a file, `hash_pixels` of what is no file.
    """

    name: str
    hash: str


class Splits(Protocol):
    """What knows its images: a `Source`."""

    @property
    def splits(self) -> Mapping[str, Sequence[Member]]:
        """ "train", "val" and "test" -> their images."""
        ...


def content_hash(path: Path) -> str:
    """Hash the bytes of a file: 32 hexadecimal digits of BLAKE2b.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except OSError as error:
        raise DataError(f"'{path}' cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def hash_bytes(data: bytes) -> str:
    """Hash the bytes that a file holds, as `content_hash` does."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def hash_pixels(pixels: npt.NDArray[np.uint8]) -> str:
    """Hash an image (H, W, C) that is no file of its own; likewise 32 digits."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def fingerprint(source: Splits) -> str:
    """Return a word that changes with the content and the names of the images to train on.

    The files were read when the source was opened, or their size and time of modification are those
    of the last time: this costs nothing more. Where the data set lies does not matter.
    """
    digest = hashlib.blake2b(digest_size=16)
    lines = (f"{name}\n{content}\n" for name, content in source.splits["train"])
    for some in in_blocks(lines):
        digest.update("".join(some).encode(errors="surrogateescape"))
    return digest.hexdigest()
