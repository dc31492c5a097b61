"""What there is to see of a run in Python: its log as a table, its images as a figure."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from run_folder import make_run

import i2i
from i2i.core import console
from i2i.core.console import Console
from i2i.core.progress import progress
from i2i.runs import history
from i2i.training import figure as figures
from i2i.training.session import start
from shrunk import shrunk


def test_a_row_for_each_step_validation_beside_training(tmp_path: Path) -> None:
    """The log of `make_run` has two lines for a step that is validated."""
    rows = i2i.history(make_run(tmp_path / "run", steps=200), frame=False)
    assert [row["step"] for row in rows] == [50, 100, 150, 200]
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert [row["validation/l1"] for row in rows] == [None, 0.24, None, 0.23]
    assert [row["generator/l1"] for row in rows] == [10 / step for step in (50, 100, 150, 200)]


def test_a_table_of_pandas_if_there_is_pandas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Any] = {}

    class Frame:
        def __init__(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
            made.update(rows=rows, columns=columns)

        def set_index(self, name: str) -> "Frame":
            made["index"] = name
            return self

        def astype(self, kind: type) -> "Frame":
            made["type"] = kind
            return self

    run = make_run(tmp_path / "run", steps=100)
    pandas = types.SimpleNamespace(DataFrame=Frame, __spec__=object())
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pandas", pandas)  # type: ignore[arg-type]
        assert isinstance(i2i.history(run), Frame)
    assert made["columns"][0] == made["index"] == "step"
    assert made["type"] is float
    assert [row["step"] for row in made["rows"]] == [50, 100]
    monkeypatch.setattr(history.importlib.util, "find_spec", lambda name: None)
    assert isinstance(i2i.history(run), list)
    with pytest.raises(i2i.I2iError, match="needs pandas: pip install pandas"):
        i2i.history(run, frame=True)
    with pytest.raises(i2i.I2iError, match=r"there is no run folder .*ran\. Did you mean 'run'\?"):
        i2i.history(tmp_path / "ran")
    with pytest.raises(i2i.I2iError, match=r"is no run but holds 1: name one of them.*run\.$"):
        i2i.history(tmp_path)
    with pytest.raises(i2i.I2iError, match=r"is no run folder: it has no log\.jsonl inside"):
        i2i.history(run / "checkpoints")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> i2i.Outcome:
    root = tmp_path_factory.mktemp("data")
    for split, count in (("train", 3), ("val", 3)):
        for side in "AB":
            folder = root / f"{split}{side}"
            folder.mkdir()
            for number in range(count):
                grey = 40 * number + (100 if side == "B" else 0)
                Image.new("RGB", (16, 16), (grey,) * 3).save(folder / f"{number}.png")
    options = shrunk("pix2pix", f"data.root={root}", "train.steps=1", "train.trackers=[]")
    return start(options, tmp_path_factory.mktemp("runs"), "run", device="cpu")


def test_a_figure_shows_the_chosen_images(trained: i2i.Outcome) -> None:
    """Each is a grey of its own, and its truth is 100 brighter."""
    picture = trained.figure([2, 0], plot=False)
    assert picture.tobytes() == i2i.figure(trained.folder, [2, 0], plot=False).tobytes()
    pixels = np.asarray(picture)
    height = picture.height
    for place, grey in ((0.35, 80), (0.75, 0)):
        found = {tuple(each) for each in pixels[int(place * height)]}
        assert (grey,) * 3 in found
        assert (grey + 100,) * 3 in found
    assert i2i.figure(trained.folder, 9, plot=False).height > height  # all three
    with pytest.raises(i2i.I2iError, match=r"images \(=\[3\]\) must be numbers below 3"):
        trained.figure([3])


def test_a_figure_of_matplotlib_if_there_is_matplotlib(
    trained: i2i.Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[tuple[int, int], Any] = {}
    titles: dict[int, str] = {}

    class Place:
        def __init__(self, down: int, across: int) -> None:
            self.at = down, across

        def imshow(self, pixels: Any) -> None:
            shown[self.at] = pixels

        def set_title(self, text: str) -> None:
            titles[self.at[1]] = text

        def set(self, **how: Any) -> None: ...

        def set_ylabel(self, text: str) -> None: ...

    class Figure:
        def __init__(self, **how: Any) -> None: ...

        def subplots(self, down: int, across: int, squeeze: bool) -> list[list[Place]]:
            return [[Place(y, x) for x in range(across)] for y in range(down)]

    library = types.SimpleNamespace(__spec__=object())
    monkeypatch.setitem(sys.modules, "matplotlib", library)  # type: ignore[arg-type]
    monkeypatch.setitem(
        sys.modules,
        "matplotlib.figure",
        types.SimpleNamespace(Figure=Figure),  # type: ignore[arg-type]
    )
    assert isinstance(trained.figure([1, 2]), Figure)
    assert titles == {0: "input", 1: "output", 2: "truth"}
    assert {int(shown[row, column].mean()) for row in (0, 1) for column in (0, 2)} == {
        *(40, 140, 80, 180)
    }
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(i2i.I2iError, match="needs matplotlib"):
        trained.figure(1, plot=True)


def test_a_notebook_with_widgets_has_bars_of_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Any] = []

    class Bar:
        def __init__(self, desc: str, mininterval: float, total: int) -> None:
            self.desc, self.total, self.n, self.text, self.closed = desc, total, 0, "", False
            bars.append(self)

        def reset(self, total: int) -> None:
            self.total, self.n = total, 0

        def set_postfix_str(self, text: str, refresh: bool) -> None:
            self.text = text

        def update(self, count: int) -> None:
            self.n += count

        def close(self) -> None:
            self.closed = True

    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))  # type: ignore[arg-type]
    monkeypatch.setattr(console, "find_spec", lambda name: object())
    with Console(), progress("training") as update:
        for step in range(1, 4):
            update(step, 5, f"loss {step}")
        assert (bars[0].desc, bars[0].n, bars[0].total, bars[0].text) == (
            "training",
            3,
            5,
            "loss 3",
        )
        assert not bars[0].closed
    assert len(bars) == 1
    assert bars[0].closed
