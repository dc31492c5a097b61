"""Broken images are found before training, once, and unchanged ones are not decoded again."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.data.catalogue.cache import cache_folder
from i2i.data.images import check
from i2i.data.images.check import CheckResult, check_images, usable_pairs
from i2i.data.images.probe import ImageInfo
from i2i.data.kinds.layouts import PairFiles
from i2i.errors import DataError


def image(path: Path, width: int = 6, height: int = 4, **how: object) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)
    return path


def truncated(path: Path, share: float = 0.5, **how: object) -> Path:
    image(path, 64, 64, **how)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every image that is really looked at."""
    looked: list[Path] = []
    look = check.look_at

    def counting(path: Path) -> object:
        looked.append(path)
        return look(path)

    monkeypatch.setattr(check, "look_at", counting)
    return looked


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp"])
def test_sizes_are_found_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = image(tmp_path / f"x.{suffix}", 33, 17)
    assert check_images([path]) == CheckResult(sizes={path: (33, 17)}, bad={})


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize(("orientation", "size"), [(3, (33, 17)), (6, (17, 33))])
def test_sizes_are_those_of_the_upright_image(
    tmp_path: Path, suffix: str, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = image(tmp_path / f"x.{suffix}", 33, 17, exif=exif)
    assert check_images([path]).sizes == {path: size}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_end_early_are_found(tmp_path: Path, share: float, progressive: bool) -> None:
    path = truncated(tmp_path / "x.jpg", share, progressive=progressive)
    assert list(check_images([path]).bad) == [path]


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "bmp"])
def test_other_formats_that_end_early_are_found(tmp_path: Path, suffix: str) -> None:
    path = truncated(tmp_path / f"x.{suffix}")
    checked = check_images([path])
    assert list(checked.bad) == [path]
    assert not checked.sizes


def test_missing_foreign_and_inconvertible_files_are_found(tmp_path: Path) -> None:
    missing, text, values = (tmp_path / name for name in ("missing.png", "text.png", "values.tif"))
    text.write_text("no image")
    Image.fromarray(np.array([[0, 7]], dtype=np.float32)).save(values)
    bad = check_images([missing, text, values]).bad
    assert bad[missing] == "No such file or directory"
    assert bad[text] == "it is no image of a known format"
    assert "1 band of float32 within 0..7" in bad[values]


def test_progress_counts_every_image_once(tmp_path: Path, told: list[tuple[int, int]]) -> None:
    paths = [image(tmp_path / f"{i}.png") for i in range(5)]
    check_images([*paths, paths[0]], tmp_path / "cache")
    assert told == [(done, 5) for done in (1, 2, 3, 4, 5)]
    paths.append(image(tmp_path / "new.png"))
    told.clear()
    check_images(paths, tmp_path / "cache")
    assert told == [(5, 6), (6, 6)]


def test_unchanged_good_images_are_not_decoded_again(tmp_path: Path, decoded: list[Path]) -> None:
    good, bad = image(tmp_path / "good.jpg"), truncated(tmp_path / "bad.jpg")
    cache = tmp_path / "deep" / "cache"
    first = check_images([good, bad], cache)
    assert sorted(decoded) == sorted([good, bad])
    decoded.clear()
    assert check_images([good, bad], cache) == first
    assert decoded == [bad]
    decoded.clear()

    image(bad)
    os.utime(good, ns=(1, 1))
    assert check_images([good, bad], cache).sizes == {good: (6, 4), bad: (6, 4)}
    assert sorted(decoded) == sorted([good, bad])
    decoded.clear()
    assert not check_images([good, bad], cache).bad
    assert not decoded
    good.unlink()
    assert list(check_images([good, bad], cache).bad) == [good]


def test_splits_that_share_a_root_do_not_forget_each_other(
    tmp_path: Path, decoded: list[Path]
) -> None:
    splits = []
    for names in (("trainA", "trainB"), ("valA", "valB")):
        for name in names:
            (tmp_path / name).mkdir()
        splits.append([image(tmp_path / name / "1.png") for name in names])
    for _ in range(2):
        for split in splits:
            check_images(split, tmp_path / "cache")
    assert sorted(decoded) == sorted(splits[0] + splits[1])


def test_nothing_is_remembered_without_a_cache(tmp_path: Path, decoded: list[Path]) -> None:
    path = image(tmp_path / "x.png")
    check_images([path])
    check_images([path])
    assert decoded == [path, path]
    assert os.listdir(tmp_path) == ["x.png"]  # noqa: PTH208


