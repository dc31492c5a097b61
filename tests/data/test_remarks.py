"""What is said of the data of a run before it starts."""

import shutil
from pathlib import Path

import pytest

from i2i.config import Options
from i2i.data.sources import open_source, remarks, resolve_options
from i2i.errors import DataError
from i2i.training import run_data
from i2i.training import session as train
from shrunk import shrunk


def said_of(options: Options, kind: str) -> list[str]:
    options = resolve_options(options, kind)
    return remarks(options, kind, open_source(options, kind))


@pytest.mark.parametrize(
    ("fixture", "recipe", "kind"),
    [
        ("facades", "pix2pix", "paired"),
        ("unpaired", "cyclegan", "unpaired"),
        ("domains", "stargan", "domains"),
        ("domains", "dcgan", "unconditional"),
    ],
)
def test_of_clean_data_nothing_is_said(
    fixture: str, recipe: str, kind: str, request: pytest.FixtureRequest
) -> None:
    root = request.getfixturevalue(fixture)
    assert said_of(shrunk(recipe, f"data.root={root}"), kind) == []


def test_what_is_a_mistake_is_said_in_a_few_lines(domains: Path) -> None:
    shutil.copy(domains / "train" / "red" / "0.png", domains / "test" / "red" / "9.png")
    table = domains / "list_attr_celeba.txt"
    rows = table.read_text().removeprefix("21\n")
    table.write_text("22\n" + rows + "test/red/9.jpg 1 -1 -1 1 1\n")
    for recipe, kind, *settings in (
        ("stargan", "domains"),
        ("stargan-celeba", "domains", f"data.table={table}"),
        ("dcgan", "unconditional"),
    ):
        lines = said_of(shrunk(recipe, f"data.root={domains}", *settings), kind)
        assert lines == [
            "warning: TRAIN AND TEST OVERLAP: 1 of 7 images to validate with are among those to "
            "train on, byte by byte.",
            f"`i2i doctor {domains}` says more.",
        ]


def test_each_data_set_of_several_is_looked_at(domains: Path, tmp_path: Path) -> None:
    other = shutil.copytree(domains, tmp_path / "other")
    for name in ("red", "green", "blue"):
        (other / "train" / name).rename(other / "train" / f"{name}-2")
    shutil.rmtree(other / "test")
    path = other / "train" / "red-2" / "0.png"
    shutil.copy(path, path.with_name("copy.png"))
    options = shrunk(
        "stargan", "data.domains=[]", f"data.root={domains}", f'data.more=[{{root="{other}"}}]'
    )
    lines = said_of(options, "domains")
    assert "1 of 16 images are exact copies" in lines[0]
    assert lines[-1] == f"`i2i doctor {other}` says more."


def test_a_run_says_it_once_and_a_resumed_one_does_not(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    shutil.copy(facades / "train" / "0.png", facades / "val" / "9.png")
    outcome = train.start(shrunk("pix2pix", f"data.root={facades}"), tmp_path, "a", device="cpu")
    assert sum("TRAIN AND TEST OVERLAP" in line for line in said) == 1
    said.clear()
    changes = {"train": {"steps": 5}}
    train.resume(outcome.folder, changes, device="cpu")
    assert not any("OVERLAP" in line for line in said)


def test_a_remark_that_cannot_be_made_ends_no_run(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> list[str]:
        raise DataError("The folder is gone.")

    monkeypatch.setattr(run_data, "remarks", gone)
    options = shrunk("pix2pix", f"data.root={facades}")
    assert train.start(options, tmp_path, "a", device="cpu").exit_code == 0
