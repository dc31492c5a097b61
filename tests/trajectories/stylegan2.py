"""StyleGAN2's training written out by hand: the order of its turns and of its random draws.

A step, with n the batch, k_G and k_D the intervals of regularisation (lazy: each regularising loss
is multiplied by its interval), G always in training mode:

1. **Gmain**, each step. Draws: labels, z; [fake]; [augmentation of the fake].
   Loss softplus(-D(fake)). Adam on G.
2. **Greg**, in steps 0, k_G, 2 k_G ... Draws: labels, z (of which the first n // shrink are used);
   [fake]; noise of the path length. Loss k_G * weight * penalty. Adam on G, the same optimizer.
   With a weight of 0 nothing is done, not even an optimizer's step.
3. **Dmain**, each step. Draws: labels, z; [fake], by the G of 2, without gradient; [augmentation
   of the fake]; [augmentation of the real]. Loss softplus(D(fake)) + softplus(-D(real)), in two
   passes, the fake first. Adam on D.
4. **Dreg**, in steps 0, k_D, 2 k_D ... Draws: labels, z (neither is used); [augmentation of the
   real], the same images as in 3. Loss k_D * gamma / 2 * ||d D(augmented real) / d real||**2.
   Adam on D, the same optimizer.
5. The average of G: decay 0.5 ** (n / h), where h is the half-life in images, at most the images
   before this step times the ramp; buffers are copied.
6. p, after every `interval` steps, by the scores of real images in 3 and 4.

[fake]: w of z (which moves w_avg); if there is mixing, always: the crossover, the chance, a second
z, its w (which leaves w_avg alone); the noise of each layer, from coarse to fine.
[augmentation]: for each part its value, then its gate.

Both optimizers: rate lr * k / (k + 1), betas beta ** (k / (k + 1)), of each network's own k.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.losses import path_length_penalty, path_lengths, squared_slopes
from i2i.networks.augment import AdaptiveProbability, AugmentPipe
from i2i.networks.stylegan2 import StyleGAN2Generator, mix_styles
from i2i.networks.stylegan2_discriminator import StyleGAN2Discriminator
from trajectories.replay import differences, part_of, step
from vectors import Vectors, load

Draws = dict[str, Tensor]
BUFFERS = ("resample_filter",)


@dataclass
class Turn:
    """What a turn computes: its loss, multiplied by the interval, and figures."""

    loss: Tensor
    figures: dict[str, Tensor]


class Game:
    """Both networks and what each phase does with them."""

    def __init__(self, record: Vectors, state: str) -> None:
        config = self.config = record.config
        size, classes = config["resolution"], config["c_dim"]
        widths = {name: config[name] for name in ("channel_base", "channel_max")}
        self.G = StyleGAN2Generator(
            config["z_dim"],
            config["channels"],
            size,
            classes,
            style=config["w_dim"],
            mapping_layers=config["mapping_layers"],
            **widths,
        ).double()
        self.D = StyleGAN2Discriminator(
            config["channels"],
            size,
            classes,
            architecture=config["architecture"],
            group=config["mbstd_group_size"],
            **widths,
        ).double()
        for name, network in (("G", self.G), ("D", self.D)):
            load(network, record.below(f"{state}.{name}."), constants=BUFFERS)
        self.augment = AugmentPipe(config["augment"] or {}, 0.0).double()
        self.augment.p.fill_(config["augment_p"] or 0.0)
        self.pl_mean = torch.tensor(config["pl_mean"], dtype=torch.float64)

    def labels(self, numbers: Tensor | None) -> Tensor | None:
        classes = self.config["c_dim"]
        return F.one_hot(numbers, classes).double() if classes and numbers is not None else None

    def fake(self, draws: Draws, count: int | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        labels = self.labels(draws.get("label"))
        labels = labels if labels is None else labels[:count]
        ws = self.G.styles(draws["z"][:count], labels)
        if self.config["style_mixing_prob"]:
            others = self.G.styles(draws["mixing_z"], labels, update_average=False)
            mixed = bool(draws["mixing_chance"] < self.config["style_mixing_prob"])
            ws = mix_styles(ws, others, draws["mixing_cutoff"] if mixed else self.G.num_ws)
        noise = {k.removeprefix("noise."): v for k, v in draws.items() if k.startswith("noise.")}
        return self.G.synthesis(ws, noise), ws, labels

    def score(self, images: Tensor, labels: Tensor | None, draws: Draws, side: str) -> Tensor:
        prefix = f"augment_{side}."
        drawn = {k.removeprefix(prefix): v for k, v in draws.items() if k.startswith(prefix)}
        return self.D(self.augment.transform(images, drawn), labels)

    def gmain(self, draws: Draws) -> Turn:
        images, _, labels = self.fake(draws)
        scores = self.score(images, labels, draws, "fake")
        loss = F.softplus(-scores).mean()
        return Turn(loss, {"G": loss, "G_score": scores.mean()})

    def greg(self, draws: Draws) -> Turn:
        config = self.config
        images, ws, _ = self.fake(draws, config["batch"] // config["pl_batch_shrink"])
        lengths = path_lengths(images, ws, draws["pl_noise"])
        penalty, self.pl_mean = path_length_penalty(lengths, self.pl_mean, config["pl_decay"])
        loss = penalty * config["pl_weight"]
        figures = {"pl_penalty": penalty, "G_reg": loss, "pl_mean": self.pl_mean}
        return Turn(loss * config["G_reg_interval"], figures)

    def dmain(self, draws: Draws, real: Tensor, real_labels: Tensor | None) -> Turn:
        with torch.no_grad():
            images, _, labels = self.fake(draws)
        of_fake = self.score(images, labels, draws, "fake")
        self.of_real = self.score(real, real_labels, draws, "real")
        loss = F.softplus(of_fake).mean() + F.softplus(-self.of_real).mean()
        means = {"D_score_fake": of_fake.mean(), "D_score_real": self.of_real.mean()}
        return Turn(loss, {"D": loss, **means})

    def dreg(self, draws: Draws, real: Tensor, real_labels: Tensor | None) -> Turn:
        real = real.detach().requires_grad_()
        self.of_real = self.score(real, real_labels, draws, "real")
        penalty = squared_slopes(self.of_real, real).mean()
        loss = penalty * (self.config["r1_gamma"] / 2)
        figures = {"r1_penalty": penalty, "D_reg": loss}
        return Turn(loss * self.config["D_reg_interval"], figures)


def replay(file: str | Path) -> dict[str, float]:
    """Train as recorded; return how far each figure and each final tensor is from the record."""
    record = Vectors(file)
    config = record.config
    game = Game(record, "initial")
    g_ema = copy.deepcopy(game.G)

    def adam(network: torch.nn.Module, interval: int) -> torch.optim.Adam:
        share = interval / (interval + 1)
        betas = tuple(beta**share for beta in config["betas"])
        return torch.optim.Adam(
            network.parameters(), lr=config["lr"] * share, betas=betas, eps=1e-8
        )

    every = {"G": config["G_reg_interval"], "D": config["D_reg_interval"]}
    optimizers = {name: adam(getattr(game, name), every[name]) for name in ("G", "D")}
    adaptive = None
    if config.get("ada_target") is not None:
        adaptive = AdaptiveProbability(target=config["ada_target"], kimg=config["ada_kimg"])
        adaptive = adaptive.double()
    losses = []
    for i in range(config["steps"]):
        row = {"p": game.augment.p.item()}

        def play(name: str, turn: Turn, row: dict = row) -> None:
            row.update({key: value.item() for key, value in turn.figures.items()})
            step([optimizers[name]], turn.loss, [getattr(game, name)], finite=True)

        def drawn(phase: str, index: int) -> Draws:
            return part_of(record, f"batches.{phase}.", index)

        real = record["batches.real"][i]
        labels = game.labels(record["batches.real_label"][i] if config["c_dim"] else None)
        play("G", game.gmain(drawn("Gmain", i)))
        if i % every["G"] == 0 and config["pl_weight"]:
            play("G", game.greg(drawn("Greg", i // every["G"])))
        play("D", game.dmain(drawn("Dmain", i), real, labels))
        if adaptive is not None:
            adaptive.observe(game.of_real)
        if i % every["D"] == 0 and config["r1_gamma"]:
            play("D", game.dreg(drawn("Dreg", i // every["D"]), real, labels))
            if adaptive is not None:
                adaptive.observe(game.of_real)
        half_life = config["ema_kimg"] * 1000
        if config["ema_rampup"] is not None:
            half_life = min(half_life, i * config["batch"] * config["ema_rampup"])
        row["ema_beta"] = 0.5 ** (config["batch"] / max(half_life, 1e-8))
        with torch.no_grad():
            for mean, value in zip(g_ema.parameters(), game.G.parameters(), strict=True):
                mean.copy_(value.lerp(mean, row["ema_beta"]))
            for mean, value in zip(g_ema.buffers(), game.G.buffers(), strict=True):
                mean.copy_(value)
        if adaptive is not None and (i + 1) % config["ada_interval"] == 0:
            adaptive.adjust(game.augment.p, config["batch"] * config["ada_interval"])
        losses.append(row)
    networks = {"G": game.G, "D": game.D, "G_ema": g_ema}
    return dict(differences(record, losses, networks, (*BUFFERS, "noise_const")))
