#!/usr/bin/env python
"""What it is worth to begin from weights that are there: figures on held-out images, over seeds.

    scripts/finetune.py --folder /tmp/finetune

Paints 50 landscapes in autumn with their label maps, and 64 that are held out. `zoo:landscape` has
learnt other scenes, in summer. Both runs of each seed have the same networks, data and steps; one
begins from nothing, the other with those weights.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

from PIL import Image

import i2i
from i2i.data.demo.painter import paint

FIRST = 1_000_000
"""Seeds of scenes that the weights have never seen."""


def paint_pairs(folder: Path, count: int, held_out: int, size: int) -> None:
    """Label maps (A) and the same scenes in autumn (B)."""
    for split, begin, number in (("train", 0, count), ("val", count, held_out)):
        for side, rendering in (("A", "labels"), ("B", "autumn")):
            target = folder / split / side
            target.mkdir(parents=True, exist_ok=True)
            for scene in range(FIRST + begin, FIRST + begin + number):
                pixels = paint(scene, size, rendering)
                Image.fromarray(pixels).save(target / f"{scene}.png")


def figures(run: Path) -> dict[int, dict[str, float]]:
    """Step -> what its validation measured."""
    found = {}
    for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "validation/psnr" in row:
            found[row["step"]] = {k: row[f"validation/{k}"] for k in ("psnr", "ssim", "l1")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="for data and runs")
    parser.add_argument("--from", dest="source", default="zoo:landscape")
    parser.add_argument("--images", type=int, default=50, help="to train on")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    told = parser.parse_args()
    data = told.folder / f"autumn-{told.images}"
    if not data.exists():
        paint_pairs(data, told.images, 64, 72)
    common = {
        "train.steps": told.steps,
        "train.validate_every_steps": max(1, told.steps // 3),
        "train.validation_images": 64,
        "train.validation_share": 1.0,
        "generator.width": 20,
        "discriminator.width": 20,
        "data.workers": 0,
    }
    results: dict[str, list[dict[int, dict[str, float]]]] = {"from nothing": [], told.source: []}
    for seed in range(told.seeds):
        for name, init in (("from nothing", ""), (told.source, told.source)):
            arm = {"train.seed": seed, "train.init_from": init}
            outcome = i2i.train(
                "pix2pix-quick",
                {**common, **arm},
                dataroot=data,
                runs_dir=told.folder / "runs",
                device="cpu",
            )
            results[name].append(figures(outcome.folder))
    for step in results["from nothing"][0]:
        for name, runs in results.items():
            row = [f"{key} {mean(run[step][key] for run in runs):.3f}" for key in runs[0][step]]
            spread = [run[step]["psnr"] for run in runs]
            each = ", ".join(f"{value:.2f}" for value in spread)
            print(f"step {step:5}  {name:14}  {'  '.join(row)}  (psnr of the seeds: {each})")


if __name__ == "__main__":
    main()
