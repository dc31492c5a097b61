"""The folder of a run while it is trained."""

import logging
from typing import Any

from i2i.errors import RunError
from i2i.runs.folder import Run, create_run, record_environment, remove_run
from i2i.runs.lock import RunLock, unwritable
from i2i.system.atomic import write_text

_log = logging.getLogger(__name__)


class RunFolder:
    """Owns the folder of a run, tells in it what the run is, and makes it again if it is removed.

    Arguments:
        run: where.
        about: what the run runs on.
    """

    def __init__(self, run: Run, about: dict[str, Any]) -> None:
        self.run = run
        self.about = about
        self._lock: RunLock | None = None
        self._options = ""

    def create(self, options: str, *, unique: bool) -> None:
        """Make the folder of a new run.

        Arguments:
            options: of the run, as TOML.
            unique: take another name if somebody else has this one.

        Raises:
            RunError: it cannot be made; then nothing of it is left.
        """
        self.run = create_run(self.run, self.about, unique=unique)
        try:
            self.own()
            self.describe(options)
        except BaseException:
            self.release()
            remove_run(self.run)
            raise

    def own(self) -> None:
        """Be the only process that trains in the folder.

        Raises:
            RunError: another one does, or nothing can be written there.
        """
        lock = RunLock(self.run.folder)
        lock.acquire()
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def reopen(self, options: str, step: int) -> None:
        """Go on in a folder that is owned already: what came after `step` is done again.

        Raises:
            RunError: nothing can be written there.
        """
        try:
            self.run.make_again()
            self.run.forget_after(step)
            record_environment(self.run, self.about, step)
        except OSError as error:
            raise unwritable(self.run.folder, error) from error
        self.describe(options)

    def describe(self, options: str) -> None:
        """Write down the options.

        Raises:
            RunError: they cannot be written.
        """
        self._options = options
        try:
            write_text(self.run.options, options)
        except OSError as error:
            raise unwritable(self.run.folder, error) from error

    def restore(self) -> None:
        """Make the folder again if somebody has removed it, or a part of it.

        Raises:
            OSError: it cannot be made.
        """
        whole = self.run.folder.is_dir() and self.run.options.is_file()
        if not self.run.make_again() and whole:
            return
        if not whole:
            record_environment(self.run, self.about)
            write_text(self.run.options, self._options)
            if self._lock is not None:
                try:
                    self._lock.renew()
                except RunError as error:
                    _log.info(f"note: {error}")
        _log.info(
            f"note: somebody has removed {self.run.folder} or a part of it; it is made again."
        )
