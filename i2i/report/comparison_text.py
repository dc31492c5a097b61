"""A comparison of runs as text, CSV, JSON and LaTeX."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from i2i.core.signals import explain, read_signal
from i2i.metrics.significance import Interval
from i2i.report.comparison import FEW, Cell, ComparisonTable, Test
from i2i.report.variants import MANY

LEVEL = 0.05
"""What counts as significant."""


def as_text(table: ComparisonTable) -> str:
    """What a person reads."""
    lines = []
    options = list(dict.fromkeys(name for each in table.variants for name in each.options))
    if len(options) > MANY:
        rows = [[each.name, str(len(each.runs))] for each in table.variants]
        lines += [*aligned([["variant", "runs"], *rows]), ""]
        lines += [f"{len(options)} options differ: --page and --csv show them.", ""]
    elif options:
        rows = [
            [each.name, str(len(each.runs)), *(_word(each.options.get(name)) for name in options)]
            for each in table.variants
        ]
        lines += [*aligned([["variant", "runs", *options], *rows]), ""]
    if table.said:
        lines += [table.said, ""]
    of = table.repeats
    for measure in table.measures:
        meaning = explain(measure.partition(" ")[0])
        lines.append(f"{measure}{f': {meaning}' if meaning else ''}")
        head = ["variant", "mean", f"over {of}", f"95 % over {of}", "95 % over images"]
        head += [f"- {table.baseline}", "p images", f"p {of}"]
        rows = [[_marked(cell, table), *_numbers(cell)] for cell in table.of(measure)]
        empty = [at for at in range(len(head)) if not any(row[at] for row in rows)]
        kept = [[word for at, word in enumerate(row) if at not in empty] for row in [head, *rows]]
        lines += [*aligned(kept), ""]
    if any(cell.test for cell in table.cells):
        lines.append(
            "p: paired, two-sided, corrected for all in its column (Holm); over images by "
            f"Wilcoxon's signed ranks, over {of} by Student's t. *: best mean."
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
        "" if cell.deviation is None else f"± {number(cell.deviation, 2)}",
        _interval(cell.over_seeds),
        _interval(cell.over_images) or few,
        "" if cell.test is None else number(test.difference, 3, sign="+"),
        probability_words(test.adjusted_over_images),
        probability_words(test.adjusted_over_seeds),
    ]


def number(value: float, digits: int = 4, *, sign: Literal["-", "+"] = "-") -> str:
    """A figure for a person: so many digits, zeros in the end too, which tell how exact it is."""
    return f"{value:{sign}#.{digits}g}".rstrip(".")


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
    marks += f"{table.repeats} (paired t), p < {LEVEL:g}, Holm's correction"
    return "\n".join(
        [
            *(f"% {line}" for line in about),
            f"% Mean $\\pm$ standard deviation over {runs} {table.repeats}. {marks}.",
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
        text += rf" \pm {number(cell.deviation, 2)}"
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
