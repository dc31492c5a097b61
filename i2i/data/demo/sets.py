"""The embedded data sets: scenes of the painter, written as ordinary folders of PNG images.

There is nothing special about the folders; they are read like any others. The name of an image is
the seed of its scene. Training uses the even seeds and the held-out part the odd ones, so that the
two never share a scene, and the held-out scenes are the same however many there are to train on.
"""

import logging
import secrets
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy.typing as npt
from PIL import Image

from i2i.core.progress import progress
from i2i.core.size import AnySize, Size
from i2i.data.demo.painter import LABELS, PAINTER_VERSION, RENDERINGS, SMALLEST, paint, record
from i2i.data.images.arrays import write_array
from i2i.errors import DataError, did_you_mean
from i2i.system.cpu import cores

Values = npt.NDArray[Any]

KINDS = ("paired", "unpaired", "domains", "bands", "depth", "light", "inputs", "larger")

INSTRUMENTS = {
    "bands": ("bands", "photo"),
    "depth": ("photo", "depth"),
    "light": ("light", "winter light"),
}
"""Kind of pairs that not all are 8 bits of colours -> what A and B are of a scene."""

INPUTS = {"rgb": "photo", "depth": "depth", "mask": "labels"}
"""Folder of one of several inputs -> what it is of a scene, in winter on the other side."""

HALF = "half photo"

_log = logging.getLogger(__name__)

DOMAINS = {
    "day": "photo",
    "winter": "winter",
    "night": "night",
    "autumn": "autumn",
    "sketch": "sketch",
}
"""Domain -> the painter's rendering."""

README = "README.txt"