@pytest.mark.parametrize("content", ["", "[]", "\0" * 5000, "row", "table"])
def test_a_broken_memory_is_ignored_and_rewritten(
    tmp_path: Path, decoded: list[Path], content: str
) -> None:
    path, cache = image(tmp_path / "x.png"), tmp_path / "cache"
    first = check_images([path], cache)
    (memory,) = cache.iterdir()
    if content in ("row", "table"):  # right version, wrong values or columns
        with closing(sqlite3.connect(memory)) as database:
            wrong = {"row": "UPDATE images SET width = 'x'", "table": "ALTER TABLE images ADD x"}
            database.execute(wrong[content])
            database.commit()
    else:
        memory.write_text(content)
    assert check_images([path], cache) == first
    assert check_images([path], cache) == first
    assert decoded == [path, path]
    assert list(cache.iterdir()) == [memory]


def test_memories_of_earlier_versions_are_replaced(tmp_path: Path, decoded: list[Path]) -> None:
    path, cache = image(tmp_path / "x.png"), tmp_path / "cache"
    check_images([path], cache)
    (memory,) = cache.iterdir()
    old = memory.with_suffix(".json")
    memory.rename(old)
    check_images([path], cache)
    assert list(cache.iterdir()) == [memory]
    assert decoded == [path, path]


def test_a_check_that_is_interrupted_goes_on_where_it_was(
    tmp_path: Path, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [image(tmp_path / f"{number}.png") for number in range(5)]
    monkeypatch.setattr(check, "_REMEMBERED", 2)
    seen = check.look_at

    def interrupted(path: Path) -> ImageInfo | str:
        if path == paths[4]:
            raise KeyboardInterrupt
        return seen(path)

    with monkeypatch.context() as patch:
        patch.setattr(check, "look_at", interrupted)
        with pytest.raises(KeyboardInterrupt):
            check_images(paths, tmp_path / "cache", workers=1)
    decoded.clear()
    assert list(check_images(paths, tmp_path / "cache").sizes) == paths
    assert decoded == [paths[4]]


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    path = image(tmp_path / "x.png")
    assert check_images([path], cache=path / "cache").sizes == {path: (6, 4)}


def test_no_images_at_all(tmp_path: Path) -> None:
    assert check_images([], tmp_path) == CheckResult()


def test_broken_and_mismatched_pairs_are_listed_or_dropped(tmp_path: Path) -> None:
    good = PairFiles(image(tmp_path / "1.png"), image(tmp_path / "1.jpg"), "1")
    broken = PairFiles(image(tmp_path / "2.png"), truncated(tmp_path / "2.jpg"), "2")
    unequal = PairFiles(image(tmp_path / "3.png"), image(tmp_path / "3.jpg", 8, 4), "3")
    odd = PairFiles(image(tmp_path / "4.png", 7, 4), None, "4")
    even = PairFiles(image(tmp_path / "5.png", 8, 4), None, "5")
    pairs = [good, broken, unequal, odd, even]
    checked = check_images(path for pair in pairs for path in (pair.a, pair.b) if path)
    with pytest.raises(DataError) as error:
        usable_pairs(pairs, checked)
    text = str(error.value)
    assert "Unreadable images (1):\n" in text
    assert f"{broken.b}: image file is truncated" in text
    assert "Pairs of unequal size (2):\n" in text
    assert f"{unequal.a} is 6x4, {unequal.b} is 8x4" in text
    assert "odd width 7" in text
    assert "--skip-bad" in text
    assert usable_pairs(pairs, checked, skip_bad=True) == [good, even]
    assert usable_pairs([good, even], checked) == [good, even]


def test_no_pair_left_is_an_error_also_when_skipping(tmp_path: Path) -> None:
    pair = PairFiles(truncated(tmp_path / "x.jpg"), None, "x")
    with pytest.raises(DataError, match="No pair of 1 can be used: unreadable images: 1"):
        usable_pairs([pair], check_images([pair.a]), skip_bad=True)


def test_the_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("I2I_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path.home() / ".cache" / "i2i"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/i2i")
    monkeypatch.setenv("I2I_CACHE", "~/own")
    assert cache_folder() == Path.home() / "own"


def test_the_cache_folder_suits_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("I2I_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "i2i"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/i2i")
