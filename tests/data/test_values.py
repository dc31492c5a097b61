"""Values that fill a small part of the range are named before anything is trained."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.config.recipes import load_options
from i2i.data.images.check import check_images
from i2i.data.images.content_hash import content_hash
from i2i.data.images.probe import ImageInfo, look_at
from i2i.data.images.read import read_image
from i2i.data.images.values import find_narrow, require_full_range
from i2i.data.sources import open_source, resolve_options
from i2i.doctor import examine
from i2i.errors import DataError

GENERATOR = np.random.default_rng(0)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def noise(high: float, dtype: type, shape: tuple[int, ...] = (24, 24)) -> np.ndarray:
    values = GENERATOR.uniform(0, high, shape)
    values.flat[:2] = 0, high
    return values.astype(dtype)


def seen(*paths: Path) -> dict[Path, ImageInfo]:
    looks = {path: look_at(path) for path in paths}
    assert all(isinstance(look, ImageInfo) for look in looks.values()), looks
    return looks  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("values", "suffix", "low", "high"),
    [
        (noise(4095, np.uint16), ".png", 0, 4095),
        (noise(4, np.uint8), ".png", 0, 4),
        (noise(0.02, np.float32), ".tif", 0, 0.02),
        (noise(200, np.uint8, (24, 24, 3)), ".png", 0, 200),
        (np.full((8, 8), True), ".png", 255, 255),
    ],
)
def test_the_range_of_a_file(
    tmp_path: Path, values: np.ndarray, suffix: str, low: float, high: float
) -> None:
    look = look_at(save(tmp_path / f"1{suffix}", values))
    assert isinstance(look, ImageInfo)
    assert (look.low, look.high) == pytest.approx((low, high))


def test_alpha_is_no_value_of_a_label_map(tmp_path: Path) -> None:
    values = noise(4, np.uint8, (24, 24, 4))
    values[..., 3] = 255
    (look,) = seen(save(tmp_path / "1.png", values)).values()
    assert look.high == 4


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            noise(4095, np.uint16),
            ["0..4095 of 65535", "16 would be left", "Multiply the values by 16"],
        ),
        (noise(16383, np.uint16), ["0..16383 of 65535", "64 would be left"]),
        (noise(0.02, np.float32), ["0..0.02 of 1", "6 would be left", "by 50 "]),
        (noise(4, np.uint8), ["0..4 of 255", "label maps", "classes = 5"]),
        (noise(1, np.uint8), ["0..1 of 255", "masks of 0 and 1", "classes = 2"]),
        (noise(4, np.uint16), ["0..4 of 65535", "label maps"]),
    ],
)
def test_all_but_black_is_refused(tmp_path: Path, values: np.ndarray, words: list[str]) -> None:
    suffix = ".tif" if values.dtype == np.float32 else ".png"
    paths = [save(tmp_path / f"{n}{suffix}", values) for n in range(3)]
    with pytest.raises(DataError) as error:
        require_full_range(paths, seen(*paths))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "values", [noise(65535, np.uint16), noise(1, np.float32), noise(60, np.uint8)]
)
def test_what_is_bright_enough_is_not(tmp_path: Path, values: np.ndarray) -> None:
    path = save(tmp_path / ("1.tif" if values.dtype == np.float32 else "1.png"), values)
    assert find_narrow([path], seen(path)) is None


def test_one_bright_image_among_dark_ones_tells_the_range(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.png", noise(h, np.uint16)) for n, h in enumerate((900, 60000))]
    assert find_narrow(paths, seen(*paths)) is None
    half = save(tmp_path / "half.png", noise(30000, np.uint16))
    found = find_narrow([half], seen(half))
    assert found is not None
    assert not found.refused


def test_black_and_flat_images_are_no_label_maps(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.png", np.full((8, 8), n, np.uint8)) for n in range(5)]
    assert find_narrow(paths, seen(*paths)) is None


def settled_source(root: Path, recipe: str, kind: str) -> object:
    options = load_options(recipe, "data.workers=0", size=16, dataroot=root)
    return open_source(resolve_options(options, kind), kind)


@pytest.mark.parametrize(
    ("recipe", "kind", "sides"),
    [
        ("pix2pix", "paired", ("trainA", "trainB")),
        ("cyclegan", "unpaired", ("trainA", "trainB")),
        ("stargan", "domains", ("train/x", "train/y")),
        ("dcgan", "unconditional", ("train/x", "train/y")),
    ],
)
def test_each_kind_of_data_refuses_a_side_of_masks(
    tmp_path: Path, recipe: str, kind: str, sides: tuple[str, str]
) -> None:
    for number in range(4):
        save(tmp_path / sides[0] / f"{number}.png", noise(4, np.uint8))
        save(
            tmp_path / sides[1] / f"{number}.png",
            noise(4 if kind == "unconditional" else 250, np.uint8),
        )
    with pytest.raises(DataError, match=r"0\.\.4 of 255, as label maps do"):
        settled_source(tmp_path, recipe, kind)
    diagnosis = examine(tmp_path, kind)  # type: ignore[arg-type]
    (finding,) = {f.text: f for f in diagnosis.findings if f.kind == "label maps"}.values() or [
        None
    ]
    assert finding is not None
    assert finding.severity == "error"


def write_tiff(path: Path, bands: int, extra: tuple[int, ...]) -> Path:
    """A baseline TIFF of 8 bits without compression, written by hand (TIFF 6.0, section 2)."""
    import struct

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = GENERATOR.integers(0, 256, (8, 8, bands), dtype=np.uint8).tobytes()
    beside = struct.pack(f"<{bands}H", *[8] * bands) + struct.pack(f"<{len(extra)}H", *extra)
    start = 8 + len(pixels)
    # Up to four bytes stand in the entry itself.
    beyond, packed = start + 2 * bands, sum(word << 16 * at for at, word in enumerate(extra))
    tags = [
        (256, 3, 1, 8),
        (257, 3, 1, 8),
        (258, 3, bands, start),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, bands),
        (278, 3, 1, 8),
        (279, 4, 1, len(pixels)),
        (338, 3, len(extra), beyond if len(extra) > 2 else packed),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    header = b"II*\0" + struct.pack("<I", start + len(beside))
    path.write_bytes(header + pixels + beside + directory)
    return path


@pytest.mark.parametrize("bands", [5, 6])
def test_bands_beyond_the_third_are_not_dropped_in_silence(tmp_path: Path, bands: int) -> None:
    path = write_tiff(tmp_path / "trainA" / "1.tif", bands, (0,) * (bands - 3))
    look = look_at(path)
    assert isinstance(look, ImageInfo)
    assert f"it has {bands} bands of uint8" in look.unfit
    assert f"data.A.channels = {bands}" in look.unfit
    assert f"it has {bands} bands" in str(look_at(path, decode=False))
    with pytest.raises(DataError, match=f"it has {bands} bands, of which only 3"):
        read_image(path, 3)
    save(tmp_path / "trainB" / "1.png", noise(250, np.uint8, (8, 8, 3)))
    with pytest.raises(DataError, match=f"it has {bands} bands"):
        settled_source(tmp_path, "pix2pix", "paired")
    (finding,) = (f for f in examine(tmp_path, "paired").findings if f.kind == "not understood")
    assert f"data.A.channels = {bands}" in finding.reasons[0]
    alpha = write_tiff(tmp_path / "alpha.tif", 4, (2,))
    assert read_image(alpha, 4).shape == (8, 8, 4)


def test_the_check_has_hashed_what_content_hash_hashes(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png", noise(250, np.uint8))
    assert check_images([path]).looks[path].digest == content_hash(path)
