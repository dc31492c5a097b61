"""`i2i translate`, with a builder that hands out a negative."""

import io
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor, nn

from i2i.cli import cli
from i2i.cli.translate import command
from i2i.errors import DataError, OptionsError
from i2i.inference import folder
from i2i.inference.folder import translate_folder
from i2i.inference.translator import Translator


class Negative(nn.Module):
    multiple = 4

    def forward(self, images: Tensor) -> Tensor:
        return -images


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked to load a translator."""
    calls: list[Any] = []

    def load_translator(checkpoint: Path | None, **arguments: Any) -> Translator:
        calls.append((checkpoint, arguments))
        return Translator(
            Negative(),
            input_channels=3,
            output_channels=3,
            norm="instance",
            dropout=False,
            device="cpu",
            description="newest run under runs/: runs/facades",
        )

    loading = ModuleType("i2i.inference.load")
    loading.load_translator = load_translator
    monkeypatch.setitem(sys.modules, "i2i.inference.load", loading)
    return calls


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for i, path in enumerate([folder / "a.png", folder / "deep" / "b.png"]):
        Image.new("RGB", (10, 7), (i, 100, 200)).save(path)
    return folder


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["translate", *map(str, arguments)])


def test_folder_is_translated_without_a_further_flag(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    result = invoke(photos, tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr == ""
    chosen, done = result.stdout.splitlines()
    assert chosen == "newest run under runs/: runs/facades"
    assert done.startswith(f"2 images translated to {tmp_path / 'out'} in ")
    assert done.endswith(" per second)")
    for i, name in enumerate(["a.png", "deep/b.png"]):
        with Image.open(tmp_path / "out" / name) as image:
            expected = np.broadcast_to(np.uint8([255 - i, 155, 55]), (7, 10, 3))
            np.testing.assert_array_equal(np.array(image), expected)
    defaults = {"runs_dir": Path("runs"), "device": "auto", "precision": "fp32"}
    defaults |= {"average": None, "best": False, "direction": None}
    assert asked == [(None, defaults)]


def test_options_arrive(asked: list[Any], photos: Path, tmp_path: Path) -> None:
    choice = ["--checkpoint", "best.pt", "--runs-dir", "elsewhere", "--device", "cuda:1"]
    result = invoke(
        photos, tmp_path / "out", *choice, "--precision", "bf16", "--raw", "--size", 14,
        "--batch-size", 1, "--format", "bmp", "--direction", "BtoA",
    )  # fmt: skip
    assert result.exit_code == 0
    arguments = {"runs_dir": Path("elsewhere"), "device": "cuda:1", "precision": "bf16"}
    arguments["direction"] = "BtoA"
    assert asked == [(Path("best.pt"), {**arguments, "average": False, "best": False})]
    with Image.open(tmp_path / "out" / "a.bmp") as image:
        assert image.size == (20, 14)

    assert invoke(photos / "a.png", tmp_path / "new" / "b.png", "--average").exit_code == 0
    assert asked[1][1]["average"] is True
    assert (tmp_path / "new" / "b.png").is_file()


@pytest.mark.parametrize(("given", "expected"), [([], "auto"), (["off"], "off"), (["64"], 64)])
def test_tiles_are_asked_for(
    asked: list[Any],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: list[str],
    expected: int | str,
) -> None:
    seen: list[object] = []

    def watched(translator: Translator, *arguments: Any, **more: Any) -> Any:
        seen.append(translator.tile)
        translator._tell("too large")
        return translate_folder(translator, *arguments, **more)

    monkeypatch.setattr("i2i.inference.folder.translate_folder", watched)
    result = invoke(photos, tmp_path / "out", *(["--tile", *given] if given else []))
    assert seen == [expected]
    assert result.stderr == "too large\n"


def test_tiles_that_are_too_small_are_refused(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    result = invoke(photos, tmp_path / "out", "--tile", "8")
    assert isinstance(result.exception, OptionsError)
    assert "at least 16" in str(result.exception)


def test_unreadable_images_are_listed_and_the_exit_code_is_1(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    (photos / "bad.jpg").write_text("no image")
    result = invoke(photos, tmp_path / "out")
    assert result.exit_code == 1
    assert "2 images translated" in result.stdout
    assert result.stderr.splitlines() == [
        f"Not translated: {photos / 'bad.jpg'}: it is no image of a known format"
    ]
    assert (tmp_path / "out" / "deep" / "b.png").is_file()


def test_results_are_overwritten_only_when_told(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    assert invoke(photos, tmp_path / "out").exit_code == 0
    refused = invoke(photos, tmp_path / "out")
    assert isinstance(refused.exception, DataError)
    assert "--overwrite" in str(refused.exception)
    assert invoke(photos, tmp_path / "out", "--overwrite").exit_code == 0


def test_progress_is_drawn_on_a_terminal(
    asked: list[Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    cli.main(["translate", str(photos), str(tmp_path / "out")], standalone_mode=False)
    assert "0/2" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--size", "0"],
        ["--batch-size", "0"],
        ["--precision", "fp8"],
        ["--sise", "4"],
        ["--tile", "big"],
        ["--tile", "0"],
        ["--tile", "-8"],
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(
    asked: list[Any], photos: Path, tmp_path: Path, wrong: list[str]
) -> None:
    result = invoke(photos, tmp_path / "out", *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.stderr
    assert asked == []


def test_help_shows_examples_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from i2i.cli.translate import command; command.main(['--help'], "
        "prog_name='i2i translate', standalone_mode=False); "
        "print({'torch', 'numpy', 'PIL', 'i2i.inference.folder'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "set()"
    assert "i2i translate photos/ translated/\n" in shown.stdout
    assert "INPUT... OUTPUT" in shown.stdout


def test_one_image_is_singular(asked: list[Any], photos: Path, tmp_path: Path) -> None:
    assert "\n1 image translated to " in invoke(photos / "a.png", tmp_path / "out").stdout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["A=1", "B=0"], {"A": True, "B": False}),
        (["A=1,B=0", " C = 1 "], {"A": True, "B": False, "C": True}),
        (["A=1", "A=1"], {"A": True}),
        ([], None),
    ],
)
def test_attributes_are_joined(given: list[str], expected: dict[str, bool] | None) -> None:
    parameters = [part for each in given for part in ("--set-attribute", each)]
    context = command.make_context("translate", ["in", "out", *parameters])
    assert context.params["attributes"] == expected


@pytest.mark.parametrize("given", [["A=1", "A=0"], ["A=1,A=0"], ["A"], ["A=2"]])
def test_attributes_that_contradict_each_other_are_refused(
    asked: list[Any], photos: Path, tmp_path: Path, given: list[str]
) -> None:
    parameters = [part for each in given for part in ("--set-attribute", each)]
    result = invoke(photos, tmp_path / "out", *parameters)
    assert result.exit_code == 2
    assert "'A' is to be both 0 and 1" in result.stderr or "is not NAME=1" in result.stderr


def test_what_exists_is_left_out_when_told(asked: list[Any], photos: Path, tmp_path: Path) -> None:
    assert invoke(photos / "a.png", tmp_path / "out").exit_code == 0
    refused = invoke(photos, tmp_path / "out")
    assert isinstance(refused.exception, DataError)
    assert "1 of 2 results exist already" in str(refused.exception)
    assert "--skip-existing to go on with the others" in str(refused.exception)
    result = invoke(photos, tmp_path / "out", "--skip-existing")
    assert result.exit_code == 0
    assert "1 image translated" in result.stdout
    assert result.stdout.rstrip().endswith("; 1 left out, which exist already")
    both = invoke(photos, tmp_path / "out", "--skip-existing", "--overwrite")
    assert both.exit_code == 2
    assert "either --overwrite or --skip-existing" in both.stderr


def test_ctrl_c_says_how_to_go_on(
    asked: list[Any], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(results: Any, path: Path, *arguments: Any, **more: Any) -> None:
        if path.name == "b.png":
            raise KeyboardInterrupt
        save(results, path, *arguments, **more)

    save = folder._save
    monkeypatch.setattr(folder, "_save", stopped)
    result = invoke(photos, tmp_path / "out")
    assert result.exit_code == 130
    assert "stopped: 1 of 2 done; the same command with --skip-existing" in result.stderr


def test_a_side_is_taken_and_other_files_are_named(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (10, 5)).save(photos / "pair.png")
    (photos / "clip.mp4").write_bytes(b"x")
    result = invoke(photos, tmp_path / "out", "--side", "A")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Not translated: {photos / 'clip.mp4'}: Invalid data found")
    with Image.open(tmp_path / "out" / "pair.png") as image:
        assert image.size == (5, 5)


def test_of_several_inputs_files_go_to_the_output_and_folders_to_their_names(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (6, 5), (9, 9, 9)).save(tmp_path / "ä b.jpg", quality=100)
    out = tmp_path / "out"
    result = invoke(tmp_path / "ä b.jpg", photos / "a.png", photos, photos / "a.png", out)
    assert result.exit_code == 0, result.output
    assert "4 images translated" in result.stdout
    made = {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.name[0] != "."}
    assert made == {"ä b.jpg", "a.png", "photos/a.png", "photos/deep/b.png"}
    with Image.open(out / "photos" / "deep" / "b.png") as image:
        assert image.getpixel((0, 0)) == (254, 155, 55)
    with Image.open(out / "ä b.jpg") as image:
        assert image.size == (6, 5)
        assert image.getpixel((0, 0)) == (246, 246, 246)


def test_of_several_files_those_that_are_no_images_are_listed(
    asked: list[Any], photos: Path, tmp_path: Path
) -> None:
    (photos / "words.txt").write_text("no image")
    result = invoke(photos / "a.png", photos / "words.txt", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 image translated" in result.stdout
    assert "words.txt: it is no image of a known format" in result.stderr


@pytest.mark.parametrize(
    ("inputs", "output", "said"),
    [
        (["photos/a.png", "photos/deep/b.png"], "new.png", "there may be several results"),
        (["photos/a.png", "photos/deep/b.png"], "photos/a.png", "is a file: expected a folder"),
        (["photos/a.png", "photos/c.png"], "out", "There is no file or folder 'photos/c.png'"),
        (["photos/a.png", "other/a.png"], "out", "would both be written to 'out/a.png'"),
        (["photos", "other"], "other/x", "inside the input 'other'"),
        (["photos/a.png", "-"], "out", "is standard input or output, of one image"),
        (["photos/a.png", "other/a.png"], "-", "is standard input or output, of one image"),
    ],
)
def test_several_inputs_that_cannot_be_are_refused(
    asked: list[Any],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[str],
    output: str,
    said: str,
) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (6, 5)).save(tmp_path / "other" / "a.png")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = invoke(*inputs, output)
    assert result.exit_code != 0
    assert said in f"{result.output}{result.exception}"
    assert sorted(tmp_path.rglob("*")) == before
