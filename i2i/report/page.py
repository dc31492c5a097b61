"""The page: a record as one HTML file, with its style, its script and all images inside.

Everything that comes from a run is escaped, so that the name of a folder or a label cannot become
part of the page; a policy in its head forbids the browser to fetch anything at all.
"""

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from statistics import median
from string import Template
from typing import Any

from i2i import __version__
from i2i.core.signals import explain, with_named_sides
from i2i.errors import RunError
from i2i.report.curves import Chart, charts
from i2i.report.record import Record, read_record
from i2i.report.sheets import BUDGET, Sheet, embed, encode, evenly
from i2i.runs.health import KINDS, TOO_EARLY, is_early, judged, verdicts
from i2i.runs.improvement import improvement
from i2i.runs.marked import marked_file
from i2i.runs.outputs import flaws
from i2i.runs.verdict import Verdict
from i2i.system.atomic import write_text

EVIDENCE = 7
"""Validations that are shown beside what is said of the progress, and the best of all."""

VISIBLE_SIDE = 600
"""Pixels that a sheet is wide on the page, at least: smaller ones are enlarged by whole numbers."""


def write_report(folder: Path, output: Path | None = None) -> Path:
    """Make the page of a run, write it atomically, and return its path.

    Arguments:
        folder: of the run.
        output: the file; by default report.html in the folder.

    Raises:
        RunError: the folder is none of a run, or the file cannot be written.
    """
    page = render(read_record(folder))
    output = folder / "report.html" if output is None else output
    try:
        write_text(output, page)
    except OSError as error:
        raise RunError(
            f"{output} cannot be written ({error.strerror}): give another place with --output."
        ) from error
    return output


def render(record: Record, budget: int = BUDGET) -> str:
    """Return the page of a run.

    Arguments:
        record: of the run.
        budget: bytes of all image grids together.
    """
    body = (
        _head(record),
        _health(record),
        _progress(record),
        _sheets(*embed(record.sheets, budget), len(record.sheets)),
        curve_section(charts(record.rows), record.sides),
        _figures(record),
        _options(record),
        _environments(record.environments),
        f"<footer>Made by <code>i2i report</code>, version {__version__}.</footer>",
    )
    return fill_page(f"{record.name} - i2i", "\n".join(body))


def fill_page(title: str, body: str) -> str:
    """A whole page with its style and its script.

    Arguments:
        title: as text.
        body: as HTML.
    """
    return Template(_asset("page.html")).substitute(
        title=escape(title),
        style=_asset("page.css") + _asset("curves.css"),
        script=_asset("curves.js") + _asset("page.js"),
        body=body,
    )


def _asset(name: str) -> str:
    return files("i2i.report").joinpath(name).read_text(encoding="utf-8")


def _head(record: Record) -> str:
    options = record.options
    lead = [_text(options[name]) for name in ("summary", "data.root") if options.get(name)]
    planned = options.get("train.steps")
    tiles = [("steps", str(record.steps), f"of {_text(planned)}" if planned else "")]
    if record.monitor is not None:
        name, better = record.monitor
        points = _points(record, f"validation/{name}")
        flawed = {row["step"] for row in record.rows if flaws(row, name)}
        points = [point for point in points if point[0] not in flawed] or points
        if points:
            best = {"lower": min, "higher": max}[better](points, key=lambda point: point[1])
            tiles.append((f"best {name}", _number(best[1]), f"at step {best[0]}"))
    if "data.crop_size" in options:
        tiles.append(("image size", _text(_size(options["data.crop_size"])), "pixels"))
    speeds = [value for _, value in _points(record, "speed/images_per_second")]
    if speeds:
        tiles.append(("speed", f"{median(speeds):.3g}", "images/s"))
    if record.environments:
        device = record.environments[-1][1].get("device", "unknown")
        tiles.append(("device", _text(device), ""))
    cells = "".join(
        f"<div class=card><dt>{escape(name)}</dt>"
        f"<dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
        for name, value, unit in tiles
    )
    return (
        f"<header><h1>{escape(record.name)}</h1>"
        f"<p class=lead>{escape(' · '.join(lead))}</p><dl class=tiles>{cells}</dl></header>"
    )


