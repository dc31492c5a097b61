"""What the reference vectors do not show of the networks of StarGAN."""

import copy

import pytest
import torch
from torch import Tensor, nn

from i2i.errors import DataError, OptionsError
from i2i.networks import StarGANDiscriminator, StarGANGenerator, set_inference

DOMAINS = 5


def trained_generator() -> StarGANGenerator:
    """A generator whose scales, shifts and running statistics are not the initial ones."""
    torch.manual_seed(0)
    generator = StarGANGenerator(3 + DOMAINS, 3, width=4, blocks=2).double()
    for module in generator.modules():
        if isinstance(module, nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return generator


def random_images(count: int = 3) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(count, 3 + DOMAINS, 16, 24, dtype=torch.float64)


def test_the_published_networks_have_as_many_weights_as_the_tables_of_the_paper_say():
    # Tables 4 and 5: kernel, channels in, channels out; five domains, images of 128 pixels.
    down = [(7, 3 + 5, 64), (4, 64, 128), (4, 128, 256)]
    middle = 12 * [(3, 256, 256)]
    up = [(4, 256, 128), (4, 128, 64)]
    hidden = [(4, 3, 64), *((4, 64 * 2**i, 128 * 2**i) for i in range(5))]
    heads = [(3, 2048, 1), (2, 2048, 5)]
    generator = sum(k * k * i * o + 2 * o for k, i, o in down + middle + up) + 7 * 7 * 64 * 3
    discriminator = sum(k * k * i * o for k, i, o in hidden + heads) + sum(o for *_, o in hidden)
    with torch.device("meta"):
        networks = [
            StarGANGenerator(3 + 5, 3, width=64, blocks=6),
            StarGANDiscriminator(3, width=64, layers=6, classes=5, size=128),
        ]
    ours = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert ours == [generator, discriminator]


def test_image_statistics_are_training_mode_and_change_nothing():
    generator, images = trained_generator(), random_images()
    expected = copy.deepcopy(generator).train()(images)
    before = copy.deepcopy(generator.state_dict())
    set_inference(generator, norm="instance", dropout=False)
    torch.testing.assert_close(generator(images), expected, atol=1e-12, rtol=0)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_running_statistics_are_plain_eval_mode():
    generator, images = trained_generator(), random_images()
    expected = generator.eval()(images)
    set_inference(generator, norm="instance", dropout=False)
    assert (generator(images) - expected).abs().max() > 1e-2
    set_inference(generator, norm="running", dropout=False)
    assert torch.equal(generator(images), expected)


def test_training_goes_on_as_if_nothing_had_been_and_gathers_statistics():
    generator, images = trained_generator(), random_images()
    untouched = copy.deepcopy(generator)
    set_inference(generator, norm="instance", dropout=False)
    generator(images)
    generator.train()
    before = generator.main[1].running_mean.clone()
    assert torch.equal(generator(images), untouched(images))
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, untouched.state_dict()[name]), name
    # Mean over pixels, then over the images of the batch, taken in with momentum 0.1.
    mean = generator.main[0](images).mean((0, 2, 3))
    torch.testing.assert_close(generator.main[1].running_mean, 0.9 * before + 0.1 * mean)


def test_a_foreign_instance_norm_takes_its_running_statistics():
    foreign = nn.InstanceNorm2d(3, track_running_stats=True)
    set_inference(foreign, norm="instance", dropout=False)
    images = random_images(1)[:, :3].float()
    torch.testing.assert_close(foreign(images), images / (1 + foreign.eps) ** 0.5)


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_upsampling_is_chosen_and_keeps_the_size(upsample):
    generator = StarGANGenerator(5, 3, width=2, blocks=1, upsample=upsample)
    assert generator(torch.zeros(1, 5, 16, 24)).shape == (1, 3, 16, 24)
    transposed = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(transposed) == (2 if upsample == "transposed" else 0)
    with pytest.raises(OptionsError, match=r"upsample is 'resise'.* Did you mean 'resize'"):
        StarGANGenerator(5, 3, width=2, blocks=1, upsample="resise")


def test_the_label_decides_what_is_drawn():
    generator = trained_generator()
    set_inference(generator, norm="instance", dropout=False)
    images = random_images(1)
    images[:, 3:] = 0
    outputs = []
    for domain in range(DOMAINS):
        images[:, 3:] = 0
        images[:, 3 + domain] = 1
        outputs.append(generator(images))
    assert all(output.shape == (1, 3, 16, 24) for output in outputs)
    assert min((output - outputs[0]).abs().max() for output in outputs[1:]) > 1e-6


@pytest.mark.parametrize("size", [(6, 8), (8, 6), (4, 4), (18, 16)])
def test_a_image_that_does_not_fit_the_generator_is_named(size):
    generator = StarGANGenerator(3, 3, width=2, blocks=0)
    with pytest.raises(DataError, match=f"An image of {size[0]}x{size[1]} .* multiples of 4"):
        generator(torch.zeros(1, 3, *size))
    assert generator(torch.zeros(1, 3, 8, 12)).shape == (1, 3, 8, 12)


@pytest.mark.parametrize(("layers", "size"), [(1, 2), (3, 8), (3, 24), (4, 32)])
def test_the_discriminator_gives_a_map_of_scores_and_one_row_of_logits(layers, size):
    discriminator = StarGANDiscriminator(3, width=2, layers=layers, classes=7, size=size)
    scores, logits = discriminator(torch.randn(2, 3, size, size))
    assert scores.shape == (2, 1, size // 2**layers, size // 2**layers)
    assert logits.shape == (2, 7)


def test_the_discriminator_takes_its_own_size_only():
    discriminator = StarGANDiscriminator(3, width=2, layers=2, classes=5, size=16)
    with pytest.raises(DataError, match=r"An image of 32x16 .* made for 16x16"):
        discriminator(torch.randn(2, 3, 32, 16))


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(OptionsError, match=r"size \(=24\) must be a multiple of 16"):
        StarGANDiscriminator(3, width=2, layers=4, classes=5, size=24)
    with pytest.raises(OptionsError, match="classes is 0"):
        StarGANDiscriminator(3, width=2, layers=1, classes=0, size=24)
    with pytest.raises(OptionsError, match="layers is 0"):
        StarGANDiscriminator(3, width=2, layers=0, classes=1, size=24)
    with pytest.raises(OptionsError, match="width is 0"):
        StarGANGenerator(3, 3, width=0, blocks=1)
    with pytest.raises(OptionsError, match="blocks is -1"):
        StarGANGenerator(3, 3, width=1, blocks=-1)
