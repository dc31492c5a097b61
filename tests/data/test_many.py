"""Of many images a sample is looked at before a training, and the order does not depend on it."""

import multiprocessing
import os
import random
import re
import signal
import time
from collections.abc import Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from i2i.config.recipes import load_options
from i2i.data.images import check
from i2i.data.images.paths import Paths, Turns, chained, take
from i2i.data.images.read import list_images, natural_key
from i2i.data.kinds.division import hold_out
from i2i.data.kinds.partners import Pairs
from i2i.data.loading import beside
from i2i.data.loading.beside import look_beside
from i2i.data.loading.loader import make_loader
from i2i.data.sources import Source, looking, open_source, resolve_options
from i2i.errors import DataError


def painted(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than twenty images are many, of which ten are looked at."""
    monkeypatch.setattr(looking, "AT_ONCE", 20)
    monkeypatch.setattr(looking, "SAMPLE", 10)
    monkeypatch.setattr(looking, "LEAST", 2)


def opened(root: Path, recipe: str = "r3gan-quick", *more: str) -> Source:
    options = load_options(
        recipe, f"data.root={root}", "train.validation_images=3", "data.cache=off", *more, size=16
    )
    kind = {"r3gan-quick": "unconditional", "pix2pix-quick": "paired"}.get(recipe, "")
    kind = kind or {"cyclegan-quick": "unpaired", "stargan-quick": "domains"}[recipe]
    return open_source(resolve_options(options, kind), kind)


def folder_of(root: Path, recipe: str, count: int) -> Path:
    if recipe == "r3gan-quick":
        painted(root / "train", count)
    elif recipe == "stargan-quick":
        for name in ("day", "dusk", "night"):
            painted(root / name, count // 3)
    else:
        for side in "AB":
            painted(root / f"train{side}", count)
    return root


RECIPES = ["r3gan-quick", "pix2pix-quick", "cyclegan-quick", "stargan-quick"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_order_depends_on_nothing_that_was_looked_at(
    tmp_path: Path, few: None, recipe: str
) -> None:
    root = folder_of(tmp_path / "data", recipe, 60)
    sampled = opened(root, recipe)
    again = opened(root, recipe)  # with what is remembered
    whole = opened(root, recipe, "data.check=all")
    assert len(sampled.unlooked) >= sampled.images
    assert not len(whole.unlooked)
    assert len(sampled.checked.looks) < len(whole.checked.looks) / 2
    for source in (again, whole):
        assert source.fingerprint == sampled.fingerprint
        assert source.images == sampled.images
        for position in range(0, 2 * sampled.images, 7):
            both = zip(source.train[position], sampled.train[position], strict=True)
            assert all((a == b).all() for a, b in both)
    names = {split: [name for name, _ in members] for split, members in sampled.splits.items()}
    assert names == {
        split: [name for name, _ in members] for split, members in whole.splits.items()
    }


def test_bad_images_are_replaced_when_they_come(tmp_path: Path, few: None) -> None:
    root = folder_of(tmp_path / "data", "r3gan-quick", 60)
    good = opened(root)
    looked = {path.name for path in good.checked.looks}
    victim = next(path for path in good.unlooked if path.name not in looked)
    broken(victim)
    source = opened(root)
    assert source.fingerprint == good.fingerprint
    said: list[str] = []
    batches = make_loader(
        source.train, batch_size=1, start=0, stop=source.images, workers=0, skipped=said.append
    )
    images = [batch.images[0].sum().item() for batch in batches]
    assert len(images) == source.images
    assert len(said) == 1
    assert str(victim) in said[0]


def test_many_bad_images_in_the_sample_are_refused(tmp_path: Path, few: None) -> None:
    root = folder_of(tmp_path / "data", "r3gan-quick", 60)
    for path in list_images(root)[:45]:
        broken(path)
    with pytest.raises(DataError, match=r"of 10 that were looked at cannot be used"):
        opened(root)
    source = opened(root, "r3gan-quick", "data.skip_bad=true")  # for which all are looked at
    assert source.images + source.validation_images == 15


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_validates_is_sound(tmp_path: Path, few: None, recipe: str) -> None:
    root = folder_of(tmp_path / "data", recipe, 60)
    source = opened(root, recipe)
    first = source.splits["val"][0].name
    broken(root / first)
    after = opened(root, recipe)
    assert first not in [name for name, _ in after.splits["val"]]
    assert after.validation_batches(3)


def test_the_rest_is_looked_at_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = painted(tmp_path / "data", 5)
    monkeypatch.setenv("I2I_CACHE", str(tmp_path / "cache"))
    paths = list_images(root)
    broken(paths[3])
    end = look_beside(paths)
    for _ in range(600):
        if "5 images were looked at" in caplog.text:
            break
        time.sleep(0.1)
    end()
    assert f"'{paths[3]}' cannot be used" in caplog.text
    decoded: list[Path] = []
    monkeypatch.setattr(check, "look_at", lambda path: decoded.append(path) or "bad")
    check.check_images(paths, tmp_path / "cache")
    assert decoded == [paths[3]]


def test_the_look_beside_a_training_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was begun with signals blocked, as it is beside workers."""
    monkeypatch.setenv("I2I_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(beside, "START", "spawn")
    os.mkfifo(tmp_path / "endless.png")  # to read it is to wait for somebody who writes
    resource_tracker.ensure_running()  # which would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        end = look_beside(list_images(tmp_path))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    (process,) = multiprocessing.active_children()
    ending = Thread(target=end, daemon=True)
    ending.start()
    ending.join(30)
    assert process.exitcode is not None


def test_paths_are_a_sequence(tmp_path: Path) -> None:
    names = ["a/1.png", "b c/ü.png", "10.png", os.fsdecode(b"\xff.png")]
    paths, expected = Paths.of(tmp_path, names), [tmp_path / name for name in names]
    assert list(paths) == expected == [paths[at] for at in range(4)]
    assert paths == expected
    assert paths[-1] == expected[-1]
    assert paths[1:3] == expected[1:3]
    assert take(paths[::2], [1, 0]) == [expected[2], expected[0]]
    assert list(paths.below(tmp_path.parent)) == expected
    assert not Paths.of(tmp_path, [])
    other = Paths.of(tmp_path / "deep", ["x.png"])
    assert chained([paths, other]) == [*expected, tmp_path / "deep" / "x.png"]
    assert list(Turns([paths, expected])) == [path for path in expected for _ in "12"]
    with pytest.raises(IndexError):
        paths[4]


def test_pairs_are_a_sequence(tmp_path: Path) -> None:
    a = Paths.of(tmp_path / "A", ["x/1.png", "2.png"])
    b = Paths.of(tmp_path / "B", ["x/1.jpg", "2.jpg"])
    pairs = Pairs(a, b)
    assert [pair.name for pair in pairs] == list(pairs.names()) == ["x/1", "2"]
    assert pairs[1].files == (tmp_path / "A" / "2.png", tmp_path / "B" / "2.jpg")
    assert Pairs(a, None)[0].files == (a[0],)


@pytest.mark.parametrize(
    "names",
    [
        ["a010_2.png", "a009_9.png", "a010_0.png", "a100_1.png"],  # different in digits alone
        ["10.png", "9.png", "b.png", "B2.png", "b10.png", "x/1.png", "X/2.png"],
    ],
)
def test_files_are_listed_in_natural_order(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = list(list_images(tmp_path).names())
    assert listed == sorted(names, key=natural_key)


def test_natural_order() -> None:
    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split(r"([0-9]+)", name)
        return [int(part) if i % 2 else part.lower() for i, part in enumerate(parts)], name

    draw = random.Random(0)
    letters = "aAbB0019/. _-ßÉ"
    names = {"".join(draw.choices(letters, k=draw.randint(1, 8))) for _ in range(3000)}
    assert sorted(names, key=natural_key) == sorted(names, key=key)


def test_what_is_held_out_does_not_depend_on_how_names_are_kept(tmp_path: Path) -> None:
    names = [f"{number % 7}/{number:03d}.png" for number in range(300)]
    kept: list[Sequence[Path]] = []
    for items in (Paths.of(tmp_path, names), [tmp_path / name for name in names]):
        rest, held = hold_out({"": items})
        kept += [list(rest[""]), list(held[""])]
    assert kept[:2] == kept[2:]
    assert len(kept[1]) == 30
