"""What i2i logs, for tests that read it or act on it."""

import contextlib
import logging
from collections.abc import Callable, Iterator


class _Listener(logging.Handler):
    def __init__(self, then: Callable[[str], object]) -> None:
        super().__init__()
        self.then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.then(record.getMessage())


@contextlib.contextmanager
def hearing(then: Callable[[str], object]) -> Iterator[None]:
    """Give each line that i2i logs to a function, whose errors are raised where it was logged."""
    listener, logger = _Listener(then), logging.getLogger("i2i")
    level = logger.level
    logger.addHandler(listener)
    if level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
