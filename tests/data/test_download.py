"""Downloads from a server on loopback that breaks off, lies and changes its mind."""

import random
import shutil
import socket
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import Answer, Server, serving

from i2i.data.catalogue.download import download
from i2i.errors import DataError

CONTENT = random.Random(0).randbytes(300_000)
OTHER = random.Random(1).randbytes(280_000)
WHOLE = Answer(CONTENT)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "images.zip"


def fetch(server: Server, target: Path, *answers: Answer, **options: Any) -> None:
    server.answers = list(answers)
    download([server.url], target, **{"back_off": 0.0, "timeout": 5.0} | options)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_arrives_and_nothing_else(
    server: Server, target: Path, told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2i.data.catalogue.download.MEGABYTE", 1)
    fetch(server, target, WHOLE)
    assert target.read_bytes() == CONTENT
    assert left(target) == ["images.zip"]
    assert told == sorted(told)
    assert told[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("way", ["end", "reset", "stall"])
def test_only_the_rest_is_asked_for_after_a_break(server: Server, target: Path, way: str) -> None:
    cut = replace(WHOLE, cut=100_000)
    broken = {"end": cut, "reset": replace(cut, reset=True), "stall": replace(cut, stall=0.6)}[way]
    fetch(server, target, broken, WHOLE, timeout=0.2)
    assert target.read_bytes() == CONTENT
    # What a reset connection has brought may be lost with it.
    assert server.asked == ["", "bytes=100000-"] or way == "reset"


def test_another_call_goes_on_where_one_gave_up(server: Server, target: Path) -> None:
    with pytest.raises(DataError, match="kept"):
        fetch(server, target, replace(WHOLE, cut=90_000), Answer(status=503))
    server.asked.clear()
    fetch(server, target, WHOLE)
    assert server.asked == ["bytes=90000-"]
    assert target.read_bytes() == CONTENT


def test_a_date_is_as_good_as_a_tag_and_a_weak_tag_is_not(server: Server, target: Path) -> None:
    dated = replace(WHOLE, etag='W/"1"', modified="Sun, 02 Sep 2018 08:58:00 GMT")
    fetch(server, target, replace(dated, cut=1000), dated)
    assert server.asked == ["", "bytes=1000-"]
    weak = replace(WHOLE, etag='W/"1"')
    server.asked.clear()
    fetch(server, target.with_name("b.zip"), replace(weak, cut=1000), weak)
    assert server.asked == ["", ""]
    assert target.read_bytes() == target.with_name("b.zip").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(server: Server, target: Path) -> None:
    fetch(server, target, replace(WHOLE, cut=50_000), replace(WHOLE, ranges=False))
    assert server.asked == ["", "bytes=50000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("heeds", [True, False])
def test_two_versions_are_never_joined(server: Server, target: Path, heeds: bool) -> None:
    changed = Answer(OTHER, etag='"2"', if_range=heeds)
    fetch(server, target, replace(WHOLE, cut=50_000), changed)
    assert target.read_bytes() == OTHER


def test_a_part_that_has_outgrown_the_file_is_dropped(server: Server, target: Path) -> None:
    short = Answer(CONTENT[:1000])
    fetch(server, target, replace(WHOLE, cut=50_000), short)
    assert target.read_bytes() == CONTENT[:1000]


def test_less_than_was_promised_is_an_error(server: Server, target: Path) -> None:
    with pytest.raises(DataError, match=r"ended after 300000 of 400000 bytes|416"):
        fetch(server, target, replace(WHOLE, claimed=400_000))
    assert not target.exists()
    assert len(server.asked) < 12


def test_no_more_than_was_promised_is_taken(server: Server, target: Path) -> None:
    fetch(server, target, replace(WHOLE, claimed=200_000))
    assert target.read_bytes() == CONTENT[:200_000]


def test_a_length_that_is_not_the_known_one_is_refused_at_once(
    server: Server, target: Path
) -> None:
    with pytest.raises(DataError, match="has 300000 bytes, 300001 were expected"):
        fetch(server, target, WHOLE, size=300_001)
    assert server.asked == [""]
    assert left(target) == []


def test_a_length_that_is_not_said(server: Server, target: Path) -> None:
    fetch(server, target, replace(WHOLE, no_length=True))
    assert target.read_bytes() == CONTENT
    other = target.with_name("b.zip")
    with pytest.raises(DataError, match="after 1000 of 300000"):
        fetch(server, other, replace(WHOLE, no_length=True, cut=1000, etag=""), size=300_000)
    assert not other.exists()


def test_server_errors_may_pass_and_missing_files_do_not(server: Server, target: Path) -> None:
    fetch(server, target, Answer(status=500), Answer(status=503), WHOLE)
    assert target.read_bytes() == CONTENT
    server.asked.clear()
    with pytest.raises(DataError, match="HTTP 404"):
        fetch(server, target.with_name("b.zip"), Answer(status=404))
    assert server.asked == [""]


def test_a_server_that_stays_broken_is_given_up(server: Server, target: Path) -> None:
    with pytest.raises(DataError, match="HTTP 500"):
        fetch(server, target, Answer(status=500), attempts=3)
    assert len(server.asked) == 3


def test_the_next_address_is_tried(server: Server, target: Path) -> None:
    server.answers = [Answer(status=404), WHOLE]
    download([server.url, server.url + "?again"], target, back_off=0)
    assert target.read_bytes() == CONTENT


def test_without_a_network_it_says_what_to_do_by_hand(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/images.zip"
        with pytest.raises(DataError) as caught:
            download([url], target, back_off=0)
    assert f"{url}: [Errno" in str(caught.value)
    assert f"put it at\n  {target}\n" in str(caught.value)


def test_a_full_disk_is_noticed_before(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 5 * 10**5, 5 * 10**5))
    with pytest.raises(DataError, match="I2I_CACHE"):
        fetch(server, target, WHOLE)
    assert left(target) == []


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        fetch(server, tmp_path / "file" / "images.zip", WHOLE)


VERSIONS = {'"1"': CONTENT[:3000], '"2"': OTHER[:2500], '"3"': CONTENT[1:2000]}

answers = st.builds(
    lambda tag, cut, ranges, heeds, date: Answer(
        VERSIONS[tag],
        etag="" if date else tag,
        modified=f"Sun, 0{tag[1]} Sep 2018 08:58:00 GMT" if date else "",
        cut=cut,
        ranges=ranges,
        if_range=heeds,
    ),
    st.sampled_from(sorted(VERSIONS)),
    st.one_of(st.none(), st.integers(0, 3000)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def test_whatever_the_server_does_the_file_is_one_of_its_versions(server: Server) -> None:
    outcomes = set()

    @settings(max_examples=80)
    @given(st.lists(answers, min_size=1, max_size=6))
    def one_version(given_answers: list[Answer]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "images.zip"
            try:
                fetch(server, target, *given_answers)
            except DataError:
                assert not target.exists()
                outcomes.add("failed")
            else:
                assert target.read_bytes() in VERSIONS.values()
                outcomes.add("arrived")

    one_version()
    assert outcomes == {"failed", "arrived"}
