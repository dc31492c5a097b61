"""StarGAN v2's training written out by hand: the order of its turns.

A step has one batch for all turns: images x with domains y, two references x_ref and x_ref2 of one
domain y_ref for each image, and two latents z and z2. s(z) is the mapping's style F(z, y_ref).

1. **D with latents**: BCE(D(x, y), 1) + R1 at x + BCE(D(G(x, s(z)), y_ref), 0). Adam on D.
2. **D with references**: the same with the style E(x_ref, y_ref). Adam on D.
3. **G, F, E with latents**: BCE(D(fake, y_ref), 1) + |E(fake, y_ref) - s(z)|
   - lambda_ds |fake - G(x, s(z2)).detach()| + |G(fake, E(x, y)) - x|. Adam on G, F and E.
4. **G with references**: the same with E(x_ref, y_ref) and E(x_ref2, y_ref). Adam on G alone; what
   would reach E is dropped.
5. Averages of G, F and E, decay 0.999 (weights only).
6. lambda_ds, if above 0, falls by its first value / ds_iter.

All four use the networks as they are: the fakes of 3 are made again by the same G as in 1 and 2,
but judged by the D after both; the fakes of 4 come from the G after 3. The target s(z) of the style
is not detached. Weight decay is part of the gradient (L2), and acts on what no gradient reaches.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from i2i.losses import Adversarial, diversity, l1, r1
from i2i.networks.starganv2 import (
    StarGANv2Discriminator,
    StarGANv2Generator,
    StarGANv2Mapping,
    StarGANv2StyleEncoder,
)
from trajectories.replay import differences, part_of, step
from vectors import Vectors, load

BCE = Adversarial("vanilla")
EMA = 0.999
Terms = dict[str, Tensor]


def build(config: dict) -> dict[str, nn.Module]:
    """The four networks by their published names."""
    size, domains, style = config["img_size"], config["num_domains"], config["style_dim"]
    widths = {"width": config["nf"], "max_width": config["max_conv_dim"]}
    networks = {
        "generator": StarGANv2Generator(3, size, style, **widths),
        "mapping_network": StarGANv2Mapping(
            config["latent_dim"], domains, style, hidden=config["hidden"]
        ),
        "style_encoder": StarGANv2StyleEncoder(3, size, domains, style, **widths),
        "discriminator": StarGANv2Discriminator(3, size, domains, **widths),
    }
    return {name: network.double() for name, network in networks.items()}


class Game:
    """The networks and what each turn does with them."""

    def __init__(self, record: Vectors, state: str) -> None:
        self.config = record.config
        self.networks = build(self.config)
        for name, network in self.networks.items():
            load(network, record.below(f"{state}.{name}."))
        self.G, self.F, self.E, self.D = self.networks.values()
        self.lambda_ds = self.config["lambda_ds"]

    def styles(self, batch: Terms, by: str) -> tuple[Tensor, Tensor]:
        """The style of the fake and that of the other fake."""
        if by == "latent":
            return self.F(batch["z_trg"], batch["y_ref"]), self.F(batch["z_trg2"], batch["y_ref"])
        return self.E(batch["x_ref"], batch["y_ref"]), self.E(batch["x_ref2"], batch["y_ref"])

    def judge(self, batch: Terms, by: str) -> tuple[Tensor, Terms]:
        """Turns 1 and 2."""
        real, domains = batch["x_src"], batch["y_src"]
        with torch.no_grad():
            fake = self.G(real, self.styles(batch, by)[0])
        terms = {
            "real": BCE.real(self.D(real, domains)),
            "fake": BCE.fake(self.D(fake, batch["y_ref"])),
            "reg": r1(lambda images: self.D(images, domains), real),
        }
        return terms["real"] + terms["fake"] + self.config["lambda_reg"] * terms["reg"], terms

    def translate(self, batch: Terms, by: str) -> tuple[Tensor, Terms]:
        """Turns 3 and 4."""
        real, domains = batch["x_src"], batch["y_ref"]
        style, other = self.styles(batch, by)
        fake = self.G(real, style)
        with torch.no_grad():
            other_fake = self.G(real, other)
        back = self.G(fake, self.E(real, batch["y_src"]))
        terms = {
            "adv": BCE.fool(self.D(fake, domains)),
            "sty": l1(self.E(fake, domains), style),
            "ds": diversity(fake, other_fake),
            "cyc": l1(back, real),
        }
        loss = terms["adv"] + self.config["lambda_sty"] * terms["sty"]
        loss = loss - self.lambda_ds * terms["ds"] + self.config["lambda_cyc"] * terms["cyc"]
        return loss, terms


def replay(file: str | Path) -> dict[str, float]:
    """Train as recorded; return how far each figure and each final tensor is from the record."""
    record = Vectors(file)
    config = record.config
    game = Game(record, "initial")
    averages = {
        f"{name}_ema": copy.deepcopy(network)
        for name, network in game.networks.items()
        if name != "discriminator"
    }
    for name, network in averages.items():
        load(network, record.below(f"initial.{name}."))

    def adam(network: nn.Module, rate: float) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=rate,
            betas=(config["beta1"], config["beta2"]),
            weight_decay=config["weight_decay"],
        )

    optimizers = {
        network: adam(network, config["f_lr" if network is game.F else "lr"])
        for network in game.networks.values()
    }
    losses = []
    for i in range(config["steps"]):
        batch = part_of(record, "batches.", i)
        row = {"lambda_ds": game.lambda_ds}
        for turn, by, players in (
            ("D", "latent", [game.D]),
            ("D", "reference", [game.D]),
            ("G", "latent", [game.G, game.F, game.E]),
            ("G", "reference", [game.G]),
        ):
            loss, terms = (game.judge if turn == "D" else game.translate)(batch, by)
            row |= {f"{turn}_{by}_{name}": value.item() for name, value in terms.items()}
            step([optimizers[player] for player in players], loss, players)
        with torch.no_grad():
            for name, average in averages.items():
                network = game.networks[name.removesuffix("_ema")]
                for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                    mean.copy_(value.lerp(mean, EMA))
        if game.lambda_ds > 0:
            game.lambda_ds -= config["lambda_ds"] / config["ds_iter"]
        losses.append(row)
    # Biases that no gradient reaches in exact arithmetic are recorded only if they decay.
    left_out = () if config["weight_decay"] else (".bias",)
    return dict(differences(record, losses, game.networks | averages, left_out))
