"""Both images move alike, only the source changes colour, and the seed repeats it all."""

import subprocess
import sys

import pytest
import torch

from i2i.core.batch import Pair
from i2i.data.augment.device import DeviceAugment
from i2i.errors import OptionsError


def smooth(count: int = 4, channels: int = 3, size: int = 32) -> torch.Tensor:
    """Waves of low frequency, which interpolation keeps."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 4, 4, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=True)


GEOMETRY = {"rotation": 20.0, "scale": 0.2, "translation": 0.1}
COLOUR = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.2}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_nothing_asked_nothing_done() -> None:
    batch = Pair(smooth(), smooth().flip(0))
    out = DeviceAugment()(batch)
    assert torch.equal(out.source, batch.source)
    assert torch.equal(out.target, batch.target)


@pytest.mark.parametrize("name", GEOMETRY)
def test_both_images_move_alike_and_each_pair_differently(name: str) -> None:
    one = smooth(1).expand(4, -1, -1, -1)
    out = DeviceAugment(**{name: GEOMETRY[name]})(Pair(one, one.clone()))
    assert torch.equal(out.source, out.target)
    assert out.source.shape == one.shape
    for i in range(1, 4):
        assert (out.source[i] - out.source[0]).abs().mean() > 1e-3


def test_different_channels_move_alike() -> None:
    images = smooth()
    out = DeviceAugment(**GEOMETRY)(Pair(images, images[:, :1]))
    torch.testing.assert_close(out.source[:, :1], out.target)


def test_colours_change_in_the_source_only() -> None:
    images = smooth()
    for name, value in COLOUR.items():
        out = DeviceAugment(**{name: value})(Pair(images, images.clone()))
        assert torch.equal(out.target, images), name
        assert (out.source - images).abs().mean() > 1e-3, name
        assert out.source.abs().max() <= 1, name


def test_the_global_seed_repeats_it() -> None:
    batch, augment = Pair(smooth(), smooth()), DeviceAugment(**GEOMETRY, **COLOUR)
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(augment(batch).source)
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def drawn(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    """Let every random number be `value` (0..1)."""
    monkeypatch.setattr(torch, "rand", lambda *size, **how: torch.full(size, value))


def test_a_translation_by_whole_pixels_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth()
    drawn(monkeypatch, 1.0)  # the largest shift: 0.125 of 32 pixels, right and down
    out = DeviceAugment(translation=0.125)(Pair(images, images))
    torch.testing.assert_close(out.source[..., 4:, 4:], images[..., :-4, :-4], atol=1e-4, rtol=0)


def test_a_quarter_turn_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    images = smooth()
    drawn(monkeypatch, 1.0)
    out = DeviceAugment(rotation=90)(Pair(images, images)).target
    turned = [torch.rot90(images, turns, (2, 3)) for turns in (1, -1)]
    assert min((out - t).abs().max().item() for t in turned) < 1e-3


def test_a_zoom_keeps_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, 1.0)  # the largest zoom: 1.5
    size = 33
    ramp = torch.linspace(-0.9, 0.9, size).expand(1, 3, size, size)
    out = DeviceAugment(scale=0.5)(Pair(ramp, ramp)).target
    torch.testing.assert_close(out, ramp / 1.5, atol=1e-4, rtol=0)


def test_brightness_multiplies_and_contrast_keeps_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    grey = smooth(channels=1)
    drawn(monkeypatch, 0.0)  # the smallest factor: 0.5
    unit = (grey + 1) / 2
    out = DeviceAugment(brightness=0.5)(Pair(grey, grey)).source
    torch.testing.assert_close((out + 1) / 2, unit / 2)
    out = DeviceAugment(contrast=0.5)(Pair(grey, grey)).source
    mean = unit.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close((out + 1) / 2, mean + (unit - mean) / 2)


def test_saturation_and_hue(monkeypatch: pytest.MonkeyPatch) -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    drawn(monkeypatch, 0.0)
    out = DeviceAugment(saturation=1.0)(Pair(red, red)).source
    torch.testing.assert_close(out, torch.ones_like(out))  # HSV without S: V alone, white
    drawn(monkeypatch, 1.0)
    out = DeviceAugment(hue=1 / 3)(Pair(red, red)).source  # a third of the circle on: green
    green = torch.tensor([-1.0, 1.0, -1.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(out, green, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "value"), [("rotation", -1), ("scale", 1.0), ("hue", 0.6), ("brightness", 2)]
)
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(OptionsError, match=rf"{name} \(={value}\) must lie within 0\.\."):
        DeviceAugment(**{name: value})


def test_hue_of_grey_images_is_refused() -> None:
    grey = smooth(channels=1)
    with pytest.raises(OptionsError, match="3 channels, these have 1"):
        DeviceAugment(hue=0.1)(Pair(grey, grey))


def test_kornia_is_imported_only_when_it_is_used() -> None:
    code = "import sys; from i2i.data.augment import device; print('kornia' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
