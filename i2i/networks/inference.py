"""How a network runs outside training.

The published pix2pix tests in training mode with a batch of one: each image is normalised by its
own statistics and dropout is the generator's only source of chance. So does the published StarGAN,
which never leaves training mode. Taken literally, that makes a result depend on the images that
share its batch (batch norm) and changes the network by using it; here each image stands for
itself and nothing changes.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from copy import deepcopy

import torch
from torch import Tensor, nn

from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d, unknown

STATISTICS = ("instance", "running")


def set_inference(network: nn.Module, *, norm: str, dropout: bool) -> None:
    """Put `network` into eval mode, and say what that means; `network.train()` ends it.

    Args:
        network: any network. Normalisation that is none of this package's takes the running
            statistics, as in any `eval` mode.
        norm: what the image is normalised with: "instance", its own statistics (the published
            pix2pix and StarGAN), or "running", the averages gathered in training. Instance
            normalisation that gathers none always takes those of the image. The choice is
            remembered: a later `network.eval()` means the same.
        dropout: whether dropout stays active (the published pix2pix) or passes everything.

    Raises:
        OptionsError: `norm` is neither.
    """
    if norm not in STATISTICS:
        raise unknown("inference norm", norm, STATISTICS)
    network.eval()
    for module in network.modules():
        if isinstance(module, BatchNorm2d | InstanceNorm2d):
            module.per_image = norm == "instance"
        elif isinstance(module, nn.Dropout):
            module.train(dropout)


def inference_copy(network: nn.Module, *, norm: str, dropout: bool) -> nn.Module:
    """Return a copy of `network` in inference mode, which shares nothing with it.

    Whatever becomes of the original, trained on or put into another mode, the copy computes the
    same, and using it changes neither of them. Its dropout, if it stays on, draws from the
    generator of `drawing_from` and from nothing else, so that threads may share the copy.

    Args and errors are those of `set_inference`.
    """
    copy = deepcopy(network)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, SeededDropout(child.p))
    set_inference(copy, norm=norm, dropout=dropout)
    return copy.requires_grad_(False)


_GENERATOR: ContextVar[torch.Generator] = ContextVar("generator")


@contextlib.contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let `SeededDropout` draw from `generator` in this thread, as long as the block lasts."""
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


class SeededDropout(nn.Dropout):
    """Dropout that leaves the global random numbers of torch alone.

    On the CPU it draws what `nn.Dropout` does after `torch.manual_seed` with the generator's seed.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (nn.Dropout's name for it)
        """Drop a share `p` of the features and scale up the others, if in training mode."""
        if not self.training or not self.p:
            return input
        kept = torch.empty_like(input).bernoulli_(1 - self.p, generator=_GENERATOR.get())
        return input * kept.div_(1 - self.p)


def has_dropout(network: nn.Module) -> bool:
    """Say whether there is any dropout layer in a network."""
    return any(isinstance(module, nn.Dropout) for module in network.modules())
