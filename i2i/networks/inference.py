"""How a network runs outside training.

The published pix2pix tests in training mode with a batch of one: each picture is normalised by its
own statistics and dropout is the generator's only source of chance. So does the published StarGAN,
which never leaves training mode. Taken literally, that makes a result depend on the pictures that
share its batch (batch norm) and changes the network by using it; here each picture stands for
itself and nothing changes.
"""

from torch import nn

from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d, unknown

STATISTICS = ("picture", "running")


def set_inference(network: nn.Module, *, norm: str, dropout: bool) -> None:
    """Put `network` into eval mode, and say what that means; `network.train()` ends it.

    Args:
        network: any network. Normalisation that is none of this package's takes the running
            statistics, as in any `eval` mode.
        norm: what the picture is normalised with: "picture", its own statistics (the published
            pix2pix and StarGAN), or "running", the averages gathered in training. Instance
            normalisation that gathers none always takes those of the picture. The choice is
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
            module.per_picture = norm == "picture"
        elif isinstance(module, nn.Dropout):
            module.train(dropout)


def has_dropout(network: nn.Module) -> bool:
    """Say whether there is any dropout layer in a network."""
    return any(isinstance(module, nn.Dropout) for module in network.modules())
