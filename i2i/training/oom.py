"""A step for which the memory does not suffice is repeated in smaller pieces."""

import gc
import logging
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from i2i.core.batch import AnyBatch
from i2i.distributed.gradients import rehearsing
from i2i.errors import TrainingError, reason
from i2i.system.memory import OUT_OF_MEMORY, is_out_of_memory
from i2i.training.trainer import Losses, Trainer

_log = logging.getLogger(__name__)

MARGIN = 256 * 2**20
"""Bytes that are kept free in a rehearsal, for what carries gradients to other processes: what NCCL
and gloo allocate is in nobody's account."""


class OutOfMemoryError(TrainingError):
    """A step does not fit; `undone` if all is as it was before that step."""

    def __init__(self, text: str, *, undone: bool) -> None:
        super().__init__(text)
        self.undone = undone


class OOMRetry:
    """Does the steps of a trainer, in more pieces when the memory does not suffice.

    When a step fails, some players may have moved already. Therefore the state before a step is
    written to a temporary file, but only as long as it is open whether the memory suffices: until a
    step of its kind has been done that had no less to hold. A run that was given less memory later
    (by another program on the same GPU) has nothing to go back to but its last checkpoint.

    Of several processes that train together, one that fails within a step leaves the others waiting
    for its gradients, and cannot ask them to begin again. So there each process first rehearses a
    step that may fail: without the others, but with the buffers in which gradients are sent and a
    margin, and in more pieces until it fits. All traces are wiped out. Then the processes agree on
    the largest number of pieces, and do the step.

    Arguments:
        trainer: does the steps; its `gradient_accumulation` is what changes.
        changed: told the new number of pieces.
    """

    def __init__(
        self,
        trainer: Trainer,
        changed: Callable[[int], None] = lambda pieces: None,
    ) -> None:
        self.trainer = trainer
        self.changed = changed
        self.pieces = trainer.gradient_accumulation
        self._proven: set[tuple[Hashable, int]] = set()  # kind of a step, pieces

    def step(self, batch: AnyBatch, *, closely: bool = False) -> Losses:
        """Train on one batch, as `Trainer.step`. A collective.

        Raises:
            TrainingError: the memory does not suffice, and the batch cannot be cut any further or
                there is nothing to go back to.
        """
        trainer, size = self.trainer, len(batch[0])
        if trainer.model.resets_optimizers(trainer.clock):
            self._proven.clear()  # the networks have changed
        trainer.gradient_accumulation = divisor_from(self.pieces, size)
        kind = self._kind(size)
        proven = (kind, trainer.gradient_accumulation) in self._proven
        if not proven and trainer.processes.alone:
            losses = self._try(batch, closely)
        else:
            if not proven:
                self._rehearse(batch)
            losses = self._trust(batch, closely)
        if kind is not None:
            self._proven.add((kind, trainer.gradient_accumulation))
        return losses

    def _kind(self, size: int) -> Hashable | None:
        """What tells how much memory the coming step takes; None for one that proves nothing."""
        trainer = self.trainer
        anew = trainer.model.resets_optimizers(trainer.clock)
        # An optimizer allocates its state when a player first moves, after the step's peak.
        moved = {player for player, each in trainer.optimizers.items() if each.state and not anew}
        graph_key = trainer.model.graph_key(trainer.clock)
        if graph_key is None and len(moved) < len(trainer.optimizers):
            return None  # who will move in a later step is not known
        return size, graph_key, frozenset(moved)

    def _try(self, batch: AnyBatch, closely: bool) -> Losses:
        """Do a step, in more and more pieces until the memory suffices."""
        trainer, size = self.trainer, len(batch[0])
        with _undoing(trainer) as undo:
            while (losses := _attempt(lambda: trainer.step(batch, closely=closely))) is None:
                before = trainer.gradient_accumulation
                undo()
                trainer.gradient_accumulation = self._more_pieces(size)
                self._go_on(
                    size,
                    before,
                    f"the memory did not suffice for step {trainer.steps_done + 1}. It is "
                    "repeated, and",
                )
        return losses

    def _rehearse(self, batch: AnyBatch) -> None:
        """Find out in how many pieces all processes can do the coming step. A collective."""
        trainer, size = self.trainer, len(batch[0])
        before = trainer.gradient_accumulation

        def step() -> Losses:
            margin = torch.empty(MARGIN, dtype=torch.uint8, device=trainer.device)
            losses = trainer.step(batch, closely=True)
            del margin
            return losses

        with _undoing(trainer) as undo, rehearsing(trainer.model, trainer.all_exchanges()):
            while _attempt(step) is None:
                trainer.gradient_accumulation = self._more_pieces(size)
                undo()
            undo()
        needed = trainer.processes.gather(trainer.gradient_accumulation)
        trainer.gradient_accumulation = max(needed)  # divides `size`, as all shares have that size
        if trainer.gradient_accumulation > before:
            ranks = [str(rank) for rank, pieces in enumerate(needed) if pieces == max(needed)]
            whose = f"of process{'es' if len(ranks) > 1 else ''} {', '.join(ranks)}"
            self._go_on(
                size,
                before,
                f"the memory {whose} did not suffice for step {trainer.steps_done + 1}, so",
            )

    def _trust(self, batch: AnyBatch, closely: bool) -> Losses:
        """Do a step for which the memory has sufficed."""
        trainer, size = self.trainer, len(batch[0])
        if (losses := _attempt(lambda: trainer.step(batch, closely=closely))) is None:
            start = (
                ""
                if trainer.processes.alone
                else ", or begin one with more train.gradient_accumulation"
            )
            raise OutOfMemoryError(
                self._refusal(
                    size, f"resume the run: it then looks for a number of pieces that fits{start}"
                ),
                undone=False,
            )
        return losses

    def _more_pieces(self, size: int) -> int:
        pieces = self.trainer.gradient_accumulation
        if pieces == size:
            raise OutOfMemoryError(
                self._refusal(
                    size,
                    "train.checkpointing = true, --precision bf16, a smaller --size or a smaller "
                    "generator.width help",
                ),
                undone=self.trainer.processes.alone,
            )
        return divisor_from(2 * pieces, size)

    def _go_on(self, size: int, before: int, why: str) -> None:
        """From here on with the trainer's number of pieces instead of so many as before."""
        self.pieces = self.trainer.gradient_accumulation
        modules = self.trainer.model.modules()
        norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        seen = size * max((getattr(norm, "shares", 1) for norm in norms), default=1)
        consequence = (
            f"batch norm now takes its statistics from {seen // self.pieces} images instead of "
            f"{seen // before}, so that the result differs"
            if norms
            else "the gradients are those of the whole batch, unless a network compares images"
        )
        _log.info(
            f"note: {why} the run goes on, with train.gradient_accumulation = {self.pieces}: "
            f"{consequence}."
        )
        self.changed(self.pieces)

    def _refusal(self, size: int, cure: str) -> str:
        trainer = self.trainer
        whole = "a batch" if trainer.processes.alone else "a process's share of a batch"
        return (
            f"step {trainer.steps_done + 1}: the memory does not suffice for a piece of "
            f"{size // trainer.gradient_accumulation} of the {size} images of {whole}: {cure}."
        )


