"""Archives: whole ones come out as they went in, all others leave nothing behind."""

import gzip
import io
import random
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.data.catalogue import unpack as module
from i2i.data.catalogue.unpack import unpack
from i2i.errors import DataError

SUFFIXES = ("zip", "tar.gz")
FILES = {
    "set/trainA/1.jpg": random.Random(0).randbytes(5000),
    "set/trainB/1.jpg": random.Random(1).randbytes(3000),
    "set/a note.txt": b"hello\n" * 100,
    "set/empty": b"",
}

Member = tuple[str, bytes] | tarfile.TarInfo | tuple[zipfile.ZipInfo, bytes]


def write(archive: Path, *members: Member) -> Path:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for member in members:
                assert isinstance(member, tuple)
                zipped.writestr(*member)
    else:
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    tar.addfile(member, io.BytesIO(bytes(member.size)))
                else:
                    info = tarfile.TarInfo(str(member[0]))
                    info.size = len(member[1])
                    tar.addfile(info, io.BytesIO(member[1]))
    return archive


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def refused(archive: Path, why: str, **limits: int) -> None:
    target = archive.parent / "deep" / "target"
    with pytest.raises(DataError, match=why):
        unpack(archive, target, **limits)
    assert not target.exists()
    # Nothing lies where a path might have led.
    assert {path.name for path in archive.parent.rglob("*")} == {archive.name, "deep"}


