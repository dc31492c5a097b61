"""Many runs side by side: means over seeds, and whether they differ by more than chance."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from i2i.core.signals import explain, read_signal
from i2i.errors import OptionsError, did_you_mean
from i2i.metrics.bootstrap import mean_interval
from i2i.metrics.significance import Interval, holm, paired_t, t_interval, wilcoxon
from i2i.report.variants import Variant

FEW = 10
"""Images of which there is no interval."""

LEVEL = 0.05
"""What counts as significant."""


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
        fitting = [name for name in common if word in (name, read_signal(name.split()[0]).base)]
        if not fitting:
            raise OptionsError(
                f"{word!r} is no figure that all of the runs have.{did_you_mean(word, common)} "
                f"They have: {', '.join(common) or 'none in common'}."
            )
        found += fitting
    return tuple(dict.fromkeys(found)), notes


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


def as_text(table: ComparisonTable) -> str:
    """What a person reads."""
    lines = []
    options = list(dict.fromkeys(name for each in table.variants for name in each.options))
    if options:
        rows = [
            [each.name, str(len(each.runs)), *(_word(each.options.get(name)) for name in options)]
            for each in table.variants
        ]
        lines += [*aligned([["variant", "runs", *options], *rows]), ""]
    if table.said:
        lines += [table.said, ""]
    for measure in table.measures:
        meaning = explain(measure.partition(" ")[0])
        lines.append(f"{measure}{f': {meaning}' if meaning else ''}")
        head = ["variant", "mean", "over seeds", "95 % over seeds", "95 % over images"]
        head += [f"- {table.baseline}", "p images", "p seeds"]
        rows = [[_marked(cell, table), *_numbers(cell)] for cell in table.of(measure)]
        empty = [at for at in range(len(head)) if not any(row[at] for row in rows)]
        kept = [[word for at, word in enumerate(row) if at not in empty] for row in [head, *rows]]
        lines += [*aligned(kept), ""]
    if any(cell.test for cell in table.cells):
        lines.append(
            "p: paired, two-sided, corrected for all in its column (Holm); over images by "
            "Wilcoxon's signed ranks, over seeds by Student's t. *: best mean."
        )
    return "\n".join([*lines, *(f"Note: {note}" for note in table.notes)])


def _marked(cell: Cell, table: ComparisonTable) -> str:
    best = len(table.variants) > 1 and cell.variant == table.best(cell.measure)
    return cell.variant + (" *" if best else "")


def _numbers(cell: Cell) -> list[str]:
    test = cell.test or Test(0.0)
    few = f"{cell.images} images" if 0 < cell.images < FEW else ""
    return [
        number(cell.mean),
        "" if cell.deviation is None else f"± {cell.deviation:.2g}",
        _interval(cell.over_seeds),
        _interval(cell.over_images) or few,
        "" if cell.test is None else f"{test.difference:+.3g}",
        probability_words(test.adjusted_over_images),
        probability_words(test.adjusted_over_seeds),
    ]


def number(value: float) -> str:
    """A figure for a person."""
    return f"{value:.4g}"


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{number(interval.low)} .. {number(interval.high)}"


def probability_words(value: float | None) -> str:
    """A probability for a person; "" where there is none."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def as_csv(table: ComparisonTable) -> str:
    """A line for each variant and measure, with everything that is known of it."""
    options = list(dict.fromkeys(name for each in table.variants for name in each.options))
    by_name = {variant.name: variant for variant in table.variants}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["variant", *options, "measure", "better", "runs", "mean", "deviation over seeds"]
        + [f"{end} over {what}" for what in ("seeds", "images") for end in ("low", "high")]
        + ["images", "difference"]
        + [f"p over {what}{how}" for what in ("images", "seeds") for how in ("", ", Holm")]
    )
    for cell in table.cells:
        test = cell.test
        metric = read_signal(cell.measure.partition(" ")[0]).metric
        known = by_name[cell.variant].options
        writer.writerow(
            [cell.variant, *(_word(known.get(name)) for name in options), cell.measure]
            + [
                metric.better if metric else "",
                len(cell.values),
                cell.mean,
                _cell_of(cell.deviation),
            ]
            + [
                _cell_of(end)
                for each in (cell.over_seeds, cell.over_images)
                for end in each or ("", "")
            ]
            + [cell.images, *([""] * 5 if test is None else map(_cell_of, _in_order(test)))]
        )
    return text.getvalue()


def _in_order(test: Test) -> list[float | None]:
    return [
        test.difference,
        test.over_images,
        test.adjusted_over_images,
        test.over_seeds,
        test.adjusted_over_seeds,
    ]


def _cell_of(value: Any) -> Any:
    return "" if value is None else value


def as_json(table: ComparisonTable) -> str:
    """Everything, with the figures of each run."""
    return json.dumps(
        {
            "baseline": table.baseline,
            "said": table.said,
            "variants": [
                {
                    "name": variant.name,
                    "options": dict(variant.options),
                    "runs": [
                        {
                            "run": str(run.folder),
                            "step": run.figures.step,
                            "figures": dict(run.figures.values),
                        }
                        for run in variant.runs
                    ],
                }
                for variant in table.variants
            ],
            "table": [asdict(cell) for cell in table.cells],
            "notes": list(table.notes),
        },
        indent=2,
        default=str,
    )


def as_latex(table: ComparisonTable) -> str:
    """A table for a paper (package booktabs): a row for each variant, a column for each measure,
    the mean and the deviation over the seeds; the best mean is bold."""
    arrows = {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}
    heads = []
    for measure in table.measures:
        metric = read_signal(measure.partition(" ")[0]).metric
        heads.append(latex(measure) + arrows.get(metric.better if metric else "", ""))
    rows = []
    for variant in sorted(table.variants, key=lambda each: each.name != table.baseline):
        cells = [
            _latex_cell(cell, bold=table.best(cell.measure) == variant.name)
            for measure in table.measures
            for cell in table.of(measure)
            if cell.variant == variant.name
        ]
        rows.append(" & ".join([latex(variant.name), *cells]) + r" \\")
    about = [*filter(None, [table.said]), *table.notes]
    runs = max(len(variant.runs) for variant in table.variants)
    marks = (
        "$^{*}$ and $^{\\dagger}$: different from the first row over images (Wilcoxon) and over "
    )
    marks += f"seeds (paired t), p < {LEVEL:g}, Holm's correction"
    return "\n".join(
        [
            *(f"% {line}" for line in about),
            f"% Mean $\\pm$ standard deviation over {runs} seeds. {marks}.",
            rf"\begin{{tabular}}{{l{'r' * len(heads)}}}",
            r"\toprule",
            " & ".join(["", *heads]) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _latex_cell(cell: Cell, *, bold: bool) -> str:
    mean = number(cell.mean)
    text = rf"\mathbf{{{mean}}}" if bold else mean
    if cell.deviation is not None:
        text += rf" \pm {cell.deviation:.2g}"
    test = cell.test or Test(0.0)
    marks = "*" if _significant(test.adjusted_over_images) else ""
    marks += r"\dagger" if _significant(test.adjusted_over_seeds) else ""
    return f"${text}{f'^{{{marks}}}' if marks else ''}$"


def _significant(probability: float | None) -> bool:
    return probability is not None and probability < LEVEL


def latex(text: str) -> str:
    """A text with what means something to LaTeX taken literally."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {letter: f"\\{letter}" for letter in "&%$#_{}"}
    return "".join(special.get(letter, letter) for letter in text)
