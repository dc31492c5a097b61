"""The same training on more and more pairs: the table, and nested data."""

import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture
def how_many(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    import how_many

    return how_many


def test_a_row_tells_how_often_each_pair_was_seen(how_many: Any) -> None:
    told = {"steps": 500, "batch": 4, "seconds": 61.2, "psnr": 21.04, "ssim": 0.649}
    assert how_many.row(20, told) == "| 20 | 500 | 100 | 61 | 21.0 | 0.65 |"
    assert how_many.row(200, told).startswith("| 200 | 500 | 10 | ")


def test_held_out_scenes_are_none_of_those_trained_on(how_many: Any) -> None:
    assert not {*how_many.HELD_OUT} & {*range(0, 2 * 1000, 2)}
    assert len(how_many.HELD_OUT) == 60
