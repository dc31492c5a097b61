"""How the model does on images that it does not learn from."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from i2i.core.batch import AnyBatch, to_device, to_signed, to_travel
from i2i.core.model import Generated
from i2i.core.signals import with_sides
from i2i.errors import OptionsError
from i2i.metrics.classifier import Classifier
from i2i.metrics.distance import Distance
from i2i.metrics.health import health_signals
from i2i.metrics.images import l1_distance, mean_psnr, psnr, ssim_index
from i2i.metrics.measures import Measure
from i2i.runs.image_grid import image_grid
from i2i.runs.marked import marked
from i2i.runs.outputs import signs
from i2i.training.as_used import as_used
from i2i.training.trainer import Trainer

IMAGES = ("outputs", "references", "inputs", "again")
"""What of `Generated` is images."""


class Validation:
    """A fixed sample of held-out images, measured and shown the same way each time.

    The generators run as they do after training: with the moving average where there is one, and in
    the normalisation mode of the recipe.

    Arguments:
        batches: what `model.validation_step` takes, as byte images; kept in memory.
        prepare: puts a network into the mode in which it will be used.
        sheet: how many images the image grid shows.
        rows: what these images are, for its rows; none if nobody knows.
        sides: what the domains A and B are called there.
        seed: of the random numbers that the generators may draw (dropout).
        distance: between sets of images, for what has no truth to be compared with.
        classifier: gives a classifier of the domains; asked at the first validation.
        metrics: what is measured beside, by name (`train.metrics`).

    Attributes:
        marked: pictures of what the last validation found wrong with outputs, by kind and domain.

    Raises:
        OptionsError: one of the metrics fails.
    """

    def __init__(
        self,
        batches: Sequence[AnyBatch],
        prepare: Callable[[nn.Module], None],
        *,
        sheet: int,
        rows: Sequence[str] = (),
        sides: tuple[str, str] = ("A", "B"),
        seed: int = 0,
        distance: Distance | None = None,
        classifier: Callable[[], Classifier] | None = None,
        metrics: Mapping[str, Measure] = MappingProxyType({}),
    ) -> None:
        assert batches
        self.batches = batches
        self.prepare = prepare
        self.seed = seed
        self.distance = distance
        self.classifier = classifier
        self.metrics = metrics
        for name, measure in metrics.items():  # what is wrong must not show after a thousand steps
            image = to_signed(batches[0][-1 if batches[0][-1].ndim == 4 else 0][:1])
            _measured(name, measure, image, image)
        self.sides = sides
        self.references: dict[str, Tensor] = {}
        self.marked: dict[tuple[str, str], Image.Image] = {}
        self._copying: dict[str, float] | None = None
        self.sheet_batch = _first(batches, sheet)
        self.rows = list(rows)[: len(self.sheet_batch[0])]

    def measure(self, trainer: Trainer) -> dict[str, float]:
        """Each measure over all images, and what they tell as a set."""
        model, values, produced = trainer.model, [], []
        with self._as_used(trainer):
            for batch in self.batches:
                on_device = self._to(trainer, batch)
                values.append(model.validation_step(on_device))
                generated = model.generate(on_device).items()
                produced.append({k: _small(v, trainer, k) for k, v in generated})
        measured = model.reduce(
            {name: torch.cat([each[name] for each in values]) for name in values[0]}
        )
        sets = {name: _joined([each[name] for each in produced]) for name in produced[0]}
        if self._copying is None:
            self._copying = self._of_copies(sets)
        found = (
            measured
            | self._signals(sets)
            | {"health/progress": trainer.clock.share}
            | self._distances(sets)
            | self._accuracy(sets)
            | self._measures(sets, measured)
            | self._copying
        )
        self.marked = self._marked(sets, found)
        return found

    def make_ready(self) -> None:
        """Do what is done only once and may take a while: train the classifier."""
        if self.classifier is not None:
            self.classifier()

    def _signals(self, sets: Mapping[str, Generated]) -> dict[str, float]:
        """Signs of generators that fail; see `i2i.runs.health`."""
        found: dict[str, float] = {}
        for name, each in sets.items():
            images = _signed(each)
            signals = health_signals(
                images.outputs,
                images.references,
                images.inputs,
                each.paired,
                labels=each.labels,
                again=images.again,
            )
            ending = f"_{name}" if len(sets) > 1 else ""
            found |= {f"health/{k}{ending}": value.item() for k, value in signals.items()}
        return found

    def _marked(
        self, sets: Mapping[str, Generated], found: Mapping[str, float]
    ) -> dict[tuple[str, str], Image.Image]:
        """Pictures of what is wrong with the outputs, by kind and domain; mostly none."""
        shown = dict.fromkeys(signs({f"validation/{name}": each for name, each in found.items()}))
        only = next(iter(sets))
        return {
            (kind, domain): marked(kind, _signed(sets[domain or only])) for kind, domain in shown
        }

    def _distances(self, sets: Mapping[str, Generated]) -> dict[str, float]:
        if self.distance is None or any(each.paired for each in sets.values()):
            return {}
        # The images to compare with are those of the first time, and so is what is known of them.
        found = {
            name: self.distance.between(
                each.outputs, self.references.setdefault(name, each.references)
            )
            for name, each in sets.items()
        }
        mean = {self.distance.name: sum(found.values()) / len(found)}
        if len(found) == 1:
            return mean
        return mean | {f"{self.distance.name}_{name}": value for name, value in found.items()}

    def _measures(
        self, sets: Mapping[str, Generated], known: Mapping[str, float]
    ) -> dict[str, float]:
        """The metrics that the recipe names, but for what a model measures by itself."""
        found: dict[str, float] = {}
        for name, measure in self.metrics.items():
            if name in known:
                continue
            for which, each in sets.items():
                ending = f"_{which}" if len(sets) > 1 else ""
                images = to_signed(each.outputs), to_signed(each.references)
                found[f"{name}{ending}"] = _measured(name, measure, *images)
        return found

    def _accuracy(self, sets: Mapping[str, Generated]) -> dict[str, float]:
        """The share of images that a classifier takes for what they were asked to be."""
        if self.classifier is None:
            return {}
        classifier = self.classifier()
        shares = [
            classifier.recognised(each.outputs, each.labels.argmax(dim=1)).float().mean().item()
            for each in sets.values()
            if each.labels is not None
        ]
        if not shares:
            return {}
        chance = 1 / len(classifier.names)
        return {"domain_accuracy": sum(shares) / len(shares), "health/chance": chance}

    def _of_copies(self, sets: Mapping[str, Generated]) -> dict[str, float]:
        """What would be measured if each output was its input; these are the same each time."""
        copies = {
            name: each._replace(outputs=each.inputs)
            for name, each in sets.items()
            if each.inputs is not None and each.inputs.shape[1:] == each.references.shape[1:]
        }
        if len(copies) < len(sets):
            return {}
        found = self._distances(copies) | self._accuracy(copies)
        found.pop("health/chance", None)
        for each in copies.values():
            if each.paired and len(copies) == 1:
                images = to_signed(each.outputs), to_signed(each.references)
                found |= {
                    "l1": l1_distance(*images).mean().item(),
                    "psnr": mean_psnr(psnr(*images)).item(),
                    "ssim": ssim_index(*images).mean().item(),
                }
        # The PSNR of inputs that are their own truths is infinite.
        return {f"copying/{name}": v for name, v in found.items() if math.isfinite(v)}

    def show(self, trainer: Trainer) -> Image.Image:
        """The image grid."""
        with self._as_used(trainer):
            columns = trainer.pictures(self._to(trainer, self.sheet_batch))
        return image_grid(
            {with_sides(name, self.sides): images for name, images in columns.items()}, self.rows
        )

    def _to(self, trainer: Trainer, batch: AnyBatch) -> AnyBatch:
        return to_device(batch, trainer.device, trainer.memory_format, trainer.sides)

    def _as_used(self, trainer: Trainer) -> AbstractContextManager[None]:
        single = len(self.batches[0][0]) == 1
        return as_used(trainer, self.prepare, self.seed, single=single)


def _measured(name: str, measure: Measure, outputs: Tensor, references: Tensor) -> float:
    try:
        return measure(outputs, references)
    except Exception as error:
        raise OptionsError(
            f"train.metrics (={name!r}) fails on images of {tuple(outputs.shape)} and "
            f"{tuple(references.shape)}: {type(error).__name__}: {error}."
        ) from error


def _small(produced: Generated, trainer: Trainer, name: str) -> Generated:
    """Images as they travel, out of the way of the device; label maps as pictures.

    An input is not compared with what is made of it where one is a label map.
    """
    sides, side = trainer.sides, trainer.model.side_of(name)
    images = {
        "outputs": (side, produced.outputs),
        "references": (side, produced.references),
        "again": (side, produced.again),
        "inputs": (1 - side, None if any(sides.labels) else produced.inputs),
    }
    as_bytes = not produced.paired and any(sides.scales)  # networks compare them, which see 8 bits
    shown = as_bytes or any(sides.labels)
    small: dict[str, Any] = {}
    for part, (of, each) in images.items():
        if each is not None:
            dtype = torch.uint8 if as_bytes else sides.travels(of)
            each = to_travel(sides.shown(of, each) if shown else each, dtype).cpu()
        small[part] = each
    labels = None if produced.labels is None else produced.labels.cpu()
    return produced._replace(labels=labels, **small)


def _signed(produced: Generated) -> Generated:
    """The same with images in -1..1."""
    parts = {part: getattr(produced, part) for part in IMAGES}
    signed: dict[str, Any] = {
        part: None if images is None else to_signed(images) for part, images in parts.items()
    }
    return produced._replace(**signed)


def _joined(parts: Sequence[Generated]) -> Generated:
    """What was made of several batches."""
    fields: list[Any] = []
    for field in zip(*parts, strict=True):
        whole = all(isinstance(each, Tensor) for each in field)
        of_some = not whole and any(isinstance(each, Tensor) for each in field)
        fields.append(torch.cat(field) if whole else None if of_some else field[0])
    return Generated(*fields)


def _first(batches: Sequence[AnyBatch], count: int) -> AnyBatch:
    """The first `count` samples of some batches, as one batch."""
    fields: list[Tensor] = [torch.cat(parts)[:count] for parts in zip(*batches, strict=True)]
    return type(batches[0])(*fields)
