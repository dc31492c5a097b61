"""Transforms of albumentations that a recipe names."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from i2i.config.data import Transform
from i2i.data.augment.transforms import UserTransforms
from i2i.data.sources import open_source, resolve_options
from i2i.errors import OptionsError
from i2i.training import session
from shrunk import shrunk

SIDES = {"A": 3, "B": 3}
IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
TURN = {"name": "Rotate", "limit": [-40, 40], "p": 1.0}
COLOUR = {"name": "ColorJitter", "on": "A", "p": 1.0}


def transforms(*tables: dict[str, Any], paired: bool = True, **sides: int) -> UserTransforms:
    chosen = [Transform(**table) for table in tables]
    return UserTransforms(chosen, size=32, channels=sides or SIDES, paired=paired)


def test_geometry_moves_a_pair_alike_and_colours_change_on_one_side() -> None:
    a, b = transforms(TURN)(1, 7, (IMAGE, IMAGE), "AB")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, IMAGE)
    a, b = transforms(COLOUR)(1, 7, (IMAGE, IMAGE), "AB")
    assert not np.array_equal(a, IMAGE)
    assert np.array_equal(b, IMAGE)


def test_a_position_always_gives_the_same_in_every_process() -> None:
    both = transforms(TURN, COLOUR)
    first = both(1, 7, (IMAGE, IMAGE), "AB")
    both(1, 8, (IMAGE, IMAGE), "AB")
    for again in (both, pickle.loads(pickle.dumps(both)), transforms(TURN, COLOUR)):
        for one, other in zip(first, again(1, 7, (IMAGE, IMAGE), "AB"), strict=True):
            assert np.array_equal(one, other)
    for seed, position in ((2, 7), (1, 8)):
        other = both(seed, position, (IMAGE, IMAGE), "AB")
        assert not np.array_equal(first[1], other[1])


def test_transforms_draw_independently() -> None:
    """Of 400 images, as often mirrored in both directions as two independent coins say."""
    flips = transforms(
        {"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5}, paired=False
    )
    ramp = np.arange(32, dtype=np.uint8)
    image = np.dstack([np.tile(ramp, (32, 1)), np.tile(ramp[:, None], (1, 32)), IMAGE[..., 0]])
    found = np.zeros((2, 2))
    for position in range(400):
        (made,) = flips(0, position, (image,), "A")
        found[int(made[0, 0, 0] == 31), int(made[0, 0, 1] == 31)] += 1
    # 100 each; the deviation of one is sqrt(400 * 3 / 16) = 8.7.
    assert np.abs(found - 100).max() < 40, found


def test_grey_images_keep_their_channel() -> None:
    grey = IMAGE[:, :, :1]
    (made,) = transforms(TURN, paired=False, A=1)(0, 0, (grey,), "A")
    assert made.shape == grey.shape


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"name": "ColorJiter"}, r"transforms\.0\.name .*Did you mean 'ColorJitter'\?"),
        ({"name": "__doc__"}, "no transform of albumentations"),
        ({"name": "DualTransform"}, "no transform of albumentations"),
        ({**COLOUR, "brightnes": 1}, r"transforms\.0\.brightnes is no .*'brightness'\?"),
        ({**COLOUR, "brightness": -3}, "ColorJitter.*must be non negative"),
        ({"name": "Resize", "height": 5, "width": 5}, r"shape \(5, 5, 3\).*keeps the size"),
        ({"name": "RandomCrop", "height": 99, "width": 99}, "fails on an image"),
        ({**TURN, "on": "A"}, "both images of a pair must move alike"),
        ({**COLOUR, "on": "both"}, "say on = 'A' or on = 'B'"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(table: dict[str, Any], why: str) -> None:
    with pytest.raises(OptionsError, match=why) as raised:
        transforms(table)
    assert "\n" not in str(raised.value)


def test_without_sides_there_is_no_b() -> None:
    with pytest.raises(OptionsError, match="no sides"):
        transforms({**COLOUR, "on": "B"}, paired=False, A=3)


def test_a_recipe_says_so_before_the_data_is_read() -> None:
    options = shrunk("pix2pix", "data.root=nowhere", 'data.transforms=[{ name = "Rotat" }]')
    with pytest.raises(OptionsError, match="Did you mean 'Rotate'"):
        resolve_options(options, "paired")


def test_validation_is_left_alone_and_a_resumed_run_is_the_same(
    tmp_path: Path, facades: Path
) -> None:
    chosen = '[{ name = "ColorJitter", on = "A", p = 1.0 }, { name = "Rotate", p = 0.5 }]'
    options = shrunk(
        "pix2pix", f"data.root={facades}", f"data.transforms={chosen}", "schedule.name=constant"
    )
    plain = shrunk("pix2pix", f"data.root={facades}")
    sources = [open_source(resolve_options(each, "paired"), "paired") for each in (options, plain)]
    for mine, theirs in zip(sources[0].validation[0], sources[1].validation[0], strict=True):
        assert torch.equal(mine, theirs)
    assert not torch.equal(sources[0].train[0].source, sources[1].train[0].source)

    def weights(run: Path) -> dict[str, torch.Tensor]:
        found = sorted((run / "checkpoints").glob("step-*.pt"))[-1]
        state: dict[str, torch.Tensor] = torch.load(found, weights_only=True)["model"]
        return state

    whole = session.start(options, tmp_path, "whole", device="cpu").folder
    half = options.model_copy(update={"train": options.train.model_copy(update={"steps": 2})})
    begun = session.start(half, tmp_path, "begun", device="cpu").folder
    session.resume(begun, {"train": {"steps": 4}}, device="cpu")
    one, other = weights(whole), weights(begun)
    changed = [key for key in one if not torch.equal(one[key], other[key])]
    assert not changed


def test_deep_values_are_changed_in_their_own_type_and_range() -> None:
    """16 bits and floating point are 0..1 to transforms, and come back without loss."""
    words = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    real = np.random.default_rng(1).uniform(-1, 1, (256, 256, 6)).astype(np.float32)
    types = {"A": np.dtype(np.uint16), "B": np.dtype(np.float32)}
    turned = UserTransforms(
        [Transform(name="Rotate", limit=[90, 90], p=1.0)],
        size=256, channels={"A": 1, "B": 6}, paired=True, types=types,
    )  # fmt: skip
    a, b = turned(0, 0, (words, real), "AB")
    assert (a.dtype, b.dtype) == (np.uint16, np.float32)
    assert np.array_equal(a, np.rot90(words))
    assert np.abs(b - np.rot90(real)).max() < 2**-23
    inverted = UserTransforms(
        [Transform(name="InvertImg", p=1.0, on="A")],
        size=256, channels={"A": 1, "B": 6}, paired=True, types=types,
    )  # fmt: skip
    a, b = inverted(0, 0, (words, real), "AB")
    assert np.array_equal(a, 65535 - words)
    assert np.array_equal(b, real)


def test_transforms_are_tried_on_what_they_will_get() -> None:
    """Six bands of floating point have no hue, and no histogram of 256 steps."""
    for name in ("HueSaturationValue", "ToGray"):
        with pytest.raises(OptionsError, match=r"shape \(32, 32, 6\)"):
            UserTransforms(
                [Transform(name=name, on="A", p=1.0)],
                size=32, channels={"A": 6, "B": 3}, paired=True,
                types={"A": np.dtype(np.float32)},
            )  # fmt: skip
