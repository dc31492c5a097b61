"""Many runs on one page: figures, options that differ, curves over each other, sheets in step."""

from html import escape

from i2i import __version__
from i2i.core.signals import explain, read_signal
from i2i.report.comparison import ComparisonTable
from i2i.report.comparison_text import as_latex, number, probability_words
from i2i.report.curves import Chart, charts, thin
from i2i.report.page import curve_section, fill_page, sheet_viewer
from i2i.report.sheets import BUDGET, embed
from i2i.report.variants import ComparedRun

MOST_RUNS = 12
"""Whose image grids are on a page."""

SECTIONS = ("Validation", "Losses")


def comparison_page(table: ComparisonTable, budget: int = BUDGET) -> str:
    """The page of a comparison.

    Arguments:
        table: the figures.
        budget: bytes of all image grids together.
    """
    runs = [run for variant in table.variants for run in variant.runs]
    names = _names(table)
    groups = {names[id(run)]: each.name for each in table.variants for run in each.runs}
    said = f"<p class=lead>{escape(table.said)}</p>" if table.said else ""
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    body = (
        f"<header><h1>{len(runs)} runs compared</h1>{said}</header>",
        _figures(table),
        f"<ul class=soft>{notes}</ul>" if notes else "",
        _options(table),
        curve_section(_charts(runs, names, groups)),
        _sheets(runs, names, budget),
        "<h2>LaTeX</h2><div class=card><pre>" + escape(as_latex(table)) + "</pre></div>",
        f"<footer>Made by <code>i2i compare</code>, version {__version__}.</footer>",
    )
    return fill_page("Runs compared - i2i", "\n".join(body))


def _names(table: ComparisonTable) -> dict[int, str]:
    """What each run is called on the page, by its identity: its variant, and its number there."""
    return {
        id(run): variant.name + (f" ({at})" if len(variant.runs) > 1 else "")
        for variant in table.variants
        for at, run in enumerate(variant.runs, 1)
    }


def _figures(table: ComparisonTable) -> str:
    cards = []
    for measure in table.measures:
        rows = []
        best = table.best(measure) if len(table.variants) > 1 else None
        for cell in table.of(measure):
            deviation = "" if cell.deviation is None else f" ± {number(cell.deviation, 2)}"
            intervals = (
                "" if each is None else f"{number(each.low)} .. {number(each.high)}"
                for each in (cell.over_seeds, cell.over_images)
            )
            test = cell.test
            tests = ["", "", ""]
            if test is not None:
                probabilities = (test.adjusted_over_images, test.adjusted_over_seeds)
                difference = number(test.difference, 3, sign="+")
                tests = [difference, *map(probability_words, probabilities)]
            mean = f"{number(cell.mean)}{deviation}"
            words = [f"<mark>{mean}</mark>" if cell.variant == best else mean, *intervals, *tests]
            cells = "".join(f"<td class=number>{word}</td>" for word in words)
            rows.append(f"<tr><th>{escape(cell.variant)}</th>{cells}</tr>")
        of = table.repeats
        heads = [f"mean ± over {of}", f"95 % over {of}", "95 % over images"]
        heads += [f"- {table.baseline}", "p images", f"p {of}"]
        head = "".join(f"<th class=number>{escape(title)}</th>" for title in heads)
        meaning = explain(measure.partition(" ")[0])
        cards.append(
            f"<div class='card table'><h4>{escape(measure)}</h4><p class=soft>{escape(meaning)}</p>"
            f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            "</div>"
        )
    return f"<h2>Figures</h2>{''.join(cards)}" if cards else ""


def _options(table: ComparisonTable) -> str:
    names = list(dict.fromkeys(name for each in table.variants for name in each.options))
    if not names:
        return ""
    head = "".join(f"<th>{escape(variant.name)}</th>" for variant in table.variants)
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{escape(str(each.options.get(name, '')))}</td>" for each in table.variants)
        + "</tr>"
        for name in names
    )
    return (
        "<h2>Options that differ</h2><div class='card table'>"
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _sheets(runs: list[ComparedRun], names: dict[int, str], budget: int) -> str:
    shown = [run for run in runs if run.record.sheets][:MOST_RUNS]
    viewers = []
    for run in shown:
        sheets, _ = embed(run.record.sheets, budget // max(1, len(shown)))
        if sheets:
            viewers.append(f"<h4>{escape(names[id(run)])}</h4>{sheet_viewer(sheets)}")
    if not viewers:
        return ""
    left = len([run for run in runs if run.record.sheets]) - len(shown)
    said = f"<p class=soft>{left} more runs have image grids.</p>" if left > 0 else ""
    return f"<h2>Image grids, in step</h2>{''.join(viewers)}{said}"


def _charts(runs: list[ComparedRun], names: dict[int, str], groups: dict[str, str]) -> list[Chart]:
    """A chart for each signal that runs have in common with a curve for each of them, those of a
    variant in one colour."""
    found: dict[tuple[str, str], tuple[bool, dict[str, list[tuple[int, float]]]]] = {}
    for run in runs:
        for chart in charts(run.record.rows):
            if chart.section not in SECTIONS:
                continue
            for name, points in chart.curves.items():
                if read_signal(name).copying:
                    continue
                _, curves = found.setdefault((chart.section, name), (chart.smooth, {}))
                curves[names[id(run)]] = thin(points, 300)
    ordered = sorted(found.items(), key=lambda each: SECTIONS.index(each[0][0]))
    return [
        Chart(section, name.removeprefix("validation/"), smooth, curves, groups)
        for (section, name), (smooth, curves) in ordered
    ]
