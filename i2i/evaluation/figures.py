"""What can be measured of a comparison, and what was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from i2i.core.signals import Better, read_signal
from i2i.errors import OptionsError, did_you_mean
from i2i.evaluation.comparisons import Comparison

PerImage = Literal["psnr", "ssim", "ms-ssim", "lpips"]

MEASURES = (
    "fid",
    "kid",
    "precision-recall",
    "swd",
    "swd-reference",
    *get_args(PerImage),
    "domain-accuracy",
    "agreement",
    "generated-error",
)
"""What can be measured, by the names that a person chooses them by."""

WORST_BY: tuple[PerImage, ...] = ("lpips", "ms-ssim", "ssim", "psnr")
"""What decides on the worst images, the best judge first."""


@dataclass(frozen=True)
class Figure:
    """One number.

    Its `name` tells it from every other: it says by which network features were computed.
    `low` and `high` are the 95 % bootstrap interval of a mean, and `few` says that there is none
    for want of values; `inputs` is the same figure for what the generator was given, a baseline;
    `details` are further numbers that belong to it.
    """

    name: str
    value: float
    images: int
    low: float | None = None
    high: float | None = None
    inputs: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    few: bool = False

    @property
    def better(self) -> Better:
        """Which way is better."""
        metric = read_signal(self.name).metric
        assert metric is not None, self.name
        return metric.better


@dataclass(frozen=True)
class Evaluation:
    """All figures of a comparison.

    `images` has a row for each pair, its numbers by name; `warnings` say what not to conclude,
    and `skipped` what could not be measured, and why.
    """

    comparison: Comparison
    figures: tuple[Figure, ...]
    images: tuple[tuple[str, Mapping[str, float]], ...]
    warnings: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """The name of each figure -> its value."""
        return {figure.name: figure.value for figure in self.figures}

    def worst(self, count: int) -> tuple[str, list[int]]:
        """The numbers of the worst pairs, the worst first, and the name of what decided."""
        known = self.images[0][1] if self.images else {}
        for kind in WORST_BY:
            for name in known:
                signal = read_signal(name)
                if signal.base.removesuffix("-unweighted") == kind:
                    assert signal.metric is not None
                    order = sorted(
                        range(len(self.images)),
                        key=lambda i: self.images[i][1][name],
                        reverse=not signal.metric.higher_is_better,
                    )
                    return name, order[:count]
        return "", []


def require_measures(wanted: Sequence[str]) -> None:
    """Raise OptionsError for what is no measure."""
    for name in wanted:
        if name not in MEASURES:
            raise OptionsError(
                f"{name!r} is no measure.{did_you_mean(name, MEASURES)} They are: "
                f"{', '.join(MEASURES)}."
            )
