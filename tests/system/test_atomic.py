"""Files that appear whole or not at all."""

import threading
from pathlib import Path

import pytest

import i2i
from i2i.system.atomic import PARTIAL, replacing, write_bytes, write_text


def test_there_is_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    write_text(path, "ä")
    assert path.read_bytes() == b"\xc3\xa4"

    def fail() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            assert path.read_text(encoding="utf-8") == "ä"
            assert partial.name.endswith(PARTIAL)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["a.toml"]
    assert path.read_text(encoding="utf-8") == "ä"


def test_those_who_write_at_once_do_not_meet(tmp_path: Path) -> None:
    path, texts = tmp_path / "a", [bytes([65 + number]) * 200_000 for number in range(4)]

    def write(text: bytes) -> None:
        for _ in range(5):
            write_bytes(path, text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_bytes() in texts
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_an_error_names_the_file_and_its_permissions_are_the_usual(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing/a") as failure:
        write_text(tmp_path / "missing" / "a", "")
    assert failure.value.filename == str(tmp_path / "missing" / "a")
    write_text(tmp_path / "a", "")
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_nobody_writes_files_in_any_other_way() -> None:
    """But for what is in a folder of its own first, or is meant to be continued."""
    known = {
        *(
            "app/images.py",
            "app/videos.py",
            "cli/translating.py",
            "inference/folder.py",
            "data/unpacked/mirror.py",
        ),
        *("data/images/formats/pfm.py", "system/atomic.py"),
        "data/demo/sets.py",
        "data/catalogue/download.py",
    }
    package = Path(i2i.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(package).as_posix()
        if name not in known and "replacing(" not in text:
            assert ".write_text(" not in text, name
            assert ".write_bytes(" not in text, name
