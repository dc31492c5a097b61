"""Kept images are those that the files hold, whatever happens to the file that keeps them."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.data.augment.geometry import JointGeometry
from i2i.data.kinds.layouts import PairFiles
from i2i.data.kinds.paired import PairedImages
from i2i.data.kinds.unpaired import UnpairedImages
from i2i.data.loading import decoded_cache as module
from i2i.data.loading.decoded_cache import (
    DecodedCache,
    Images,
    estimated_bytes,
    fingerprint,
    in_memory,
    make_room,
    on_disk,
)
from i2i.data.loading.loader import make_loader

WORD = bytes(range(32))
MUCH = 10**9

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux keeps images")


def images_of(item: int) -> Images:
    """Two images whose size and values follow from the number of the item."""
    generator = np.random.default_rng(item)
    height, width = 5 + item % 3, 4 + item % 5
    return (
        generator.integers(0, 256, (height, width, 3), dtype=np.uint8),
        generator.integers(0, 256, (height, width, 1), dtype=np.uint8),
    )


def never(item: int) -> Images:
    raise AssertionError(f"item {item} was decoded again")


def same(one: Images, other: Images) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture(params=["memory", "disk"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> DecodedCache:
    made = in_memory(20, MUCH) if request.param == "memory" else on_disk(tmp_path, WORD, 20, MUCH)
    assert made is not None
    return made


def test_what_was_decoded_once_is_not_decoded_again(kept: DecodedCache) -> None:
    for item in (3, 0, 19):
        assert same(kept(item, images_of), images_of(item))
    for item in (19, 3, 0, 3):
        again = kept(item, never)
        assert same(again, images_of(item))
        again[0][:] = 7  # what one does with an image is nobody else's concern
    with pytest.raises(AssertionError, match="item 4"):
        kept(4, never)


def use(kept: DecodedCache, items: list[int]) -> None:
    for item in items:
        assert same(kept(item, images_of), images_of(item))


def test_processes_share_what_they_keep(kept: DecodedCache) -> None:
    code = (
        "import sys; import numpy as np\n"
        "from i2i.data.loading.decoded_cache import DecodedCache\n"
        "kept = DecodedCache(sys.argv[1], 20, 10**9)\n"
        "for _ in range(2):\n"
        "    for item in range(20)[::int(sys.argv[2])]:\n"
        "        image = np.full((200, 300, 3), item, np.uint8)\n"
        "        assert np.array_equal(kept(item, lambda item: (image,))[0], image)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, kept.path, d]) for d in ("1", "-1")]
    assert [process.wait() for process in both] == [0, 0]
    for item in range(20):
        (image,) = kept(item, never)
        assert image.shape == (200, 300, 3)
        assert (image == item).all()


def test_a_file_on_the_disk_outlives_the_run_and_serves_only_its_images(tmp_path: Path) -> None:
    first = on_disk(tmp_path, WORD, 20, MUCH)
    assert first is not None
    use(first, [1, 2])
    again = on_disk(tmp_path, WORD, 20, MUCH)
    assert again is not None
    assert same(again(2, never), images_of(2))
    for word, items in ((WORD[::-1], 20), (WORD[:16] + bytes(16), 20)):
        other = on_disk(tmp_path, word, items, MUCH)
        assert other is not None
        with pytest.raises(AssertionError, match="item 2"):
            other(2, never)


@pytest.mark.parametrize("damage", ["cut", "bit", "zeros", "table", "wild table", "other item"])
def test_a_record_that_is_not_whole_is_made_anew(tmp_path: Path, damage: str) -> None:
    kept = on_disk(tmp_path, WORD, 20, MUCH)
    assert kept is not None
    use(kept, [1, 2])
    path = Path(kept.path)
    content = bytearray(path.read_bytes())
    table = module._HEADER.size
    match damage:
        case "cut":  # power failed before all was on the disk
            content = content[:-3]
        case "bit":
            content[-20] ^= 4
        case "zeros":
            content[-30:] = bytes(30)
        case "table":
            content[table + 16 : table + 24] = (1).to_bytes(8, "little")
        case "wild table":
            content[table + 16 : table + 24] = b"\xff" * 7 + b"\x7f"
        case "other item":
            content[table + 16 : table + 24] = content[table + 8 : table + 16]
    path.write_bytes(content)
    again = on_disk(tmp_path, WORD, 20, MUCH)
    assert again is not None
    assert same(again(1, never), images_of(1))
    with pytest.raises(AssertionError, match="item 2"):
        again(2, never)
    assert same(again(2, images_of), images_of(2))
    third = on_disk(tmp_path, WORD, 20, MUCH)
    assert third is not None
    assert same(third(2, never), images_of(2))


def test_a_process_that_is_killed_leaves_nothing_half_done(tmp_path: Path) -> None:
    kept = on_disk(tmp_path, WORD, 20, MUCH)
    assert kept is not None
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from i2i.data.loading.decoded_cache import DecodedCache\n"
        "kept = DecodedCache(sys.argv[1], 20, 10**9)\n"
        "image = (np.full((9, 9, 3), 1, np.uint8),)\n"
        "kept(0, lambda item: image)\n"
        "os.pwrite = lambda *of: os.kill(os.getpid(), signal.SIGKILL)  # before the table\n"
        "kept(1, lambda item: image)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, kept.path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert kept(0, never)[0].shape == (9, 9, 3)
    assert same(kept(1, images_of), images_of(1))
    assert same(kept(1, never), images_of(1))


def test_the_file_keeps_within_its_limit(tmp_path: Path) -> None:
    empty = on_disk(tmp_path, WORD, 20, MUCH)
    assert empty is not None
    limit = Path(empty.path).stat().st_size + 3 * 150
    kept = on_disk(tmp_path, WORD, 20, limit)
    assert kept is not None
    use(kept, list(range(20)))
    use(kept, list(range(20)))
    assert Path(kept.path).stat().st_size <= limit
    assert same(kept(0, never), images_of(0))
    with pytest.raises(AssertionError, match="item 19"):
        kept(19, never)


def test_a_full_disk_is_said_once_and_costs_only_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = on_disk(tmp_path, WORD, 20, MUCH)
    assert kept is not None
    use(kept, [0])
    size = Path(kept.path).stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 60, before[1]))
    try:
        use(kept, list(range(20)))
        use(DecodedCache(kept.path, 20, MUCH), list(range(20)))  # as another process has it
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert capfd.readouterr().err.count("no more decoded images can be kept") == 1
    assert same(kept(0, never), images_of(0))
    again = on_disk(tmp_path, WORD, 20, MUCH)  # the next run tries again
    assert again is not None
    use(again, [5])
    assert same(again(5, never), images_of(5))


def test_a_file_that_is_gone_or_a_folder_that_cannot_be_made_costs_only_time(
    tmp_path: Path,
) -> None:
    kept = on_disk(tmp_path / "a", WORD, 20, MUCH)
    assert kept is not None
    Path(kept.path).unlink()
    use(kept, [0, 0])
    (tmp_path / "b").write_text("no folder")
    assert on_disk(tmp_path / "b", WORD, 20, MUCH) is None


def test_memory_ends_with_what_it_was_for() -> None:
    kept = in_memory(3, MUCH)
    assert kept is not None
    path = Path(kept.path)
    assert path.exists()
    del kept
    assert not path.exists()


def test_room_is_made_by_removing_what_was_not_used_for_longest(tmp_path: Path) -> None:
    for age, name in enumerate(["new", "middle", "old"]):
        path = tmp_path / f"{name}{module.SUFFIX}"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "notes.txt").write_text("not ours")
    make_room(tmp_path, 120, 300, str(tmp_path / f"old{module.SUFFIX}"))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["new", "notes", "old"]


def save(path: Path, seed: int, height: int = 30, width: int = 40) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", i) for i in range(3)]
    word = fingerprint(paths, 286)
    assert len(word) == 32
    assert word == fingerprint(paths, 286)
    stat = paths[1].stat()
    os.utime(paths[1], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    words = {word, fingerprint(paths, 286), fingerprint(paths, 287), fingerprint(paths[::-1], 286)}
    assert len(words) == 4


@pytest.mark.parametrize("resize", ["stretch", "shorter side", "none"])
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_samples_are_the_same_with_kept_images_and_without(
    tmp_path: Path, where: str, resize: str
) -> None:
    geometry = JointGeometry(24, 16, resize)  # type: ignore[arg-type]
    # Different sizes, pairs side by side and in two files, and channels that differ.
    pairs = [
        PairFiles(save(tmp_path / f"{i}.png", i, 20 + i, 40 + 2 * i), None, str(i))
        for i in range(4)
    ] + [PairFiles(save(tmp_path / "a.png", 7), save(tmp_path / "b.png", 8), "ab")]
    sides = [
        [save(tmp_path / f"{side}{i}.png", i, 20, 20 + i) for i in range(count)]
        for side, count in (("x", 5), ("y", 3))
    ]
    makers = [
        lambda: PairedImages(
            pairs, geometry, direction="BtoA", output_channels=1, seed=5, shuffle=True
        ),
        lambda: UnpairedImages(sides, geometry, channels=(3, 1), seed=5, shuffle=True),
    ]
    for number, make in enumerate(makers):
        plain, keeping = make(), make()
        keeping.kept = (
            in_memory(keeping.items, MUCH)
            if where == "memory"
            else on_disk(tmp_path / f"{number}", WORD, keeping.items, MUCH)
        )
        assert keeping.kept is not None
        for position in range(4 * keeping.items):
            for one, other in zip(plain[position], keeping[position], strict=True):
                assert torch.equal(one, other)
        assert estimated_bytes(plain) < MUCH


def test_workers_share_what_is_kept(tmp_path: Path) -> None:
    pairs = [PairFiles(save(tmp_path / f"{i}.png", i, 20, 40), None, str(i)) for i in range(6)]
    data = PairedImages(pairs, JointGeometry(20, 16), seed=5, shuffle=True)
    expected = list(make_loader(data, batch_size=3, start=0, stop=6, workers=0))
    data.kept = in_memory(data.items, MUCH)
    assert data.kept is not None
    loaded = list(make_loader(data, batch_size=3, start=0, stop=6, workers=2))
    for one, other in zip(loaded, expected, strict=True):
        assert torch.equal(one.source, other.source)
        assert torch.equal(one.target, other.target)
    kept, data.kept = data.kept, None
    assert all(same(kept(item, never), data.decoded(item)) for item in range(6))
