from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.evaluation.images import FolderImages, ImageSet, TensorImages


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)


@pytest.fixture
def on_disk(pixels: np.ndarray, tmp_path: Path) -> FolderImages:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return FolderImages(paths, list("abcde"), [(24, 24)] * 5)


@pytest.fixture
def in_memory(pixels: np.ndarray) -> TensorImages:
    return TensorImages(torch.from_numpy(pixels).permute(0, 3, 1, 2), list("abcde"))


def test_disk_and_memory_hold_the_same(on_disk: FolderImages, in_memory: TensorImages) -> None:
    def everything(images: ImageSet) -> torch.Tensor:
        return torch.cat(list(images.batches()))

    assert len(on_disk) == len(in_memory) == 5
    assert torch.equal(everything(on_disk), everything(in_memory))
    assert torch.equal(on_disk[1:3], in_memory[1:3])
    assert on_disk.shapes() == in_memory.shapes() == {(24, 24)}
    chosen = on_disk.some([3, 1]), in_memory.some([3, 1])
    assert list(chosen[0].names) == list(chosen[1].names) == ["d", "b"]
    assert torch.equal(everything(chosen[0]), everything(chosen[1]))
    small = on_disk.sized(12), in_memory.sized(12)
    assert torch.equal(everything(small[0]), everything(small[1]))
    assert small[0].shapes() == small[1].shapes() == {(12, 12)}


def test_content_is_what_the_images_are_not_where(
    on_disk: FolderImages, pixels: np.ndarray, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    paths = [path.rename(moved / path.name) for path in on_disk.paths]
    elsewhere = FolderImages(paths, list("vwxyz"), [(24, 24)] * 5)
    content = elsewhere.content()
    assert elsewhere.sized(12).content() != content
    assert elsewhere.some([1, 0, 2, 3, 4]).content() != content
    changed = pixels[2].copy()
    changed[0, 0, 0] ^= 1
    Image.fromarray(changed).save(paths[2])
    assert elsewhere.content() != content


def test_content_in_memory(in_memory: TensorImages) -> None:
    copy = TensorImages(in_memory.images.clone(), in_memory.names)
    assert copy.content() == in_memory.content()
    copy.images[0, 0, 0, 0] ^= 1
    assert copy.content() != in_memory.content()


def test_images_of_several_sizes_come_in_batches_of_one(tmp_path: Path) -> None:
    shapes = [(8, 8), (8, 8), (9, 8), (8, 8)]
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, (height, width) in zip(paths, shapes, strict=True):
        Image.new("L", (width, height)).save(path)
    images = FolderImages(paths, list("abcd"), shapes)
    assert [tuple(batch.shape) for batch in images.batches()] == [
        (2, 3, 8, 8),
        (1, 3, 9, 8),
        (1, 3, 8, 8),
    ]
    assert images.shapes() == {(8, 8), (9, 8)}
