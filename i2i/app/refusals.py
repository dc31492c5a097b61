"""Why a request is not answered, each with its status of HTTP."""

from i2i.app.batching import ClosedError, ExpiredError
from i2i.errors import CheckpointError, DataError, I2iError, OptionsError, RunError


class RefusedError(I2iError):
    """A request that is not answered."""

    status = 400


class NotFoundError(RefusedError):
    """There is no such model, run or page."""

    status = 404


class TooLargeError(RefusedError):
    """More bytes or pixels than are taken."""

    status = 413


class TooSlowError(RefusedError):
    """The request has not arrived in time."""

    status = 408


class TooManyError(RefusedError):
    """One client asks for too much at the same time."""

    status = 429


class GoneError(RefusedError):
    """The client has not waited for its answer, which nobody reads therefore."""

    status = 499


class BusyError(RefusedError):
    """No room at present: try again."""

    status = 503


_STATUS: tuple[tuple[type[I2iError], int], ...] = (
    (ExpiredError, 504),
    (ClosedError, 503),
    (CheckpointError, 500),
    (RunError, 409),
    (DataError, 422),
    (OptionsError, 422),
)


def status_of(error: I2iError) -> int:
    """The status of HTTP that says what went wrong."""
    if isinstance(error, RefusedError):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
