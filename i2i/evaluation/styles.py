"""The published evaluation of StarGAN v2: each pair of domains, by styles.

Choi et al., "StarGAN v2", CVPR 2020, section 3.1 and appendix C, and the authors' implementation:
every held-out image is translated ten times to each other domain, by styles from noise or by those
of random held-out images of that domain. FID compares all of these with the *training* images of
the domain. LPIPS is the mean over all pairs of the ten outputs of an image: how different they are.
Both are means over the ordered pairs of domains.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from i2i.config import Options
from i2i.core.batch import to_bytes, to_signed
from i2i.core.model import Model
from i2i.core.progress import progress
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.kinds.labelled_images import LabelledImages, first_labelled
from i2i.data.sources import Source
from i2i.errors import DataError, OptionsError
from i2i.metrics.features import Features
from i2i.metrics.frechet import frechet_distance
from i2i.metrics.perceptual import Perceptual
from i2i.metrics.statistics import extract
from i2i.models.starganv2 import StarGANv2

OUTPUTS = 10
BATCH = 16

By = Literal["noise", "reference"]


@dataclass(frozen=True)
class PairOfDomains:
    """What was measured of the translations from one domain to another.

    Attributes:
        source, target: the domains.
        by: where the styles came from.
        images: how many held-out images were translated.
        references: how many training images they were compared with.
        fid: by the network of the evaluation.
        lpips: None for outputs one at a time.
    """

    source: str
    target: str
    by: By
    images: int
    references: int
    fid: float
    lpips: float | None


@torch.no_grad()
def evaluate_styles(
    model: Model,
    options: Options,
    source: Source,
    features: Features,
    perceptual: Perceptual | None,
    *,
    outputs: int = OUTPUTS,
    count: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[PairOfDomains]:
    """Measure all ordered pairs of domains, by noise and by references.

    Arguments:
        model: with its networks as they are used after training.
        options: of the run, with the data that it is measured on.
        source: that data.
        features: what FID compares.
        perceptual: the distance between outputs; None: it is not measured.
        outputs: of each held-out image.
        count: held-out images of each domain, at most.
        seed: of noise and references.
        device: to compute on.

    Raises:
        OptionsError: the model has no styles.
        DataError: a domain has no held-out image.
    """
    if not isinstance(model, StarGANv2):
        raise OptionsError(
            f"--protocol stargan-v2 is for models of styles, which {options.model} is not: leave "
            "it out."
        )
    model = model.to(device)
    names = options.data.labels.names
    held = _by_domain(source.validation, names, count)
    train: Any = source.train
    plain = evaluation_geometry(options.data.crop_size, options.data.resize)
    real = _by_domain(LabelledImages(train.sets, plain, reader=train.reader), names, None)
    statistics = [extract(features, iter(images.split(BATCH))) for images in real]
    found: list[PairOfDomains] = []
    work = [(by, pair) for by in get_args(By) for pair in permutations(range(len(names)), 2)]
    with progress("pairs of domains") as update:
        for done, (by, (of, to)) in enumerate(work):
            update(done, len(work))
            chance = np.random.default_rng((seed, get_args(By).index(by), of, to))
            described, distances = [], []
            for images in held[of].split(BATCH):
                made = [
                    to_bytes(model.translate(to_signed(images.to(device)), style)).cpu()
                    for style in _styles(
                        model, by, held[to], to, len(images), outputs, chance, device
                    )
                ]
                described.append(extract(features, iter(made)))
                if perceptual is not None:
                    apart = [perceptual(one, other) for one, other in combinations(made, 2)]
                    distances += [torch.stack(apart).mean(dim=0)] if apart else []
            found.append(
                PairOfDomains(
                    names[of],
                    names[to],
                    by,
                    len(held[of]),
                    len(real[to]),
                    frechet_distance(torch.cat(described), statistics[to]),
                    torch.cat(distances).mean().item() if distances else None,
                )
            )
        update(len(work), len(work))
    return found


def _styles(
    model: StarGANv2,
    by: By,
    references: Tensor,
    domain: int,
    images: int,
    outputs: int,
    chance: np.random.Generator,
    device: torch.device | str,
) -> Iterator[Tensor]:
    """Styles (`images`, style_dim) of a domain, `outputs` times: another for each image."""
    domains = torch.full((images,), domain, device=device)
    for _ in range(outputs):
        if by == "noise":
            noise = torch.from_numpy(chance.standard_normal((images, model.latent_size)))
            yield model.mapping_network(noise.float().to(device), domains)
        else:
            chosen = torch.from_numpy(chance.integers(len(references), size=images))
            yield model.style_encoder(to_signed(references[chosen].to(device)), domains)


def _by_domain(dataset: Any, names: tuple[str, ...], count: int | None) -> list[Tensor]:
    """The images (N, C, H, W), bytes, of each domain."""
    samples = first_labelled(dataset, None)
    images = [samples.images[samples.labels[:, at] > 0][:count] for at in range(len(names))]
    for name, each in zip(names, images, strict=True):
        if not len(each):
            raise DataError(f"the domain {name!r} has no held-out image to evaluate with.")
    return images


def styles_table(
    pairs: list[PairOfDomains], features: Features, perceptual: Perceptual | None
) -> str:
    """All figures as text, with their means, by noise and by references."""
    arrows = [f"{each.source} -> {each.target}" for each in pairs]
    width = max(map(len, [*arrows, "mean of all pairs"]))
    fid, lpips = f"fid({features.name})", perceptual.name if perceptual else ""
    lines = []
    for by in get_args(By):
        chosen = [(a, each) for a, each in zip(arrows, pairs, strict=True) if each.by == by]
        title = f"styles from {by}"
        lines += [title, "-" * len(title), f"{'':{width}}  {fid}  {lpips}".rstrip()]
        rows = [(arrow, each.fid, each.lpips) for arrow, each in chosen]
        known = [each.lpips for _, each in chosen if each.lpips is not None]
        mean = sum(each.fid for _, each in chosen) / len(chosen)
        rows.append(("mean of all pairs", mean, sum(known) / len(known) if known else None))
        for arrow, distance, apart in rows:
            second = "" if apart is None else f"  {apart:>{len(lpips)}.4f}"
            lines.append(f"{arrow:{width}}  {distance:>{len(fid)}.2f}{second}")
        lines.append("")
    fewest = min(min(each.images, each.references) for each in pairs)
    lines.append(
        f"Warning: the smallest set has {fewest} images, and FID is too high for few: compare it "
        "with that of other models on the same images only."
    )
    return "\n".join(lines)