def _health(record: Record) -> str:
    found = verdicts(record.rows, monitor=record.monitor, sides=record.sides)
    known = judged(record.rows, monitor=record.monitor)
    cards = [
        "<div class='card verdict'>"
        f"<h4>{escape(verdict.kind)}, since step {verdict.since}</h4>"
        f"<p>{escape(verdict.text)}</p><p>{escape(verdict.advice)}</p>"
        f"<p class=evidence>{escape(_list(verdict.evidence))}</p>{_marked(record, verdict)}</div>"
        for verdict in found
    ]
    unknown = [kind for kind in KINDS if kind not in known]
    looked = f"Looked for: {', '.join(known)}." if known else ""
    missing = (
        f"Not judged, for want of a signal or of time: {', '.join(unknown)}." if unknown else ""
    )
    early = is_early(known)
    if found:
        title = "Nothing else was found"
    else:
        title = TOO_EARLY[0].upper() + TOO_EARLY[1:] if early else "No sign of trouble"
    cards.append(
        f"<div class='card verdict {'open' if found or early else 'good'}'><h4>{title}</h4>"
        f"<p>{looked}</p><p class=soft>{missing}</p></div>"
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in record.notes)
    return f"<h2>Verdict</h2>{''.join(cards)}" + (f"<ul class=soft>{notes}</ul>" if notes else "")


def _progress(record: Record) -> str:
    """Whether the run still improves, and the numbers that say so."""
    found = improvement(record.rows, record.monitor)
    if found is None:
        return ""
    title = {
        "early": "It cannot be said yet",
        "improving": "It still improves",
        "over": "It no longer improves",
    }[found.state]
    said = found.text(record.sides)
    chosen = evenly(len(found.points), min(EVIDENCE, len(found.points)))
    shown = sorted({found.points[0], found.best, *(found.points[number] for number in chosen)})
    cells = "".join(
        f"<tr{' class=best' if point == found.best else ''}><th>step {point[0]}</th>"
        f"<td class=number>{_number(point[1])}</td>"
        f"<td class=soft>{'the best' if point == found.best else ''}</td></tr>"
        for point in shown
    )
    return (
        "<h2>When to stop</h2>"
        f"<div class='card verdict {'good' if found.state == 'improving' else 'open'}'>"
        f"<h4>{title}</h4><p>{escape(said[0].upper() + said[1:])}</p>"
        f"<table><thead><tr><th></th><th class=number>{escape(found.measure)}</th><th></th></tr>"
        f"</thead><tbody>{cells}</tbody></table></div>"
    )


def _marked(record: Record, verdict: Verdict) -> str:
    """The picture of a verdict, with the places that show it most; "" where there is none."""
    path = marked_file(record.marked, verdict.kind, verdict.player)
    sheet = encode(verdict.step, path) if path.is_file() else None
    if sheet is None:
        return ""
    return (
        f'<img class="marked" alt="{escape(verdict.kind)} at step {sheet.step}" '
        f'width="{sheet.width}" height="{sheet.height}" src="{sheet.uri}">'
    )


def _sheets(sheets: list[Sheet], unreadable: int, total: int) -> str:
    notes = []
    if len(sheets) + unreadable < total:
        notes.append(
            f"{len(sheets)} of {total} sheets, evenly spread over the training: more would make "
            "this file too large to handle."
        )
    if unreadable:
        notes.append(f"{unreadable} of {total} image grids cannot be read.")
    said = "".join(f"<p class=soft>{note}</p>" for note in notes)
    if not sheets:
        return said
    return f"<h2>Image grids</h2>{sheet_viewer(sheets, said)}"


def sheet_viewer(sheets: Sequence[Sheet], said: str = "") -> str:
    """Image grids, of which a slider shows one; several viewers on a page move together.

    Arguments:
        sheets: at least one, oldest first.
        said: HTML that stands below them.
    """
    last = len(sheets) - 1
    images = "\n".join(_image(sheet, shown=sheet is sheets[-1]) for sheet in sheets)
    return f"""<section class="card sheets fit">
<div class=controls>
<span class=step>step {sheets[-1].step}</span>
<input type=range min=0 max={last} value={last} step=1 aria-label="training time">
<button type=button aria-pressed=true>fit to window</button>
</div>
<div class=frame>{images}</div>
<p class="soft hint">The arrow keys move through training time.</p>
{said}
</section>"""


def _image(sheet: Sheet, *, shown: bool) -> str:
    enlarged = max(1, math.ceil(VISIBLE_SIDE / sheet.width))
    width, height = sheet.width * enlarged, sheet.height * enlarged
    return (
        f'<img class="sheet{" small" if enlarged > 1 else ""}" data-step="{sheet.step}" '
        f'alt="image grid of step {sheet.step}" width="{width}" height="{height}" '
        f'style="--width:{width}px;--ratio:{width / height:.4f}" '
        f'src="{sheet.uri}"{"" if shown else " hidden"}>'
    )


