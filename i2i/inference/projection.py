"""Finding a generator's latent of a given image: which styles, or which noise, make it.

Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, section 5 and
appendix D: Adam looks for the styles, of which the search begins at the average; a rate that rises
and falls, and noise on the styles that fades away, keep it from the next best place. Its perceptual
network is one that cannot be shipped; here images are compared as they are, at several sizes, and
by what the model's own discriminator sees in them, the features behind its score.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.core.batch import enlarged
from i2i.core.latent import Latent
from i2i.errors import OptionsError
from i2i.networks import set_inference

_log = logging.getLogger(__name__)

DRAWN = 1000
"""Latent vectors that tell the average and the spread of styles."""


@dataclass(frozen=True)
class Projection:
    """What was found.

    Attributes:
        latent: styles (layers, numbers), or a vector (width,) of a generator without styles.
        image: what the generator makes of it, (C, H, W) in -1..1.
        way: the step and the image of some moments of the search, the last being that found.
        error: the mean squared error of `image`, of numbers in -1..1.
    """

    latent: Tensor
    image: Tensor
    way: list[tuple[int, Tensor]]
    error: float


class Projector:
    """Finds latents of images.

    Arguments:
        generator: maps vectors and labels to images (N, C, H, W); it is put into inference mode.
        latent: what its vectors are.
        features: maps images to features (N, F), or nothing to compare by pixels alone.
        device: to compute on; the generator moves there.
    """

    def __init__(
        self,
        generator: Any,
        latent: Latent,
        features: Callable[[Tensor], Tensor] | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.generator = generator.to(self.device).requires_grad_(False)
        set_inference(self.generator, norm="running", dropout=False)
        self.latent = latent
        self.features = features
        self.styled = hasattr(generator, "styles")

    def __call__(
        self,
        image: Tensor,
        *,
        labels: Tensor | None = None,
        steps: int = 500,
        rate: float = 0.1,
        feature_weight: float = 0.1,
        each_layer: bool = False,
        seed: int = 0,
        moments: int = 6,
    ) -> Projection:
        """Find a latent of an image.

        Arguments:
            image: (C, H, W) in -1..1, of the size that the generator makes.
            labels: (1, L), of a generator that is told them.
            steps: of the search, at least 1.
            rate: Adam's, at its highest.
            feature_weight: of the features beside the pixels.
            each_layer: whether each layer has styles of its own, which finds more images, also such
                as the generator would never make. Only of generators with styles.
            seed: of the search.
            moments: how many images of the way are kept, beside the last.

        Raises:
            OptionsError: a number makes no sense; each layer its own, where there are no styles.
        """
        if steps < 1 or rate <= 0 or feature_weight < 0:
            raise OptionsError(
                f"steps (={steps}) must be at least 1, rate (={rate}) above 0 and feature_weight "
                f"(={feature_weight}) at least 0."
            )
        if each_layer and not self.styled:
            raise OptionsError(
                f"each_layer (=true) is about generators with styles, and this "
                f"{type(self.generator).__name__} has none."
            )
        target = image[None].to(self.device)
        random = torch.Generator().manual_seed(seed)
        begin, spread = self._begin(labels, random)
        if each_layer:
            begin = begin.expand(-1, self.generator.num_ws, -1).clone()
        place = begin.clone().requires_grad_()
        adam = torch.optim.Adam([place], lr=rate, betas=(0.9, 0.999))
        with torch.no_grad():
            wanted = self._seen(target)
        kept = {round(i * steps / moments) for i in range(moments)}
        way: list[tuple[int, Tensor]] = []
        best, found = math.inf, begin
        for step in range(steps):
            share = step / steps
            for group in adam.param_groups:
                group["lr"] = rate * _ramp(share)
            strength = 0.05 * spread * max(0.0, 1 - share / 0.75) ** 2
            shake = torch.randn(place.shape, generator=random).to(self.device) * strength
            made = enlarged(self._make(place + shake, labels), target.shape[-1])
            seen = self._seen(made)
            distance = _pyramid(made, target)
            if wanted is not None and seen is not None and feature_weight:
                scale = wanted.square().mean().clamp(min=1e-12)
                distance = distance + feature_weight * (seen - wanted).square().mean() / scale
            adam.zero_grad()
            distance.backward()  # type: ignore[no-untyped-call]
            if step in kept:
                way.append((step, made[0].detach().cpu()))
            # Waiting for the device is no loss here: nothing else is to be done.
            if share >= 0.75 and distance.item() < best:
                best, found = distance.item(), place.detach().clone()
            adam.step()
            if (step + 1) % max(1, steps // 5) == 0:
                _log.info(f"step {step + 1} of {steps}: distance {distance.item():.4g}")
        if not math.isfinite(best):  # so few steps that none was in the last quarter
            found = place.detach()
        with torch.no_grad():
            made = enlarged(self._make(found, labels), target.shape[-1])
        way.append((steps, made[0].cpu()))
        error = (made - target).square().mean().item()
        whole = self._whole(found)[0].cpu() if self.styled else found[0].cpu()
        return Projection(whole, made[0].cpu(), way, error)

    @torch.no_grad()
    def _begin(self, labels: Tensor | None, random: torch.Generator) -> tuple[Tensor, float]:
        """Where the search begins, and how far places are apart."""
        if not self.styled:
            return self.latent.draw(1, generator=random).to(self.device), 1.0
        vectors = self.latent.draw(DRAWN, generator=random).to(self.device)
        told = None if labels is None else labels.to(self.device).expand(DRAWN, -1)
        ws = self.generator.styles(vectors, told)[:, :1]
        mean = ws.mean(dim=0, keepdim=True)
        return mean, (ws - mean).square().sum(dim=2).mean().sqrt().item()

    def _whole(self, ws: Tensor) -> Tensor:
        return ws.expand(-1, self.generator.num_ws, -1)

    def _make(self, place: Tensor, labels: Tensor | None) -> Tensor:
        if self.styled:
            images: Tensor = self.generator.synthesis(self._whole(place), "const")
        else:
            images = self.generator(place, None if labels is None else labels.to(self.device))
        return images

    def _seen(self, images: Tensor) -> Tensor | None:
        return None if self.features is None else self.features(images).flatten(1)


def _ramp(share: float) -> float:
    """Karras et al. 2020, appendix D: up in the first 5 %, down by a cosine in the last 25 %."""
    down = min(1.0, (1 - share) / 0.25)
    return (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, (share + 0.002) / 0.05)


def _pyramid(made: Tensor, target: Tensor) -> Tensor:
    """The mean squared error, averaged over the sizes down to 8 pixels, halved each time."""
    distances = [F.mse_loss(made, target)]
    while made.shape[-1] >= 16:
        made, target = F.avg_pool2d(made, 2), F.avg_pool2d(target, 2)
        distances.append(F.mse_loss(made, target))
    return torch.stack(distances).mean()
