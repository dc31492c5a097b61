#!/usr/bin/env python3
"""Does StarGAN translate between all of its domains?

On the embedded multi-domain set (day, winter, night, autumn, sketch) the truth is known for the
test scenes. This trains, translates each of them from every domain to every other, and prints PSNR
and SSIM against the truth, beside the same figures for copying the input, and how often a
classifier that was trained apart recognises the domain asked for.

    scripts/benchmark_domains.py                       # 40 minutes on one busy core
    scripts/benchmark_domains.py --run runs/NAME       # a run that is there already, on its own
    data

Of other data sets no truth is known, so that there is only the accuracy.
"""

import json
import sys
from pathlib import Path
from typing import Any

import click


def classifier_of(classes: int) -> Any:
    """A plain convolutional network, nothing like the critic of the run."""
    from torch import nn

    layers: list[nn.Module] = []
    for before, after in ((3, 24), (24, 48), (48, 96), (96, 128)):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(128, classes)]
    return nn.Sequential(*layers, *pool)


def train_classifier(source: Any, classes: int, steps: int, device: Any) -> Any:
    """Train on the images that the run was trained on, all domains alike."""
    import torch
    import torch.nn.functional as F

    from i2i.core.batch import to_device
    from i2i.data.loading.loader import make_loader

    torch.manual_seed(1)
    network = classifier_of(classes).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for batch in make_loader(source.train, batch_size=32, start=0, stop=steps, workers=0):
        images, labels, _ = to_device(batch, device)
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@click.command(help=__doc__)
@click.option("--folder", default="benchmark-domains", type=click.Path(path_type=Path))
@click.option("--run", "run", type=click.Path(path_type=Path), help="Measure this run, train none.")
@click.option("--recipe", default="stargan-quick", show_default=True)
@click.option("--dataroot", help="Folders of domains.  [default: the embedded set]")
@click.option("--size", default=64, show_default=True)
@click.option("--count", default=400, show_default=True, help="Scenes of each domain to train on.")
@click.option("--steps", type=int, help="Default: those of the recipe.")
@click.option("--classifier-steps", default=300, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
def main(
    folder: Path,
    run: Path | None,
    recipe: str,
    dataroot: str | None,
    size: int,
    count: int,
    steps: int | None,
    classifier_steps: int,
    device: str,
    settings: tuple[str, ...],
) -> None:
    import torch

    from i2i.config import read_options
    from i2i.config.recipes import load_options, merge
    from i2i.core.batch import to_signed
    from i2i.data.demo.sets import README, write_demo
    from i2i.data.sources import open_source
    from i2i.inference.load import load_translator
    from i2i.metrics.images import psnr, ssim_index
    from i2i.runs.checkpoint import load_checkpoint
    from i2i.runs.folder import find_checkpoint
    from i2i.runs.image_grid import image_grid
    from i2i.system.device import pick_device
    from i2i.training import session as train

    if run is None:
        data = Path(dataroot) if dataroot else folder / "data"
        if dataroot is None and not data.exists():
            write_demo(data, "domains", count, size)
        changes = [f"data.root={data}", *settings]
        if steps is not None:
            changes.append(f"train.steps={steps}")
        options = load_options(recipe, *changes, size=size)
        outcome = train.start(options, folder / "runs", device=device)
        if outcome.exit_code:
            sys.exit(outcome.exit_code)
        run = outcome.folder

    checkpoint, _ = find_checkpoint(run, Path())
    state = load_checkpoint(checkpoint)
    options = read_options(merge(state["options"], {"data": {"balance": True}}))
    domains = options.data.domains
    source = open_source(options, "domains")
    where = pick_device(device)
    network = train_classifier(source, len(domains), classifier_steps, where)

    by_name: dict[str, dict[str, torch.Tensor]] = {domain: {} for domain in domains}
    validation: Any = source.validation
    for position in range(source.validation_images):
        sample = validation[position]
        file = validation.sets[0].images[validation.index(position)[1]]
        domain = domains[int(sample.labels.argmax())]
        by_name[domain][file.stem] = to_signed(sample.images)
    root = Path(options.data.root)
    known = options.data.root == "demo" or (root / README).is_file()
    real = {domain: torch.stack(list(each.values())) for domain, each in by_name.items()}

    @torch.inference_mode()
    def recognised(images: torch.Tensor) -> torch.Tensor:
        parts = images.to(where).split(32)
        return torch.cat([network(part).argmax(dim=1) for part in parts]).cpu()

    translator = load_translator(run, device=device)
    click.echo(translator.description)
    rows: list[dict[str, Any]] = []
    sheets = {"input": torch.cat([images[:2] for images in real.values()])}
    for to in domains:
        translated = {}
        for start, images in real.items():
            translated[start] = torch.cat([translator(i, domain=to) for i in images.split(16)])
            if start == to:
                continue
            found = recognised(translated[start]) == domains.index(to)
            row: dict[str, Any] = {
                "from": start,
                "to": to,
                "recognised": found.float().mean().item(),
            }
            if known:
                truth = torch.stack([by_name[to][stem] for stem in by_name[start]])
                for name, outputs in (("translated", translated[start]), ("copied", images)):
                    row[f"psnr {name}"] = psnr(outputs, truth).mean().item()
                    row[f"ssim {name}"] = ssim_index(outputs, truth).mean().item()
            rows.append(row)
        sheets[to] = torch.cat([images[:2] for images in translated.values()])
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0] if key[0] in "rps"}
    hits = {
        domain: (recognised(images) == number).float().mean().item()
        for number, (domain, images) in enumerate(real.items())
    }
    folder.mkdir(parents=True, exist_ok=True)
    image_grid(sheets).save(folder / "sheet.png")
    result: dict[str, Any] = {
        "run": str(run),
        "steps": state["step"],
        "real images recognised": hits,
    }
    result |= {"mean": mean, "pairs": rows}
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")

    headings = {"recognised": "recognised"}
    if known:
        headings |= {"psnr translated": "PSNR dB", "psnr copied": "(copied)"}
        headings |= {"ssim translated": "SSIM", "ssim copied": "(copied)"}
    click.echo(f"\n{source.validation_images} test images, {state['step']} steps")
    click.echo(f"{'from':12} {'to':12} " + " ".join(f"{h:>10}" for h in headings.values()))
    for row in sorted(rows, key=lambda row: domains.index(row["from"])):
        click.echo(_line(row["from"], row["to"], row, headings))
    click.echo(_line("mean", "", mean, headings))
    on_real = ", ".join(f"{domain} {share:.0%}" for domain, share in hits.items())
    click.echo(f"real test images that the classifier recognises: {on_real}")
    click.echo(f"image grid: {folder / 'sheet.png'}")


def _line(start: str, to: str, row: dict[str, Any], headings: dict[str, str]) -> str:
    formats = {"recognised": "10.1%", "psnr": "10.2f", "ssim": "10.3f"}
    figures = " ".join(format(row[key], formats[key.split()[0]]) for key in headings)
    return f"{start:12} {to:12} {figures}"


if __name__ == "__main__":
    main()
