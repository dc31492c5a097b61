"""R3GAN's training written out by hand: the order of its turns and of its random draws.

A step has two turns, each with real images, labels and latents of its own; generated images have
the labels of the real ones:

1. **D**. Draws: [augmentation of the real], [augmentation of the fake]. Loss
   softplus(-(D(real) - D(fake))) + gamma / 2 * (R1 + R2), image i against fake i; both penalties at
   the images before their augmentation, from the same passes as the scores. Adam on D.
2. **G**. Draws: [augmentation of the fake], [augmentation of the real]. Loss
   softplus(-(D(fake) - D(real))), by the D of 1. Adam on G.
3. The average of G: decay 0.5 ** (n / max(h, 1e-8)), n the batch and h the half-life in images.

Rate, beta2, gamma, half-life and p are set before the step, by the images seen before it:
final + (base - final) * (1 + cos(pi * seen / total)) / 2, beyond total: final. Adam's bias
correction uses today's beta2 for all steps so far.
"""

import copy
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.losses import relativistic, squared_slopes
from i2i.networks.augment import AugmentPipe
from i2i.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from trajectories.replay import differences, part_of, step
from vectors import Vectors, load

Draws = dict[str, Tensor]
BUFFERS = ("Kernel",)


class Game:
    """Both networks and what each turn does with them."""

    def __init__(self, record: Vectors, state: str) -> None:
        config = self.config = record.config
        size, classes = 4 * 2 ** (len(config["width"]) - 1), config["c_dim"]
        options = {
            "width": tuple(config["width"]),
            "groups": tuple(config["cardinality"]),
            "blocks": tuple(config["blocks"]),
            "expansion": config["expansion"],
        }
        self.G = R3GANGenerator(
            config["noise"], 3, size, classes, embedding=config.get("embedding_G", 0), **options
        ).double()
        self.D = R3GANDiscriminator(
            3, size, classes, embedding=config.get("embedding_D", 0), **options
        ).double()
        for name, network in (("G", self.G), ("D", self.D)):
            load(network, record.below(f"{state}.{name}."), constants=BUFFERS)
        self.augment = AugmentPipe(config["augment"] or {}).double()

    def labels(self, draws: Draws) -> Tensor | None:
        classes = self.config["c_dim"]
        return F.one_hot(draws["label"], classes).double() if classes else None

    def score(self, images: Tensor, draws: Draws, side: str) -> Tensor:
        prefix = f"augment_{side}."
        drawn = {k.removeprefix(prefix): v for k, v in draws.items() if k.startswith(prefix)}
        return self.D(self.augment.transform(images, drawn), self.labels(draws))

    def discriminate(self, draws: Draws, gamma: float) -> tuple[Tensor, Draws]:
        real = draws["real"].detach().requires_grad_()
        with torch.no_grad():
            fake = self.G(draws["z"], self.labels(draws))
        fake.requires_grad_()
        of_real, of_fake = self.score(real, draws, "real"), self.score(fake, draws, "fake")
        figures = {
            "D": relativistic(of_real, of_fake),
            "D_relativistic": (of_real - of_fake).mean(),
            "r1": squared_slopes(of_real, real).mean(),
            "r2": squared_slopes(of_fake, fake).mean(),
        }
        return figures["D"] + gamma / 2 * (figures["r1"] + figures["r2"]), figures

    def generate(self, draws: Draws) -> tuple[Tensor, Draws]:
        of_fake = self.score(self.G(draws["z"], self.labels(draws)), draws, "fake")
        with torch.no_grad():
            of_real = self.score(draws["real"], draws, "real")
        loss = relativistic(of_fake, of_real)
        return loss, {"G": loss, "G_relativistic": (of_fake - of_real).mean()}


def scheduled(ends: list[float], share: float) -> float:
    """From the first to the second of `ends` along half a cosine."""
    base, final = ends
    return final + (base - final) * 0.5 * (1 + math.cos(math.pi * min(share, 1)))


def replay(file: str | Path) -> dict[str, float]:
    """Train as recorded; return how far each figure and each final tensor is from the record."""
    record = Vectors(file)
    config = record.config
    game = Game(record, "initial")
    g_ema = copy.deepcopy(game.G)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), eps=1e-8)
        for name, network in (("G", game.G), ("D", game.D))
    }
    losses = []
    for i in range(config["steps"]):
        share = i * config["batch"] / config["decay_nimg"]
        row = {
            name: scheduled(config[name], share)
            for name in ("lr", "beta2", "gamma", "ema_nimg", "p")
        }
        game.augment.p.fill_(row["p"])
        for optimizer in optimizers.values():
            optimizer.param_groups[0].update(lr=row["lr"], betas=(0.0, row["beta2"]))
        loss, figures = game.discriminate(part_of(record, "batches.D.", i), row["gamma"])
        step([optimizers["D"]], loss, [game.D])
        row |= {name: value.item() for name, value in figures.items()}
        loss, figures = game.generate(part_of(record, "batches.G.", i))
        step([optimizers["G"]], loss, [game.G])
        row |= {name: value.item() for name, value in figures.items()}
        beta = 0.5 ** (config["batch"] / max(row["ema_nimg"], 1e-8))
        with torch.no_grad():
            for mean, value in zip(g_ema.parameters(), game.G.parameters(), strict=True):
                mean.copy_(value.lerp(mean, beta))
        losses.append(row)
    networks = {"G": game.G, "D": game.D, "G_ema": g_ema}
    return dict(differences(record, losses, networks, BUFFERS))
