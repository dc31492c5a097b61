"""Where a data set is, and what is said when it has to be made."""

from functools import partial
from pathlib import Path

import pytest

from i2i.data.demo import sets as demo
from i2i.data.sources.root import find_root


def test_painting_is_announced_once_and_only_where_it_is_done(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(demo, "demo_folder", partial(demo.demo_folder, count=2, size=16))
    folder = find_root("demo", "paired")
    assert len(list((folder / "train" / "A").iterdir())) == 2
    assert said == ["data set: the embedded one, which is painted now (up to a minute)"]
    assert find_root("demo", "paired") == folder
    assert len(said) == 1
