"""The page of `i2i app` in a real browser: Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_server import running
from PIL import Image
from run_folder import make_run

from i2i.app import web
from i2i.app.limits import Limits
from i2i.app.models import Models
from i2i.app.service import Service
from i2i.app.shelf import Shelf
from i2i.app.trainings import Places

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
OLD = Path(__file__).parent.parent / "version_0_1"
WAIT = 60_000
"""Milliseconds, on a machine that is busy."""


def noise(side: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    for name, run in (("tiny", "pix2pix"), ("noise", "dcgan"), ("faces", "stargan")):
        shutil.copytree(OLD / run, folder / "runs" / name)
    make_run(folder / "runs" / "live")
    make_run(folder / "runs" / "other", steps=800)
    (folder / "images").mkdir()
    Image.fromarray(noise(24, 7)).save(folder / "images" / "photo.png")
    Image.fromarray(noise(20, 8)).save(folder / "images" / "second.png")
    for split in ("train", "val"):
        (folder / "pairs" / split).mkdir(parents=True)
        for number in range(3):
            pair = np.concatenate([noise(24, number), noise(24, 10 + number)], axis=1)
            Image.fromarray(pair).save(folder / "pairs" / split / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    limits = Limits(seconds=60)
    service = Service(Models({}, runs_dir=root / "runs", device="cpu"), limits)
    closing = web.Closing()
    app = web.build(service, Shelf(root / "runs"), Places([root]), token=None, closing=closing)
    with running(app, limits, closing) as at:
        yield at


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on the path")
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with (
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *camera]
        ) as chromium,
    ):
        yield chromium


@pytest.fixture
def wrong() -> list[str]:
    """What the console complains of, and what is asked of another host."""
    return []


@pytest.fixture
def page(browser: Any, url: str, wrong: list[str]) -> Iterator[Any]:
    """A tab; if anything is `wrong` at the end, the test has failed."""
    with browser.new_context(viewport={"width": 1000, "height": 800}) as context:
        tab = context.new_page()
        tab.set_default_timeout(WAIT)
        tab.on(
            "console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None
        )
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((url, "blob:", "data:")) else wrong.append(asked.url)
            ),
        )
        yield tab
        assert wrong == []
