"""Steps of CUT and FastCUT, written out by hand, against the recorded ones.

A step on images A and B, in this order:

1. The source is A and B in one batch if there is an identity term (CUT), else A alone (FastCUT).
   With flip equivariance, one coin for the batch: heads mirror all of the source (left and right).
2. One forward pass of G on the source gives the fake of A, and the "identity" of B. This very
   fake serves both players.
3. Discriminator's turn: D(fake, detached), then D(B), which is never mirrored;
   (fake + real) / 2; Adam step of D. The identity of B is never judged.
4. Generator's turn, one backward pass for G and the sampler: D, just updated, of the fake of 2;
   then for NCE, and after it for NCE_Y if there is an identity term (source B, translation its
   identity):

   a. features of the translation by G, through which the gradient reaches G on both ways, as
      encoder and as what drew the translation; of a mirrored one each map is mirrored back;
   b. features of the unmirrored source by G (no gradient: keys are detached);
   c. positions are drawn on the features of the source, layer by layer from the first;
   d. the sampler describes both at these positions; mean over queries, then mean over layers.

   Draws of a step are thus: the coin, the positions of NCE, the positions of NCE_Y.
5. Adam steps of G and of the sampler. Three optimizers, all with 2e-4 and betas (0.5, 0.999).

The total of the generator is adversarial + (NCE + NCE_Y) / 2 with an identity term, else
adversarial + NCE, each NCE times its weight.

The authors make the layers of the sampler at the first batch, by a whole forward and backward pass
without a step; then they train on the same batch. This pass is not part of the recording.

What was recorded of single images has a fault of torch (2.14, on the CPU) in it. Where the gradient
of nn.InstanceNorm2d's output lies in memory as in channels_last, and the batch is one image, it is
read as if it did not. The authors' sampler lays it out so. The networks here compute the right
gradient (tests/networks/test_cut.py), so this test puts the fault in before it compares.
"""

from itertools import chain

import pytest
import torch
from torch import Tensor

from i2i.losses.adversarial import Adversarial
from i2i.losses.contrastive import patch_nce
from i2i.networks.antialiased import AntialiasedPatchGAN, AntialiasedResNet
from i2i.networks.blocks import InstanceNorm2d
from i2i.networks.patch_sampler import PatchSampler
from recordings import Recording, trajectories


def _in_channels_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("path", trajectories("cut", "fastcut"), ids=lambda path: path.stem)
def test_cut(path):
    record = Recording(path)
    config = record.config
    faults = 0

    def misread(gradient: Tensor) -> Tensor | None:
        nonlocal faults
        if len(gradient) > 1 or gradient.is_contiguous() or not _in_channels_last(gradient):
            return None
        faults += 1
        return gradient.permute(0, 2, 3, 1).reshape(gradient.shape)

    def lay_out(gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=torch.channels_last)

    layers, with_identity = config["nce_layers"], config["nce_idt"]
    generator = record.start(
        "G", AntialiasedResNet(3, 3, width=config["nf_generator"], norm=config["norm"])
    )
    for module in generator.modules():
        if isinstance(module, InstanceNorm2d):
            module.register_forward_hook(
                lambda m, x, output: output.register_hook(misread) and None
            )
    discriminator = record.start(
        "D",
        AntialiasedPatchGAN(
            3, width=config["nf_discriminator"], layers=config["layers"], norm=config["norm"]
        ),
    )
    sampler = record.start(
        "F", PatchSampler(generator.channels(layers), width=config["nf_sampler"])
    )
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=config["lr"], betas=tuple(config["betas"]))
        for network in (generator, sampler, discriminator)
    ]
    adversarial = Adversarial({"lsgan": "least-squares"}[config["gan_mode"]])

    def nce(source: Tensor, translation: Tensor, positions: list[Tensor], flip: bool) -> Tensor:
        queries = generator.features(translation, layers)
        for each in queries:
            each.register_hook(lay_out)
        if flip:
            queries = [each.flip(3) for each in queries]
        keys = generator.features(source, layers)
        keys, queries = sampler(keys, positions), sampler(queries, positions)
        terms = [
            patch_nce(q, k, images=len(source), temperature=config["nce_T"])
            for q, k in zip(queries, keys, strict=True)
        ]
        return config["lambda_NCE"] * torch.stack(terms).mean()

    losses = []
    for step in range(config["steps"]):
        a, b = record.batch("A", step), record.batch("B", step)
        positions = [record.batch(f"patch_ids.{layer}", step) for layer in layers]
        flip = config["flip_equivariance"] and bool(record.batch("flip", step))
        source = torch.cat([a, b]) if with_identity else a
        images = generator(source.flip(3) if flip else source)
        fake, identity = images[: len(a)], images[len(a) :]

        d_fake = adversarial.fake(discriminator(fake.detach()))
        d_real = adversarial.real(discriminator(b))
        optimizers[2].zero_grad()
        ((d_fake + d_real) / 2).backward()
        optimizers[2].step()

        g_gan = config["lambda_GAN"] * adversarial.fool(discriminator(fake))
        nces = [nce(a, fake, [each[0] for each in positions], flip)]
        if with_identity:
            nces.append(nce(b, identity, [each[1] for each in positions], flip))
        total = g_gan + torch.stack(nces).mean()
        optimizers[0].zero_grad()
        optimizers[1].zero_grad()
        total.backward(inputs=list(chain(generator.parameters(), sampler.parameters())))
        optimizers[0].step()
        optimizers[1].step()
        losses.append([d_fake, d_real, g_gan, *nces, total])
    assert (faults > 0) == (config["norm"] == "instance" and config["batch"] == 1)
    record.check(losses, G=generator, D=discriminator, F=sampler)