@pytest.fixture(params=SUFFIXES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where an archive of each kind is to be written."""
    return tmp_path / f"set.{request.param}"


def test_what_went_in_comes_out(archive: Path, tmp_path: Path, told: list[tuple[int, int]]) -> None:
    write(archive, ("set/", b"") if archive.suffix == ".zip" else folder("set"), *FILES.items())
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


def folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def test_paths_that_begin_with_a_dot_are_harmless(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.tar.gz", folder("."), folder("./set"), ("./set/1.jpg", b"1"))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == {"set/1.jpg": b"1"}


def test_a_folder_that_exists_is_left_alone(archive: Path, tmp_path: Path) -> None:
    write(archive, ("1.jpg", b"1"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(FileExistsError):
        unpack(archive, tmp_path / "out")
    assert set(tree(tmp_path / "out")) == {"mine"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil", "outside"),
        ("set/../../evil", "outside"),
        ("set/..", "outside"),
        ("/tmp/evil", "outside"),
        ("C:/evil", "outside"),
        ("C:evil", "outside"),
        ("set\\..\\..\\evil", "outside"),
        ("set/1.jpg:stream", "outside"),
        ("set/ev\x1bil", "control"),
        ("set/\u202egpj.exe", "control"),
        ("set/" + "x" * 256, "too long"),
        ("x/" * 600 + "x", "too long"),
        ("set/...", "no proper name"),
        (".", "no proper name"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(archive: Path, name: str, why: str) -> None:
    refused(write(archive, ("set/1.jpg", b"1"), (name, b"evil")), why)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "no plain file"),
    ],
)
def test_a_tar_holds_nothing_but_files(tmp_path: Path, kind: bytes, why: str) -> None:
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc"
    refused(write(tmp_path / "a.tar.gz", ("set/1.jpg", b"1"), info, ("set/link/x", b"")), why)


@pytest.mark.parametrize(("kind", "why"), [(stat.S_IFLNK, "symbolic"), (stat.S_IFIFO, "no plain")])
def test_a_zip_holds_nothing_but_files(tmp_path: Path, kind: int, why: str) -> None:
    info = zipfile.ZipInfo("set/link")
    info.external_attr = (kind | 0o777) << 16
    refused(write(tmp_path / "a.zip", ("set/1.jpg", b"1"), (info, b"/etc")), why)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names",
    [
        ("set/1.jpg", "set/1.jpg"),
        ("set/1.jpg", "set/./1.jpg"),
        ("set/1.jpg", "set/1.JPG"),
        ("set/1.jpg", "set/1.jpg. "),
        ("set/1.jpg", "Set/2.jpg"),
        ("set/\u00e9.jpg", "set/e\u0301.jpg"),
        ("set/1", "set/1/2.jpg"),
        ("set/1/2.jpg", "set/1"),
    ],
)
def test_nothing_comes_twice_on_any_system(archive: Path, names: tuple[str, str]) -> None:
    refused(write(archive, *((name, b"x") for name in names)), "same name as")


def test_limits(archive: Path, tmp_path: Path) -> None:
    write(archive, *FILES.items())
    refused(archive, "limit", most_files=3)
    refused(archive, "limit", most_bytes=8599)
    unpack(archive, tmp_path / "exactly", most_files=4, most_bytes=8600)


def test_a_bomb(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = write(archive, ("set/zeros", bytes(2_000_000)))
    unpack(bomb, tmp_path / "small")
    shutil.rmtree(tmp_path / "small")
    monkeypatch.setattr(module, "SMALL", 1_000_000)
    refused(bomb, "limit")


def test_a_header_is_not_read_into_memory_whatever_its_length(tmp_path: Path) -> None:
    # The name of the member that follows, three megabytes long.
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 3_000_000
    refused(write(tmp_path / "a.tar.gz", long_name, ("1.jpg", b"1")), "header is too long")


def test_an_encrypted_zip(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("1.jpg", b"1"))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "encrypted")


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>" * 100])
def test_what_is_no_archive(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    refused(archive, "no whole (zip|tar.gz) archive")


def test_a_tar_that_ends_early_inside_of_a_whole_gzip(tmp_path: Path) -> None:
    whole = gzip.decompress(write(tmp_path / "a.tar.gz", *FILES.items()).read_bytes())
    header = bytes(512)
    end = max(at for at in range(0, len(whole), 512) if whole[at : at + 512] != header) + 512
    for cut in (512, 512 * 3, end - 512, end - 100, end):
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(gzip.compress(whole[:cut]))
        refused(archive, "no whole tar.gz archive")
    archive.write_bytes(gzip.compress(whole[: end + 512]))
    unpack(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


def test_members_behind_a_broken_header_are_not_lost_in_silence(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.tar.gz", *FILES.items())
    content = bytearray(gzip.decompress(archive.read_bytes()))
    content[content.index(b"set/trainB")] ^= 1
    archive.write_bytes(gzip.compress(bytes(content)))
    refused(archive, "ends in the middle")


def test_members_that_a_broken_list_swallows_are_missed(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", *FILES.items())
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 33] = 1  # a comment of 256 bytes
    archive.write_bytes(content)
    refused(archive, "members are missing")


names = st.lists(st.text("abc1 .-é", min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)


@settings(max_examples=40)
@given(st.dictionaries(names, st.binary(max_size=300), max_size=6), st.sampled_from(SUFFIXES))
def test_any_files_come_out_as_they_went_in_or_not_at_all(
    files: dict[str, bytes], suffix: str
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "out"
        archive = write(Path(scratch) / f"a.{suffix}", *files.items())
        try:
            unpack(archive, target)
        except DataError:
            assert not target.exists()
        else:
            assert tree(target) == {str(Path(name)): data for name, data in files.items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_is_noticed(suffix: str, tmp_path: Path) -> None:
    archive = write(tmp_path / f"a.{suffix}", *FILES.items())
    whole = archive.read_bytes()
    outcomes = set()

    @settings(max_examples=80)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 255))
    def damaged(at: int, value: int) -> None:
        """One byte has another value, or (0) everything from there on is missing."""
        broken = whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :] if value else whole[:at]
        archive.write_bytes(broken)
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "out"
            try:
                unpack(archive, target)
            except DataError:
                outcomes.add("noticed")
                assert not target.exists()
            else:  # a date, a comment
                assert value
                assert tree(target) == FILES

    damaged()
    assert "noticed" in outcomes
