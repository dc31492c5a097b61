#!/usr/bin/env python
"""Measures memory and time of translation at once and in tiles; prints the table of the docs.

Each measurement is a process of its own, with one thread and random weights:

    scripts/measure_tiles.py                      # all, about ten minutes on one core
    scripts/measure_tiles.py 1024x1024 --tile 512 # a size (width x height), and another tile
    scripts/measure_tiles.py --network spade      # one network

Memory is the largest resident size of the process less that before the translation, when network
and image are there already; only Linux tells. What would not fit comfortably into the free memory
is not computed at once. Behind each number stands the estimate that `--tile auto` decides by.
Seconds are those that the processor worked, so that other programs do not matter much.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SIZES = ("256x256", "512x512", "1024x1024", "2048x2048", "6000x4000")
NETWORKS = {
    "resnet": "ResNet of 9 blocks, width 64",
    "unet": "U-Net of 8 downs, width 64",
    "spade": "SPADE of 5 doublings, width 64",
}


def measure(kind: str, width: int, height: int, tile: str) -> None:
    """Translate one image and print what it took."""
    import torch

    from i2i.inference.tiles import Plan
    from i2i.inference.translator import COMFORT, Translator
    from i2i.networks import ResNet, UNet, initialise
    from i2i.networks.spade import SPADEGenerator
    from i2i.system.memory import free_memory

    torch.set_num_threads(1)
    torch.manual_seed(0)
    match kind:
        case "resnet":
            network: Any = ResNet(3, 3, width=64, blocks=9, norm="instance")
        case "unet":
            network = UNet(3, 3, width=64, downs=8, norm="batch")
        case "spade":
            network = SPADEGenerator(3, 3, width=64)
    initialise(network, "normal", 0.02)
    translator = Translator(
        network,
        input_channels=3,
        output_channels=3,
        norm="running" if kind == "spade" else "instance",  # as in the recipes
        dropout=False,
        device="cpu",
        tile="off" if tile == "off" else int(tile),
    )
    translator(torch.zeros(3, 8, 8))  # libraries allocate when they are first used
    multiple = translator.multiple
    sides = (-(-side // multiple) * multiple for side in (height, width))
    plan = Plan(translator.network, 3, *sides)
    estimate = plan.memory_untiled() if tile == "off" else sum(plan.memory_tiled(int(tile)))
    free = free_memory(translator.device)
    found: dict[str, float] = {"estimate": estimate}
    if tile != "off" or free is None or estimate < COMFORT * free:
        image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
        # ru_maxrss would begin with the size of the process that has started this one.
        Path("/proc/self/clear_refs").write_text("5")  # from here on, the peak is a new one
        before = peak_resident()
        start = time.process_time()
        translator(image)
        found["seconds"] = time.process_time() - start
        found["bytes"] = peak_resident() - before
    print(json.dumps(found))


def peak_resident() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return 1024 * int(kilobytes)


def describe(kind: str, size: str, tile: str) -> tuple[str, str]:
    """Return memory and seconds, in words."""
    command = [sys.executable, __file__, size, "--only", kind, "--tile", tile]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    estimate = f"({found['estimate'] / 2**30:.2f})"
    if "bytes" not in found:
        return f"— {estimate}", "—"
    return f"{found['bytes'] / 2**30:.2f} {estimate}", f"{found['seconds']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=SIZES, help="WIDTHxHEIGHT")
    parser.add_argument("--tile", default="256")
    parser.add_argument("--network", choices=NETWORKS, help="instead of all")
    parser.add_argument("--only", choices=NETWORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        width, height = map(int, arguments.sizes[0].split("x"))
        measure(arguments.only, width, height, arguments.tile)
        return
    for kind in [arguments.network] if arguments.network else NETWORKS:
        name = NETWORKS[kind]
        print(f"\n{name}\n", flush=True)
        print(f"| image | at once: GiB | s | tiles of {arguments.tile}: GiB | s |")
        print("|---|---:|---:|---:|---:|", flush=True)
        for size in arguments.sizes:
            cells = [*describe(kind, size, "off"), "as at once", ""]
            if max(map(int, size.split("x"))) > int(arguments.tile):
                cells[2:] = describe(kind, size, arguments.tile)
            print(f"| {size.replace('x', ' x ')} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
