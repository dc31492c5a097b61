"""Many runs side by side: means over seeds, and whether they differ by more than chance."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from i2i.core.signals import read_signal
from i2i.errors import OptionsError, did_you_mean
from i2i.metrics.bootstrap import mean_interval
from i2i.metrics.significance import Interval, holm, paired_t, t_interval, wilcoxon
from i2i.report.variants import Variant

FEW = 10
"""Images of which there is no interval."""


@dataclass(frozen=True)
class Test:
    """A variant beside the one that all are compared with.

    `difference` is that of the means. The probabilities are those of such a difference or a larger
    one by chance: over images (Wilcoxon's signed ranks, of each image the mean over the seeds) and
    over seeds (Student's paired t), None where there are too few; the adjusted ones are corrected
    for all tests of their kind in the table (Holm).
    """

    difference: float
    over_images: float | None = None
    over_seeds: float | None = None
    adjusted_over_images: float | None = None
    adjusted_over_seeds: float | None = None


@dataclass(frozen=True)
class Cell:
    """A measure of a variant.

    `values` are those of its runs; `deviation` is that over the runs, None of one; the intervals
    (95 %) are kept apart, since they answer different questions: what another seed would give, and
    what other images would.
    """

    variant: str
    measure: str
    values: tuple[float, ...]
    mean: float
    deviation: float | None
    over_seeds: Interval | None
    images: int
    over_images: Interval | None
    test: Test | None


@dataclass(frozen=True)
class ComparisonTable:
    """Variants side by side.

    `cells` has one for each variant and measure, by measure; `said` tells on which images the
    figures are; `notes` say what not to conclude.
    """

    variants: tuple[Variant, ...]
    measures: tuple[str, ...]
    baseline: str
    cells: tuple[Cell, ...]
    said: str
    notes: tuple[str, ...]

    @property
    def repeats(self) -> str:
        """What the runs of a variant differ in: "seeds", "folds", or "runs" if in both."""
        told: dict[str, bool] = {}
        for name in ("train.seed", "data.fold"):
            told[name] = any(
                len({run.record.options.get(name) for run in variant.runs}) > 1
                for variant in self.variants
            )
        if all(told.values()):
            return "runs"
        return "folds" if told["data.fold"] else "seeds"

    def of(self, measure: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.measure == measure]

    def best(self, measure: str) -> str | None:
        """The variant with the best mean; None where no way is better."""
        signal = read_signal(measure.partition(" ")[0])
        if signal.metric is None or signal.metric.higher_is_better is None:
            return None
        pick: Callable[..., Cell] = max if signal.metric.higher_is_better else min
        return pick(self.of(measure), key=lambda cell: cell.mean).variant


def compare(
    variants: Sequence[Variant],
    *,
    measures: Sequence[str] = (),
    baseline: str | None = None,
    said: str = "",
) -> ComparisonTable:
    """Compare variants.

    Arguments:
        variants: at least one.
        measures: names of figures, in full or without what is in parentheses behind them; by
            default those that all runs have.
        baseline: the variant that the others are compared with; by default the first one.
        said: on which images the figures are.

    Raises:
        OptionsError: there is no such variant or measure.
    """
    names = [variant.name for variant in variants]
    if baseline is not None and baseline not in names:
        raise OptionsError(
            f"There is no variant {baseline!r}.{did_you_mean(baseline, names)} There are: "
            f"{'; '.join(names)}."
        )
    baseline = names[0] if baseline is None else baseline
    chosen, notes = _measures(variants, measures)
    first = next(variant for variant in variants if variant.name == baseline)
    cells = [
        _cell(variant, first, measure)
        for measure in chosen
        for variant in sorted(variants, key=lambda each: each.name != baseline)
    ]
    return ComparisonTable(
        tuple(variants),
        chosen,
        baseline,
        tuple(_adjusted(cells)),
        said,
        (*notes, *_notes(variants)),
    )


def _measures(
    variants: Sequence[Variant], wanted: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Those that all runs have, and a note of the others."""
    runs = [run for variant in variants for run in variant.runs]
    names = list(dict.fromkeys(name for run in runs for name in run.figures.values))
    common = [name for name in names if all(name in run.figures.values for run in runs)]
    left = [name for name in names if name not in common]
    notes = [f"Some runs have no figure of {', '.join(left)}."] if left and not wanted else []
    if not wanted:
        return tuple(common), notes
    found = []
    for word in wanted:
        fitting = [name for name in common if word in _called(name)]
        if not fitting:
            raise OptionsError(
                f"{word!r} is no figure that all of the runs have.{did_you_mean(word, common)} "
                f"They have: {', '.join(common) or 'none in common'}."
            )
        found += fitting
    return tuple(dict.fromkeys(found)), notes


def _called(name: str) -> set[str]:
    """What a figure may be asked for as: in full, or without what it was measured with."""
    base = read_signal(name.partition(" ")[0]).base
    return {name, base, base.removesuffix("-unweighted")}


def _cell(variant: Variant, baseline: Variant, measure: str) -> Cell:
    values = [run.figures.values[measure] for run in variant.runs]
    images = _per_image(variant, measure)
    over_images = None
    if len(images) >= FEW:
        _, low, high = mean_interval(list(images.values()))
        over_images = Interval(low, high)
    return Cell(
        variant.name,
        measure,
        tuple(values),
        float(np.mean(values)),
        float(np.std(values, ddof=1)) if len(values) > 1 else None,
        t_interval(values),
        len(images),
        over_images,
        None if variant is baseline else _test(variant, baseline, measure),
    )


def _per_image(variant: Variant, measure: str) -> dict[str, float]:
    """Of each image that all runs of a variant have measured the mean over these."""
    each = [run.figures.images.get(measure, {}) for run in variant.runs]
    common = [name for name in each[0] if all(name in own for own in each)] if each else []
    return {name: float(np.mean([own[name] for own in each])) for name in common}


def _test(variant: Variant, baseline: Variant, measure: str) -> Test:
    own, other = (_per_image(each, measure) for each in (variant, baseline))
    images = [name for name in own if name in other]
    by_repeat = [
        {run.repeat: run.figures.values[measure] for run in each.runs}
        for each in (variant, baseline)
    ]
    repeats = [repeat for repeat in by_repeat[0] if repeat in by_repeat[1]]
    means = [float(np.mean(list(each.values()))) for each in by_repeat]
    return Test(
        means[0] - means[1],
        wilcoxon([own[name] for name in images], [other[name] for name in images]),
        paired_t(*([each[repeat] for repeat in repeats] for each in by_repeat)),
    )


def _adjusted(cells: Sequence[Cell]) -> Iterator[Cell]:
    """Correct the probabilities for the number of tests, those over images and over seeds apart."""
    corrected: dict[str, dict[int, float]] = {}
    for kind in ("over_images", "over_seeds"):
        tested = {
            at: probability
            for at, cell in enumerate(cells)
            if cell.test is not None and (probability := getattr(cell.test, kind)) is not None
        }
        corrected[kind] = dict(zip(tested, holm(list(tested.values())), strict=True))
    for at, cell in enumerate(cells):
        if cell.test is None:
            yield cell
            continue
        test = Test(
            cell.test.difference,
            cell.test.over_images,
            cell.test.over_seeds,
            *(corrected[kind].get(at) for kind in ("over_images", "over_seeds")),
        )
        yield Cell(**{**vars(cell), "test": test})


def _notes(variants: Sequence[Variant]) -> Iterator[str]:
    runs = [run for variant in variants for run in variant.runs]
    data = {
        str(environment["data"])
        for run in runs
        for _, environment in run.record.environments[:1]
        if "data" in environment
    }
    folds = {run.record.options.get("data.fold") for run in runs}
    if len(data) > 1 and len(folds) == 1:
        yield ("The runs were not all trained on the same images, so a difference may be theirs.")
    repeats = {variant.name: [run.repeat for run in variant.runs] for variant in variants}
    counts = {len(each) for each in repeats.values()}
    if len(counts) > 1:
        told = ", ".join(f"{name} {len(each)}" for name, each in repeats.items())
        yield f"The variants have different numbers of seeds: {told}."
    if counts == {1} and len(variants) > 1:
        yield "With one seed of each, nothing is known of how much another seed would change."
