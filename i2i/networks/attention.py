"""Self-attention over the places of an image.

Zhang et al., "Self-attention generative adversarial networks", ICML 2019, section 3, with what the
authors' code adds: keys and values are max-pooled, which saves three quarters of the work, and
values have half of the channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i.networks.spectral import SpectralConv2d


class SelfAttention(nn.Module):
    """Adds to every place what it finds at all places, times a learnt `gamma` that starts at 0.

    With f, g, h and v convolutions 1x1 without bias, to C/8, C/8, C/2 and C channels (f, g and h
    of the paper are `query`, `key` and `value`)::

        y = x + gamma * v(softmax(f(x) . pool(g(x))) pool(h(x)))

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = SpectralConv2d(channels, narrow, 1, bias=False)
        self.key = SpectralConv2d(channels, narrow, 1, bias=False)
        self.value = SpectralConv2d(channels, half, 1, bias=False)
        self.output = SpectralConv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape; H and W at least 2."""
        queries = self.query(features).flatten(2)
        keys = F.max_pool2d(self.key(features), 2).flatten(2)
        values = F.max_pool2d(self.value(features), 2).flatten(2)
        attention = (queries.transpose(1, 2) @ keys).softmax(dim=-1)  # (N, H W, H W / 4)
        found = (values @ attention.transpose(1, 2).to(values.dtype)).unflatten(
            2, features.shape[2:]
        )
        attended: Tensor = features + self.gamma * self.output(found)
        return attended
