"""What all tests share: one thread, so that sums have one order, and a cache of their own."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from listening import hearing
from PIL import Image

from i2i.core.progress import Update, reporting
from i2i.metrics import distance

torch.set_num_threads(1)

# Whether an example is quick says more about what else the machine does than about the code.
settings.register_profile("i2i", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("i2i")

# What a shell starts in the background ignores Ctrl-C, and under nohup the end of the terminal; so
# would what the tests start and stop.
with contextlib.suppress(ValueError):  # in another thread than the main one
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: none of them is left to one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the tests out of the cache folder of whoever runs them."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("I2I_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let validations look at fewer patches, which take most of the time of small trainings."""
    monkeypatch.setattr(distance, "PATCHES", 2**9)
    monkeypatch.setattr(distance, "PROJECTIONS", 16)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines that i2i logs while the test runs."""
    lines: list[str] = []
    with hearing(lines.append):
        yield lines


class _Told:
    """A reporter that keeps what it is told, whatever of."""

    live = True

    def __init__(self) -> None:
        self.numbers: list[tuple[int, int]] = []

    @contextlib.contextmanager
    def task(self, label: str) -> Iterator[Update]:
        yield lambda done, total, text="": self.numbers.append((done, total))


@pytest.fixture
def told() -> Iterator[list[tuple[int, int]]]:
    """How much of how much was done, as the reporter is told while the test runs."""
    reporter = _Told()
    with reporting(reporter):
        yield reporter.numbers


@pytest.fixture
def in_float64() -> Iterator[None]:
    """Double precision by default, in which a published training is the same on any processor."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def unpaired(tmp_path: Path) -> Path:
    """Tiny unpaired images: 5 reddish ones, 7 bluish ones, and two of each to test with."""
    root = tmp_path / "tiny-unpaired"
    generator = np.random.default_rng(0)
    for side, channel in (("A", 0), ("B", 2)):
        for split, count in (("train", 5 + channel), ("test", 2)):
            folder = root / f"{split}{side}"
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 100, (24, 24, 3), dtype=np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


@pytest.fixture
def domains(tmp_path: Path) -> Path:
    """Tiny images of three domains, 6 reddish, 5 greenish and 4 bluish ones, and two of each to
    test with; and a table of what CelebA says of faces, about the same images."""
    root = tmp_path / "tiny-domains"
    generator = np.random.default_rng(0)
    hair = ("Black_Hair", "Blond_Hair", "Brown_Hair")
    lines = []
    for channel, name in enumerate(("red", "green", "blue")):
        for split, count in (("train", 6 - channel), ("test", 2)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 100, (24, 24, 3), dtype=np.uint8)
                pixels[..., channel] += 150
                Image.fromarray(pixels).save(folder / f"{number}.png")
                values = [*(color == hair[channel] for color in hair), number % 2, number % 3 > 0]
                cells = " ".join(f"{2 * value - 1:2}" for value in values)
                lines.append(f"{split}/{name}/{number}.jpg {cells}\n")
    header = f"{len(lines)}\n{' '.join(hair)} Male Young\n"
    (root / "list_attr_celeba.txt").write_text(header + "".join(lines))
    return root


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """A tiny paired data set, side by side: noise and the same noise inverted, 24 x 24 pixels."""
    root = tmp_path / "tiny-facades"
    generator = np.random.default_rng(0)
    for split, count in (("train", 7), ("val", 3)):
        (root / split).mkdir(parents=True)
        for number in range(count):
            left = generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            both = np.concatenate([left, 255 - left], axis=1)
            Image.fromarray(both).save(root / split / f"{number}.png")
    return root
