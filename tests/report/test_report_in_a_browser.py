"""The report in a real browser without a window: its script runs, and what it draws is there."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from run_folder import make_run

from i2i.report import write_report
from i2i.report.comparison import compare
from i2i.report.comparison_page import comparison_page
from i2i.report.record import read_record
from i2i.report.variants import ComparedRun, last_validation, repeat_of, variants

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--window-size=1000,1400", "--virtual-time-budget=2000"),
)


def browse(page: Path, profile: Path, *flags: str, script: str = "") -> str:
    """Open a page, run a script in it, and return what it has become."""
    assert BROWSER is not None
    acted = page.with_name("acted.html")
    text = page.read_text(encoding="utf-8")
    acted.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, acted.as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.stdout


def visible_sheet(dom: str) -> str:
    (step,) = [
        re.search(r'data-step="(\d+)"', tag)[1]  # type: ignore[index]
        for tag in re.findall(r"<img [^>]*>", dom)
        if not re.search(r" hidden", tag)
    ]
    return step


def test_curves_are_drawn_and_nothing_fails(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "run"))
    failed = "window.onerror = (what) => { document.title = 'failed: ' + what; };"
    dom = browse(page, tmp_path / "profile", "--dump-dom", script=failed)
    assert "<title>run - i2i</title>" in dom
    charts = dom.count('class="card chart"')
    assert charts >= 6
    assert dom.count("<svg") == charts
    assert dom.count('<path class="line"') >= charts
    assert visible_sheet(dom) == "400"
    assert ">step 400<" in dom


def test_the_curves_of_a_variant_have_one_colour_and_one_switch(tmp_path: Path) -> None:
    runs = []
    for name in ("plain", "other"):
        for seed in range(2):
            folder = make_run(tmp_path / f"{name}-{seed}")
            text = (folder / "options.toml").read_text()
            text = text.replace("\nseed = 0\n", f"\nseed = {seed}\n")
            if name == "other":
                text = text.replace("l1 = 50", "l1 = 20")
            (folder / "options.toml").write_text(text)
            record = read_record(folder)
            runs.append(ComparedRun(folder, record, last_validation(record), repeat_of(record)))
    page = tmp_path / "page.html"
    page.write_text(comparison_page(compare(variants(runs))), encoding="utf-8")
    count = """
const chart = document.querySelector(".chart");
const strokes = () => [...chart.querySelectorAll("path.line")].map((line) => line.style.stroke);
const before = strokes();
const buttons = [...chart.querySelectorAll(".legend button")];
buttons[0].click();
const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
document.title = JSON.stringify([buttons.length, before, strokes(), wide]);
"""
    dom = browse(page, tmp_path / "profile", "--dump-dom", script=count)
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    buttons, before, after, wide = json.loads(html.unescape(title[1]))
    assert (buttons, wide) == (2, False)
    assert before == ["var(--c0)"] * 2 + ["var(--c1)"] * 2
    assert after == before[2:]


def test_slider_keys_scale_and_values_under_the_pointer(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "run"))
    script = """
    const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
    press("ArrowLeft"); press("ArrowLeft"); press("ArrowLeft"); press("ArrowRight");
    const svg = document.querySelector(".chart svg");
    const before = [...document.querySelectorAll("path.line")].map((path) => path.outerHTML);
    document.getElementById("log").click();
    const after = [...document.querySelectorAll("path.line")].map((path) => path.outerHTML);
    document.title = "changed " + after.filter((path, i) => path !== before[i]).length;
    const frame = svg.getBoundingClientRect();
    const at = { clientX: frame.right - 20, clientY: frame.top + 50 };
    svg.dispatchEvent(new PointerEvent("pointermove", at));
    """
    dom = browse(page, tmp_path / "profile", "--dump-dom", script=script)
    assert visible_sheet(dom) == "200"
    changed = re.search(r"<title>changed (\d+)", dom)
    assert changed is not None
    assert int(changed[1]) > 0
    tip = re.search(r'<div class="tip" style="[^"]*">(.*?)</div></div>', dom)
    assert tip is not None
    assert "step 400" in tip[1]
    assert "<b>0.4</b>" in tip[1]


@pytest.mark.parametrize("width", [390, 1000])
def test_it_looks_like_something(tmp_path: Path, width: int) -> None:
    page = write_report(make_run(tmp_path / "run", noise=True))
    shot = tmp_path / "shot.png"
    size = f"--window-size={width},1400"
    browse(page, tmp_path / "profile", f"--screenshot={shot}", size)
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert (pixels.sum(2) < 300).mean() > 0.005  # text
    coloured = pixels.max(2) - pixels.min(2) > 60
    assert coloured.mean() > 0.05  # the image grid
    wide = "document.title = `${document.documentElement.scrollWidth <= innerWidth}`"
    assert "<title>true</title>" in browse(page, tmp_path / "p", size, "--dump-dom", script=wide)
