"""Run folders as training leaves them, made without training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from i2i.config.recipes import load_options


def make_run(folder: Path, *, steps: int = 400, data: str = "photos", noise: bool = False) -> Path:
    """A run of pix2pix-quick as training leaves it, validated each 100 steps."""
    for name in ("samples", "checkpoints"):
        (folder / name).mkdir(parents=True)
    options = load_options(
        "pix2pix-quick", "objective.l1=50", "train.monitor=l1", f"train.steps={steps}"
    )
    options = options.model_copy(update={"data": options.data.model_copy(update={"root": data})})
    (folder / "options.toml").write_text(options.to_toml(), encoding="utf-8")
    environment = {"device": "cpu", "command": ["i2i", "train"], "packages": {"torch": "2.9"}}
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    rows = []
    for step in range(50, steps + 1, 50):
        train = {"generator/adversarial": 1.2, "generator/l1": 10 / step, "generator/total": 2.0}
        train |= {"discriminator/real": 0.4, "discriminator/fake": 0.4, "discriminator/total": 0.4}
        rows.append({"step": step, **train, "speed/images_per_second": 61.5})
        if step % 100 == 0:
            rows.append({"step": step, "validation/l1": 0.25 - step / 1e4})
            pixels = np.full((60, 90, 3), step % 256, np.uint8)
            if noise:
                pixels = np.random.default_rng(step).integers(0, 256, (60, 90, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "samples" / f"step-{step:08d}.png")
    write_log(folder, rows)
    (folder / "checkpoints" / f"step-{steps:08d}.pt").touch()
    (folder / "checkpoints" / "best.pt").touch()
    return folder


def write_log(folder: Path, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
