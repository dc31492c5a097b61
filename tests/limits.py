"""Memory that runs out where a test wants it to."""

from typing import Any

import torch
from torch import nn

from i2i.training.build import build_trainer
from i2i.training.trainer import Trainer

CPU_ERROR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 123 bytes. Error code 12 (Cannot allocate memory)"
)


class Limit:
    """Lets networks fail on more than so many images, from a certain call on.

    Every forward and backward pass of a network is a call.
    """

    def __init__(self, model: nn.Module, images: int, first: int, error: Exception) -> None:
        self.images = images
        self.first = first
        self.error = error
        self.calls = 0
        for network in model.children():
            if list(network.parameters()):
                network.register_forward_pre_hook(self.forward)

    def forward(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not torch.is_grad_enabled():  # validation
            return
        self.look(inputs[0].shape[0])
        if inputs[0].requires_grad:
            inputs[0].register_hook(lambda gradient: self.look(gradient.shape[0]))

    def look(self, images: int) -> None:
        self.calls += 1
        if self.calls > self.first and images > self.images:
            raise self.error


def limited_trainer(*arguments: Any, **named: Any) -> Trainer:
    """`build_trainer`, with networks that take one image at a time and no more."""
    trainer = build_trainer(*arguments, **named)
    Limit(trainer.model, 1, 0, RuntimeError(CPU_ERROR))
    return trainer
