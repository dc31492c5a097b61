"""How one image changed over a training: the frames, their order, and how long they are shown."""

from pathlib import Path

import pytest
import torch
from commands import complaint, invoke
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from run_folder import make_run

from i2i import load_translator, train
from i2i.errors import RunError
from i2i.report.animation import LAST, LONGEST, RATE, SECONDS, animate
from i2i.runs.image_grid import HEADING, ROWS, image_grid, rows_of

STEPS = (0, 100, 300)
SIDE = 96


def grid(step: int, rows: int = 3) -> Image.Image:
    """A column of flat images: red tells the step, green the row."""
    images = torch.zeros(rows, 3, SIDE, SIDE, dtype=torch.uint8)
    images[:, 0] = step // 2
    images[:, 1] = torch.arange(rows, dtype=torch.uint8)[:, None, None] * 80
    return image_grid({"output": images})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "run")
    for path in (folder / "samples").iterdir():
        path.unlink()
    for step in STEPS:
        sheet, about = grid(step), PngInfo()
        about.add_text(ROWS, sheet.info[ROWS])
        sheet.save(folder / "samples" / f"step-{step:08d}.png", pnginfo=about)
    return folder


def middle(frame: Image.Image) -> tuple[int, ...]:
    """The colour of the image in an animation, which is enlarged."""
    enlarged = frame.width // grid(0).width
    colour = frame.convert("RGB").getpixel((20 * enlarged, (HEADING + SIDE // 2) * enlarged))
    assert isinstance(colour, tuple)
    return colour


def test_the_rows_of_a_grid() -> None:
    rows = rows_of(grid(100))
    assert [each.size for each in rows] == [(rows[0].width, HEADING + SIDE + 4)] * 3
    assert [each.getpixel((20, HEADING + 40)) for each in rows] == [
        (50, 0, 0),
        (50, 80, 0),
        (50, 160, 0),
    ]
    bare = grid(100)
    bare.info.clear()
    assert [each.size for each in rows_of(bare)] == [bare.size]  # nobody knows
    assert len(rows_of(bare, 3)) == 3
    assert len(rows_of(bare, 7)) == 1  # 320 pixels are not 7 rows below a heading


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_frames_are_those_of_one_row_in_the_order_of_the_steps(run: Path, suffix: str) -> None:
    assert animate(run, run / f"out.{suffix}", row=2) == 3
    durations = []
    with Image.open(run / f"out.{suffix}") as moving:
        for number, step in enumerate(STEPS):
            moving.seek(number)
            moving.load()
            expected = (step // 2, 80, 0)
            seen = middle(moving)
            assert all(abs(s - e) <= 3 for s, e in zip(seen, expected, strict=True))
            durations.append(moving.info["duration"])
        assert moving.n_frames == 3  # type: ignore[attr-defined]
        assert moving.info.get("loop", 0) == 0
    assert durations == [1000 * LONGEST, 1000 * LONGEST, 1000 * LAST]


def test_a_video(run: Path) -> None:
    av = pytest.importorskip("av")
    animate(run, run / "out.mp4", row=3)
    with av.open(str(run / "out.mp4")) as file:
        frames = [frame.to_image() for frame in file.decode(video=0)]
    each, last = round(LONGEST * RATE), round(LAST * RATE)
    assert len(frames) == 2 * each + last
    for number, step in ((0, 0), (each, 100), (len(frames) - 1, 300)):
        expected = (step // 2, 160, 0)
        seen = middle(frames[number])
        assert all(abs(s - e) < 20 for s, e in zip(seen, expected, strict=True))


def test_many_grids_take_no_longer(run: Path) -> None:
    for step in range(1, 13):
        grid(step).save(run / "samples" / f"step-{step:08d}.png")
    assert animate(run, run / "out.gif") == 15  # those without the number of rows are shown whole
    with Image.open(run / "out.gif") as moving:
        assert moving.info["duration"] == pytest.approx(1000 * SECONDS / 14, abs=10)


def test_what_cannot_be_animated(run: Path) -> None:
    with pytest.raises(RunError, match=r"row \(=4\) must be one of the 3 images"):
        animate(run, run / "out.gif", row=4)
    with pytest.raises(RunError, match=r"must end in one of \.gif, \.webp, \.mp4"):
        animate(run, run / "out.avi")
    for path in sorted((run / "samples").iterdir())[1:]:
        path.unlink()
    with pytest.raises(RunError, match="has 1 image grid, an animation takes two"):
        animate(run, run / "out.gif")
    assert not (run / "out.gif").exists()


def test_the_command(run: Path, tmp_path: Path) -> None:
    done = invoke("report", run, "--animate", "gif")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{run / 'progress.gif'} (3 frames, ")
    assert not (run / "report.html").exists()
    assert "go with --animate" in complaint("report", run, "--row", "1")
    wrong = ("report", run, "--animate", "gif", "--output", tmp_path / "a.webp")
    assert "must end in .gif" in " ".join(complaint(*wrong).split())


def test_an_image_of_ones_own_through_the_checkpoints(facades: Path, tmp_path: Path) -> None:
    small = [
        *("generator.width=2", "generator.downs=2", "discriminator.width=2"),
        *("discriminator.layers=1", "data.workers=0", "train.batch_size=2", "train.trackers=[]"),
        *("train.save_every_steps=1", "train.keep=all", "data.look_for_copies=false"),
    ]
    outcome = train(
        "pix2pix", *small, dataroot=facades, size=16, steps=2, runs_dir=tmp_path, device="cpu"
    )
    photo = tmp_path / "photo.png"
    Image.new("RGB", (32, 16), (200, 100, 50)).save(photo)
    target = tmp_path / "out.webp"
    assert animate(outcome.folder, target, photo=photo, device="cpu") == 2
    result = load_translator(outcome.folder, device="cpu")(Image.open(photo))
    with Image.open(target) as moving:
        moving.seek(1)
        moving.load()
        enlarged = 8  # of 64 pixels, input beside output, to 480 at least
        last = moving.convert("RGB")
    assert last.width == 512
    assert all(
        abs(s - e) < 12
        for x in (4, 16, 28)
        for s, e in zip(
            last.getpixel(((32 + x) * enlarged + 4, 8 * enlarged + 4)),  # type: ignore[arg-type]
            result.convert("RGB").getpixel((x, 8)),  # type: ignore[arg-type]
            strict=True,
        )
    )
