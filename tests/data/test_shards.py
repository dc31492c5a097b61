"""A data set in tar files is the folder that was packed, here and on the network."""

import sqlite3
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from i2i.cli.datasets import command
from i2i.config.recipes import load_options
from i2i.data.images.content_hash import content_hash
from i2i.data.images.read import list_images
from i2i.data.inspection.examine import examine
from i2i.data.loading.loader import make_loader
from i2i.data.shards.index import INDEX
from i2i.data.shards.pack import pack
from i2i.data.sources import Source, find_root, open_source, resolve_options
from i2i.errors import DataError

RECIPES = {
    "pix2pix-quick": "paired",
    "cyclegan-quick": "unpaired",
    "stargan-quick": "domains",
    "r3gan-quick": "unconditional",
}


def painted(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        random = np.random.default_rng((seed, number))
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for seed, name in enumerate(("train/A", "train/B", "val/A", "val/B")):
        painted(root / name, 7 if "train" in name else 3, seed)
    return root


def source_of(root: Path | str, recipe: str) -> Source:
    options = load_options(recipe, f"data.root={root}", "data.cache=off", size=16)
    return open_source(resolve_options(options, RECIPES[recipe]), RECIPES[recipe])


def same(one: Source, other: Source) -> None:
    """Both give the same samples, splits and names."""
    assert one.images == other.images
    assert one.fingerprint == other.fingerprint
    assert one.splits == other.splits
    for name in ("train", "validation"):
        a, b = getattr(one, name), getattr(other, name)
        for position in range(2 * len(a)):
            both = zip(a[position], b[position], strict=True)
            assert all((x == y).all() for x, y in both)


@pytest.mark.parametrize("recipe", RECIPES)
def test_shards_give_what_the_folder_gives(folder: Path, tmp_path: Path, recipe: str) -> None:
    root = folder
    if recipe in ("stargan-quick", "r3gan-quick"):
        root = tmp_path / "classes"
        for seed, name in enumerate(("cat", "dog", "old owl")):
            painted(root / name, 5, seed)
    images, shards = pack(root, tmp_path / "shards", size=4000)
    assert images == len(list_images(root))
    assert shards > 2
    assert len(list((tmp_path / "shards").glob("*.tar"))) == shards
    same(source_of(tmp_path / "shards", recipe), source_of(root, recipe))


def test_tar_files_are_laid_out_as_webdataset_reads_them(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "shards")
    with tarfile.open(tmp_path / "shards" / "shard-000000.tar") as shard:
        names = shard.getnames()
        samples = [name.partition(".")[0] for name in names]
        assert samples[::2] == samples[1::2]
        assert len({*samples}) == 10
        assert samples[::2] != sorted(samples[::2])
        for name in names:
            split, number, side, _ = name.replace(".", "/").split("/")
            there = folder / split / side.upper() / f"{number}.png"
            content = shard.extractfile(name)
            assert content is not None
            assert content.read() == there.read_bytes()


def test_paths_answer_as_those_of_the_folder(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "shards", size=4000)
    root = find_root(str(tmp_path / "shards"), None)
    assert sorted(path.name for path in root.iterdir()) == ["train", "val"]
    assert (root / "train").is_dir()
    assert not (root / "train").is_file()
    assert not (root / "missing").exists()
    path, there = root / "val" / "A" / "2.png", folder / "val" / "A" / "2.png"
    assert path.is_file()
    assert path.read_bytes() == there.read_bytes()
    assert path.stat().st_size == there.stat().st_size
    assert content_hash(path) == content_hash(there)
    assert Image.open(path.open("rb")).size == (16, 16)
    assert (root / INDEX).is_file()  # which lies beside the tar files
    with pytest.raises(FileNotFoundError):
        (root / "val" / "A" / "9.png").read_bytes()


def test_the_doctor_sees_what_it_sees_of_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "A" / "6.png").write_bytes(b"nothing")
    pack(folder, tmp_path / "shards")
    found = [examine(find_root(str(each), None)) for each in (folder, tmp_path / "shards")]
    assert found[0].survey.kind == found[1].survey.kind == "paired"
    assert found[0].survey.lines == found[1].survey.lines
    assert found[0].images == found[1].images
    assert [each.kind for each in found[0].findings] == [each.kind for each in found[1].findings]
    with pytest.raises(DataError, match=r"train/A/6.png: it is no image of a known format"):
        source_of(tmp_path / "shards", "pix2pix-quick")


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_comes_once_an_epoch_over_ranks_and_workers(
    tmp_path: Path, workers: int
) -> None:
    painted(tmp_path / "data" / "train", 32, 0)
    painted(tmp_path / "data" / "val", 2, 1)
    pack(tmp_path / "data", tmp_path / "shards", size=8000)
    data = source_of(tmp_path / "shards", "r3gan-quick").train
    made = partial(make_loader, data, batch_size=4, workers=workers, world=2)
    ranks = [list(made(start=0, stop=4, rank=rank)) for rank in (0, 1)]
    seen = {image.numpy().tobytes() for batches in ranks for b in batches for image in b.images}
    assert len(seen) == 32
    # A run that begins in the middle goes on with what would have come.
    for rank, batches in enumerate(ranks):
        resumed = islice(made(start=2, stop=4, rank=rank), 2)
        for batch, expected in zip(resumed, batches[2:], strict=True):
            assert (batch.images == expected.images).all()


