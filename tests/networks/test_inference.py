import copy

import pytest
import torch
from torch import Tensor, nn

from i2i.errors import OptionsError
from i2i.networks import PatchGAN, ResNet, UNet, set_inference

NETWORKS = {
    "unet": lambda dropout: UNet(3, 3, width=4, downs=6, norm="batch", dropout=dropout),
    "resnet": lambda dropout: ResNet(3, 3, width=4, blocks=2, norm="batch", dropout=dropout),
}


@pytest.fixture(params=NETWORKS)
def network(request) -> nn.Module:
    return trained(NETWORKS[request.param](dropout=False)).double()


def trained(network: nn.Module) -> nn.Module:
    """The same network with scales, shifts and running statistics that are not the initial ones."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network


def random_images(count: int = 3) -> Tensor:
    """Images of different brightness and contrast, so that each has its own statistics."""
    torch.manual_seed(4)
    pixels, contrast, brightness = (
        torch.randn(count, 3, size, size).double() for size in (64, 1, 1)
    )
    return contrast * pixels + brightness


def test_image_statistics_are_training_mode_image_by_image(network):
    images = random_images()
    published = copy.deepcopy(network).train()
    expected = torch.cat([published(image[None]) for image in images])
    set_inference(network, norm="instance", dropout=False)
    torch.testing.assert_close(network(images), expected, atol=1e-12, rtol=0)


def test_images_do_not_see_each_other_and_nothing_is_changed(network):
    images = random_images()
    before = copy.deepcopy(network.state_dict())
    set_inference(network, norm="instance", dropout=False)
    together = network(images)
    for image, translated in zip(images, together, strict=True):
        torch.testing.assert_close(network(image[None])[0], translated, atol=1e-12, rtol=0)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_running_statistics_are_plain_eval_mode(network):
    images = random_images()
    expected = network.eval()(images)
    set_inference(network, norm="instance", dropout=False)
    assert (network(images) - expected).abs().max() > 1e-2
    set_inference(network, norm="running", dropout=False)
    assert torch.equal(network(images), expected)


@pytest.mark.parametrize("norm", ["instance", "running"])
def test_training_goes_on_as_if_nothing_had_been(network, norm):
    untouched = copy.deepcopy(network).train()
    set_inference(network, norm=norm, dropout=True)
    network(random_images())
    network.train()
    images = random_images()
    assert torch.equal(network(images), untouched(images))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, untouched.state_dict()[name]), name


@pytest.mark.parametrize("norm", ["instance", "running"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_dropout_is_active_only_if_asked_for(kind, norm):
    network, images = NETWORKS[kind](dropout=True).double(), random_images()
    set_inference(network, norm=norm, dropout=False)
    assert torch.equal(network(images), network(images))
    set_inference(network, norm=norm, dropout=True)
    torch.manual_seed(0)
    first = network(images)
    assert not torch.equal(network(images), first)
    torch.manual_seed(0)
    assert torch.equal(network(images), first)
    network.train()
    assert all(module.training for module in network.modules())


def test_instance_norm_is_the_same_either_way():
    network, images = PatchGAN(3, width=4, layers=2, norm="instance").double(), random_images()
    expected = network(images)
    for norm in ("instance", "running"):
        set_inference(network, norm=norm, dropout=False)
        assert torch.equal(network(images), expected)


@pytest.mark.parametrize("norm", ["running", "instance"])
def test_a_foreign_batch_norm_takes_its_running_statistics(norm):
    foreign = nn.Sequential(nn.BatchNorm2d(3))
    set_inference(foreign, norm=norm, dropout=False)
    images = random_images()
    expected = images.double() / (1 + foreign[0].eps) ** 0.5
    torch.testing.assert_close(foreign(images.float()), expected.float())
    assert torch.equal(foreign[0].running_mean, torch.zeros(3))


def test_unknown_statistics_are_an_error(network):
    with pytest.raises(OptionsError, match=r"'instances', .* instance, running\. Did you mean"):
        set_inference(network, norm="instances", dropout=False)
