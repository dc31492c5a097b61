"""Pairs arrive whole: the right halves, the right way round, repeatably."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.data.augment.geometry import JointGeometry, evaluation_geometry
from i2i.data.kinds.layouts import PairFiles
from i2i.data.kinds.paired import PairedImages
from i2i.errors import DataError, OptionsError

AS_IS = evaluation_geometry(8, "none")


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


@pytest.fixture
def folder_pair(tmp_path: Path) -> PairFiles:
    a, b = noise(8, 8, 1), noise(8, 8, 2)
    return PairFiles(save(tmp_path / "a.png", a), save(tmp_path / "b.png", b), "x")


@pytest.fixture
def many(tmp_path: Path) -> list[PairFiles]:
    """Five side by side pairs of 12x12; all pixels of pair i have the blue value i."""
    pairs = []
    for i in range(5):
        pixels = noise(12, 24, i)
        pixels[..., 2] = i
        pairs.append(PairFiles(save(tmp_path / f"{i}.png", pixels), None, str(i)))
    return pairs


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_direction(folder_pair: PairFiles, direction: str) -> None:
    pair = PairedImages([folder_pair], AS_IS, direction=direction)[0]
    a, b = pair if direction == "AtoB" else pair[::-1]
    assert torch.equal(a, as_tensor(noise(8, 8, 1)))
    assert torch.equal(b, as_tensor(noise(8, 8, 2)))


def test_side_by_side_a_is_left(tmp_path: Path) -> None:
    pixels = noise(8, 16)
    files = PairFiles(save(tmp_path / "x.png", pixels), None, "x")
    source, target = PairedImages([files], AS_IS)[0]
    assert torch.equal(source, as_tensor(pixels[:, :8]))
    assert torch.equal(target, as_tensor(pixels[:, 8:]))


@pytest.mark.parametrize("side_by_side", [False, True])
@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_channels_follow_the_direction(
    tmp_path: Path, folder_pair: PairFiles, side_by_side: bool, direction: str
) -> None:
    files = folder_pair
    if side_by_side:
        files = PairFiles(save(tmp_path / "x.png", noise(8, 16)), None, "x")
    colour = PairedImages([files], AS_IS, direction=direction)[0]
    mixed = PairedImages([files], AS_IS, direction=direction, input_channels=1, output_channels=4)[
        0
    ]
    assert mixed.source.shape == (1, 8, 8)
    weights = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    assert (mixed.source - (colour.source * weights).sum(0)).abs().max() <= 0.51
    assert torch.equal(mixed.target[:3], colour.target)
    assert (mixed.target[3] == 255).all()


def test_samples_are_bytes_of_the_crop_size(many: list[PairFiles]) -> None:
    data = PairedImages(many, JointGeometry(12, 8), shuffle=True)
    assert len(data) == 5
    for image in data[3]:
        assert image.shape == (3, 8, 8)
        assert image.dtype == torch.uint8
        assert image.is_contiguous()


def test_shuffled_every_pair_comes_once_an_epoch(many: list[PairFiles]) -> None:
    data = PairedImages(many, JointGeometry(12, 8), seed=1, shuffle=True)
    seen = [int(data[position].source[2, 0, 0]) for position in range(20)]
    epochs = [tuple(seen[i : i + 5]) for i in range(0, 20, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len(set(epochs)) > 1
    assert [data.index(position) for position in range(20)] == seen


def test_unshuffled_the_order_is_the_listing(many: list[PairFiles]) -> None:
    data = PairedImages(many, JointGeometry(12, 8))
    assert [int(data[i].source[2, 0, 0]) for i in range(7)] == [0, 1, 2, 3, 4, 0, 1]


def test_a_position_is_always_the_same_and_epochs_differ(many: list[PairFiles]) -> None:
    data = PairedImages(many[:1], JointGeometry(40, 8), seed=3)
    copy = pickle.loads(pickle.dumps(data))
    crops = [data[position].source for position in range(10)]
    for position in (9, 0, 4):
        assert torch.equal(copy[position].source, crops[position])
    assert len({crop.numpy().tobytes() for crop in crops}) == 10
    other = PairedImages(many[:1], JointGeometry(40, 8), seed=4)
    assert not torch.equal(other[0].source, crops[0])


def test_a_file_that_breaks_later_is_named(folder_pair: PairFiles) -> None:
    data = PairedImages([folder_pair], AS_IS)
    assert folder_pair.b
    folder_pair.b.write_bytes(folder_pair.b.read_bytes()[:60])
    with pytest.raises(DataError, match=r"b\.png' cannot be read"):
        data[0]


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, folder_pair: PairFiles) -> None:
    larger = save(tmp_path / "c.png", noise(8, 10))
    with pytest.raises(DataError, match=r"a\.png' is 8x8 and .*c\.png' is 10x8"):
        PairedImages([PairFiles(folder_pair.a, larger, "x")], AS_IS)[0]
    odd = save(tmp_path / "odd.png", noise(8, 9))
    with pytest.raises(DataError, match=r"odd\.png' is 9 pixels wide"):
        PairedImages([PairFiles(odd, None, "x")], AS_IS)[0]


def test_an_unknown_direction_is_refused(folder_pair: PairFiles) -> None:
    with pytest.raises(OptionsError, match="'BtoC'"):
        PairedImages([folder_pair], AS_IS, direction="BtoC")