def write_demo(
    folder: Path,
    kind: str,
    count: int,
    size: AnySize,
) -> None:
    """Write a data set of painted scenes into `folder`, images of this size: the side of squares,
    or (width, height), for which the middle of a square is taken.

    The kinds and their layouts:

    - "paired": train/A (labels) and train/B (photo), val/A and val/B, equal stems;
    - "unpaired": trainA (photo) and trainB (winter) of different scenes, testA and testB of the
      same scenes with equal stems, so that the truth is known;
    - "domains": train/<domain> of different scenes, test/<domain> of the same, for `DOMAINS`;
    - "bands": pairs as in "paired", A in six bands of 12 bits (TIFF), B their photo;
    - "depth": A a photo, B the distance in 16 bits; "light": A and B grey of 16 bits, by summer
      and winter (`i2i.data.demo.painter.record`);
    - "inputs": pairs of which A is a photo, its depth in 16 bits and its label map, in folders of
      their own (`INPUTS`), B the same place in winter;
    - "larger": pairs of which A is B at half its width and height.

    There are `count` scenes to train on in each domain and max(8, count // 8) held out. `folder`
    appears when it is complete and not before.

    Raises:
        DataError: an unknown kind, no scenes, images too small to paint, or a folder that is not
            empty.
    """
    if kind not in KINDS:
        raise DataError(
            f"demo kind {kind!r} is not one of {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
        )
    if count < 1:
        raise DataError(f"a demo data set of {count} scenes is none: ask for 1 or more.")
    pixels = Size.of(size)
    if min(pixels) < SMALLEST:
        raise DataError(f"demo images of size {pixels} are too small: ask for {SMALLEST} or more.")
    if kind == "larger" and any(side % 2 for side in pixels):
        raise DataError(f"demo images of size {pixels} have no half: ask for even sides.")
    folder = folder.absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise DataError(f"{folder} is not empty: remove it, or name a folder to be made.")

    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        _write_images(unfinished, _plan(kind, count), pixels, kind)
        (unfinished / README).write_text(_readme(kind, count, pixels), encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def demo_folder(
    kind: str,
    cache: Path,
    *,
    count: int = 400,
    size: AnySize = 256,
) -> Path:
    """Return a folder under `cache` with the data set that `write_demo` writes, made if need be."""
    folder = cache / f"demo-{kind}-{count}-{Size.of(size)}px-v{PAINTER_VERSION}"

    def finished() -> bool:
        return (folder / README).is_file()

    if not finished():
        _log.info("data set: the embedded one, which is painted now (up to a minute)")
        try:
            write_demo(folder, kind, count, size)
        except (DataError, OSError):
            # Another process may have been faster; what it wrote is the same.
            if not finished():
                raise
    return folder


def _plan(kind: str, count: int) -> dict[int, dict[str, str]]:
    """Which images to paint: seed -> sub-folder -> rendering."""
    plan: dict[int, dict[str, str]] = {}

    def add(scenes: Iterable[int], held_out: bool, images: dict[str, str]) -> None:
        for scene in scenes:
            plan[2 * scene + held_out] = images

    held_out = range(max(8, count // 8))
    if kind == "paired" or kind in INSTRUMENTS:
        a, b = INSTRUMENTS.get(kind, ("labels", "photo"))
        add(range(count), False, {"train/A": a, "train/B": b})
        add(held_out, True, {"val/A": a, "val/B": b})
    elif kind == "larger":
        add(range(count), False, {"train/A": HALF, "train/B": "photo"})
        add(held_out, True, {"val/A": HALF, "val/B": "photo"})
    elif kind == "inputs":
        for scenes, held in ((range(count), False), (held_out, True)):
            split = "val" if held else "train"
            inputs = {f"{split}/A/{folder}": of for folder, of in INPUTS.items()}
            add(scenes, held, {**inputs, f"{split}/B": "winter"})
    else:
        sides = {"A": "photo", "B": "winter"} if kind == "unpaired" else DOMAINS
        slash = "" if kind == "unpaired" else "/"
        for i, (side, rendering) in enumerate(sides.items()):
            add(range(i * count, (i + 1) * count), False, {f"train{slash}{side}": rendering})
        add(held_out, True, {f"test{slash}{side}": sides[side] for side in sides})
    return plan


def _write_images(
    folder: Path,
    plan: dict[int, dict[str, str]],
    size: Size,
    kind: str,
) -> None:
    for name in {name for images in plan.values() for name in images}:
        (folder / name).mkdir(parents=True)

    def write(scene: tuple[int, dict[str, str]]) -> int:
        seed, images = scene
        for name, rendering in images.items():
            if rendering in (*RENDERINGS, HALF):
                own = "photo" if rendering == HALF else rendering
                image = Image.fromarray(_middle(paint(seed, max(size), own), size))
                if rendering == HALF:
                    image = image.reduce(2)
                image.save(folder / name / f"{seed:06d}.png", compress_level=3)
            else:
                values = _middle(record(seed, max(size), rendering), size)
                suffix = ".png" if values.shape[2] == 1 else ".tif"
                write_array(values, folder / name / f"{seed:06d}{suffix}", suffix)
        return len(images)

    # Threads, as most of the time is spent in numpy and Pillow, which let others run meanwhile;
    # new processes would each have to import everything, and run the caller's script again.
    pool = ThreadPoolExecutor(min(4, cores()))
    try:
        done, total = 0, sum(map(len, plan.values()))
        with progress(f"painting {kind} scenes") as update:
            for written in pool.map(write, plan.items()):
                done += written
                update(done, total)
    finally:
        pool.shutdown(cancel_futures=True)


def _middle(pixels: Values, size: Size) -> Values:
    """The middle of a square (H, W, ...)."""
    top, left = ((side - own) // 2 for side, own in zip(pixels.shape, size.shape, strict=False))
    return pixels[top : top + size.height, left : left + size.width]


_MORE = {
    "larger": """
A is B at half its width and height, each pixel the mean of four. Train with
--set generator.upscale=2.
""",
    "bands": """
A is six bands of 12 bits: blue, green and red through haze, red edge, near and short-wave infrared.
Train with --set data.A.channels=6 --set "data.A.show=[3, 2, 1]".
""",
    "depth": """
B is the distance in millimetres. Train with --set "data.B.range=[0, 60000]".
""",
    "inputs": """
A is three inputs of each scene: colours, the distance in millimetres, and a label map. A recipe:

  [data.A]
  roots = ["rgb", "depth", "mask"]
  [data.A.parts.depth]
  range = [0, 60000]
  [data.A.parts.mask]
  kind = "labels"
  palette = [
    PALETTE
  ]
""",
    "light": """
A and B are grey of 16 bits. Train with --set data.A.range=auto --set data.B.range=auto.
""",
}


def _readme(kind: str, count: int, size: Size) -> str:
    palette = "\n".join(f"  {label:13} {colour}" for label, colour in LABELS.items())
    colours = ", ".join('"#{:02x}{:02x}{:02x}"'.format(*colour) for colour in LABELS.values())
    return f"""\
Painted scenes of i2i
=====================

Written by "i2i datasets demo" (painter version {PAINTER_VERSION}): {kind}, {count} scenes to train
on in each domain, images of {size.width} x {size.height} pixels.
{_MORE.get(kind, "").replace("PALETTE", colours)}
The name of an image is the seed of its scene, and the same name means the same scene: a held-out
image of one folder is the exact answer to its namesake in the other. Even seeds are for training,
odd seeds are held out. In Python:

  from i2i.data.demo.painter import paint
  paint(seed=1, size={max(size)}, rendering="photo")

Label maps consist of these colours (red, green, blue) only:

{palette}
"""
