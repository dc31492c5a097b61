"""Real work from the page in a real browser: trainings, videos, the clipboard and the camera."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import frames_of, look, make_clip
from i2i.app.shelf import Shelf, is_trained
from i2i.app.trainings import Places, Trainings
from i2i.errors import RunError
from i2i.inference.folder import translate_folder
from i2i.inference.load import load_translator

PATIENCE = 90_000
"""Milliseconds in which a training begins, or ends, on a machine that is busy."""

TINY = {"generator.width": "2", "discriminator.width": "2", "generator.downs": "2"}


def press(page: Any, text: str) -> None:
    page.locator(f"#runs button:text-is('{text}')").click()


@pytest.fixture
def ends(root: Path) -> Iterator[None]:
    """Whatever becomes of the test, no training goes on after it."""
    yield
    for run in (root / "runs").iterdir():
        if is_trained(run):
            with contextlib.suppress(RunError):
                Trainings(Shelf(root / "runs"), Places([root])).stop(run.name)


@pytest.mark.slow
@pytest.mark.usefixtures("ends")
def test_a_training_is_begun_stopped_resumed_extended_and_deleted(
    page: Any, url: str, root: Path
) -> None:
    page.goto(url)
    press(page, "New training…")
    page.fill("dialog label:has-text('Data set') input", "pairs")
    page.fill("dialog label:has-text('Name of the run') input", "mine")
    page.fill("dialog label:has-text('Steps') input", "100000")
    page.fill("dialog label:has-text('Size') input", "16")
    page.click("dialog summary")
    page.wait_for_selector("dialog tr")
    for option, value in {**TINY, "data.workers": "0", "train.log_every_steps": "1"}.items():
        page.fill("dialog input[type=search]", option)
        page.fill(f"dialog tr:has-text('{option}') td input", value)
        page.keyboard.press("Tab")
    page.click("dialog >> text=Start")
    run = "li.run:has-text('mine')"
    page.wait_for_selector(f"{run} .badge.training", timeout=PATIENCE)
    page.click(f"{run} a")
    page.wait_for_selector(".chart path.line", state="attached", timeout=PATIENCE)
    shown = page.locator(f"{run} .figures div").first
    before = shown.inner_text()
    page.wait_for_function(
        "([run, before]) => document.querySelector(run).innerText !== before",
        arg=["li.run.chosen .figures div", before],
        timeout=PATIENCE,
    )

    def steps() -> int:
        return int(shown.inner_text().split(" of ")[0])

    press(page, "Stop")
    page.wait_for_selector(f"{run} .badge.stopped", timeout=PATIENCE)
    stopped = steps()
    assert stopped > 0
    press(page, "Resume")
    page.wait_for_selector(f"{run} .badge.training", timeout=PATIENCE)
    press(page, "Stop")
    page.wait_for_selector(f"{run} .badge.stopped", timeout=PATIENCE)
    last = steps()
    assert last >= stopped
    # Done is what has the steps that it was to have.
    press(page, "Extend…")
    page.fill("dialog input", str(last + 3))
    page.click("dialog >> text=Go on")
    page.wait_for_selector(f"{run} .badge.done", timeout=PATIENCE)
    assert shown.inner_text() == f"{last + 3} of {last + 3} steps"
    assert (root / "runs" / "mine" / "checkpoints" / f"step-{last + 3:08d}.pt").exists()
    press(page, "Delete…")
    page.click("dialog >> text=Keep it")
    assert (root / "runs" / "mine").exists()
    press(page, "Delete…")
    page.click("dialog button:text-is('Delete')")
    page.wait_for_selector(run, state="detached")
    assert not (root / "runs" / "mine").exists()


def test_what_is_wrong_with_a_training_is_told(page: Any, url: str, wrong: list[str]) -> None:
    page.goto(url)
    press(page, "New training…")
    page.fill("dialog label:has-text('Data set') input", "/etc")
    page.fill("dialog label:has-text('Name of the run') input", "wrong")
    page.click("dialog >> text=Start")
    page.wait_for_selector("#said.bad:has-text('--data-dir')")
    # It lies in the layer of the form, which was opened before, and so above it.
    assert page.locator("#said").evaluate("(line) => line.matches(':popover-open')")
    assert wrong.pop().endswith("422 (Unprocessable Entity)")  # every browser says this, too


def test_a_video_comes_back_as_translate_makes_it(
    page: Any, url: str, root: Path, tmp_path: Path
) -> None:
    clip, made, got = root / "clip.webm", tmp_path / "made.webm", tmp_path / "got.webm"
    make_clip(clip, frames=frames_of(12, 32, 24), codec="libvpx-vp9", sound="libopus")
    translate_folder(load_translator(root / "runs" / "tiny", device="cpu"), clip, made)
    page.goto(f"{url}/#translate/tiny")
    page.wait_for_selector(".pills button[value=last]")
    page.set_input_files("input[type=file] >> nth=0", clip)
    result = page.wait_for_selector("video[aria-label='clip.webm, after']")
    with page.expect_download() as saved:
        page.click("button[aria-label='download clip.webm']")
    shutil.copyfile(saved.value.path(), got)
    expected, there = look(made), look(got)
    assert (there.times, there.sound, there.size) == (expected.times, expected.sound, expected.size)
    assert np.abs(there.pixels.astype(int) - expected.pixels).max() <= 2
    # Both are shown, and go on together.
    page.wait_for_function("(film) => film.readyState > 1", arg=result)
    result.evaluate("(film) => { film.loop = false; film.currentTime = film.duration / 2; }")
    page.wait_for_function(
        "(film) => Math.abs(film.currentTime - document.querySelector("
        "'video[aria-label=\"clip.webm, before\"]').currentTime) < 0.06 && film.currentTime > 0",
        arg=result,
    )
    page.click("button[aria-label='remove clip.webm']")
    assert page.locator("#translate article").count() == 0


def test_an_image_comes_from_the_clipboard_and_from_the_camera(
    page: Any, url: str, root: Path
) -> None:
    page.goto(f"{url}/#translate/tiny")
    page.wait_for_selector(".pills button[value=last]")
    page.evaluate(
        """(bytes) => {
          const carried = new DataTransfer();
          const type = "image/png";
          carried.items.add(new File([Uint8Array.from(bytes)], "pasted.png", { type }));
          const told = { clipboardData: carried, bubbles: true };
          document.dispatchEvent(new ClipboardEvent("paste", told));
        }""",
        list((root / "images" / "photo.png").read_bytes()),
    )
    page.wait_for_selector("img[alt='pasted.png, after']")
    page.click("text=Camera")
    page.wait_for_function(
        "() => { const film = document.querySelector('dialog video');"
        " return film && film.videoWidth > 0; }"
    )
    page.fill("#translate input[placeholder^=as]", "32")
    page.click("dialog >> text=Take it")
    page.wait_for_selector("img[alt^='camera-'][alt$=', after']")
    assert page.locator("dialog").count() == 0
