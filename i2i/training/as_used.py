"""A model in the middle of its training, as it will be used after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from i2i.core.draws import draws_apart

if TYPE_CHECKING:
    from i2i.training.trainer import Trainer


@contextmanager
def as_used(
    trainer: "Trainer", prepare: Callable[[nn.Module], object], seed: int, *, single: bool = False
) -> Iterator[None]:
    """Let the generators run as they do after training, without a trace in the training.

    They have their averaged weights, where there is an average, and the mode that `prepare` puts
    them into; random numbers follow from `seed`. Discriminators judge as in training, but learn
    nothing of what they see. Everything, the random state included, is afterwards as it was.

    Arguments:
        trainer: of the model.
        prepare: puts a network into the mode in which it is used.
        seed: of what generators may draw (dropout, noise).
        single: whether batches hold one image, of which batch norm could make no statistics.
    """
    model, augmentation = trainer.model, trainer.augmentation
    # A classifier is asked what an image is, not what is left of it.
    augmented = augmentation is not None and model.classifier is None
    with draws_apart(seed, trainer.device):
        if single:
            model.eval()
        for name in (*model.generators, *model.companions):
            prepare(model.get_submodule(name))
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        average = trainer.ema.in_place() if trainer.ema else nullcontext()
        judging = augmentation.judging() if augmentation and augmented else nullcontext()
        try:
            with average, torch.no_grad(), trainer.precision.autocast(), judging:
                yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            model.train()
