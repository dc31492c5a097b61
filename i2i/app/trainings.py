"""Trainings that are begun, resumed and stopped from a page, each `i2i train` in a process.

They belong to nobody: a training goes on when the application ends, and is found again by its run.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from i2i.app.refusals import BusyError, NotFoundError
from i2i.app.shelf import Shelf, is_trained
from i2i.config import Options, read_options
from i2i.config.recipes import flat, list_models, load_options, parse_setting
from i2i.config.reference import Option, all_options
from i2i.errors import OptionsError, RunError, did_you_mean
from i2i.runs.lock import LOCK, read_owner
from i2i.training.pretrained import recipe_of

PATIENCE = 300.0
"""Seconds that an estimate may take."""

TAIL = 40
"""Lines of a training's output that are shown."""

MOST = 4
"""Processes of one application at the same time."""

_SETTLED = (
    *("plugins", "model", "summary", "base", "data.root", "data.more", "data.table"),
    *("data.split_table", "data.A.instances", "data.B.instances", "train.init_from"),
)
"""Options that a form does not change: what runs code, names files, or decides what it is."""


@dataclass(eq=False)
class Training:
    """A process, and what it says."""

    title: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    began: float = field(default_factory=time.time)

    def tail(self) -> list[str]:
        """The last lines of its output, without what was overwritten on the screen."""
        size = os.fstat(self.output.fileno()).st_size
        data = os.pread(self.output.fileno(), 2**14, max(0, size - 2**14))
        lines = data.decode("utf-8", "replace").splitlines()
        return [line.rpartition("\r")[2] for line in lines if line.strip()][-TAIL:]

    def to_dict(self, number: int) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": number,
            "title": self.title,
            "code": self.process.poll(),
            "began": round(self.began),
            "output": self.tail(),
        }


