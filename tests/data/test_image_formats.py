"""A format of a plug-in is read wherever an image is."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.core.registry import IMAGE_FORMATS, register_image_format
from i2i.data.images import file as image_file
from i2i.data.images import formats, frames
from i2i.data.images.check import check_images
from i2i.data.images.formats import DecodedFile, ImageFormat, image_suffixes
from i2i.data.images.probe import ImageInfo, look_at
from i2i.data.images.read import list_images, passed_over, read_image
from i2i.errors import DataError


class Arrays(ImageFormat):
    suffixes = (".mat",)

    def accepts(self, head: bytes) -> bool:
        return head.startswith(b"\x93NUMPY")

    def read(self, data: bytes) -> DecodedFile:
        return DecodedFile(np.load(io.BytesIO(data), allow_pickle=False))


@pytest.fixture
def arrays() -> Iterator[None]:
    IMAGE_FORMATS.names()
    register_image_format("test-npy")(Arrays)
    yield
    del IMAGE_FORMATS._parts["test-npy"]
    formats._installed.discard("test-npy")
    Image.ID[:] = [name for name in Image.ID if name != "TEST-NPY"]
    Image.OPEN.pop("TEST-NPY", None)
    Image.EXTENSION.pop(".mat", None)


def saved(path: Path, values: np.ndarray) -> Path:  # type: ignore[type-arg]
    with path.open("wb") as file:
        np.save(file, values)
    return path


WORDS = np.random.default_rng(0).integers(0, 65536, (9, 7, 3), dtype=np.uint16)


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_what_the_file_has(tmp_path: Path, channels: int) -> None:
    values = (WORDS >> 8).astype(np.uint8)[:, :, :channels]
    path = saved(tmp_path / "a.mat", values)
    assert np.array_equal(read_image(path, channels), values)
    found = look_at(path)
    assert isinstance(found, ImageInfo)
    assert (found.width, found.height, found.bits, found.format) == (7, 9, 8, "test-npy")
    assert check_images([path]).sizes == {path: (7, 9)}
    frames.require_one(path)


@pytest.mark.usefixtures("arrays")
def test_sixteen_bits_stay_in_translation_and_are_rounded_in_training(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", WORDS)
    assert np.array_equal(image_file.read(path, 3, keep_alpha=False).pixels, WORDS)
    assert np.array_equal(read_image(path, 3), np.rint(WORDS / 257).astype(np.uint8))
    found = look_at(path)
    assert isinstance(found, ImageInfo)
    assert found.bits == 16
    colours = saved(tmp_path / "b.mat", WORDS / 65535)  # floating point, 0..1
    assert np.array_equal(image_file.read(colours, 3, keep_alpha=False).pixels, WORDS)


@pytest.mark.usefixtures("arrays")
def test_it_is_listed_and_no_longer_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", WORDS)
    assert list_images(tmp_path) == [path]
    assert passed_over([tmp_path]) == []


def test_without_the_plugin_it_is_passed_over(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", WORDS)
    assert ".mat" not in image_suffixes()
    assert list_images(tmp_path) == []
    assert passed_over([tmp_path]) == [path]


@pytest.mark.usefixtures("arrays")
@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.zeros((4, 4, 7), np.uint8), "7 bands"),
        (np.zeros((4,), np.uint8), r"shape \(4,\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.zeros((4, 4), np.int64), "type int64"),
        (np.zeros((4, 4), object), "allow_pickle"),
        (np.full((4, 4, 3), 2.0), "must lie within 0..1"),
        (np.full((4, 4, 3), np.nan), "must lie within 0..1"),
    ],
)
def test_what_is_no_image_is_said_in_a_sentence(
    tmp_path: Path,
    values: np.ndarray,  # type: ignore[type-arg]
    why: str,
) -> None:
    path = saved(tmp_path / "a.mat", values)
    with pytest.raises(DataError, match=why):
        read_image(path, 3)
    assert path in check_images([path]).bad


@pytest.mark.usefixtures("arrays")
def test_a_file_that_ends_early_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.mat", WORDS)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.mat' cannot be read"):
        read_image(path, 3)
