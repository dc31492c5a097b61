"""Copies are found however they were made, and what only resembles is not taken for one."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from i2i.data.demo.painter import paint
from i2i.data.images.probe import FINGERPRINT_BITS, ImageInfo, fingerprint, look_at, mirrored
from i2i.data.inspection.duplicates import NEAR, find_alike, near_clusters


def scene(seed: int, rendering: str = "photo", size: int = 128) -> Image.Image:
    return Image.fromarray(paint(seed, size, rendering))


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)
    return path


def looks(*paths: Path) -> dict[Path, ImageInfo]:
    found = {path: look_at(path) for path in paths}
    assert all(isinstance(look, ImageInfo) for look in found.values()), found
    return found  # type: ignore[return-value]


def bits(print_: str) -> np.ndarray:
    return np.unpackbits(np.frombuffer(bytes.fromhex(print_), np.uint8))


def stored_anew(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG at quality 30": stored_anew,
    "half the size": lambda image: image.resize((64, 64), Image.Resampling.LANCZOS),
    "larger and wider": lambda image: image.resize((220, 170), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "grey": lambda image: image.convert("L"),
    "mirrored": ImageOps.mirror,
}


def test_the_fingerprint_is_that_of_the_definition() -> None:
    luma = np.random.default_rng(0).uniform(0, 255, (32, 32)).astype(np.float32)
    grid = np.arange(32)
    expected = []
    for v in range(16):
        for u in range(16):
            row = np.cos(np.pi * (grid + 0.5) * u / 32)
            column = np.cos(np.pi * (grid + 0.5) * v / 32)
            expected.append((luma.astype(np.float64) * row[None, :] * column[:, None]).sum() > 0)
    assert bits(fingerprint(luma)).tolist() == expected
    assert len(expected) == FINGERPRINT_BITS


def test_the_mirrored_fingerprint_is_that_of_the_mirrored_image() -> None:
    luma = np.random.default_rng(1).uniform(0, 255, (32, 32)).astype(np.float32)
    one = np.frombuffer(bytes.fromhex(fingerprint(luma)), np.uint8)[None]
    other = np.frombuffer(bytes.fromhex(fingerprint(luma[:, ::-1])), np.uint8)[None]
    assert (mirrored(one) == other).all()
    assert (mirrored(mirrored(one)) == one).all()
    assert np.bitwise_count(one ^ other).sum() > NEAR


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_near_duplicates(tmp_path: Path, copy: str) -> None:
    original = saved(tmp_path / "a.png", scene(1))
    other = saved(tmp_path / "b.png", COPIES[copy](scene(1)))
    stranger = saved(tmp_path / "c.png", scene(2))
    alike = find_alike(looks(original, other, stranger))
    assert alike.near == [(original, other)]
    assert alike.exact == []
    assert bool(alike.mirrored) == (copy == "mirrored")


def test_a_copy_that_is_turned_by_its_exif_orientation_is_found(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright = saved(tmp_path / "a.png", scene(1))
    turned = scene(1).transpose(Image.Transpose.ROTATE_90)
    lying = saved(tmp_path / "b.jpg", turned, exif=exif, quality=90)
    assert find_alike(looks(upright, lying)).near == [(upright, lying)]


@pytest.mark.parametrize("rendering", ["photo", "labels", "night", "sketch"])
def test_different_scenes_are_no_duplicates(tmp_path: Path, rendering: str) -> None:
    paths = [saved(tmp_path / f"{i}.png", scene(i, rendering, 48)) for i in range(60)]
    alike = find_alike(looks(*paths))
    assert alike.near == []


def test_files_of_equal_bytes_are_exact_duplicates(tmp_path: Path) -> None:
    one = saved(tmp_path / "1.png", scene(1))
    two = saved(tmp_path / "2.png", scene(1))
    near = saved(tmp_path / "3.jpg", scene(1), quality=80)
    alike = find_alike(looks(one, two, near))
    assert alike.exact == [(one, two)]
    assert alike.near == [(one, two, near)]
    assert find_alike(looks(one, two, near), near=False).near == [(one, two)]


def test_images_of_one_colour_are_nobodys_duplicates(tmp_path: Path) -> None:
    paths = [
        saved(tmp_path / f"{i}.{suffix}", Image.new("RGB", (40, 30), (value,) * 3))
        for i, (value, suffix) in enumerate([(0, "png"), (0, "png"), (90, "jpg"), (255, "png")])
    ]
    found = looks(*paths)
    assert all(look.flat and look.print == "" for look in found.values())
    alike = find_alike(found)
    assert alike.near == alike.exact == []


def test_clusters_are_those_of_all_pairwise_distances() -> None:
    """Against the definition: components of the graph of all near pairs, mirrored ones too."""
    generator = np.random.default_rng(0)
    count = 600  # more than two blocks
    rows = generator.integers(0, 2, (count, 256), dtype=np.uint8)
    for i in range(0, 300):  # copies with up to 45 bits changed, of which some are mirrored
        rows[count - 1 - i] = rows[i // 3]
        if i % 4 == 0:
            rows[count - 1 - i, 1::2] ^= 1
        rows[count - 1 - i, generator.choice(256, generator.integers(0, 46), False)] ^= 1
    rows[:, 0] = 1
    flip = rows.copy()
    flip[:, 1::2] ^= 1
    near = ((rows[:, None] != rows[None]).sum(-1) <= NEAR) | (
        (rows[:, None] != flip[None]).sum(-1) <= NEAR
    )
    component = list(range(count))
    for i, j in np.argwhere(near).tolist():
        a, b = component[i], component[j]
        if a != b:
            component = [a if c == b else c for c in component]
    expected = {frozenset(i for i in range(count) if component[i] == c) for c in component}

    clusters, turned, _ = near_clusters([np.packbits(row).tobytes().hex() for row in rows])
    assert {frozenset(cluster) for cluster in clusters} == expected
    assert sum(map(len, clusters)) == count
    assert any(len(cluster) > 3 for cluster in clusters)
    for at, cluster in enumerate(clusters):
        direct = (rows[cluster][:, None] != rows[cluster][None]).sum(-1) <= NEAR
        if at in turned:
            assert not direct.all()


def test_many_equal_fingerprints_are_one_cluster() -> None:
    one = fingerprint(np.random.default_rng(0).uniform(0, 255, (32, 32)).astype(np.float32))
    clusters, turned, _ = near_clusters([one] * 1500)
    assert [len(cluster) for cluster in clusters] == [1500]
    assert turned == set()


def test_of_very_many_fingerprints_those_that_agree_in_some_bits_are_compared(
    monkeypatch: pytest.MonkeyPatch, told: list[tuple[int, int]]
) -> None:
    """Copies with up to 25 bits changed, mirrored or not, are found by the tables of bits; nothing
    else is: independent fingerprints differ in 128 bits, give or take 8."""
    monkeypatch.setattr("i2i.data.inspection.duplicates.EXACT_UP_TO", 100)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 2, (400, 256), dtype=np.uint8)
    for copy in range(100):
        rows[300 + copy] = rows[copy]
        rows[300 + copy, generator.choice(256, copy % 26, replace=False)] ^= 1
        if copy % 2:
            rows[300 + copy, 1::2] ^= 1
    rows[:, 0] = 1
    prints = [np.packbits(row).tobytes().hex() for row in rows]
    clusters, turned, complete = near_clusters(prints)
    assert complete
    assert sorted(c for c in clusters if len(c) > 1) == [[n, 300 + n] for n in range(100)]
    assert {clusters[at][0] % 2 for at in turned} == {1}
    assert len(turned) == 50
    assert told[-1][0] == told[-1][1]


def test_the_search_ends_when_its_time_is_over() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (2000, 256), dtype=np.uint8)
    rows[:, 0] = 1
    prints = [np.packbits(row).tobytes().hex() for row in rows]
    clusters, _, complete = near_clusters(prints, seconds=0)
    assert not complete
    assert sum(map(len, clusters)) == 2000
