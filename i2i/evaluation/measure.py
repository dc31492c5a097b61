"""Measuring a comparison."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from i2i.core.progress import progress
from i2i.errors import DataError, I2iError, OptionsError
from i2i.evaluation.comparisons import Comparison
from i2i.evaluation.figures import (
    MEASURES,
    Evaluation,
    Figure,
    PerImage,
    require_measures,
)
from i2i.evaluation.images import ImageSet, seen
from i2i.metrics.bootstrap import mean_interval
from i2i.metrics.classifier import ClassifierFeatures
from i2i.metrics.features import Features
from i2i.metrics.frechet import frechet_distance, sample_warning
from i2i.metrics.images import MS_SSIM_WEIGHTS, WINDOW, ms_ssim, ms_ssim_scales, psnr, ssim_index
from i2i.metrics.kernel import kernel_distance
from i2i.metrics.neighbours import precision_recall
from i2i.metrics.perceptual import Perceptual
from i2i.metrics.sliced import Normalisation, patch_distance
from i2i.metrics.statistics import extract, remembered

FEW = 10
"""Values of which a bootstrap interval says nothing yet: it is far too narrow, and of one value it
is that value."""

OWN_CLASSIFIER: Literal["classifier"] = "classifier"


@dataclass(frozen=True)
class Tools:
    """What measuring needs beside images.

    `features` and `perceptual` are None where there is no network for them, and then their `why`
    says why; features may also be those of the `OWN_CLASSIFIER` of each comparison. `cache` is the
    folder for features of real images.
    """

    cache: Path
    features: Features | Literal["classifier"] | None = None
    perceptual: Perceptual | None = None
    why: str = "there is no network for it."
    seed: int = 0


def possible(comparison: Comparison, wanted: Sequence[str]) -> tuple[str, ...]:
    """Which of some measures a comparison has everything for."""
    return tuple(name for name in wanted if not _missing(comparison, name))


def require_possible(comparisons: Sequence[Comparison], wanted: Sequence[str]) -> None:
    """Raise DataError for a measure that needs something which no comparison has."""
    for name in wanted:
        reasons = [_missing(comparison, name) for comparison in comparisons]
        if all(reasons):
            raise DataError(f"{name} cannot be measured: {reasons[0]}")


def _missing(comparison: Comparison, name: str) -> str | None:
    if name in get_args(PerImage) and not comparison.pairs:
        return "no image has a partner of the same name."
    if name == "domain-accuracy":
        if comparison.judge is None:
            return "there are no domains to tell apart."
        if comparison.judge.wanted is None:
            return "nothing was asked for."
    if name == "agreement" and comparison.agreement is None:
        return "it takes a model with a categorical code, and images with classes."
    if name == "generated-error" and comparison.generated_error is None:
        return "there is no discriminator: it takes a run (--checkpoint)."
    return None


def evaluate(comparison: Comparison, tools: Tools, wanted: Sequence[str] = ()) -> Evaluation:
    """Measure a comparison.

    Arguments:
        comparison: what is compared with what.
        tools: what it takes.
        wanted: some of `MEASURES`; by default everything that is possible, and what is not is said
            in `Evaluation.skipped`.

    Raises:
        OptionsError: what is wanted is no measure, or a package for it is missing.
        DataError: what is wanted cannot be measured on these images.
    """
    require_measures(wanted)
    require_possible([comparison], wanted)
    measuring = _Measuring(comparison, tools)
    figures: list[Figure] = []
    skipped = []
    for name in wanted or MEASURES:
        if why := _missing(comparison, name):
            skipped.append(f"{name}: {why}")
            continue
        try:
            figures += measuring.measure(name)
        except I2iError as error:
            if wanted:
                raise
            skipped.append(f"{name}: {error}")
    rows = tuple(
        (
            comparison.generated.names[number],
            {name: values[at] for name, values in measuring.each.items()},
        )
        for at, (number, _) in enumerate(comparison.pairs)
    )
    return Evaluation(
        comparison, tuple(figures), rows, tuple(dict.fromkeys(measuring.warnings)), tuple(skipped)
    )


class _Measuring:
    """Measures one comparison, computing features once."""

    def __init__(self, comparison: Comparison, tools: Tools) -> None:
        self.comparison = comparison
        self.tools = tools
        self.each: dict[str, list[float]] = {}
        self.warnings: list[str] = []

    def measure(self, name: str) -> list[Figure]:
        match name:
            case "fid":
                return self._fid()
            case "kid":
                return self._kid()
            case "precision-recall":
                return self._precision_recall()
            case "swd":
                return self._swd("swd", "own")
            case "swd-reference":
                return self._swd("swd-reference", "reference")
            case "domain-accuracy":
                return self._domain_accuracy()
            case "agreement":
                return self._agreement()
            case "generated-error":
                return self._generated_error()
            case "psnr" | "ssim" | "ms-ssim" | "lpips":
                return self._pairs(name)
        raise AssertionError(name)

    @property
    def count(self) -> int:
        return min(len(self.comparison.generated), len(self.comparison.reference))

    @cached_property
    def network(self) -> Features:
        if self.tools.features == OWN_CLASSIFIER:
            if self.comparison.judge is None:
                raise OptionsError("no classifier can be trained: the images have no labels.")
            return ClassifierFeatures(self.comparison.judge.classifier())
        if self.tools.features is None:
            raise OptionsError(self.tools.why)
        return self.tools.features

    @cached_property
    def generated(self) -> Tensor:
        return self._extract(self.comparison.generated)

    @cached_property
    def reference(self) -> Tensor:
        return self._remembered(self.comparison.reference)

    @cached_property
    def sources(self) -> Tensor | None:
        sources = self.comparison.sources
        return None if sources is None else self._remembered(sources)

    def _extract(self, images: ImageSet) -> Tensor:
        total = len(images)
        with progress("describing images") as update:
            return extract(self.network, images.batches(), lambda done: update(done, total))

    def _remembered(self, images: ImageSet) -> Tensor:
        return remembered(
            self.network, images.content(), lambda: self._extract(images), self.tools.cache
        )

    def _fid(self) -> list[Figure]:
        name = f"fid({self.network.name})"
        value = frechet_distance(self.generated, self.reference)
        inputs = None if self.sources is None else frechet_distance(self.sources, self.reference)
        if warning := sample_warning(self.count, self.network.dimension):
            self.warnings.append(f"{name}: {warning}")
        return [Figure(name, value, self.count, inputs=inputs)]

    def _kid(self) -> list[Figure]:
        seed = self.tools.seed
        found = kernel_distance(self.generated, self.reference, seed=seed)
        inputs = None
        if self.sources is not None:
            inputs = kernel_distance(self.sources, self.reference, seed=seed).mean
        details: dict[str, float] = {"subset size": found.subset_size}
        if found.deviation is not None:
            details["deviation over subsets"] = found.deviation
        name = f"kid({self.network.name})"
        return [Figure(name, found.mean, self.count, inputs=inputs, details=details)]

    def _precision_recall(self) -> list[Figure]:
        found = precision_recall(self.generated, self.reference)
        inputs = None if self.sources is None else precision_recall(self.sources, self.reference)
        return [
            Figure(
                f"{name}({self.network.name})",
                getattr(found, name),
                self.count,
                inputs=None if inputs is None else getattr(inputs, name),
            )
            for name in found._fields
        ]

    def _swd(self, name: str, normalisation: Normalisation) -> list[Figure]:
        sets = [self.comparison.generated, self.comparison.reference]
        if self.comparison.sources is not None:
            sets.append(self.comparison.sources)
        shapes = {shape for each in sets for shape in each.shapes()}
        if len(shapes) > 1:
            side = min(min(shape) for shape in shapes)
            name, sets = f"{name}(at {side})", [each.sized(side) for each in sets]

        def distance(images: ImageSet) -> tuple[float, dict[str, float]]:
            found = patch_distance(
                images, sets[1], normalisation=normalisation, seed=self.tools.seed
            )
            return found.mean, {f"{height} px": value for height, value in found.levels.items()}

        value, details = distance(sets[0])
        inputs = None
        if len(sets) > 2 and sets[2][0:1].shape[1] == sets[1][0:1].shape[1]:
            inputs = distance(sets[2])[0]
        return [Figure(name, value, self.count, inputs=inputs, details=details)]

    def _domain_accuracy(self) -> list[Figure]:
        judge = self.comparison.judge
        assert judge is not None
        assert judge.wanted is not None
        classifier = judge.classifier()
        wanted = (
            torch.tensor(classifier.names.index(judge.wanted))
            if isinstance(judge.wanted, str)
            else judge.wanted
        )

        def share(images: ImageSet) -> list[float]:
            sizes = [len(part) for part in images.batches()]
            labels = wanted.expand(len(images)).split(sizes)
            found = map(classifier.recognised, images.batches(), labels)
            return torch.cat(list(found)).float().tolist()

        found = share(self.comparison.generated)
        inputs = None
        if self.comparison.sources is not None:
            sources = share(self.comparison.sources)
            inputs = sum(sources) / len(sources)
        name = f"domain-accuracy(classifier-{classifier.digest})"
        details = {"on real ones": classifier.accuracy, "number of these": classifier.held_out}
        return [self._mean(name, found, inputs, details)]

    def _agreement(self) -> list[Figure]:
        assert self.comparison.agreement is not None
        return [Figure("agreement", self.comparison.agreement(), self.count)]

    def _generated_error(self) -> list[Figure]:
        assert self.comparison.generated_error is not None
        value = self.comparison.generated_error()
        return [Figure("average-generated-error", value, self.count)]

    def _pairs(self, kind: PerImage) -> list[Figure]:
        pairs = self.comparison.pairs
        name, compare = self._per_image(kind)
        values = []
        with progress(f"measuring {kind}") as update:
            for done, (number, partner) in enumerate(pairs, 1):
                part, its = slice(number, number + 1), slice(partner, partner + 1)
                images = self.comparison.generated.signed(part)
                truth = self.comparison.reference.signed(its)
                if images.shape != truth.shape:
                    raise DataError(
                        f"{self.comparison.generated.names[number]!r} has {_size(images)} and its "
                        f"partner {_size(truth)}: bring all images to one size with --size."
                    )
                values.append(compare(images, truth).item())
                update(done, len(pairs))
        self.each[name] = values
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) == len(values):
            return [self._mean(name, values)]
        # Of equal images the PSNR is infinite, and so would any mean be.
        details = {"identical to their truth, left out": len(values) - len(finite)}
        return [self._mean(name, finite or [math.inf], details=details)]

    def _mean(
        self,
        name: str,
        values: Sequence[float],
        inputs: float | None = None,
        details: Mapping[str, float] | None = None,
    ) -> Figure:
        """A mean, with its interval if there are enough values for one."""
        details = details or {}
        if len(values) < FEW:
            mean = sum(values) / len(values)
            return Figure(name, mean, len(values), None, None, inputs, details, few=True)
        interval = mean_interval(values, seed=self.tools.seed)
        return Figure(
            name, interval.mean, len(values), interval.low, interval.high, inputs, details
        )

    def _per_image(self, kind: PerImage) -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
        """The name of a measure, and what computes it for signed images."""
        if kind == "lpips":
            if self.tools.perceptual is None:
                raise OptionsError(self.tools.why)
            perceptual = self.tools.perceptual
            return perceptual.name, lambda one, two: perceptual(seen(one), seen(two))
        if kind == "psnr":
            return kind, psnr
        shapes = self.comparison.generated.some([n for n, _ in self.comparison.pairs]).shapes()
        scales = min(ms_ssim_scales(*shape) for shape in shapes)
        if not scales:
            raise DataError(f"it looks at windows of {WINDOW} x {WINDOW} pixels.")
        if kind == "ssim":
            return kind, ssim_index
        fewer = scales < len(MS_SSIM_WEIGHTS)
        name = f"{kind}({scales} scales)" if fewer else kind
        return name, lambda images, truth: ms_ssim(images, truth, scales)


def _size(images: Tensor) -> str:
    return f"{images.shape[-1]} x {images.shape[-2]} pixels"
