"""Terms over scales and layers: those of pix2pixHD and SPADE against the authors' numbers."""

import doctest

import pytest
import torch
from torch import Tensor

from i2i.core.label_maps import label_planes
from i2i.losses import multiscale
from i2i.losses.adversarial import Adversarial
from i2i.losses.multiscale import layer_matching, over_scales
from i2i.networks.multiscale import MultiScalePatchGAN, SpectralPatchGAN
from recordings import Vectors, recorded


def test_examples():
    failures, examples = doctest.testmod(multiscale)
    assert examples > 0
    assert failures == 0


def conditioned(vectors: Vectors) -> tuple[Tensor, Tensor, Tensor]:
    """Planes of the labels, real images and fake ones that want a gradient."""
    config = vectors.config
    classes = config["label_nc"] + config.get("dont_care", False)
    instances = vectors["input.instance"] if config["instance"] else None
    planes = label_planes(vectors["input.label"], classes, instances).double()
    return planes, vectors["input.real"], vectors["input.fake"].requires_grad_()


def assert_near(vectors: Vectors, found: dict[str, Tensor]) -> None:
    wanted = {key for key in vectors.tensors if key.startswith("output.")} - {"output.semantics"}
    assert wanted <= found.keys()
    errors = {key: vectors.error(key, found[key]) for key in wanted}
    assert max(errors.values()) < 1e-9, errors


@pytest.mark.parametrize("path", recorded("pix2pixhd_losses"), ids=lambda path: path.stem)
def test_terms_of_pix2pixhd_are_the_authors(path):
    vectors = Vectors(path)
    config = vectors.config
    planes, real, fake = conditioned(vectors)
    network = vectors.load(
        MultiScalePatchGAN(
            planes.shape[1] + 3,
            width=config["nf_discriminator"],
            layers=config["layers"],
            scales=config["scales"],
            norm=config["norm"],
        )
    )
    adversarial = Adversarial("least-squares")
    of_detached = network.layers(torch.cat([planes, fake.detach()], dim=1))
    of_real = network.layers(torch.cat([planes, real], dim=1))
    of_fake = network.layers(torch.cat([planes, fake], dim=1))
    last = [[of_scale[-1] for of_scale in each] for each in (of_detached, of_real, of_fake)]
    d_fake = over_scales(adversarial.fake, last[0])
    d_real = over_scales(adversarial.real, last[1])
    g_gan = over_scales(adversarial.fool, last[2])
    matching = config["lambda_feat"] * layer_matching(of_fake, of_real, as_layers=4)
    found = {
        "output.D_fake": d_fake,
        "output.D_real": d_real,
        "output.G_GAN": g_gan,
        "output.G_GAN_Feat": matching,
        "output.G_GAN_gradient": torch.autograd.grad(g_gan, fake, retain_graph=True)[0],
        "output.G_GAN_Feat_gradient": torch.autograd.grad(matching, fake, retain_graph=True)[0],
    }
    ((d_fake + d_real) / 2).backward()
    found |= {
        f"output.weight_gradient.{name}": each.grad for name, each in network.named_parameters()
    }
    assert_near(vectors, found)


@pytest.mark.parametrize("path", recorded("spade_losses"), ids=lambda path: path.stem)
def test_terms_of_spade_are_the_authors(path):
    vectors = Vectors(path)
    config = vectors.config
    planes, real, fake = conditioned(vectors)
    network = SpectralPatchGAN(
        planes.shape[1] + 3,
        width=config["nf_discriminator"],
        layers=config["layers"],
        scales=config["scales"],
    )
    adversarial = Adversarial({"hinge": "hinge", "ls": "least-squares"}[config["gan_mode"]])

    def judged() -> tuple[list, list]:
        """Both in one batch, from the stored weights: the layers of the fake and of the real."""
        vectors.load(network)
        both = torch.cat([torch.cat([planes, each], dim=1) for each in (fake, real)])
        halves = [[each.chunk(2) for each in of_scale] for of_scale in network.layers(both)]
        return tuple([[pair[i] for pair in of_scale] for of_scale in halves] for i in (0, 1))

    of_fake, of_real = judged()
    gan = over_scales(adversarial.fool, [each[-1] for each in of_fake], mean=True)
    matching = config["lambda_feat"] * layer_matching(of_fake, of_real)
    found = {
        "output.GAN": gan,
        "output.GAN_Feat": matching,
        "output.GAN_gradient": torch.autograd.grad(gan, fake, retain_graph=True)[0],
        "output.GAN_Feat_gradient": torch.autograd.grad(matching, fake)[0],
    }
    of_fake, of_real = judged()
    found["output.D_Fake"] = over_scales(adversarial.fake, [e[-1] for e in of_fake], mean=True)
    found["output.D_real"] = over_scales(adversarial.real, [e[-1] for e in of_real], mean=True)
    (found["output.D_Fake"] + found["output.D_real"]).backward()
    found |= {
        f"output.weight_gradient.{name}": each.grad for name, each in network.named_parameters()
    }
    assert_near(vectors, found)


def test_layers_are_weighed_as_documented_and_the_scores_left_out():
    def filled(*values: float) -> list[Tensor]:
        return [torch.full((1, i + 1, 2, 2), value) for i, value in enumerate(values)]

    fake = [filled(1, 3, 100), filled(5, 7, 100)]
    real = [filled(0, 0, 0), filled(0, 0, 0)]
    assert layer_matching(fake, real).item() == ((1 + 3) + (5 + 7)) / 2
    assert layer_matching(fake, real, as_layers=4).item() == 4 * (2 + 6) / 2


def test_scales_weigh_the_same_whatever_their_size():
    scores = [torch.full((1, 1, 8, 8), 2.0), torch.full((1, 1, 4, 4), 4.0)]
    assert over_scales(torch.mean, scores).item() == 6
    assert over_scales(torch.mean, scores, mean=True).item() == 3
