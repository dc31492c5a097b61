"""Own results are replaced if that is wanted, files of other people never."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from i2i.inference import results
from i2i.inference.results import LEDGER, ExistsError, Results


def put(text: str):
    return lambda part: part.write_text(text)


def test_results_are_known_as_they_were_written(tmp_path: Path) -> None:
    mine = Results(tmp_path / "out")
    path = tmp_path / "out" / "deep" / "a.txt"
    mine.write(path, put("one"))
    assert path.read_text() == "one"
    again = Results(tmp_path / "out")
    assert again.own([path]) == {path}
    with pytest.raises(ExistsError, match=r"a\.txt' exists already: pass --overwrite"):
        again.check([path], overwrite=False)
    with pytest.raises(ExistsError, match="exists already: another program"):
        again.write(path, put("two"))
    again.check([path], overwrite=True)
    again.write(path, put("two"), overwrite=True)
    assert path.read_text() == "two"
    assert again.own([path]) == {path}
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.txt"]


@pytest.mark.parametrize("change", ["edited", "replaced", "linked"])
def test_what_was_changed_since_is_not_ours_any_more(tmp_path: Path, change: str) -> None:
    mine = Results(tmp_path)
    path = tmp_path / "a.txt"
    mine.write(path, put("one"))
    if change == "edited":
        path.write_text("two")
    elif change == "replaced":
        (tmp_path / "b.txt").write_text("other")
        (tmp_path / "b.txt").replace(path)
    else:
        path.rename(tmp_path / "b.txt")
        path.symlink_to(tmp_path / "b.txt")
    assert mine.own([path]) == set()
    with pytest.raises(ExistsError, match=r"1 of 2 results would replace files that i2i has not"):
        mine.check([path, tmp_path / "new.txt"], overwrite=True)
    before = path.read_text()
    with pytest.raises(ExistsError):
        mine.write(path, put("three"), overwrite=True)
    assert path.read_text() == before


def test_a_copy_of_the_folder_is_still_ours(tmp_path: Path) -> None:
    Results(tmp_path / "a").write(tmp_path / "a" / "x.txt", put("one"))
    (tmp_path / "a").rename(tmp_path / "b")
    os.utime(tmp_path / "b" / "x.txt", (1, 1))
    assert Results(tmp_path / "b").own([tmp_path / "b" / "x.txt"])


@pytest.mark.parametrize("links", [True, False])
def test_of_many_writers_one_gets_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def none(*arguments: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(results.os, "link", none)
    path = tmp_path / "a.txt"

    def write(number: int) -> bool:
        try:
            Results(tmp_path).write(path, put(str(number)))
        except ExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(24)))
    assert sum(won) == 1
    assert path.read_text() == str(won.index(True))
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([LEDGER, "a.txt"])


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.write_text("half")
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        Results(tmp_path).write(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["", "no json", "3", "[]", '{"name": "a.txt"}', "[" * 50_000, "\x00\xff"]
)
def test_a_broken_ledger_means_only_that_less_is_known(tmp_path: Path, line: str) -> None:
    mine = Results(tmp_path)
    mine.write(tmp_path / "a.txt", put("one"))
    with (tmp_path / LEDGER).open("a") as file:
        file.write(line + "\n")
    mine.write(tmp_path / "b.txt", put("two"))
    assert mine.own([tmp_path / "a.txt", tmp_path / "b.txt"]) == {
        tmp_path / "a.txt",
        tmp_path / "b.txt",
    }
    for each in (tmp_path / LEDGER).read_text().splitlines()[:1]:
        assert json.loads(each)["name"] == "a.txt"
    (tmp_path / LEDGER).unlink()
    assert mine.own([tmp_path / "a.txt"]) == set()
