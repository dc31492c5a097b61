import os
import subprocess
import sys
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2i.data.demo.painter import INSTRUMENTS, LABELS, RENDERINGS, paint, record
from i2i.data.demo.painter.layers import draw
from i2i.data.demo.painter.scene import compose
from i2i.errors import DataError

COLOURED = ("photo", "winter", "night", "autumn")
PALETTE = np.array(list(LABELS.values()))


def regions(seed: int, size: int) -> np.ndarray:
    """The label of each pixel as a position in the palette; -1 for a colour not in it."""
    image = paint(seed, size, "labels").astype(int)
    same = (image[:, :, None] == PALETTE).all(axis=-1)
    return np.where(same.any(axis=-1), same.argmax(axis=-1), -1)


def where(seed: int, size: int, *labels: str) -> np.ndarray:
    return np.isin(regions(seed, size), [list(LABELS).index(label) for label in labels])


def brightness(image: np.ndarray) -> np.ndarray:
    return image.astype(float).mean(axis=-1)


def scatter(image: np.ndarray, labels: np.ndarray) -> float:
    """The share of an image's variance that is left within its regions."""
    values = image.reshape(-1, 3).astype(float)
    labels = labels.ravel()
    within = sum(
        ((values[labels == k] - values[labels == k].mean(axis=0)) ** 2).sum()
        for k in np.unique(labels)
    )
    return float(within / ((values - values.mean(axis=0)) ** 2).sum())


@pytest.mark.parametrize("rendering", RENDERINGS)
def test_a_image_is_rgb_bytes(rendering: str) -> None:
    image = paint(4, 40, rendering)
    assert image.shape == (40, 40, 3)
    assert image.dtype == np.uint8


def test_a_seed_always_gives_the_same_images() -> None:
    first = [paint(11, 48, rendering) for rendering in RENDERINGS]
    draw.cache_clear()
    for rendering, image in reversed(list(zip(RENDERINGS, first, strict=True))):
        paint(12, 48, rendering)
        np.testing.assert_array_equal(paint(11, 48, rendering), image)


def test_another_process_paints_the_same() -> None:
    program = (
        "import sys, numpy as np; from i2i.data.demo.painter import RENDERINGS, paint;"
        "sys.stdout.buffer.write(np.stack([paint(7, 32, r) for r in RENDERINGS]).tobytes())"
    )
    other = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "123"},
    ).stdout
    assert other == np.stack([paint(7, 32, rendering) for rendering in RENDERINGS]).tobytes()


def test_the_palette_tells_the_classes_apart() -> None:
    distance = np.abs(PALETTE[:, None] - PALETTE).max(axis=-1)
    assert distance[~np.eye(len(PALETTE), dtype=bool)].min() >= 32


@settings(max_examples=25)
@given(seed=st.integers(0, 2**40), size=st.integers(16, 150))
def test_label_maps_hold_the_colours_of_the_palette_only(seed: int, size: int) -> None:
    assert (regions(seed, size) >= 0).all()


@pytest.mark.parametrize("rendering", [*COLOURED, "sketch"])
@pytest.mark.parametrize("seed", [1, 10, 31])
def test_every_size_shows_the_same_scene(seed: int, rendering: str) -> None:
    small = paint(seed, 64, rendering).astype(float)
    shrunk = Image.fromarray(paint(seed, 256, rendering)).reduce(4)
    assert np.abs(np.asarray(shrunk, float) - small).mean() < 2
    stranger = Image.fromarray(paint(seed + 1, 256, rendering)).reduce(4)
    assert np.abs(np.asarray(stranger, float) - small).mean() > 15


@pytest.mark.parametrize("seed", [1, 10, 31])
def test_label_maps_agree_at_every_size(seed: int) -> None:
    small, large = regions(seed, 64), regions(seed, 256)
    assert (large[2::4, 2::4] == small).mean() > 0.95
    assert (large[2::4, 2::4] == regions(seed + 1, 64)).mean() < 0.9


@pytest.mark.parametrize("rendering", COLOURED)
@pytest.mark.parametrize("seed", range(5))
def test_all_renderings_show_the_scene_of_the_label_map(seed: int, rendering: str) -> None:
    image = paint(seed, 128, rendering)
    own = scatter(image, regions(seed, 128))
    assert own < (0.6 if rendering == "winter" else 0.4)  # snow makes all things alike
    assert all(scatter(image, regions(other, 128)) > 1.3 * own for other in range(5, 9))


def test_pencil_lines_follow_the_regions() -> None:
    for seed in range(5):
        drawing, labels = brightness(paint(seed, 256, "sketch")), regions(seed, 256)
        border = (labels[1:, 1:] != labels[:-1, 1:]) | (labels[1:, 1:] != labels[1:, :-1])
        assert drawing[1:, 1:][border].mean() < drawing[1:, 1:][~border].mean() - 70


def mean_colours(seeds: Iterable[int], rendering: str) -> dict[int, np.ndarray]:
    labels = np.stack([regions(seed, 64) for seed in seeds])
    images = np.stack([paint(seed, 64, rendering) for seed in seeds]).astype(float)
    return {k: images[labels == k].mean(axis=0) for k in np.unique(labels)}