def test_broken_tar_files_are_named(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "shards", size=4000)
    shard = tmp_path / "shards" / "shard-000001.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"shard-000001.tar' has 700 bytes where .* were packed"):
        source_of(tmp_path / "shards", "pix2pix-quick")
    shard.unlink()
    with pytest.raises(DataError, match=r"shard-000001.tar' cannot be read"):
        source_of(tmp_path / "shards", "pix2pix-quick")


def test_broken_indices_are_named(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "shards")
    index = tmp_path / "shards" / INDEX
    with closing(sqlite3.connect(index)) as database:
        database.execute("PRAGMA user_version = 99")
        database.commit()
    with pytest.raises(DataError, match="is of version 99"):
        source_of(tmp_path / "shards", "pix2pix-quick")
    index.write_bytes(b"no index" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        source_of(tmp_path / "shards", "pix2pix-quick")


def test_what_cannot_be_packed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="There is no image"):
        pack(tmp_path / "empty", tmp_path / "shards")
    with pytest.raises(DataError, match="not empty"):
        pack(folder, folder)


def test_the_command(folder: Path, tmp_path: Path) -> None:
    arguments = ["pack", str(folder), str(tmp_path / "shards"), "--size", "0.004"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "packed 20 images into" in done.output
    checked = CliRunner().invoke(command, ["check", str(tmp_path / "shards")])
    assert "train: 7 pairs" in checked.output
    assert checked.exit_code == 0


@contextmanager
def served(root: Path) -> Iterator[str]:
    """A folder over HTTP, of which parts can be asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            file = root / self.path.lstrip("/")
            data = file.read_bytes() if file.is_file() else b""
            status = 200 if file.is_file() else 404
            if wanted := self.headers.get("Range"):
                begin, _, end = wanted.removeprefix("bytes=").partition("-")
                data, status = data[int(begin) : int(end) + 1], 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_shards_over_http(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setenv("I2I_CACHE", str(tmp_path / "cache"))
    pack(folder, tmp_path / "shards", size=4000)
    with served(tmp_path) as address:
        same(source_of(f"{address}/shards", "pix2pix-quick"), source_of(folder, "pix2pix-quick"))
        with pytest.raises(DataError, match="no packed data set lies"):
            source_of(f"{address}/elsewhere", "pix2pix-quick")


def test_shards_in_a_store_of_fsspec(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("I2I_CACHE", str(tmp_path / "cache"))
    pack(folder, tmp_path / "shards", size=4000)
    store = fsspec.filesystem("memory")
    for path in (tmp_path / "shards").iterdir():
        store.pipe_file(f"/faces/{path.name}", path.read_bytes())
    same(source_of("memory://faces", "cyclegan-quick"), source_of(folder, "cyclegan-quick"))
    store.pipe_file("/faces/shard-000001.tar", b"short")
    read = source_of("memory://faces", "cyclegan-quick").train.__getitem__
    with pytest.raises(DataError, match=r"shard-000001.tar' ends before it"):
        list(map(read, range(7)))
    store.rm("/faces", recursive=True)
    with pytest.raises(DataError, match="no packed data set lies"):
        source_of("memory://faces", "cyclegan-quick")
    with pytest.raises(DataError, match="cannot be read"):
        source_of("nowhere://faces", "cyclegan-quick")
