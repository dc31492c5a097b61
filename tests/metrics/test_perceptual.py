import numpy as np
import pytest
import torch

from i2i.errors import CheckpointError, DataError
from i2i.metrics import features as features_module
from i2i.metrics import perceptual as module
from i2i.metrics.features import EfficientNetLite
from i2i.metrics.perceptual import LPIPS, UnweightedPerceptual, choose_perceptual


@pytest.fixture(scope="module")
def lite() -> EfficientNetLite:
    return EfficientNetLite()


def noise(count: int, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_unweighted_against_numpy(lite: EfficientNetLite) -> None:
    images, truth = noise(4).split(2)
    expected = np.zeros(2)
    for x, y in zip(lite.maps(images), lite.maps(truth), strict=True):
        a, b = (each.double().numpy() for each in (x, y))
        a /= np.sqrt((a**2).sum(1, keepdims=True))
        b /= np.sqrt((b**2).sum(1, keepdims=True))
        expected += ((a - b) ** 2).sum(1).mean((1, 2))
    distance = UnweightedPerceptual(lite)
    assert distance.name == "lpips-unweighted(efficientnet-lite0)"
    np.testing.assert_allclose(distance(images, truth), expected, rtol=1e-4)
    assert distance(images, images).tolist() == [0.0, 0.0]


def test_more_noise_is_farther(lite: EfficientNetLite) -> None:
    row = torch.linspace(0, 255, 64)[None].expand(64, 64)
    image = torch.stack([row, row.T, 255 - row])[None]
    deviation = noise(1, 64).float() - 127.5
    noisy = [(image + s * deviation).clamp(0, 255).to(torch.uint8) for s in (0.0, 0.05, 0.3)]
    distance = UnweightedPerceptual(lite)
    found = [distance(each, noisy[0]).item() for each in noisy]
    assert 0 == found[0] < found[1] < found[2]


def test_small_images_are_refused(lite: EfficientNetLite) -> None:
    with pytest.raises(DataError, match="31 x 31"):
        UnweightedPerceptual(lite)(noise(1, 31), noise(1, 31))


def test_lpips_agrees_with_its_formula_on_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch-fidelity's network with weights of our own, against numpy."""
    import torch_fidelity.sample_similarity_lpips as library
    from torchvision.models import vgg16

    generator = torch.Generator().manual_seed(0)
    weights = [torch.rand(1, c, 1, 1, generator=generator) for c in (64, 128, 256, 512, 512)]
    state = {f"lin{i}.model.1.weight": each for i, each in enumerate(weights)}
    torch.manual_seed(0)
    network = vgg16(weights=None)
    monkeypatch.setattr(module, "fetched", lambda *arguments: None)
    monkeypatch.setattr(library, "load_state_dict_from_url", lambda *args, **more: state)
    monkeypatch.setattr(library, "torchvision_load_pretrained_vgg16", lambda: network)
    lpips = LPIPS()
    assert lpips.name == "lpips(vgg16)"
    images, truth = noise(2).split(1)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    expected = 0.0
    x, y = ((each / 255 - mean) / deviation for each in (images, truth))
    number = 0
    with torch.no_grad():
        for at, layer in enumerate(network.features[:30]):
            x, y = layer(x), layer(y)
            if at in (3, 8, 15, 22, 29):
                a, b = (each / each.norm(dim=1, keepdim=True) for each in (x, y))
                expected += ((a - b) ** 2 * weights[number]).sum(1).mean().item()
                number += 1
    assert lpips(images, truth).tolist() == pytest.approx([expected], rel=1e-3)
    assert lpips(images[:, :1], images[:, :1]).tolist() == [0.0]


def test_without_a_network_the_unweighted_form_stands_in(
    lite: EfficientNetLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(url: str, advice: str) -> None:
        raise CheckpointError(f"{url} cannot be reached.")

    monkeypatch.setattr(module, "fetched", unreachable)
    found, why = choose_perceptual(lite)
    assert isinstance(found, UnweightedPerceptual)
    assert found.features is lite
    assert "for lack of LPIPS" in why
    monkeypatch.setattr(module, "efficientnet_is_installed", lambda: False)
    nothing, why = choose_perceptual(None)
    assert nothing is None
    assert why.startswith("no perceptual distance")
    assert features_module.efficientnet_is_installed()
