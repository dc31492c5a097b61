"""What several processes agree on while they train: when to stop, and who writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor

from i2i.distributed.processes import Processes
from i2i.runs.verdict import Verdict
from i2i.training.interrupt import Interrupt
from i2i.training.monitor import MetricLogger


class StopFlag(Interrupt):
    """Lets all processes stop after the same step if a signal reaches one of them.

    Each step begins by sending what signal there is, and by looking at what was sent a step ago,
    which has long arrived: nobody waits, and no GPU is asked. So a run stops one step later than
    that of one process would.

    Arguments:
        own: what notices the signals of this process.
        processes: all of them.
    """

    def __init__(self, own: Interrupt, processes: Processes) -> None:
        super().__init__()
        self.own = own
        self.processes = processes
        self._save = False
        self._saved = False
        self._sent: tuple[Tensor, Any] | None = None

    def asked(self) -> bool:
        """Whether to stop before the next step. A collective."""
        self.settle()
        if self.signal is None:
            due = self.processes.first and self.own.save_due()
            flags = torch.tensor([self.own.signal or 0, int(due)])
            group = self.processes.control
            self._sent = flags, dist.all_reduce(flags, dist.ReduceOp.MAX, group, async_op=True)
        return self.signal is not None

    def save_due(self) -> bool:
        """Whether the first process has said so a step ago: all get the same answer."""
        return self._save

    def saved(self, *, by_clock: bool) -> None:
        self._save, self._saved = False, True
        self.own.saved(by_clock=by_clock)

    def settle(self) -> None:
        """Look at what was sent last."""
        if self._sent is not None:
            flags, work = self._sent
            work.wait()
            self.signal = int(flags[0]) or None
            self._save = bool(flags[1]) and not self._saved  # it may have been sent before that
            self._sent, self._saved = None, False


class NoJournal(MetricLogger):
    """For the processes that write nothing."""

    def __init__(self) -> None:
        self.rows = []

    def verdicts(self, found: Sequence[Verdict]) -> None:
        pass

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def checkpoint(self, step: int, path: Path) -> None:
        pass

    def sheet(self, step: int, name: str, sheet: Image.Image) -> None:
        pass

    def text(self, name: str, text: str) -> None:
        pass

    def close(self) -> None:
        pass
