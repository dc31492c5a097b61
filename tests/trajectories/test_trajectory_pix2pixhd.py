"""Steps of pix2pixHD, written out by hand, against the recorded ones.

A step on labels, instances and images; nothing is drawn:

1. Planes of the labels, then that of the edges; fake = G(planes). D sees the planes, then an image.
2. With one and the same G and D, in this order: D(fake, detached), D(real), D(fake). No batch is
   joined. D_fake and D_real are of the first two, the adversarial term and feature matching of the
   last two; all are sums over scales, feature matching is a mean over them.
3. Generator's turn: adversarial + feature matching; backward, Adam step of G.
4. Discriminator's turn: (D_fake + D_real) / 2 as calculated in 2, before either step; what the
   generator's turn left in D's gradients is thrown away. So D never sees a fake of the updated G,
   and G never meets the updated D: the turns are simultaneous.

Both Adam with 2e-4 and betas (0.5, 0.999).

G's step leaves D's weights alone, so D_fake and D_real may as well be calculated after it, as long
as it is from the fake of 1; with batch norm the order of D's three passes counts, too.
"""

import pytest
import torch

from i2i.core.label_maps import label_planes
from i2i.losses.adversarial import Adversarial
from i2i.losses.multiscale import layer_matching, over_scales
from i2i.networks.multiscale import MultiScalePatchGAN
from i2i.networks.pix2pixhd import GlobalGenerator, LocalEnhancer
from recordings import Recording, trajectories


@pytest.mark.parametrize("path", trajectories("pix2pixhd"), ids=lambda path: path.stem)
def test_pix2pixhd(path):
    record = Recording(path)
    config = record.config
    planes = config["label_nc"] + config["instance"]
    shape = {
        "width": config["nf_generator"],
        "downs": config["downs"],
        "blocks": config["blocks"],
        "norm": config["norm"],
    }
    if config["generator"] == "global":
        network = GlobalGenerator(planes, 3, **shape)
    else:
        more = {"enhancers": config["enhancers"], "local_blocks": config["blocks_local"]}
        network = LocalEnhancer(planes, 3, **shape, **more)
    generator = record.start("G", network)
    discriminator = record.start(
        "D",
        MultiScalePatchGAN(
            planes + 3,
            width=config["nf_discriminator"],
            layers=config["layers"],
            scales=config["scales"],
            norm=config["norm"],
            matching=config["feature_matching"],
        ),
    )
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=config["lr"], betas=tuple(config["betas"]))
        for network in (generator, discriminator)
    ]
    adversarial = Adversarial("least-squares")

    losses = []
    for step in range(config["steps"]):
        condition = label_planes(
            record.batch("label", step),
            config["label_nc"],
            record.batch("instance", step) if config["instance"] else None,
        ).double()
        real = record.batch("image", step)
        fake = generator(condition)
        of_detached, of_real, of_fake = (
            discriminator.layers(torch.cat([condition, image], dim=1))
            for image in (fake.detach(), real, fake)
        )
        d_fake = over_scales(adversarial.fake, [layers[-1] for layers in of_detached])
        d_real = over_scales(adversarial.real, [layers[-1] for layers in of_real])
        terms = [over_scales(adversarial.fool, [layers[-1] for layers in of_fake])]
        if config["feature_matching"]:
            terms.append(config["lambda_feat"] * layer_matching(of_fake, of_real, as_layers=4))

        optimizers[0].zero_grad()
        torch.stack(terms).sum().backward(inputs=list(generator.parameters()))
        optimizers[1].zero_grad()
        ((d_fake + d_real) / 2).backward(inputs=list(discriminator.parameters()))
        optimizers[0].step()
        optimizers[1].step()
        losses.append([*terms, d_real, d_fake])
    record.check(losses, G=generator, D=discriminator)
