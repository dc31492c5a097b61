"""Steps of SPADE, without and with an image encoder, written out by hand, against recorded ones.

A step on labels, instances and images; of a network with batch or spectral normalisation each pass
in training mode counts:

1. Generator's turn. Planes of the labels, then that of the edges. With an encoder E: mean and
   logvar of the real image, then noise is drawn, then the style. fake = G(planes, style). D judges,
   in one batch and one pass, first the fake, then the real image, each behind the planes.
   Adversarial term, mean over scales; feature matching, mean over scales; with E the divergence of
   the style. One Adam step of G, and of E in the same optimizer.
2. Discriminator's turn. Everything anew without a gradient for G and E, but in training mode: E of
   the real image, new noise, another fake of the G just updated. D judges fake and real in one
   batch as before; D_Fake + D_real, without a factor; Adam step of D.

So each of G, E and D runs twice a step: two power iterations, two updates of running statistics
and, with E, two draws of noise, (N, numbers of a style) each.

With n > 1 discriminator steps for each of the generator, step i plays the generator's turn if
i mod n = 0, the discriminator's always.

Learning rates with two time scales: half of `lr` for G and E, twice for D, betas (0, 0.9); else
`lr` for both and betas (0.5, 0.999).
"""

from itertools import chain

import pytest
import torch
from torch import Tensor

from i2i.core.label_maps import label_planes
from i2i.losses.adversarial import Adversarial
from i2i.losses.multiscale import layer_matching, over_scales
from i2i.losses.variational import kl_divergence
from i2i.networks.multiscale import SpectralPatchGAN
from i2i.networks.spade import SPADEGenerator, StyleEncoder, draw_style
from recordings import Recording, plain_norm, spade_norm, trajectories

LARGE = [pytest.param(path, marks=pytest.mark.slow) for path in trajectories("spade_vae")]


@pytest.mark.parametrize("path", trajectories("spade") + LARGE, ids=lambda path: path.stem)
def test_spade(path):
    record = Recording(path)
    config = record.config
    classes = config["label_nc"] + config["dont_care"]
    planes = classes + config["instance"]
    with_style = config["vae"]
    generator = record.start(
        "G",
        SPADEGenerator(
            planes,
            3,
            tuple(config["size"]),
            width=config["nf_generator"],
            upsampling=config["upsampling"],
            style=config["z_dim"] if with_style else 0,
            **spade_norm(config["norm_generator"]),
        ),
    )
    discriminator = record.start(
        "D",
        SpectralPatchGAN(
            planes + 3,
            width=config["nf_discriminator"],
            layers=config["layers"],
            scales=config["scales"],
            norm=plain_norm(config["norm_discriminator"]),
        ),
    )
    networks = {"G": generator, "D": discriminator}
    if with_style:
        networks["E"] = record.start(
            "E", StyleEncoder(3, config["z_dim"], width=config["nf_generator"])
        )
    drawing = [networks[name] for name in "GE" if name in networks]
    ours = list(chain(*(network.parameters() for network in drawing)))
    slow, fast = (0.5, 2.0) if config["ttur"] else (1.0, 1.0)
    betas = tuple(config["betas"])
    g_optimizer = torch.optim.Adam(ours, lr=slow * config["lr"], betas=betas)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=fast * config["lr"], betas=betas)
    adversarial = Adversarial({"hinge": "hinge", "ls": "least-squares"}[config["gan_mode"]])
    missing = torch.tensor(torch.nan, dtype=torch.float64)

    def draw(condition: Tensor, real: Tensor, noise: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The fake, and the divergence if there is a style."""
        if noise is None:
            return generator(condition), []
        mean, logvar = networks["E"](real)
        fake = generator(condition, draw_style(mean, logvar, noise))
        return fake, [config["lambda_kld"] * kl_divergence(mean, logvar)]

    def judge(condition: Tensor, fake: Tensor, real: Tensor) -> tuple[list, list]:
        """The layers of each scale, of the fake and of the real images."""
        both = torch.cat([torch.cat([condition, each], dim=1) for each in (fake, real)])
        scales = [[layer.chunk(2) for layer in layers] for layers in discriminator.layers(both)]
        return tuple([[pair[i] for pair in layers] for layers in scales] for i in (0, 1))

    losses = []
    for step in range(config["steps"]):
        instances = record.batch("instance", step) if config["instance"] else None
        condition = label_planes(record.batch("label", step), classes, instances).double()
        real = record.batch("image", step)
        noise = record.batch("noise", step) if with_style else (None, None)

        terms = [missing] * (len(record.metadata["columns"]) - 2)
        if step % config["discriminator_steps"] == 0:
            fake, divergence = draw(condition, real, noise[0])
            of_fake, of_real = judge(condition, fake, real)
            scores = [layers[-1] for layers in of_fake]
            terms = [*divergence, over_scales(adversarial.fool, scores, mean=True)]
            if config["features"]:
                terms.append(config["lambda_feat"] * layer_matching(of_fake, of_real))
            g_optimizer.zero_grad()
            torch.stack(terms).sum().backward(inputs=ours)
            g_optimizer.step()

        with torch.no_grad():
            fake, _ = draw(condition, real, noise[1])
        of_fake, of_real = judge(condition, fake, real)
        d_fake = over_scales(adversarial.fake, [layers[-1] for layers in of_fake], mean=True)
        d_real = over_scales(adversarial.real, [layers[-1] for layers in of_real], mean=True)
        d_optimizer.zero_grad()
        (d_fake + d_real).backward()
        d_optimizer.step()
        losses.append([*terms, d_fake, d_real])
    record.check(losses, **networks)
