"""How one image changed over a training, as an animation.

The frames come from the image grids of the run: a row of each, from the first to the last. Or, of
an image of one's own, from the checkpoints that the run has kept, each of which translates it.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from i2i.core.text import counted
from i2i.data.images.read import open_image, to_channels
from i2i.data.video.files import library
from i2i.errors import RunError
from i2i.report.record import read_record
from i2i.report.sheets import LARGEST, evenly
from i2i.runs.folder import step_of
from i2i.runs.image_grid import PAPER, rows_of
from i2i.system.atomic import replacing

FORMATS = ("gif", "webp", "mp4")

SECONDS = 8.0
"""Of the whole animation but its last frame, at most."""

LONGEST, LAST = 0.8, 2.5
"""Seconds that a frame is shown at most, and that the last one is shown."""

RATE = 25
"""Frames of a video in a second."""

MOST = 120
"""Frames; of more, some are left out evenly."""

WIDTH = 480
"""Pixels that the animation is wide, at least: smaller ones are enlarged by whole numbers."""

FOOT = 22
"""Pixels below an image in which the step stands."""

Frame = tuple[int, Image.Image]
"""A step, and the image of it."""


def animate(
    run: Path, target: Path, *, row: int = 1, photo: Path | None = None, device: str = "auto"
) -> int:
    """Write an animation of how an image changed, and return how many frames it has.

    Arguments:
        run: its folder.
        target: the file: NAME.gif, NAME.webp or NAME.mp4 (which needs the extra `video`); one that
            is there is replaced.
        row: which image of the grids, from 1.
        photo: an image to translate with each of the checkpoints that were kept, instead.
        device: to translate on.

    Raises:
        RunError: there are not two frames, no such row, or the file cannot be written.
        I2iError: a checkpoint or the image cannot be read.
    """
    suffix = target.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise RunError(f"'{target}' must end in one of .{', .'.join(FORMATS)}.")
    found = list(_of_sheets(run, row) if photo is None else _of_checkpoints(run, photo, device))
    if len(found) < 2:
        cure = (
            "The first comes before the first step, the next after a minute."
            if photo is None
            else "More are kept with train.keep=thinned or train.keep=all."
        )
        one = "image grid" if photo is None else "checkpoint"
        has = counted(len(found), one, f"{one}s")
        raise RunError(f"'{run}' has {has}, an animation takes two. {cure}")
    frames = _finished([found[number] for number in evenly(len(found), min(MOST, len(found)))])
    each = min(LONGEST, SECONDS / (len(frames) - 1))
    seconds = [each] * (len(frames) - 1) + [LAST]
    write = _write_video if suffix == "mp4" else _write_images
    try:
        with replacing(target) as partial:
            write(partial, suffix, frames, seconds)
    except OSError as error:
        raise RunError(
            f"{target} cannot be written ({error.strerror or error}): give another place with "
            "--output."
        ) from error
    return len(frames)


def _of_sheets(run: Path, row: int) -> Iterator[Frame]:
    record = read_record(run)
    known = record.options.get("train.visualize_images")
    for step, path in record.sheets:
        try:
            with Image.open(path) as opened:
                if opened.width * opened.height > LARGEST:
                    continue
                opened.load()
                sheet = opened.convert("RGB")
                sheet.info |= opened.info
        except Exception:  # noqa: BLE001 (decoders of broken files raise nearly anything)
            continue
        rows = rows_of(sheet, known if isinstance(known, int) else None)
        if not 1 <= row <= len(rows):
            raise RunError(
                f"row (={row}) must be one of the {len(rows)} images of the grids in "
                f"'{path.parent}', counted from 1."
            )
        yield step, rows[row - 1]


def _of_checkpoints(run: Path, photo: Path, device: str) -> Iterator[Frame]:
    from i2i.inference.load import load_translator
    from i2i.inference.selection import several_checkpoints

    before = to_channels(open_image(photo), 3)
    for _, path in several_checkpoints(run, run.parent, "all"):
        after = load_translator(path, device=device)(before)
        both = Image.new("RGB", (before.width + after.width, before.height), (PAPER,) * 3)
        both.paste(before, (0, 0))
        both.paste(after.convert("RGB"), (before.width, 0))
        yield step_of(path), both


def _finished(frames: Sequence[Frame]) -> list[Image.Image]:
    """All of one size, large enough to be looked at, each with its step below it."""
    width, height = (max(image.size[axis] for _, image in frames) for axis in (0, 1))
    times = max(1, -(-WIDTH // width))
    font = ImageFont.load_default(size=14)
    # Videos have an even number of pixels each way.
    size = (width * times + width * times % 2, height * times + FOOT + (height * times + FOOT) % 2)
    last = max(step for step, _ in frames)
    done = []
    for step, image in frames:
        page = Image.new("RGB", size, (PAPER,) * 3)
        large = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
        page.paste(large, (0, 0))
        draw = ImageDraw.Draw(page)
        top = size[1] - FOOT
        draw.rectangle(
            (0, size[1] - 3, round(size[0] * step / max(last, 1)), size[1]), fill=0x808080
        )
        draw.text((4, top), f"step {step}", fill=0, font=font)
        done.append(page)
    return done


def _write_images(
    path: Path, suffix: str, frames: Sequence[Image.Image], seconds: Sequence[float]
) -> None:
    how: dict[str, object] = {"quality": 90} if suffix == "webp" else {"optimize": True}
    frames[0].save(
        path,
        format=suffix.upper(),
        save_all=True,
        append_images=frames[1:],
        duration=[round(1000 * each) for each in seconds],
        loop=0,
        **how,
    )


def _write_video(
    path: Path, suffix: str, frames: Sequence[Image.Image], seconds: Sequence[float]
) -> None:
    av = library(path)
    with av.open(str(path), "w", format=suffix) as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "17"})
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        number = 0
        for image, each in zip(frames, seconds, strict=True):
            for _ in range(max(1, round(each * RATE))):
                frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                file.mux(stream.encode(frame))
                number += 1
        file.mux(stream.encode(None))