def divisor_from(least: int, size: int) -> int:
    """Return the smallest divisor of `size` that is at least `least`; at most `size` itself."""
    return next((n for n in range(min(least, size), size) if size % n == 0), size)


def _attempt(step: Callable[[], Losses]) -> Losses | None:
    """Do a step; None, with the state somewhere between, if the memory did not suffice."""
    try:
        return step()
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    return None  # the error is gone by now, and with it the frames that held on to the memory


@contextmanager
def _undoing(trainer: Trainer) -> Iterator[Callable[[], None]]:
    """Remember everything that a step changes; gives what makes it as it was, any number of times.

    Raises:
        TrainingError: the temporary file cannot be written.
    """
    # To a file: a copy in memory might be what makes it too small.
    with tempfile.TemporaryFile() as file:
        try:
            torch.save(trainer.state_dict(), file)
        except (OSError, RuntimeError) as error:  # torch makes the latter of the former
            if is_out_of_memory(error):
                raise
            raise TrainingError(
                f"step {trainer.steps_done + 1}: the state before it could not be kept in "
                f"{tempfile.gettempdir()} ({reason(error)}): let TMPDIR name a folder with "
                "more room."
            ) from error

        def undo() -> None:
            for parameter in trainer.model.parameters():
                parameter.grad = None
            gc.collect()
            if trainer.device.type == "cuda":
                torch.cuda.empty_cache()
            file.seek(0)
            trainer.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))

        yield undo
