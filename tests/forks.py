"""Programs of Python that begin when all imports are done: forked off a server that has done them.

Importing takes several seconds of a processor for each process, computing mostly much less.
"""

import atexit
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

_SERVER = """
import json, os, runpy, signal, sys
import kornia, torch._dynamo, torch.utils.tensorboard  # what takes long
import i2i.cli.train, i2i.evaluation.runs, i2i.inference.load, i2i.training.session

def run(command, environment, folder):
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if command[0] == "-m":
        sys.argv = command[1:]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        runpy.run_path(command[0], run_name="__main__")

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    command, environment, folder, file = json.loads(line)
    if os.fork():
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:  # waits for the program, and notes how it ended
        with open(file + ".pid.part", "w") as noted:
            noted.write(str(child))
        os.rename(file + ".pid.part", file + ".pid")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with open(file + ".code.part", "w") as noted:
            noted.write(str(code))
        os.rename(file + ".code.part", file + ".code")
        os._exit(0)
    os.setsid()
    for number, name in ((0, os.devnull), (1, file + ".out"), (2, file + ".err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    run(command, environment, folder)
    sys.exit()
"""


class Fork:
    """A program that runs, much like a `subprocess.Popen`; it leads a group of processes."""

    def __init__(self, files: Path) -> None:
        self._files = files
        self.returncode: int | None = None
        self.pid = int(self._noted("pid", 60))

    def poll(self) -> int | None:
        if self.returncode is None and self._files.with_suffix(".code").exists():
            self.returncode = int(self._noted("code", 0))
        return self.returncode

    def wait(self, timeout: float = 100) -> int:
        self.returncode = int(self._noted("code", timeout))
        return self.returncode

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """What was printed and complained of, once it has ended."""
        self.wait(timeout)
        out, err = (self._files.with_suffix(each).read_text("utf-8") for each in (".out", ".err"))
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _noted(self, what: str, seconds: float) -> str:
        file, deadline = self._files.with_suffix(f".{what}"), time.monotonic() + seconds
        while not file.exists():
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(file), seconds)
            time.sleep(0.005)
        return file.read_text()


_numbers = itertools.count()


@functools.cache
def _server() -> tuple[subprocess.Popen[str], Path]:
    folder = tempfile.TemporaryDirectory(prefix="forks-")
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        text=True,
        # Sums over other numbers of threads have another order; and threads do not survive a fork.
        # Nor is an arena of 64 MiB wanted for each thread where memory is limited.
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "MALLOC_ARENA_MAX": "1"},
        start_new_session=True,
    )

    def end() -> None:
        process.communicate(timeout=240)
        folder.cleanup()

    atexit.register(end)
    return process, Path(folder.name)


def start(
    *command: str | Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Fork:
    """Start `python COMMAND`, which is a file or "-m" and a module, and its arguments.

    Arguments:
        command: the command.
        environment: what is different in it.
        cwd: the folder that it runs in.
    """
    process, folder = _server()
    files = folder / f"{next(_numbers)}"
    environment = {**os.environ, **(environment or {})}
    request = [[*map(str, command)], environment, str(cwd or Path.cwd()), str(files)]
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return Fork(files)


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python COMMAND` to its end."""
    process = start(*command, cwd=cwd)
    said, complained = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.wait(), said, complained)
