"""How the model does on pictures that it does not learn from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from i2i.batch import to_device
from i2i.training.sheet import picture_sheet
from i2i.training.trainer import Trainer


class Validation:
    """A fixed sample of held-out pictures, measured and shown the same way each time.

    The generators run as they do after training: with the moving average where there is one, and in
    the normalisation mode of the recipe.

    Arguments:
        batches: what `model.measure` takes, as byte pictures; kept in memory.
        prepare: puts a network into the mode in which it will be used.
        sheet: how many pictures the picture sheet shows.
        seed: of the random numbers that the generators may draw (dropout).
    """

    def __init__(
        self,
        batches: Sequence[Any],
        prepare: Callable[[nn.Module], None],
        *,
        sheet: int,
        seed: int = 0,
    ) -> None:
        assert batches
        self.batches = batches
        self.prepare = prepare
        self.seed = seed
        self.sheet_batch = _first(batches, sheet)

    def measure(self, trainer: Trainer) -> dict[str, float]:
        """Each measure over all pictures."""
        with self._as_used(trainer):
            values = [trainer.model.measure(self._to(trainer, batch)) for batch in self.batches]
        return trainer.model.summarise(
            {name: torch.cat([measured[name] for measured in values]) for name in values[0]}
        )

    def show(self, trainer: Trainer) -> Image.Image:
        """The picture sheet."""
        with self._as_used(trainer):
            columns = trainer.model.show(self._to(trainer, self.sheet_batch))
        return picture_sheet({name: images.float() for name, images in columns.items()})

    def _to(self, trainer: Trainer, batch: Any) -> Any:
        return to_device(batch, trainer.device, trainer.memory_format)

    @contextmanager
    def _as_used(self, trainer: Trainer) -> Iterator[None]:
        average = trainer.average.in_place() if trainer.average else nullcontext()
        torch.manual_seed(self.seed)  # the trainer seeds each of its steps again
        for name in trainer.model.generators:
            self.prepare(trainer.model.get_submodule(name))
        # A discriminator judges as it does in training, but learns nothing of these pictures.
        buffers = [(buffer, buffer.clone()) for buffer in trainer.model.buffers()]
        try:
            with average, torch.no_grad(), trainer.precision.autocast():
                yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            trainer.model.train()


def _first(batches: Sequence[Any], count: int) -> Any:
    """The first `count` samples of some batches, as one batch."""
    fields: list[Tensor] = [torch.cat(parts)[:count] for parts in zip(*batches, strict=True)]
    return type(batches[0])(*fields)