@pytest.mark.parametrize("rendering", COLOURED)
def test_the_label_tells_the_colour_in_scenes_never_seen(rendering: str) -> None:
    learnt = mean_colours(range(40), rendering)
    seen = mean_colours(range(40, 80), rendering)
    assert seen.keys() == learnt.keys()
    for k, colour in seen.items():
        assert np.abs(learnt[k] - colour).max() < 14, list(LABELS)[k]


def test_scenes_vary() -> None:
    scenes = [compose(seed) for seed in range(60)]
    images = {paint(seed, 16, "photo").tobytes() for seed in range(60)}
    assert len(images) == 60
    assert {scene.light for scene in scenes} == {-1, 1}
    assert np.ptp([scene.horizon for scene in scenes]) > 0.12
    for choices in (
        {bool(scene.lake) for scene in scenes},
        {bool(scene.path) for scene in scenes},
        {bool(scene.peaks) for scene in scenes},
    ):
        assert choices == {True, False}
    assert {len(scene.hills) for scene in scenes} == {0, 1, 2}
    assert len({len(scene.clouds) for scene in scenes}) >= 5
    assert len({len(scene.things) for scene in scenes}) >= 8
    seen = np.concatenate([np.unique(regions(seed, 128)) for seed in range(40)])
    assert set(seen) == set(range(len(LABELS)))


def test_the_sun_can_be_seen_and_tells_where_the_light_is_from() -> None:
    for seed in range(40):
        scene = compose(seed)
        sun = np.argwhere(where(seed, 128, "sun")) / 128
        assert len(sun) > 40
        np.testing.assert_allclose(sun.mean(axis=0)[::-1], scene.sun, atol=0.01)
        assert scene.light == (-1 if sun.mean(axis=0)[1] < 0.5 else 1)


@pytest.mark.parametrize("seed", [3, 10, 22])
def test_in_winter_snow_lies_on_roofs_and_meadows(seed: int) -> None:
    covered = where(seed, 128, "tiled roof", "slate roof", "meadow")
    winter, photo = (brightness(paint(seed, 128, r))[covered] for r in ("winter", "photo"))
    assert winter.mean() > photo.mean() + 60


@pytest.mark.parametrize("seed", [3, 10, 22])
def test_at_night_windows_shine(seed: int) -> None:
    night, photo = (brightness(paint(seed, 256, r)) for r in ("night", "photo"))
    lit = where(seed, 256, "window")
    walls = where(seed, 256, "brick wall", "plaster wall", "timber wall", "stone wall")
    assert night.mean() < 0.45 * photo.mean()
    assert night[lit].mean() > 2 * night[walls].mean()


def test_in_autumn_leaves_turn_and_conifers_do_not() -> None:
    def redness(rendering: str, label: str) -> float:
        colours = mean_colours(range(12), rendering)[list(LABELS).index(label)]
        return float(colours[0] - colours[1])

    for label in ("broadleaf", "birch", "bush"):
        assert redness("autumn", label) > redness("photo", label) + 40
    assert abs(redness("autumn", "conifer") - redness("photo", "conifer")) < 30


def test_the_sketch_is_grey() -> None:
    drawing = paint(5, 64, "sketch").astype(int)
    assert np.ptp(drawing, axis=-1).max() < 20


def test_an_unknown_rendering_is_refused_with_a_guess() -> None:
    with pytest.raises(DataError, match=r"'wintr' is not one of.*Did you mean 'winter'\?"):
        paint(0, 64, "wintr")


def test_sizes_and_seeds_out_of_range_are_refused() -> None:
    assert paint(0, 16, "photo").shape == (16, 16, 3)
    with pytest.raises(DataError, match="size 15"):
        paint(0, 15, "photo")
    with pytest.raises(DataError, match="-3"):
        paint(-3, 64, "photo")


def test_instruments_see_the_same_scene_in_more_than_8_bits() -> None:
    photo = paint(3, 32, "photo")
    seen = {name: record(3, 32, name) for name in INSTRUMENTS}
    assert {name: each.shape for name, each in seen.items()} == {
        "bands": (32, 32, 6),
        "depth": (32, 32, 1),
        "light": (32, 32, 1),
        "winter light": (32, 32, 1),
    }
    assert all(each.dtype == np.uint16 for each in seen.values())
    assert 255 < seen["bands"].max() <= 4095
    assert len(np.unique(seen["light"])) > 256
    luma = ((photo / 255.0) ** 2.2) @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(seen["light"][:, :, 0] / 60000, luma, atol=0.01)
    red = seen["bands"][:, :, 2].astype(float).ravel()
    assert np.corrcoef(red, (photo[:, :, 0].ravel() / 255.0) ** 2.2)[0, 1] > 0.98
    depth = seen["depth"][:, 0, 0]
    assert depth[0] == 60_000  # the sky
    assert 0 < depth[-1] < 10_000  # at one's feet
    with pytest.raises(DataError, match="Did you mean 'depth'"):
        record(3, 32, "dept")
