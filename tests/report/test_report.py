"""The report of a run: what is on the page, of runs that are whole, cut short, or hostile."""

import base64
import io
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from run_folder import make_run, write_log

from i2i.errors import RunError
from i2i.report import read_record, render, write_report
from i2i.report.curves import charts, thin
from i2i.report.sheets import embed, evenly
from i2i.runs.folder import find_checkpoint
from i2i.runs.log import read_log
from i2i.runs.marked import write_marked

HOSTILE = (
    """</script><script>alert("x")</script><img src=http://example.com/a.png onerror='x'>&amp;"""
)


class Page(HTMLParser):
    """What a browser would see of a page: its elements, its text, and its JSON."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.json: Any = None
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attributes}
        self.elements.append((tag, own))
        self._inside = "json" if own.get("type") == "application/json" else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "json":
            self.json = json.loads(data)
        elif self._inside not in ("script", "style"):
            self.text += data + " "

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder: Path) -> Page:
    return Page(render(read_record(folder)))


def test_what_is_on_the_page(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path / "my-run"))
    assert "my-run" in page.text
    assert "0.21" in page.text  # the best validation/l1, at the end
    assert "at step 400" in page.text
    assert "61.5" in page.text
    assert "i2i train" in page.text  # the command
    assert "torch 2.9" in page.text

    sheets = page.all("img")
    assert [sheet["data-step"] for sheet in sheets] == ["100", "200", "300", "400"]
    assert ["hidden" in sheet for sheet in sheets] == [True, True, True, False]
    for sheet in sheets:
        kind, _, data = sheet["src"].partition(";base64,")
        assert kind == "data:image/jpeg"
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert image.size == (90, 60)
        expected = int(sheet["data-step"]) % 256
        np.testing.assert_allclose(np.asarray(image.convert("L")), expected, atol=2)
    (slider,) = [each for each in page.all("input") if "aria-label" in each]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "3", "3")

    curves = {curve["name"]: curve["points"] for chart in page.json for curve in chart["curves"]}
    assert curves["validation/l1"] == [[100, 0.24], [200, 0.23], [300, 0.22], [400, 0.21]]
    assert curves["generator/l1"][0] == [50, 0.2]
    boxes = [each for each in page.all("div") if each.get("class") == "card chart"]
    assert len(boxes) == len(page.json)


def test_options_that_differ_from_the_recipe_are_marked(tmp_path: Path) -> None:
    record = read_record(make_run(tmp_path / "run"))
    assert record.recipe == "pix2pix-quick"
    assert record.usual == {"data.root": "", "objective.l1": 100.0, "train.steps": 2500}
    html = render(record)
    assert "<mark>50.0</mark> <span class=soft>100.0</span>" in html
    assert "<mark>photos</mark>" in html
    assert html.count("<mark>") == 3 + 1  # and one that says what it means


def test_nothing_is_fetched_from_anywhere(tmp_path: Path) -> None:
    html = render(read_record(make_run(tmp_path / "run")))
    page = Page(html)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "data", "action", "poster"):
                assert value.startswith("data:image/jpeg;base64,")
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:;")
    # The name of a vocabulary is all that looks like an address.
    assert html.replace("http://www.w3.org/2000/svg", "").count("://") == 0
    assert "@import" not in html
    assert "url(" not in html


def test_names_from_outside_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    plain = page_of(make_run(tmp_path / "plain"))
    run = make_run(tmp_path / "run<b>&", data=HOSTILE)
    for path, step in (("environment.json", 0), ("environment-00000100.json", 100)):
        environment = {HOSTILE: HOSTILE, "device": HOSTILE, "command": [HOSTILE, step]}
        (run / path).write_text(json.dumps(environment), encoding="utf-8")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    write_log(run, [row | {HOSTILE: 1.0, f"validation/{HOSTILE}": 2.0} for row in rows])
    page = page_of(run)
    assert "run<b>&" in page.text
    assert page.text.count(HOSTILE) >= 6
    for tag in ("script", "img", "b"):
        extra = len(page.all(tag)) - len(plain.all(tag))
        assert extra == 0, tag
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert HOSTILE in {curve["name"] for chart in page.json for curve in chart["curves"]}


def _no_log(run: Path) -> None:
    (run / "log.jsonl").unlink()


def _empty_log(run: Path) -> None:
    (run / "log.jsonl").write_text("")


def _broken_log(run: Path) -> None:
    with (run / "log.jsonl").open("ab") as file:
        file.write(b'\xff\x00\n[1]\n{"step": 1e3}\n{"step": 450, "generator/l1": 0.')


def _no_sheets(run: Path) -> None:
    shutil.rmtree(run / "samples")


def _broken_sheets(run: Path) -> None:
    whole = (run / "samples" / "step-00000400.png").read_bytes()
    (run / "samples" / "step-00000400.png").write_bytes(whole[: len(whole) // 2])
    (run / "samples" / "notes.png").write_bytes(b"")


def _no_options(run: Path) -> None:
    (run / "options.toml").unlink()


def _broken_options(run: Path) -> None:
    (run / "options.toml").write_text("model = ")


def _foreign_options(run: Path) -> None:
    (run / "options.toml").write_text('model = "of tomorrow"\nlevel = [1, {a = 2}]\n')


def _broken_environment(run: Path) -> None:
    (run / "environment.json").write_text("[")


def _only_weights(run: Path) -> None:
    _no_log(run)
    _no_sheets(run)


def _only_checkpoints(run: Path) -> None:
    _only_weights(run)
    _no_options(run)
    (run / "environment.json").unlink()


@pytest.mark.parametrize(
    ("damage", "note"),
    [
        (_no_log, "There is no log."),
        (_empty_log, "The log is empty."),
        (_broken_log, "The log has 4 broken lines, left out here."),
        (_no_sheets, "There are no image grids."),
        (_broken_sheets, "1 of 4 image grids cannot be read."),
        (_no_options, "options.toml cannot be read"),
        (_broken_options, "options.toml is not valid TOML"),
        (_foreign_options, "of tomorrow"),
        (_broken_environment, "environment.json cannot be read."),
        (_only_weights, "There is no log."),
        (_only_checkpoints, "options.toml cannot be read"),
    ],
)
def test_a_damaged_run_has_a_report(
    tmp_path: Path, damage: Callable[[Path], None], note: str
) -> None:
    run = make_run(tmp_path / "run")
    damage(run)
    page = page_of(run)
    assert note in page.text
    assert "400" in page.text  # the last checkpoint, at least, says how far it came
    assert ("Looked for:" not in page.text) == (not (run / "log.jsonl").exists() or not page.json)


def test_a_short_run_is_judged_as_at_its_end(tmp_path: Path) -> None:
    run = make_run(tmp_path / "short")
    page = page_of(run)
    assert "Too early to judge (see docs/health.md)" in page.text
    assert "No sign of trouble" not in page.text
    write_log(run, [*read_log(run / "log.jsonl").rows, {"step": 450, "generator/l1": math.inf}])
    assert "Too early" not in page_of(run).text
    assert "No sign of trouble" in page_of(make_run(tmp_path / "long", steps=1000)).text


def test_values_that_are_not_finite_are_no_json_and_a_verdict(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    write_log(run, [*rows, {"step": 450, "generator/l1": None, "generator/total": math.inf}])
    page = page_of(run)
    assert "not finite, since step 450" in page.text
    curves = {curve["name"]: curve["points"] for chart in page.json for curve in chart["curves"]}
    assert curves["generator/l1"][-1][0] == 400


def test_numbers_that_no_float_holds_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with (run / "log.jsonl").open("a") as file:
        file.write(f'{{"step": {10**400}}}\n{{"step": 450, "generator/l1": {10**400}}}\n')
    record = read_record(run)
    assert record.rows[-1] == {"step": 450}
    assert "1 broken line," in Page(render(record)).text


def test_a_verdict_comes_with_its_advice(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    rows = [{"step": step, "validation/l1": 0.2} for step in range(100, 3000, 100)]
    write_log(run, rows)
    text = page_of(run).text
    assert "no progress, since step 200" in text
    assert "best.pt holds the best" in text


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "facades")
    with pytest.raises(RunError, match="Did you mean 'facades'"):
        read_record(tmp_path / "facade")
    (tmp_path / "images").mkdir()
    with pytest.raises(RunError, match=r"neither options\.toml nor"):
        read_record(tmp_path / "images")


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert write_report(run) == run / "report.html"
    before = (run / "report.html").read_text(encoding="utf-8")
    assert write_report(run).read_text(encoding="utf-8") == before
    with pytest.raises(RunError, match="--output"):
        write_report(run, tmp_path / "nowhere" / "a.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RunError, match="--output"):
        write_report(run, tmp_path / "folder.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "run"]
    assert not list(run.glob("*partial*"))


def test_sheets_are_thinned_evenly_to_the_budget(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=4000, noise=True)
    record = read_record(run)
    whole, unreadable = embed(record.sheets)
    assert unreadable == 0
    assert len(whole) == 40
    budget = sum(len(sheet.uri) for sheet in whole) // 4
    some, _ = embed(record.sheets, budget)
    assert 8 <= len(some) <= 10
    assert sum(len(sheet.uri) for sheet in some) <= budget
    assert (some[0].step, some[-1].step) == (100, 4000)
    gaps = np.diff([sheet.step for sheet in some])
    assert gaps.max() - gaps.min() <= 100
    assert len(embed(record.sheets, most=7)[0]) == 7
    assert embed(record.sheets, budget=10) == ([], 0)
    text = Page(render(record, budget)).text
    assert f"{len(some)} of 40 sheets" in text


def test_large_sheets_are_made_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 300)).save(tmp_path / "step-00000001.png")
    ((sheet,), _) = embed([(1, tmp_path / "step-00000001.png")])
    assert (sheet.width, sheet.height) == (2400, 120)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_even_choices(total_and_count: tuple[int, int]) -> None:
    total, count = total_and_count
    chosen = evenly(total, count)
    assert len(set(chosen)) == count
    assert chosen == sorted(chosen)
    assert chosen[-1] == total - 1
    assert chosen[0] == (0 if count > 1 else total - 1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(4, 60))
def test_thinned_curves_keep_their_peaks(values: list[float], most: int) -> None:
    points = list(enumerate(values))
    kept = thin(points, most)
    assert len(kept) <= max(most, 1)
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert {0, len(values) - 1} <= {step for step, _ in kept}
    for pick in (min, max):
        expected = pick(values)
        assert pick(v for _, v in kept) == pytest.approx(expected, rel=1e-4)


def test_what_belongs_together_is_in_one_chart() -> None:
    names = [
        *("generators/adversarial_A", "generators/adversarial_B", "generators/cycle_A"),
        *("generators/total", "discriminators/total", "discriminators/real_A"),
        *("discriminators/fake_A", "validation/l1", "validation/psnr"),
        *("validation/health/copy", "validation/health/copy_truth", "learning_rate/generators"),
        *("validation/discriminator_A/score_real", "discriminator_A/score_real", "unknown"),
        *("discriminator_A/accuracy", "generators/gradient_norm", "speed/steps_per_second"),
    ]
    found = charts([{"step": 1} | dict.fromkeys(names, 1.0)])
    assert {(chart.section, tuple(chart.curves)) for chart in found} == {
        ("Losses", ("generators/adversarial_A", "generators/adversarial_B")),
        ("Losses", ("generators/cycle_A",)),
        ("Losses", ("generators/total", "discriminators/total")),
        ("Losses", ("discriminators/real_A", "discriminators/fake_A")),
        ("Validation", ("validation/l1",)),
        ("Validation", ("validation/psnr",)),
        ("Health", ("validation/health/copy", "validation/health/copy_truth")),
        ("Health", ("validation/discriminator_A/score_real",)),
        ("Health", ("discriminator_A/score_real",)),
        ("Health", ("discriminator_A/accuracy",)),
        ("Health", ("generators/gradient_norm",)),
        ("Machine", ("learning_rate/generators",)),
        ("Machine", ("speed/steps_per_second",)),
        ("Other", ("unknown",)),
    }
    assert len({(chart.section, chart.title) for chart in found}) == len(found)
    assert not next(c for c in found if "learning_rate/generators" in c.curves).smooth
    assert next(c for c in found if "generators/total" in c.curves).smooth


def test_names_are_explained_where_they_stand(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    rows = [{"step": 1, "validation/cycle_A": 0.1, "validation/cycle_B": 0.2, "generator/l1": 1.0}]
    write_log(run, rows)
    page = page_of(run)
    assert (
        "mean absolute difference after there and back, of A (0..2; lower is better)" in page.text
    )
    titles = [each.get("title", "") for each in page.all("h4")]
    assert any(
        title.startswith("validation/cycle_A: mean") and "\nvalidation/cycle_B: mean" in title
        for title in titles
    )


def test_domains_are_called_as_their_folders(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    text = (run / "options.toml").read_text()
    text = text.replace('root = "photos"', 'root = "my/Summer"')
    text = re.sub(r'root_b = ".*"', 'root_b = "my/Winter"', text)
    (run / "options.toml").write_text(text)
    write_log(run, [{"step": 1, "validation/swd-reference_AtoB": 0.1}])
    assert ", Summer to Winter (lower is better)" in page_of(run).text


def test_the_recipe_is_the_one_that_the_command_names(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for words, recipe in (
        (["i2i", "train", "--model", "pix2pix"], "pix2pix"),
        (["i2i", "train", "--recipe=pix2pix-small"], "pix2pix-small"),
        (["i2i", "train", "--recipe", "mine.toml"], "pix2pix-quick"),  # that of the same summary
        (["train.py"], "pix2pix-quick"),
        ("nothing", "pix2pix-quick"),
    ):
        (run / "environment.json").write_text(json.dumps({"command": words}))
        assert read_record(run).recipe == recipe


def test_a_folder_of_runs_is_none_and_names_the_newest(tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    for number, name in enumerate(("first", "second")):
        folder = make_run(runs / name) / "checkpoints"
        os.utime(folder, (number, number))
    with pytest.raises(RunError) as refused:
        read_record(runs)
    assert str(refused.value) == (
        f"{runs} is no run but holds 2: name one of them, such as the newest, '{runs / 'second'}'."
    )
    with pytest.raises(RunError, match="Did you mean 'second'"):
        read_record(runs / "secnod")
    with pytest.raises(RunError, match="is no run but holds 2"):
        find_checkpoint(runs, tmp_path)
    empty = runs / "first" / "samples"
    with pytest.raises(RunError) as refused:
        read_record(empty)
    assert "Did you mean" not in str(refused.value)


def test_a_measure_that_nobody_knows_any_more_is_a_note(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    options = (run / "options.toml").read_text().replace('monitor = "l1"', 'monitor = "iou"')
    (run / "options.toml").write_text(options)
    record = read_record(run)
    assert record.monitor is None
    assert any("(='iou')" in note for note in record.notes)


def test_when_to_stop_is_said_with_its_numbers(tmp_path: Path) -> None:
    text = " ".join(page_of(make_run(tmp_path / "long", steps=900)).text.split())
    assert "When to stop It still improves It still improves: l1, mean absolute" in text
    assert "was 0.24 at step 100, 0.19 at step 600, and is 0.16 at step 900." in text
    assert "step 900 0.16 the best" in text
    text = " ".join(page_of(make_run(tmp_path / "short", steps=400)).text.split())
    assert "It cannot be said yet" in text


def test_figures_carry_the_names_of_the_sides(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "split.json").write_text(
        json.dumps({"version": 1, "splits": {}, "sides": ["Summer", "Winter"]})
    )
    write_log(folder, [{"step": 100, "validation/swd_AtoB": 0.5, "generators/cycle_A": 0.2}])
    page = page_of(folder)
    assert "swd_SummertoWinter" in page.text
    names = [curve["name"] for chart in page.json for curve in chart["curves"]]
    assert sorted(names) == ["generators/cycle_Summer", "validation/swd_SummertoWinter"]


def test_a_verdict_shows_where(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    signs = {"validation/health/grid_AtoB": 60.0, "validation/health/grid_BtoA": 50.0}
    rows = [{"step": step, **signs} for step in range(200, 600, 100)]
    write_log(folder, rows)
    picture = Image.new("RGB", (40, 30), (200, 30, 30))
    pictures = {("periodic pattern", "AtoB"): picture, ("outputs blurred", ""): picture}
    write_marked(folder / "marked", pictures)
    (shown,) = [each for each in page_of(folder).all("img") if each["class"] == "marked"]
    assert shown["alt"] == "periodic pattern at step 500"
    assert shown["src"].startswith("data:image/jpeg;base64,")
    assert (shown["width"], shown["height"]) == ("40", "30")
    # What the next validation does not find any more, is not shown any more.
    write_marked(folder / "marked", {("outputs blurred", ""): picture})
    assert [path.name for path in (folder / "marked").iterdir()] == ["outputs-blurred.png"]
    assert all(each["class"] != "marked" for each in page_of(folder).all("img"))
    (folder / "marked" / "periodic-pattern-AtoB.png").write_bytes(b"no picture")
    assert all(each["class"] != "marked" for each in page_of(folder).all("img"))
