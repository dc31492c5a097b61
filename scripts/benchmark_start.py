#!/usr/bin/env python
"""How long a training with very many images takes to begin, and the memory of its processes.

Makes a data set of small images, most of them hard links to a few files, so that a million take
the room of their names; and trains one step on it, as often as is asked for, with a cache of its
own. Says for each start how long all of it took, beside a data set of ten images, and the peak
memory of each process.

    scripts/benchmark_start.py /tmp/made --images 60000
    scripts/benchmark_start.py /tmp/made --images 1000000 --kind single

Linux only: the memory comes from /proc.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click

DIFFERENT = 64
"""Files of a side that are not links; ext4 takes 65,000 links to each."""

RECIPES = {"paired": "pix2pix-quick", "single": "r3gan-quick", "unpaired": "cyclegan-quick"}


def paint(folder: Path, count: int, colour: int) -> None:
    """A folder of small images, named by number."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    generator = np.random.default_rng(colour)
    for number in range(count):
        path = folder / f"{number:07d}.png"
        if number < DIFFERENT:
            coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(path)
        else:
            os.link(folder / f"{number % DIFFERENT:07d}.png", path)


def made(at: Path, kind: str, images: int) -> Path:
    root = at / f"{kind}-{images}"
    if not root.exists():
        if kind == "single":
            paint(root / "train", images, 0)
        else:
            for colour, side in enumerate("AB"):
                paint(root / f"train{side}", images // 2, colour)
    return root


def peaks(parent: int) -> dict[int, tuple[str, float]]:
    """Process -> its name and its peak memory in MiB, of a process and all that it has started."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        above = int(re.search(r"PPid:\s+(\d+)", text)[1])  # type: ignore[index]
        children.setdefault(above, []).append(int(status.parent.name))
    found, waiting = {}, [parent]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            text = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        if peak := re.search(r"VmHWM:\s+(\d+)", text):
            words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            name = "worker" if any(b"forkserver" in word for word in words) else "training"
            found[process] = name, int(peak[1]) / 1024
    return found


def start(root: Path, kind: str, at: Path, more: tuple[str, ...]) -> str:
    """Train one step; say the seconds that it took, by the clock and of the processor, and the
    peaks of memory."""
    shutil.rmtree(at / "run", ignore_errors=True)
    began = time.perf_counter()
    command = [sys.executable, "-m", "i2i", "train", "--recipe", RECIPES[kind], "--dataroot", root]
    command += ["--name", at / "run", "--steps", "1", "--size", "32", "--keep", "off", *more]
    environment = os.environ | {"I2I_CACHE": str(at / "cache"), "OMP_NUM_THREADS": "1"}
    seen: dict[int, tuple[str, float]] = {}
    with (at / "output").open("w") as output:
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=output, stderr=output
        )
        while True:
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            seen |= peaks(process.pid)
            time.sleep(0.1)
    seconds = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise click.ClickException((at / "output").read_text())
    large = [f"{name} {peak:.0f} MiB" for name, peak in seen.values() if peak > 100]
    own = used.ru_utime + used.ru_stime
    return f"{seconds:.1f} s, {own:.1f} s of the processor, {', '.join(large)}"


@click.command(help=__doc__)
@click.argument("at", type=click.Path(path_type=Path))
@click.option("--images", default=60_000, show_default=True)
@click.option("--kind", type=click.Choice(list(RECIPES)), default="paired", show_default=True)
@click.option("--starts", default=2, show_default=True)
@click.argument("more", nargs=-1)
def main(at: Path, images: int, kind: str, starts: int, more: tuple[str, ...]) -> None:
    at.mkdir(parents=True, exist_ok=True)
    few, many = made(at, kind, 20), made(at, kind, images)
    shutil.rmtree(at / "cache", ignore_errors=True)
    for root in [few, *[many] * starts]:
        click.echo(f"{root.name}: {start(root, kind, at, more)}")


if __name__ == "__main__":
    main()
