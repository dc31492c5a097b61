"""The page of `i2i app` in a real browser: Chromium, driven by Playwright."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from i2i.inference.folder import translate_folder
from i2i.inference.load import load_translator

PAGES = {
    "runs": "li.run",
    "translate": ".pills button",
    "sample": ".grid img",
    "data": ".pills button",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_load_and_fit_a_phone(page: Any, url: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    if scheme == "dark":
        page.set_viewport_size({"width": 360, "height": 700})
    for name, there in PAGES.items():
        page.click(f"nav a[href='#{name}']")
        page.wait_for_selector(f"#{name} {there}")
        assert page.locator("main > section:visible").count() == 1
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than the screen"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = np.mean([int(each) for each in paper.strip("rgb()").split(",")[:3]])
    assert brightness < 60 if scheme == "dark" else brightness > 200


def drop(page: Any, files: dict[str, bytes]) -> None:
    """Drop files on the page, as a file manager does."""
    told = {name: list(data) for name, data in files.items()}
    page.evaluate(
        """(files) => {
          const carried = new DataTransfer();
          for (const [name, bytes] of Object.entries(files)) {
            const type = name.endsWith("zip") ? "" : "image/png";
            carried.items.add(new File([Uint8Array.from(bytes)], name, { type }));
          }
          const options = { dataTransfer: carried, bubbles: true, cancelable: true };
          document.querySelector(".drop").dispatchEvent(new DragEvent("drop", options));
        }""",
        told,
    )


def shown(page: Any, alt: str) -> Any:
    """The pixels of the image that is shown, (H, W, 4)."""
    width, height, values = page.eval_on_selector(
        f"img[alt='{alt}']",
        """(image) => {
          const [width, height] = [image.naturalWidth, image.naturalHeight];
          const canvas = document.createElement("canvas");
          Object.assign(canvas, { width, height });
          const drawn = canvas.getContext("2d");
          drawn.drawImage(image, 0, 0);
          return [width, height, [...drawn.getImageData(0, 0, width, height).data]];
        }""",
    )
    return np.array(values, np.uint8).reshape(height, width, 4)


def pixels(path: Path) -> Any:
    return np.asarray(Image.open(path).convert("RGBA"))


def test_what_is_dropped_becomes_what_translate_makes_of_it(
    page: Any, url: str, root: Path, tmp_path: Path
) -> None:
    translate_folder(
        load_translator(root / "runs" / "tiny", device="cpu"), root / "images", tmp_path
    )
    page.goto(f"{url}/#translate/tiny")
    page.wait_for_selector(".pills button[value=last]")
    files = {path.name: path.read_bytes() for path in (root / "images").iterdir()}
    drop(page, files)
    for name in files:
        page.wait_for_selector(f"img[alt='{name}, after']")
        assert np.array_equal(shown(page, f"{name}, after"), pixels(tmp_path / name))
        assert np.array_equal(shown(page, f"{name}, before"), pixels(root / "images" / name))
    with page.expect_download() as saved:
        page.click("text=Download all")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == {
            name: (tmp_path / name).read_bytes() for name in files
        }
    # A checkpoint beside another; zooming into one view zooms into all of the image.
    page.click(".pills button[value='4']")
    page.wait_for_selector("img[alt='photo.png step 4, after']")
    page.click("button[aria-label='zoom into photo.png']")
    turned = page.locator("article:has-text('photo.png') .stage img").evaluate_all(
        "(images) => images.map((image) => image.style.transform)"
    )
    assert len(turned) == 4
    assert {each.partition("scale")[2] for each in turned} == {"(1.5)"}


def test_an_archive_is_unpacked_in_the_browser_and_domains_stand_side_by_side(
    page: Any, url: str, root: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(root / "images" / "photo.png", "deep/photo.png")
        archive.writestr("readme.txt", "no image")
    page.goto(f"{url}/#translate/faces")
    page.wait_for_selector("legend:has-text('Translate to')")
    domains = page.locator("fieldset:has-text('Translate to') button")
    assert domains.count() >= 2
    names = [domains.nth(n).inner_text() for n in range(2)]
    domains.nth(1).click()
    drop(page, {"images.zip": packed.getvalue()})
    translator = load_translator(root / "runs" / "faces", device="cpu")
    for name in names:
        alt = f"deep/photo.png {name}, after"
        page.wait_for_selector(f"img[alt='{alt}']")
        expected = translator(root / "images" / "photo.png", domain=name)
        got = shown(page, alt)[..., :3].astype(int)
        assert np.abs(got - np.asarray(expected)).max() <= 1


def test_a_live_run_moves_its_curve(page: Any, url: str, root: Path) -> None:
    page.goto(f"{url}/#runs/live")
    line = ".chart:has(h4:text-is('generator: other terms')) path.line"
    page.wait_for_selector(line, state="attached")
    before = page.locator(line).first.get_attribute("d")
    with (root / "runs" / "live" / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 450, "generator/l1": 0.9, "generator/total": 2}) + "\n")
    page.wait_for_function(
        "([line, before]) => document.querySelector('.chart h4') &&"
        " [...document.querySelectorAll('.chart')].some((chart) =>"
        " chart.querySelector('h4').textContent === 'generator: other terms' &&"
        " chart.querySelector('path.line').getAttribute('d') !== before)",
        arg=[line, before],
    )
    page.wait_for_selector("li.run:has-text('live'):has-text('450 of 400 steps')")


def test_two_runs_lie_over_each_other_and_differ_in_options(page: Any, url: str) -> None:
    page.goto(f"{url}/#runs/live,other")
    page.wait_for_selector("text=other: generator/l1")
    page.wait_for_selector("tr.diff:has-text('train.steps')")
    cells = page.locator("tr.diff:has-text('train.steps') td").all_inner_texts()
    assert cells[:2] == ["400", "800"]
    paths = page.locator(".chart:has-text('generator: other terms') path.line")
    raw = paths.first.get_attribute("d")
    page.click("text=Logarithmic")
    assert paths.first.get_attribute("d") != raw
    time = page.locator("input[aria-label='training time']")
    time.focus()
    page.keyboard.press("Home")
    assert "/sheets/100" in page.locator("img.sheet").first.get_attribute("src")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def test_the_keyboard_alone_suffices(page: Any, url: str, root: Path) -> None:
    page.goto(url)
    page.wait_for_selector("li.run")
    tab_to(page, "input[type=checkbox][aria-label*='live']")
    page.keyboard.press("Space")
    page.wait_for_selector("h2:has-text('Curves')")
    tab_to(page, "input[aria-label='training time']")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("img.sheet[src*='/sheets/300']")
    page.goto(url)
    page.wait_for_selector("li.run")
    tab_to(page, "nav a[href='#translate']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#translate .pills button")
    tab_to(page, "#translate select")
    page.keyboard.type("tiny")
    page.wait_for_function("() => document.querySelector('#translate select').value === 'tiny'")
    tab_to(page, ".drop button.main")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(root / "images" / "photo.png")
    page.wait_for_selector("img[alt='photo.png, after']")
    tab_to(page, ".stage")
    page.keyboard.press("+")
    stage = page.locator(".stage img").first
    assert "scale(1.5)" in stage.get_attribute("style")
    page.keyboard.press("ArrowRight")
    cut = page.locator(".stage img[alt*='before']")
    first = cut.get_attribute("style")
    tab_to(page, ".view input[type=range]")
    page.keyboard.press("End")
    assert cut.get_attribute("style") != first


def test_seeds_ways_and_folders(page: Any, url: str, root: Path) -> None:
    page.goto(f"{url}/#sample/noise")
    page.wait_for_selector("#sample .grid figure:nth-child(16)")
    page.fill("#sample input[type=number] >> nth=1", "3")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelectorAll('#sample .grid figure').length === 3")
    page.click("text=Go the way")
    page.wait_for_selector(".player img")
    time = page.locator("input[aria-label='place on the way']")
    before = page.locator(".player img").get_attribute("src")
    time.focus()
    page.keyboard.press("End")
    assert page.locator(".player img").get_attribute("src") != before
    page.click("nav a[href='#data']")
    page.wait_for_selector("#data .pills >> text=images")
    page.click("#data .pills >> text=images")
    page.wait_for_function("() => document.querySelector('#data input').value.endsWith('/images')")
    page.click("text=Examine")
    page.wait_for_selector("#data table >> text=unconditional")
