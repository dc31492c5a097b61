"""From the name of a data set to its folder: from a loopback server, by hand, by many at once."""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from listening import hearing
from loopback import Answer, Server, serving
from PIL import Image

from i2i.core.progress import Update, reporting
from i2i.data.catalogue.cards import Card, catalogued, dataset_folder, read_catalogue
from i2i.data.catalogue.download import download
from i2i.data.kinds.layouts import find_pairs
from i2i.errors import DataError

SHIPPED = Path(__file__).parents[2] / "datasets"
FILES = {"tiny/trainA/1.jpg": b"horse", "tiny/trainB/1.jpg": b"zebra", "__MACOSX/._1": b"junk"}


def zipped(files: dict[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ZIP = zipped()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("i2i.data.catalogue.cards.download", partial(download, back_off=0.0))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.answers = [Answer(ZIP)]
        yield server


@pytest.fixture
def cards(server: Server, tmp_path: Path) -> Path:
    folder = tmp_path / "cards"
    folder.mkdir()
    for name, kind in (("tiny", "paired"), ("tiny-unpaired", "unpaired")):
        write_card(folder, server, name, kind)
    return folder


def write_card(
    folder: Path,
    server: Server,
    name: str = "tiny",
    kind: str = "unpaired",
    archive_format: str = "zip",
    **known: object,
) -> None:
    lines = [f"{key} = {value!r}" for key, value in known.items()]
    (folder / f"{name}.toml").write_text(
        "\n".join(
            [
                'title = "Tiny"\nsummary = ""\nimages = "1 + 1"\nimage_size = ""',
                f'kinds = ["{kind}"]\nsource = ""\nlicence = "not stated"\n[archive]',
                f'urls = ["{server.url}"]\nformat = "{archive_format}"\nroot = "tiny"',
                *lines,
            ]
        )
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


TINY = {"trainA/1.jpg": b"horse", "trainB/1.jpg": b"zebra"}


def test_a_name_is_downloaded_once(
    cards: Path, server: Server, tmp_path: Path, said: list[str]
) -> None:
    bars: list[str] = []

    class Bars:
        live = True

        @contextmanager
        def task(self, label: str) -> Iterator[Update]:
            yield lambda done, total, text="": bars.append(f"{label} {done}/{total}")

    cache = tmp_path / "cache"
    with reporting(Bars()):
        folder = catalogued("tiny", cards, cache)
    assert folder == dataset_folder("tiny", cache)
    assert contents(folder) == TINY
    assert visible(folder.parent) == {"tiny"}  # neither the archive nor anything unfinished
    assert said == [f"downloading {server.url}"]
    assert "downloading tiny.zip (MB) 0/1" in bars
    assert "unpacking tiny.zip 14/14" in bars
    assert catalogued("tiny", cards, cache) == folder
    assert len(server.asked) == 1


def test_a_tar(cards: Path, server: Server, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    server.answers = [Answer(buffer.getvalue())]
    write_card(cards, server, archive_format="tar.gz")
    assert contents(catalogued("tiny", cards, tmp_path)) == TINY


def test_several_at_once_download_once(
    cards: Path, server: Server, tmp_path: Path, said: list[str]
) -> None:
    server.answers = [Answer(ZIP, no_length=True, stall=0.3)]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(catalogued, "tiny", cards, tmp_path) for _ in range(4)]
        folders = {future.result() for future in asked}
    assert len(folders) == 1
    assert contents(folders.pop()) == TINY
    assert len(server.asked) == 1
    assert sum("waiting for another process" in line for line in said) == 3


@pytest.mark.parametrize("dies", [False, True])
def test_another_process_is_waited_for_until_it_is_done_or_dead(
    cards: Path, server: Server, tmp_path: Path, dies: bool
) -> None:
    server.answers = [Answer(ZIP, no_length=True, stall=1.0), Answer(ZIP)]
    program = (
        "import sys; from pathlib import Path; from i2i.data.catalogue.cards import catalogued\n"
        "print(catalogued('tiny', Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", program, str(cards), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        deadline = time.monotonic() + 30
        while not server.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if dies:
                other.kill()

        with hearing(say):
            assert contents(catalogued("tiny", cards, tmp_path)) == TINY
    assert "waiting for another process" in said[0]
    assert len(server.asked) == (2 if dies else 1)


def test_what_is_known_of_an_archive_is_verified(
    cards: Path, server: Server, tmp_path: Path
) -> None:
    digest = hashlib.sha256(ZIP).hexdigest()
    write_card(cards, server, bytes=len(ZIP), sha256=digest)
    assert contents(catalogued("tiny", cards, tmp_path / "good")) == TINY
    write_card(cards, server, bytes=len(ZIP) + 1)
    with pytest.raises(DataError, match=f"has {len(ZIP)} bytes, {len(ZIP) + 1} were expected"):
        catalogued("tiny", cards, tmp_path / "length")
    write_card(cards, server, sha256="0" * 64)
    with pytest.raises(DataError, match=f"its SHA-256 is {digest}, that of the card is 0000"):
        catalogued("tiny", cards, tmp_path / "sum")
    assert visible(tmp_path / "sum" / "datasets") == set()


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (Answer(ZIP[:-30]), "no whole zip archive"),
        (Answer(ZIP, claimed=len(ZIP) - 30), "no whole zip archive"),
        (Answer(ZIP, claimed=len(ZIP) + 30), "cannot be downloaded"),
        (Answer(ZIP.replace(b"horse", b"house")), "no whole zip archive: Bad CRC"),
        (Answer(b"<html>log in first</html>"), "no whole zip archive"),
        (Answer(zipped({"tiny/../../../evil": b""})), "'tiny/../../../evil' would lie outside"),
        (Answer(zipped({"other/1.jpg": b""})), "holds no folder 'tiny'; it holds: other"),
    ],
)
def test_a_bad_archive_leaves_nothing_behind(
    cards: Path, server: Server, tmp_path: Path, sent: Answer, why: str
) -> None:
    server.answers = [sent]
    with pytest.raises(DataError, match=re.escape(why)):
        catalogued("tiny", cards, tmp_path / "a" / "b")
    left = visible(tmp_path / "a" / "b" / "datasets")
    assert left <= {"tiny.zip.part", "tiny.zip.part.json"}  # only where more may come
    assert {path.name for path in tmp_path.iterdir()} == {"a", "cards"}
    server.answers = [Answer(ZIP, etag='"2"')]
    assert contents(catalogued("tiny", cards, tmp_path / "a" / "b")) == TINY


def test_without_a_network_an_archive_is_put_there_by_hand(
    cards: Path, server: Server, tmp_path: Path, said: list[str]
) -> None:
    server.answers = [Answer(status=404)]
    with pytest.raises(DataError) as caught:
        catalogued("tiny", cards, tmp_path)
    assert server.url in str(caught.value)
    found = re.search(r"put it at\n  (.*)\n", str(caught.value))
    assert found
    place = Path(found[1])

    place.write_bytes(ZIP[:-30])
    with pytest.raises(DataError, match=re.escape(f"Remove '{place}', or put another")):
        catalogued("tiny", cards, tmp_path)
    assert place.read_bytes() == ZIP[:-30]

    said.clear()
    place.write_bytes(ZIP)
    assert contents(catalogued("tiny", cards, tmp_path)) == TINY
    assert said == [f"found {place}"]
    assert place.read_bytes() == ZIP  # it is the person's, not ours to remove
    assert len(server.asked) == 1


def test_what_a_killed_process_left_is_cleared_away(cards: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "datasets" / ".tiny.unfinished" / "tiny"
    unfinished.mkdir(parents=True)
    (unfinished / "half").touch()
    assert contents(catalogued("tiny", cards, tmp_path)) == TINY
    assert not unfinished.exists()


def test_a_cache_that_cannot_be_written(cards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="I2I_CACHE"):
        catalogued("tiny", cards, tmp_path / "file")


def test_names_that_are_unknown(cards: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Did you mean 'tiny'\?"):
        catalogued("tinny", cards, tmp_path)
    with pytest.raises(DataError, match=r"'i2i datasets list' shows"):
        catalogued("photographs", cards, tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match=r"Did you mean 'photos'\?"):
        catalogued(str(tmp_path / "photo"), cards, tmp_path)


def test_the_wrong_kind_is_refused_before_a_download(
    cards: Path, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"'tiny' is of the kind paired; .*'tiny-unpaired' is the same"
    ):
        catalogued("tiny", cards, tmp_path, kind="unpaired")
    with pytest.raises(DataError, match=r"domains is wanted here\.$"):
        catalogued("tiny", cards, tmp_path, kind="domains")
    assert not server.asked
    assert contents(catalogued("tiny", cards, tmp_path, kind="paired")) == TINY


CATALOGUE = read_catalogue(SHIPPED)


def test_the_data_sets_of_both_papers_are_there() -> None:
    assert set(CATALOGUE) == {
        *("apple2orange", "summer2winter_yosemite", "horse2zebra", "iphone2dslr_flower"),
        *("monet2photo", "cezanne2photo", "ukiyoe2photo", "vangogh2photo", "ae_photos"),
        *("facades", "facades-unpaired", "maps", "maps-unpaired", "cityscapes"),
        *("edges2shoes", "edges2handbags", "night2day", "demo"),
    }


@pytest.mark.parametrize("card", CATALOGUE.values(), ids=list(CATALOGUE))
def test_a_card_is_in_order(card: Card) -> None:
    assert (SHIPPED / f"{card.name}.toml").read_text(encoding="utf-8").startswith(f"# {card.name}:")
    for text in (card.title, card.summary, card.images, card.source, card.licence):
        assert text == text.strip() != ""
    assert card.kinds
    assert set(card.kinds) <= {"paired", "unpaired", "domains", "unconditional"}
    assert card.direction in ("AtoB", "BtoA")
    assert card.size != "unknown"
    if card.archive is None:
        assert card.name == "demo" or "{folder}" in card.by_hand
        return
    paper = "pix2pix" if card.archive.format == "tar.gz" else "cyclegan"
    stem = card.name.removesuffix("-unpaired")
    address = f"://efrosgans.eecs.berkeley.edu/{paper}/datasets/{stem}.{card.archive.format}"
    assert card.archive.urls == (f"https{address}", f"http{address}")
    assert card.archive.root == stem
    assert (card.archive.bytes is None) == bool(card.archive.size)
    assert re.fullmatch("|[0-9a-f]{64}", card.archive.sha256)


def test_cards_know_their_keys(tmp_path: Path) -> None:
    text = (SHIPPED / "facades.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["licence"]
    (tmp_path / "facades.toml").write_text(text.replace("licence", "license"), encoding="utf-8")
    with pytest.raises(DataError, match="license"):
        read_catalogue(tmp_path)


def test_cityscapes_is_prepared_by_hand(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="may not be passed on") as caught:
        catalogued("cityscapes", SHIPPED, tmp_path / "cache")
    program = re.sub(r"^(?!    ).*\n?|^    ", "", str(caught.value), flags=re.MULTILINE)
    place = re.search(r"python prepare.py '(.*)'", str(caught.value))
    assert place

    for split in ("train", "val"):
        for kind, colour in (("leftImg8bit_leftImg8bit", "green"), ("gtFine_gtFine_color", "red")):
            top, ending = kind.split("_", 1)
            town = tmp_path / "raw" / top / split / "bochum"
            town.mkdir(parents=True)
            for i in range(2):
                path = town / f"bochum_{i}_{ending}.png"
                Image.new("RGB", (64, 32), colour).save(path)
    (tmp_path / "raw" / "prepare.py").write_text(program)
    subprocess.run([sys.executable, "prepare.py", place[1]], cwd=tmp_path / "raw", check=True)

    folder = catalogued("cityscapes", SHIPPED, tmp_path / "cache", kind="paired")
    for split in ("train", "val"):
        found = find_pairs(folder, split)
        assert [pair.name for pair in found.pairs] == ["bochum_0", "bochum_1"]
        for pair in found.pairs:
            assert pair.b
            with Image.open(pair.a) as photo, Image.open(pair.b) as labels:
                assert photo.size == labels.size == (256, 256)
                assert photo.getpixel((9, 9)) == (0, 128, 0)
                assert labels.getpixel((9, 9)) == (255, 0, 0)