class Places:
    """Where data may be read: some folders and what lies in them.

    Arguments:
        roots: the folders.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = [root.expanduser().resolve() for root in roots]

    def folder(self, text: str) -> Path:
        """A folder by its path, from the first root on.

        Raises:
            OptionsError: it is elsewhere, or no folder.
        """
        if "\0" in text or len(text) > 4000:
            raise OptionsError("this is no path of a folder.")
        path = (self.roots[0] / Path(text).expanduser()).resolve()
        if not any(path.is_relative_to(root) for root in self.roots):
            raise OptionsError(
                f"{text!r} lies outside of {', '.join(map(repr, map(str, self.roots)))}: start "
                "`i2i app` with --data-dir and a folder that it lies in."
            )
        if not path.is_dir():
            raise OptionsError(f"{text!r} is no folder in {str(self.roots[0])!r}.")
        return path


class Trainings:
    """What runs at present.

    Arguments:
        shelf: the runs.
        places: where data may be read.
        weights: where the weights are that a training can begin with, by their names.
    """

    def __init__(
        self,
        shelf: Shelf,
        places: Places,
        weights: Callable[[], Mapping[str, Path]] = dict,
    ) -> None:
        self._shelf = shelf
        self._places = places
        self._weights = weights
        self._lock = threading.Lock()
        self._all: dict[int, Training] = {}
        self._count = 0

    def to_list(self) -> list[dict[str, Any]]:
        """All that were begun here, the newest first; for JSON."""
        with self._lock:
            return [each.to_dict(number) for number, each in reversed(self._all.items())]

    def start(self, form: Mapping[str, Any]) -> int:
        """Begin a new run; returns the number of its training.

        Raises:
            OptionsError, RunError: something in the form is wrong, or the name is taken.
            BusyError: too many are running.
        """
        name = str(form.get("name") or "")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise OptionsError(
                f"name (={name[:100]!r}) must be letters, digits, points, hyphens and underscores."
            )
        if (self._shelf.runs_dir / name).exists():
            raise RunError(f"there is something called {name!r} already: take another name.")
        where = ["--name", name, "--runs-dir", str(self._shelf.runs_dir)]
        return self._begin(f"training {name}", [*self._arguments(form), *where])

    def estimate(self, form: Mapping[str, Any]) -> str:
        """What `i2i train --dry-run` says of a form.

        Raises:
            OptionsError: something in it is wrong.
        """
        command = [*_TRAIN, *self._arguments(form), "--dry-run"]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BusyError(f"the estimate took more than {PATIENCE:g} seconds.") from None
        text = (done.stdout if done.returncode == 0 else done.stderr).decode("utf-8", "replace")
        if done.returncode:
            raise OptionsError(text.strip().removeprefix("Error: ")[-2000:])
        return text.strip()

    def resume(self, name: str, steps: int | None) -> int:
        """Go on with a run, to more steps if they are told; returns the number of the training.

        Raises:
            NotFoundError, RunError: there is no such run, or it is trained already.
            BusyError: too many are running.
        """
        folder = self._shelf.folder(name)
        if is_trained(folder):
            raise RunError(f"{name!r} is being trained already.")
        longer = [] if steps is None else ["--steps", str(steps)]
        return self._begin(f"resuming {name}", ["--resume", str(folder), *longer])

    def stop(self, name: str) -> None:
        """Ask whoever trains a run to finish the step, save, and leave.

        Raises:
            NotFoundError: there is no such run.
            RunError: nobody trains it, or somebody on another machine.
        """
        folder = self._shelf.folder(name)
        owner = read_owner(folder)
        if owner is None or not is_trained(folder) or not _is_locked(folder):
            raise RunError(f"{name!r} is not being trained.")
        if owner.get("host") != socket.gethostname():
            raise RunError(f"{name!r} is trained on {owner.get('host')}: stop it there.")
        pid = owner.get("pid")
        if not isinstance(pid, int) or pid <= 1 or not _is_training(pid):
            raise RunError(
                f"{name!r} is trained by a program that is not `i2i train`: stop it there."
            )
        os.kill(pid, signal.SIGTERM)

    def remove(self, name: str) -> None:
        """Delete a run, with all that it has learnt.

        Raises:
            NotFoundError: there is no such run.
            RunError: it is being trained, or cannot be deleted.
        """
        folder = self._shelf.folder(name)
        if is_trained(folder) or _is_locked(folder):
            raise RunError(f"{name!r} is being trained: stop it first.")
        try:
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"{name!r} cannot be deleted: {error.strerror}.") from error

    def form(self, begin: str, name: str) -> list[dict[str, Any]]:
        """The options for a form: path, value, type and meaning, in the order of a recipe.

        Arguments:
            begin: "recipe", or "weights" for the recipe of weights to begin with.
            name: of a recipe that comes with i2i, or of weights.

        Raises:
            NotFoundError: there is no such recipe, or there are no such weights.
            I2iError: the weights cannot be read.
        """
        if begin == "weights":
            return form_of(read_options(recipe_of(str(self._place(name)))))
        if name not in list_models():
            raise NotFoundError(f"there is no recipe {name!r}.{did_you_mean(name, list_models())}")
        return form_of(load_options(name))

    def _place(self, name: str) -> Path:
        known = self._weights()
        if name not in known:
            raise NotFoundError(f"there are no weights {name!r}.{did_you_mean(name, known)}")
        return known[name]

    def _arguments(self, form: Mapping[str, Any]) -> list[str]:
        weights, recipe = str(form.get("weights") or ""), str(form.get("recipe") or "")
        if weights:
            begin, name = "weights", weights
            first = [f"--init-from={self._place(weights)}"]
        elif recipe in list_models():
            begin, name = "recipe", recipe
            first = [f"--recipe={recipe}"]
        else:
            raise OptionsError(
                f"recipe (={recipe[:100]!r}) must be one of those that come with i2i."
            )
        root = str(form.get("dataroot") or "")
        where = "demo" if root == "demo" else str(self._places.folder(root))
        arguments = [*first, f"--dataroot={where}"]
        for flag in ("steps", "size", "batch_size"):
            if (value := form.get(flag)) not in (None, ""):
                if not str(value).isdecimal():
                    raise OptionsError(f"{flag} (={value!r}) must be a whole number.")
                arguments += [f"--{flag.replace('_', '-')}", str(value)]
        settings = form.get("settings") or {}
        if not isinstance(settings, Mapping):
            raise OptionsError("settings must be an object of options and values.")
        offered = {each["path"] for each in self.form(begin, name)} if settings else set()
        for key, value in settings.items():
            if key not in offered:
                raise OptionsError(f"{key} cannot be set here: use `i2i train`.")
            parse_setting(f"{key}={value}")
            arguments += ["--set", f"{key}={value}"]
        return arguments

    def _begin(self, title: str, arguments: Sequence[str]) -> int:
        with self._lock:
            running = sum(each.process.poll() is None for each in self._all.values())
            if running >= MOST:
                raise BusyError(f"{running} trainings are running already: stop one of them.")
            output = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
            process = subprocess.Popen(
                [*_TRAIN, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C of the application is not meant for it
            )
            self._count += 1
            self._all[self._count] = Training(title, process, output)
            return self._count

    def close(self) -> None:
        """Forget what was begun here, which goes on."""
        with self._lock:
            for each in self._all.values():
                each.output.close()
                if each.process.poll() is None:
                    # Nobody else will ask how it ended, so that it would stay as a zombie.
                    threading.Thread(target=each.process.wait, daemon=True).start()
            self._all.clear()

    def wait(self, number: int, seconds: float) -> int | None:
        """Wait for a training to end; returns its exit code.

        Raises:
            NotFoundError: there is none of this number.
        """
        with self._lock:
            if number not in self._all:
                raise NotFoundError(f"there is no training {number}.")
            training = self._all[number]
        try:
            return training.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


_TRAIN = (sys.executable, "-m", "i2i", "train")


def _is_locked(folder: Path) -> bool:
    """Whether the system says that somebody has the lock of a run."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except (Timeout, NotImplementedError, OSError):
        return True
    lock.release()
    return False


def _is_training(pid: int) -> bool:
    """Whether a process is one of `i2i`; where the system does not say, it is believed."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not Path("/proc/self/cmdline").exists()
    except OSError:
        return False
    return any(word.endswith(b"i2i") for word in words) and b"train" in words


@cache
def _reference() -> dict[str, list[Option]]:
    found: dict[str, list[Option]] = {}
    for option in all_options():
        found.setdefault(option.path, []).append(option)
    return found


def form_of(options: Options) -> list[dict[str, Any]]:
    """Options for a form: path, value, type and meaning, in the order of a recipe."""
    users = _users(options)
    fields = []
    for path, value in flat(options.to_dict()).items():
        if path.startswith(_SETTLED):
            continue
        # A table of numbers is one option in the reference, and a field for each here.
        above = path.rpartition(".")[0]
        known = _reference().get(path) or _reference().get(above, [])
        fitting = [each for each in known if not each.users or users & set(each.users)] or known
        if fitting:
            fields.append(
                {
                    "path": path,
                    "value": value,
                    "type": fitting[0].type.removeprefix("table of "),
                    "meaning": fitting[0].meaning,
                }
            )
    return fields


def _users(options: Options) -> set[str]:
    """The model and the networks of some options."""
    return {options.model, *(each.network for each in options.networks.values())}