def curve_section(own: list[Chart], sides: tuple[str, str] = ("A", "B")) -> str:
    """Charts with their curves, below a heading.

    Arguments:
        own: the charts.
        sides: what two domains are called.
    """
    if not own:
        return ""
    data = [
        {
            "section": chart.section,
            "title": chart.title,
            "smooth": chart.smooth,
            "groups": list(dict.fromkeys(chart.groups.values())),
            "curves": [
                {
                    "name": with_named_sides(name, sides),
                    "points": points,
                    "group": chart.groups.get(name, with_named_sides(name, sides)),
                }
                for name, points in chart.curves.items()
            ],
        }
        for chart in own
    ]
    parts = [
        f"<h3>{escape(section)}</h3><div class=charts>"
        + "".join(
            f"<div class='card chart'><h4 title='{escape(_legend(each, sides))}'>"
            f"{escape(with_named_sides(each.title, sides))}</h4></div>"
            for each in group
        )
        + "</div>"
        for section, group in groupby(own, key=lambda chart: chart.section)
    ]
    return f"""<h2>Curves</h2>
<div class=controls>
<button type=button id=log aria-pressed=false>logarithmic</button>
<label>smoothing <input type=range id=smoothing min=0 max=0.98 step=0.02 value=0.6>
<output id=amount>0.60</output></label>
</div>
{"".join(parts)}
<script type="application/json" id=curves>{_json(data)}</script>"""


def _legend(chart: Chart, sides: tuple[str, str]) -> str:
    """What the curves of a chart are, a line each."""
    lines = {with_named_sides(name, sides): explain(name, sides) for name in chart.curves}
    return "\n".join(f"{name}: {meaning}" for name, meaning in lines.items() if meaning)


def _json(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _figures(record: Record) -> str:
    names = sorted({name for row in record.rows for name in row if name.startswith("validation/")})
    rows = []
    for name in names:
        points = _points(record, name)
        if points:
            low, high = (pick(points, key=lambda point: point[1]) for pick in (min, max))
            cells = [_number(points[-1][1]), *(f"{_number(v)} (step {s})" for s, v in (low, high))]
            title = with_named_sides(name.removeprefix("validation/"), record.sides)
            numbers = "".join(f"<td class=number>{cell}</td>" for cell in cells)
            meaning = explain(name, record.sides)
            rows.append((title, f"{numbers}<td class=soft>{escape(meaning)}</td>"))
    if not rows:
        return ""
    head = "".join(f"<th class=number>{title}</th>" for title in ("last", "lowest", "highest"))
    body = "".join(f"<tr><th>{escape(title)}</th>{cells}</tr>" for title, cells in rows)
    return (
        "<h2>Validation figures</h2><div class='card table'>"
        f"<table><thead><tr><th></th>{head}<th></th></tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )


def _options(record: Record) -> str:
    if not record.options:
        return ""
    about = (
        f"<p class=soft>Compared with the recipe <code>{escape(record.recipe)}</code>; "
        "<mark>what differs</mark> is marked, with the recipe's value behind it.</p>"
        if record.recipe
        else ""
    )
    # Keys of no section come first, as in the file.
    paths = sorted(record.options, key=lambda path: _section(path) != "run")
    cards = []
    for section, group in groupby(paths, key=_section):
        rows = "".join(_option(record, path) for path in group)
        cards.append(f"<div class=card><h3>{escape(section)}</h3><table>{rows}</table></div>")
    return f"<h2>Options</h2>{about}<div class=sections>{''.join(cards)}</div>"


def _section(path: str) -> str:
    return path.partition(".")[0] if "." in path else "run"


def _option(record: Record, path: str) -> str:
    name, value = path.partition(".")[2] or path, escape(_text(record.options[path]))
    if path in record.usual:
        usual = record.usual[path]
        value = f"<mark>{value}</mark>" + (
            "" if usual in (None, "") else f" <span class=soft>{escape(_text(usual))}</span>"
        )
    return f"<tr><th>{escape(name)}</th><td>{value}</td></tr>"


def _environments(environments: Iterable[tuple[int, Mapping[str, Any]]]) -> str:
    cards = []
    for step, environment in environments:
        title = f"resumed at step {step}" if step else "start"
        rows = "".join(
            f"<tr><th>{escape(str(name))}</th><td>{_fact(name, value)}</td></tr>"
            for name, value in environment.items()
        )
        cards.append(f"<div class=card><h3>{title}</h3><table>{rows}</table></div>")
    return f"<h2>Environment</h2><div class=sections>{''.join(cards)}</div>" if cards else ""


def _fact(name: str, value: Any) -> str:
    if name == "command" and isinstance(value, list):
        return f"<code>{escape(shlex.join(map(str, value)))}</code>"
    if isinstance(value, Mapping):
        return "<br>".join(escape(f"{key} {_text(own)}") for key, own in value.items())
    return escape(_text(value))


def _points(record: Record, name: str) -> list[tuple[int, float]]:
    """The finite values of a scalar, with their steps."""
    return [
        (row["step"], row[name])
        for row in record.rows
        if row.get(name) is not None and math.isfinite(row[name])
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _size(value: Any) -> Any:
    """A size as an options file has it, for a person."""
    return "x".join(map(str, value)) if isinstance(value, list) else value


def _number(value: float) -> str:
    return f"{value:.4g}"


def _list(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in numbers.items())
