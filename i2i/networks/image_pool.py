"""A memory of translated images, from which a discriminator is shown older ones now and then."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """A pool of the last images that a generator has made.

    Shrivastava et al.: Learning from Simulated and Unsupervised Images through Adversarial
    Training, CVPR 2017, section 2.3, as CycleGAN uses it: while the pool is not full, an image is
    stored and handed back; after that it is, with probability 1/2, exchanged for a random one of
    the pool, else handed back and not stored.

    The pool lives on the device and is part of the model's state. No decision waits for the device,
    and all shapes are constant.

    Arguments:
        size: how many images it holds; with 0 every image is handed back.
        shape: (C, H, W) of an image.
    """

    per_process = True
    """Of several processes that train together, each has its own."""

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.images: Tensor
        self.filled: Tensor
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W): each image or an older one; no gradient passes."""
        if self.size == 0:
            return images.detach()
        return torch.stack([self._exchange(image) for image in images.to(self.images.dtype)])

    def _exchange(self, image: Tensor) -> Tensor:
        full = self.filled >= self.size
        random = torch.randint(self.size, (1,), device=image.device)
        place = torch.where(full, random, self.filled.clamp(max=self.size - 1))
        stored = self.images.index_select(0, place)[0]
        exchange = full & (torch.rand((), device=image.device) < 0.5)
        keep = full & ~exchange
        self.images.index_copy_(0, place, torch.where(keep, stored, image)[None])
        self.filled.add_(~full)
        return torch.where(exchange, stored, image)
