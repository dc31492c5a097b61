"""Which sizes of images a network can take, found by trying."""

import torch
from torch import nn

from i2i.core.draws import draws_apart
from i2i.errors import OptionsError

CANDIDATES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""What height and width may have to be divisible by, in the order in which it is tried."""

SMALLEST = 32
"""Height and width of the images to try with, at least."""


def ensure_multiple(network: nn.Module, channels: int) -> int:
    """Return what height and width must be divisible by, and note it as `network.multiple`.

    The networks of this package say it themselves. Any other is given images of odd multiples of 1,
    2, 4, ... pixels, until the result has the size of the input; its weights, buffers and mode, and
    torch's random state, stay as they are.

    Raises:
        OptionsError: it keeps no size, or does not take so many channels.
    """
    given = getattr(network, "multiple", None)
    if isinstance(given, int):
        return given
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    reason = ""
    try:
        with torch.no_grad(), draws_apart():
            for candidate in CANDIDATES:
                side = candidate * (SMALLEST // candidate | 1)
                reason = _keeps(network, channels, side, side + 2 * candidate)
                if not reason:
                    network.multiple = candidate  # type: ignore[assignment]
                    return candidate
    finally:
        for module, training in modes:
            module.training = training
    raise OptionsError(
        f"{type(network).__name__} maps no image of {channels} channels to one of its own height "
        f"and width, up to multiples of {CANDIDATES[-1]}, so it cannot translate ({reason})."
    )


def _keeps(network: nn.Module, channels: int, height: int, width: int) -> str:
    """Nothing if an image of this size becomes one of this size, or else what happens."""
    weight = next(network.parameters(), torch.empty(0))
    try:
        image = torch.zeros(1, channels, height, width, dtype=weight.dtype, device=weight.device)
        shape = tuple(network(image).shape)
    except Exception as error:  # noqa: BLE001 (whatever a network of somebody else raises)
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    if len(shape) == 4 and shape[2:] == (height, width):
        return ""
    return f"{(1, channels, height, width)} became {shape}"
