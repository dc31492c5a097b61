import numpy as np
import pytest
import torch

from i2i.errors import DataError, OptionsError
from i2i.networks import MLPDiscriminator, MLPGenerator


@pytest.mark.parametrize("size", [1, 16, 27])
@pytest.mark.parametrize("layers", [1, 3])
def test_any_size_and_depth(size, layers):
    generator = MLPGenerator(5, 2, width=3, layers=layers, size=size, classes=4)
    discriminator = MLPDiscriminator(2, width=3, layers=layers, size=size, classes=4, codes=6)
    labels = torch.eye(4)
    images = generator(torch.randn(4, 5), labels)
    assert images.shape == (4, 2, size, size)
    assert images.abs().max() <= 1
    scores, logits = discriminator(images, labels)
    assert (scores.shape, logits.shape) == ((4, 1), (4, 6))
    assert discriminator.features(images, labels).shape == (4, 3)
    assert not torch.equal(scores, discriminator(images, labels.flip(0))[0])


def test_the_generator_in_numpy():
    torch.manual_seed(0)
    generator = MLPGenerator(5, 2, width=7, layers=2, size=4, classes=3).double()
    z, labels = torch.randn(3, 5, dtype=torch.float64), torch.eye(3)
    w = [p.detach().numpy() for p in generator.parameters()]
    rows = np.concatenate([z.numpy(), labels.numpy()], 1)
    for k in (0, 2):
        rows = np.maximum(rows @ w[k].T + w[k + 1], 0)
    expected = np.tanh(rows @ w[4].T + w[5]).reshape(3, 2, 4, 4)
    np.testing.assert_allclose(generator(z, labels).detach(), expected, atol=1e-12)


def test_the_discriminator_in_numpy():
    torch.manual_seed(0)
    discriminator = MLPDiscriminator(2, width=7, layers=2, size=4).double()
    images = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    w = [p.detach().numpy() for p in discriminator.parameters()]
    rows = images.numpy().reshape(3, -1)
    for k in (0, 2):
        rows = rows @ w[k].T + w[k + 1]
        rows = np.where(rows > 0, rows, 0.2 * rows)
    np.testing.assert_allclose(discriminator.features(images).detach(), rows, atol=1e-12)
    np.testing.assert_allclose(discriminator(images).detach(), rows @ w[4].T + w[5], atol=1e-12)


def test_dropout_drops_its_share_of_each_hidden_layer_and_only_in_training():
    torch.manual_seed(0)
    network = MLPDiscriminator(1, width=4000, layers=2, dropout=0.3, size=4)
    images = torch.randn(2, 1, 4, 4)
    dropped = (network.features(images) == 0).float().mean()
    assert dropped.item() == pytest.approx(0.3, abs=0.03)
    assert (network.body[:3](images.flatten(1)) == 0).float().mean().item() > 0.2
    network.eval()
    assert torch.equal(network(images), network(images))


def test_arguments_that_make_no_network_are_named():
    with pytest.raises(OptionsError, match=r"dropout is 1\.0"):
        MLPDiscriminator(1, dropout=1.0, size=4)
    with pytest.raises(OptionsError, match="layers is 0"):
        MLPGenerator(3, 1, layers=0, size=4)
    with pytest.raises(DataError, match="made for 4x4"):
        MLPDiscriminator(1, size=4)(torch.zeros(1, 1, 5, 4))
    with pytest.raises(AssertionError, match="missing"):
        MLPGenerator(3, 1, size=4, classes=2)(torch.zeros(1, 3))
