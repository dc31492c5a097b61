from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.data.demo import sets as demo
from i2i.data.demo.painter import LABELS, PAINTER_VERSION, RENDERINGS, paint, record
from i2i.data.demo.sets import DOMAINS, demo_folder, write_demo
from i2i.data.images.arrays import read_array
from i2i.errors import DataError

# What each kind must look like: sub-folder -> rendering.
LAYOUTS = {
    "paired": {"train/A": "labels", "train/B": "photo", "val/A": "labels", "val/B": "photo"},
    "unpaired": {"trainA": "photo", "trainB": "winter", "testA": "photo", "testB": "winter"},
    "domains": {
        f"{part}/{domain}": rendering
        for part in ("train", "test")
        for domain, rendering in (
            ("day", "photo"),
            ("winter", "winter"),
            ("night", "night"),
            ("autumn", "autumn"),
            ("sketch", "sketch"),
        )
    },
}
SIZE, COUNT = 16, 10


@pytest.fixture(scope="module", params=LAYOUTS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "some" / request.param
    write_demo(folder, request.param, COUNT, SIZE)
    return folder


def stems(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def random_images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name != "README.txt")


def test_layout_and_counts(written: Path) -> None:
    layout = LAYOUTS[written.name]
    assert {path.parent.relative_to(written).as_posix() for path in random_images(written)} == set(
        layout
    )
    for name in layout:
        assert len(stems(written / name)) == (COUNT if name.startswith("train") else 8)
    assert {path.suffix for path in random_images(written)} == {".png"}


def test_the_held_out_part_grows_with_the_training_part(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", "paired", 80, SIZE)
    assert len(stems(tmp_path / "demo/val/A")) == 10


def test_a_image_is_the_rendering_of_the_scene_that_it_is_named_after(written: Path) -> None:
    for name, rendering in LAYOUTS[written.name].items():
        for path in sorted((written / name).iterdir())[:3]:
            with Image.open(path) as image:
                found = np.asarray(image)
            np.testing.assert_array_equal(found, paint(int(path.stem), SIZE, rendering))


def test_held_out_scenes_are_in_every_folder_and_never_in_training(written: Path) -> None:
    held_out = [name for name in LAYOUTS[written.name] if not name.startswith("train")]
    trained = [name for name in LAYOUTS[written.name] if name.startswith("train")]
    first = stems(written / held_out[0])
    assert all(stems(written / name) == first for name in held_out)
    assert all(not stems(written / name) & first for name in trained)


def test_only_paired_folders_share_training_scenes(written: Path) -> None:
    trained = [stems(written / n) for n in LAYOUTS[written.name] if n.startswith("train")]
    if written.name == "paired":
        assert trained[0] == trained[1]
    else:
        assert len(set().union(*trained)) == COUNT * len(trained)


def test_the_domains_are_renderings() -> None:
    assert {f"train/{domain}" for domain in DOMAINS} < set(LAYOUTS["domains"])


def test_the_readme_gives_the_palette(written: Path) -> None:
    text = (written / "README.txt").read_text(encoding="utf-8")
    for label, colour in LABELS.items():
        assert any(label in line and str(colour) in line for line in text.splitlines())


def test_progress_counts_every_image(tmp_path: Path, told: list[tuple[int, int]]) -> None:
    write_demo(tmp_path / "demo", "unpaired", 3, SIZE)
    total = 3 + 3 + 8 + 8
    assert total == len(list(random_images(tmp_path / "demo")))
    assert told == sorted(told)
    assert told[-1] == (total, total)


def test_a_broken_off_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> object:
        # Until it is complete, the data set is not where it will be.
        assert not (tmp_path / "demo").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "paint", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_demo(tmp_path / "demo", "paired", 30, SIZE)
    assert list(tmp_path.iterdir()) == []
    write_demo(tmp_path / "demo", "paired", 2, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not empty"):
        write_demo(tmp_path, "paired", 2, SIZE)
    with pytest.raises(DataError, match="not empty"):
        write_demo(tmp_path / "mine.txt", "paired", 2, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_an_empty_folder_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    write_demo(Path("empty"), "paired", 2, SIZE)
    assert len(stems(tmp_path / "empty/train/A")) == 2


def test_mistakes_are_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'unpared'.*Did you mean 'unpaired'\?"):
        write_demo(tmp_path / "a/demo", "unpared", 2, SIZE)
    with pytest.raises(DataError, match="0 scenes"):
        write_demo(tmp_path / "a/demo", "paired", 0, SIZE)
    with pytest.raises(DataError, match="size 8"):
        write_demo(tmp_path / "a/demo", "paired", 2, 8)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[tuple[int, int]]
) -> None:
    first = demo_folder("paired", tmp_path / "cache", count=2, size=SIZE)
    assert told
    assert first.parent == tmp_path / "cache"
    told.clear()
    again = demo_folder("paired", tmp_path / "cache", count=2, size=SIZE)
    assert again == first
    assert not told
    others = [
        demo_folder("unpaired", tmp_path / "cache", count=2, size=SIZE),
        demo_folder("paired", tmp_path / "cache", count=3, size=SIZE),
        demo_folder("paired", tmp_path / "cache", count=2, size=SIZE + 1),
    ]
    monkeypatch.setattr(demo, "PAINTER_VERSION", PAINTER_VERSION + 1)
    others.append(demo_folder("paired", tmp_path / "cache", count=2, size=SIZE))
    assert len({first, *others}) == 5


def test_several_may_ask_for_the_cache_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(demo_folder, "paired", tmp_path, count=2, size=SIZE) for _ in range(4)]
        folders = {future.result() for future in asked}
    assert list(tmp_path.iterdir()) == list(folders)
    assert len(list(random_images(folders.pop()))) == 2 * (2 + 8)


def test_pairs_of_more_than_colours(tmp_path: Path) -> None:
    for kind, (a, b) in demo.INSTRUMENTS.items():
        write_demo(tmp_path / kind, kind, 2, SIZE)
        for side, what in (("A", a), ("B", b)):
            [first, _] = sorted((tmp_path / kind / "train" / side).iterdir())
            read = read_array(first).values
            there = paint(0, SIZE, what) if what in RENDERINGS else record(0, SIZE, what)
            np.testing.assert_array_equal(read, there)
        assert "data." in (tmp_path / kind / "README.txt").read_text(encoding="utf-8")
