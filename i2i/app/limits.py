"""How much is taken of clients: bytes, pixels, time, and requests at the same time."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from i2i.app.refusals import BusyError, TooLargeError, TooManyError
from i2i.errors import OptionsError


@dataclass(frozen=True)
class Limits:
    """What a server takes.

    Attributes:
        bytes: of the body of a request.
        pixels: of an image, in all its frames, before and after it is resized.
        seconds: from the beginning of a request to the beginning of its computation.
        arrival_seconds: that a request may take to arrive.
        requests: at the same time, of all clients; as many connections again may be open.
        per_client: requests at the same time of one address.
        samples: images from noise of one request.
    """

    bytes: int = 32 * 2**20
    pixels: int = 2**24
    seconds: float = 60.0
    arrival_seconds: float = 30.0
    requests: int = 256
    per_client: int = 64
    samples: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise OptionsError(f"{name} (={value}) must be more than 0.")


class Admission:
    """Counts what is in the house, so that nothing grows without bound.

    Arguments:
        limits: of requests and pixels. All images in memory together may have as many pixels as
            sixteen of the largest.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._clients: Counter[str] = Counter()
        self._pixels = 0

    @property
    def requests(self) -> int:
        """Those that are in."""
        with self._lock:
            return self._clients.total()

    @property
    def pixels(self) -> int:
        """Of the images that are in."""
        with self._lock:
            return self._pixels

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """Let a request in, for as long as the block lasts.

        Raises:
            BusyError, TooManyError: there are too many.
        """
        with self._lock:
            if self._clients.total() >= self._limits.requests:
                raise BusyError(
                    f"{self._limits.requests} requests are being answered, which is the most: try "
                    "again in a moment."
                )
            if self._clients[client] >= self._limits.per_client:
                raise TooManyError(
                    f"{self._limits.per_client} requests of yours are being answered, which is the "
                    "most: wait for one of them."
                )
            self._clients[client] += 1
        try:
            yield
        finally:
            with self._lock:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]

    @contextmanager
    def image(self, pixels: int) -> Iterator[None]:
        """Let an image into memory, for as long as the block lasts.

        Raises:
            TooLargeError, BusyError: it is too large ever, or at present.
        """
        if pixels > self._limits.pixels:
            raise TooLargeError(
                f"the image has {pixels / 1e6:.1f} million pixels, and "
                f"{self._limits.pixels / 1e6:.1f} million is the most: make it smaller, or cut it."
            )
        with self._lock:
            if self._pixels + pixels > 16 * self._limits.pixels:
                raise BusyError("images of others fill the memory: try again in a moment.")
            self._pixels += pixels
        try:
            yield
        finally:
            with self._lock:
                self._pixels -= pixels
