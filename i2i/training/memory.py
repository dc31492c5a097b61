"""A step for which the memory does not suffice is repeated in smaller pieces."""

import gc
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from typing import IO, Any

import torch
from torch import nn

from i2i.errors import TrainingError
from i2i.memory import OUT_OF_MEMORY, is_out_of_memory
from i2i.training.trainer import Losses, Trainer


class Rescue:
    """Does the steps of a trainer, in more pieces when the memory does not suffice.

    When a step fails, some players may have moved already. Therefore the state before a step is
    written to a temporary file, but only as long as it is open whether the memory suffices: until
    every player has had a turn with a batch of that size in that many pieces. A run that was given
    less memory later (by another program on the same GPU) has nothing to go back to but its last
    checkpoint.

    Arguments:
        trainer: does the steps; its `accumulate` is what changes.
        say: prints a line for a person.
        changed: told the new number of pieces.
    """

    def __init__(
        self,
        trainer: Trainer,
        say: Callable[[str], None],
        changed: Callable[[int], None] = lambda pieces: None,
    ) -> None:
        self.trainer = trainer
        self.say = say
        self.changed = changed
        self.pieces = trainer.accumulate
        self._proven: set[tuple[int, int, str]] = set()  # size of a batch, pieces, player

    def step(self, batch: Any, *, closely: bool = False) -> Losses:
        """Train on one batch, as `Trainer.step`.

        Raises:
            TrainingError: the memory does not suffice, and the batch cannot be cut any further or
                there is nothing to go back to.
        """
        if self.trainer.model.begins_anew(self.trainer.clock):
            self._proven.clear()  # the networks have changed
        while (losses := self._attempt(batch, closely)) is None:
            self.changed(self.pieces)
        return losses

    def _attempt(self, batch: Any, closely: bool) -> Losses | None:
        """Do a step, or return None with everything as it was, but for the number of pieces."""
        trainer, size = self.trainer, len(batch[0])
        trainer.accumulate = divisor_from(self.pieces, size)
        needed = {(size, trainer.accumulate, player) for player in trainer.model.players}
        # To a file: a copy in memory might be what makes it too small.
        with nullcontext() if needed <= self._proven else tempfile.TemporaryFile() as before:
            if before is not None:
                torch.save(trainer.state_dict(), before)
            try:
                losses = trainer.step(batch, closely=closely)
            except OUT_OF_MEMORY as error:
                if not is_out_of_memory(error):
                    raise
                if before is None or trainer.accumulate == size:
                    raise TrainingError(self._hopeless(size, before is not None)) from error
            else:
                players = {name.split("/")[0] for name in losses}
                self._proven |= {place for place in needed if place[2] in players}
                return losses
            # The error is gone by now, and with it the frames that held on to the memory.
            _restore(trainer, before)
        self.pieces = divisor_from(2 * trainer.accumulate, size)
        self.say(self._notice(size))
        return None

    def _notice(self, size: int) -> str:
        trainer = self.trainer
        looks_at_all = any(
            isinstance(module, nn.modules.batchnorm._BatchNorm)
            for module in trainer.model.modules()
        )
        consequence = (
            f"batch norm now takes its statistics from {size // self.pieces} pictures instead of "
            f"{size // trainer.accumulate}, so that the result differs"
            if looks_at_all
            else "the gradients are those of the whole batch, unless a network compares pictures"
        )
        return (
            f"note: the memory did not suffice for step {trainer.steps_done + 1}. It is repeated, "
            f"and the run goes on, with train.accumulate = {self.pieces}: {consequence}."
        )

    def _hopeless(self, size: int, could_go_back: bool) -> str:
        trainer = self.trainer
        cure = (
            "resume the run: it then looks for a number of pieces that fits"
            if not could_go_back
            else "train.checkpointing = true, --precision bf16, a smaller --size or a smaller "
            "generator.width help"
        )
        pictures = size // trainer.accumulate
        return (
            f"step {trainer.steps_done + 1}: the memory does not suffice for a piece of "
            f"{pictures} of the {size} pictures of a batch: {cure}."
        )


def divisor_from(least: int, size: int) -> int:
    """Return the smallest divisor of `size` that is at least `least`; at most `size` itself."""
    return next((n for n in range(min(least, size), size) if size % n == 0), size)


def _restore(trainer: Trainer, file: IO[bytes]) -> None:
    for parameter in trainer.model.parameters():
        parameter.grad = None
    gc.collect()
    if trainer.device.type == "cuda":
        torch.cuda.empty_cache()
    file.seek(0)
    trainer.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
