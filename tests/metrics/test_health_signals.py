"""Signals of health on outputs that are made to be wrong in one way each."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2i.data.demo.painter import paint
from i2i.metrics.health import (
    answer_distance,
    colour_correlation,
    colour_shift,
    contrast,
    copy_distance,
    detail,
    diversity,
    grid,
    health_signals,
    hue,
    palette_distance,
    structure,
)
from i2i.runs.thresholds import (
    BLURRED,
    GRID,
    ONE_ANSWER,
    RECOLOURED,
    UNLIKE_INPUT,
    UNLIKE_TARGET,
)


def random_images(count: int = 6, side: int = 48, seed: int = 0, channels: int = 3) -> Tensor:
    """Coarse random patterns, as different from each other as images of a data set are."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 6, 6, generator=generator) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def test_perfect_outputs() -> None:
    truth, inputs = random_images(seed=1), random_images(seed=2)
    signals = health_signals(truth.clone(), truth, inputs, paired=True)
    assert signals.keys() == {
        *("colour_shift", "contrast", "grid", "diversity", "copy", "copy_truth", "colour"),
        *("detail", "hue"),
    }
    assert signals["contrast"].item() == pytest.approx(1)
    assert signals["grid"].item() <= 1
    assert signals["detail"].item() == pytest.approx(1)
    assert signals["hue"].item() > 0.8
    assert all(value.shape == () and value.dtype == torch.float32 for value in signals.values())
    assert signals["diversity"].item() == pytest.approx(1)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    assert signals["colour_shift"].item() == 0
    assert signals["copy"].item() == signals["copy_truth"].item() > 0.5


def test_constant_outputs_have_no_diversity_and_no_light_and_shade() -> None:
    truth = random_images()
    same = truth[:1].expand(6, -1, -1, -1)
    assert diversity(same, truth).item() == pytest.approx(0, abs=1e-3)
    assert colour_correlation(torch.zeros_like(truth), truth).item() == 0
    assert contrast(torch.full_like(truth, 0.3), truth).item() == pytest.approx(0, abs=1e-6)


def test_half_the_contrast_is_half_the_diversity() -> None:
    assert diversity(0.5 * random_images(), random_images()).item() == pytest.approx(0.5)


def test_copies() -> None:
    inputs = random_images()
    assert copy_distance(inputs, inputs).item() == 0
    assert copy_distance(inputs.roll(1, 0), inputs).item() == pytest.approx(1)
    # Stripes two pixels wide are a change, though thumbnails of 16 pixels would not show them.
    stripes = torch.where(torch.arange(48) // 2 % 2 == 0, 0.5, -0.5)
    assert copy_distance(inputs + stripes, inputs).item() > 0.5


def test_negatives_and_swapped_channels() -> None:
    truth = random_images(seed=3)
    assert colour_correlation(-truth, truth).item() == pytest.approx(-1, abs=1e-5)
    assert abs(colour_correlation(truth.flip(1), truth).item()) < 0.5
    red, blue = torch.full((2, 3, 16, 16), -1.0), torch.full((2, 3, 16, 16), -1.0)
    red[:, 0], blue[:, 2] = 1, 1
    assert colour_shift(red, blue).item() == pytest.approx((8 / 3) ** 0.5)
    assert colour_shift(-torch.ones(2, 3, 8, 8), torch.ones(3, 3, 8, 8)).item() == 2


def test_without_pairs_the_input_is_what_colours_are_compared_with() -> None:
    inputs, references = random_images(seed=4), random_images(5, seed=5)
    signals = health_signals(-inputs, references, inputs)
    assert signals["colour"].item() == pytest.approx(-1, abs=1e-5)
    assert "copy_truth" not in signals
    found = health_signals(inputs, references)
    assert found.keys() == {"colour_shift", "contrast", "grid", "detail", "diversity"}


def test_grey_inputs_and_single_images() -> None:
    outputs = random_images()
    grey = outputs.mean(1, keepdim=True)
    signals = health_signals(outputs, outputs, grey)
    assert signals["copy"].item() == pytest.approx(0, abs=1e-6)
    assert signals["colour"].item() == pytest.approx(1, abs=1e-5)
    one = health_signals(outputs[:1], outputs[:1], grey[:1], paired=True)
    assert one.keys() == {"colour_shift", "contrast", "grid", "detail", "colour"}
    assert all(value.isfinite() for value in one.values())


def test_equal_references_and_small_images_stay_finite() -> None:
    flat = torch.zeros(3, 1, 5, 7)
    assert all(v.isfinite() for v in health_signals(flat, flat, flat, paired=True).values())


@settings(max_examples=20)
@given(st.integers(3, 5), st.sampled_from([1, 3]), st.integers(0, 1000))
def test_against_numpy(count: int, channels: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).uniform(-1, 1, (2, count, channels, 16, 16))
    outputs, originals = torch.from_numpy(a), torch.from_numpy(b)

    def spread(x: np.ndarray) -> float:
        pairs = [(i, j) for i in range(count) for j in range(i)]
        return float(np.mean([np.sqrt(((x[i] - x[j]) ** 2).mean()) for i, j in pairs]))

    correlations = [np.corrcoef(a[i].ravel(), b[i].ravel())[0, 1] for i in range(count)]
    copied = np.abs(a - b).mean() / np.abs(b - np.roll(b, 1, 0)).mean()
    shift = np.sqrt(((a.mean((0, 2, 3)) - b.mean((0, 2, 3))) ** 2).mean())
    expected = {
        "diversity": spread(a) / spread(b),
        "copy": copied,
        "colour": np.mean(correlations),
        "colour_shift": shift,
        "contrast": a.std((2, 3)).mean() / b.std((2, 3)).mean(),
    }
    signals = health_signals(outputs, originals, originals)
    for name, value in expected.items():
        assert signals[name].item() == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_one_image_that_comes_several_times_measures_no_diversity() -> None:
    """Sixty images of A and one held-out image of B, compared with itself."""
    inputs, one = random_images(seed=1), random_images(1, seed=2).expand(6, -1, -1, -1)
    assert "diversity" not in health_signals(inputs, one, inputs)
    two = torch.cat([one, random_images(1, seed=3)])
    assert "diversity" not in health_signals(inputs, two, inputs)
    # Copies among more images count once.
    some = random_images(3, seed=4)
    found = health_signals(inputs, torch.cat([some, some[:1]]), inputs)
    torch.testing.assert_close(found["diversity"], diversity(inputs, some))
    # An input that comes twice says nothing about the generator either.
    twice = torch.cat([inputs[:3], inputs[:2]])
    found = health_signals(2 * twice, some, twice)
    torch.testing.assert_close(found["diversity"], diversity(2 * inputs[:3], some))
    torch.testing.assert_close(found["copy"], copy_distance(2 * inputs[:3], inputs[:3]))


def painted(rendering: str, count: int = 8, side: int = 64, first: int = 0) -> Tensor:
    images = [torch.from_numpy(paint(first + i, side, rendering)) for i in range(count)]
    return torch.stack(images).permute(0, 3, 1, 2) / 127.5 - 1


def rounded(images: Tensor) -> Tensor:
    return images.clamp(-1, 1).add(1).mul(127.5).round() / 127.5 - 1


def dotted(images: Tensor, period: int, height: float) -> Tensor:
    """With a dot of that height in every square of so many pixels."""
    pattern = torch.zeros(images.shape[-2:])
    pattern[::period, ::period] = height
    return rounded(images + pattern)


def test_healthy_images_have_no_periodic_pattern() -> None:
    photos = painted("photo")
    blurred = torch.nn.functional.avg_pool2d(painted("photo", first=100), 3, 1, 1)
    noise = torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))
    for images in (
        painted("photo", first=100),
        painted("winter", first=50),
        painted("night"),
        rounded(blurred),
        rounded(photos + 0.2 * noise),
        torch.zeros_like(photos),
    ):
        assert grid(images, photos).item() < GRID


@pytest.mark.parametrize(("period", "height"), [(2, 0.1), (4, 0.3), (8, 0.8)])
@pytest.mark.parametrize("side", [64, 80])
def test_dots_are_a_periodic_pattern(period: int, height: float, side: int) -> None:
    photos, others = painted("photo", side=side), painted("photo", side=side, first=100)
    assert grid(dotted(others, period, height), photos).item() > 1.5 * GRID
    # Real images that have the pattern themselves, as JPEG has its blocks, are no reason.
    assert grid(dotted(others, period, height), dotted(photos, period, height)).item() < GRID


def test_what_transposed_convolutions_leave_is_a_periodic_pattern() -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 4, 16, 16)
    for _ in range(2):
        features = torch.nn.functional.conv_transpose2d(
            features, torch.randn(4, 4, 3, 3), stride=2, padding=1, output_padding=1
        ).relu()
    texture = (features[:, :3] - features.mean()) / features.std()
    assert grid(rounded(painted("photo") + 0.1 * texture), painted("photo")).item() > GRID


def test_a_wave_in_noise_stands_out_as_far_as_it_should() -> None:
    """Closed form: a wave of height a and shortest period, in noise of deviation s, stands out by
    1 + a^2 (sum w)^2 / (s^2 sum w^2) in a window w; a Hann window of N x N pixels has the sums
    N^2 / 4 and (3 N / 8)^2. The median of the noise, a mean over three channels, is that of a gamma
    distribution of shape 3: 2.674 / 3 of its mean."""
    generator = torch.Generator().manual_seed(0)
    side, height, deviation = 64, 0.05, 0.2
    noise = deviation * torch.randn(32, 3, side, side, generator=generator)
    wave = height * (-1.0) ** torch.arange(side)
    expected = 1 + (height * side**2 / 4) ** 2 / (deviation * 3 * side / 8) ** 2
    assert grid(noise + wave, noise).item() == pytest.approx(expected / (2.674 / 3), rel=0.1)


def test_a_pattern_in_plain_places_is_not_drowned_by_texture_elsewhere() -> None:
    """Every second image is plain and has dots, the others are grass."""
    generator = torch.Generator().manual_seed(0)
    grass = 0.5 * torch.randn(8, 3, 64, 64, generator=generator)
    plain = torch.zeros(8, 3, 64, 64)
    assert grid(torch.cat([grass, dotted(plain, 4, 0.3)]), torch.cat([grass, plain])).item() > GRID
    # What is hardly there is no pattern: an eighth of a step of a byte.
    faint = plain + 0.001 * (-1.0) ** torch.arange(64)
    assert grid(torch.cat([grass, faint]), torch.cat([grass, plain])).item() < GRID


def test_patches_of_a_large_image_are_looked_at_one_by_one() -> None:
    """Noise on the left, on the right a plain sky with dots; the sky is half of the patches."""
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(4, 3, 128, 128)
    image[..., :64] = 0.5 * torch.randn(4, 3, 128, 64, generator=generator)
    sky = dotted(torch.zeros(4, 3, 128, 64), 4, 0.3)
    assert grid(torch.cat([image[..., :64], sky], dim=3), image).item() > GRID


def test_small_images_have_too_few_frequencies() -> None:
    small = random_images(side=24)
    assert "grid" not in health_signals(small, small)


def gaussian(images: Tensor, deviation: float) -> Tensor:
    """Blurred; the edges go round, so that no frequency gets into another."""
    side = images.shape[-1]
    along = torch.fft.fftfreq(side).square()
    kept = torch.exp(-2 * torch.pi**2 * deviation**2 * (along[:, None] + along))
    return torch.fft.ifft2(torch.fft.fft2(images) * kept).real


@pytest.mark.parametrize("deviation", [0.5, 1.0, 1.5])
def test_gaussian_blur_loses_the_detail_that_it_should(deviation: float) -> None:
    """Closed form: white noise, blurred, has exp(-2 (pi s f)^2) of its amplitude at frequency f; of
    that the geometric mean over the ring of frequencies from a to b is the exponential of the mean,
    in which f^2 is (a^2 + b^2) / 2."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.5 * torch.randn(32, 3, 64, 64, generator=generator)
    square = (1 / 8**2 + 1 / 4**2) / 2
    expected = np.exp(-2 * np.pi**2 * deviation**2 * square)
    assert detail(gaussian(noise, deviation), noise).item() == pytest.approx(expected, rel=0.06)
    assert detail(noise, gaussian(noise, deviation)).item() == pytest.approx(1 / expected, rel=0.06)


def test_dots_do_not_make_up_for_blur() -> None:
    photos = painted("photo")
    smeared = gaussian(painted("photo", first=100), 2)
    dotted_too = detail(dotted(smeared, 8, 0.2), photos).item()
    assert detail(painted("photo", first=100), photos).item() > 0.8
    assert detail(smeared, photos).item() < BLURRED
    assert dotted_too < BLURRED


def test_colours_that_are_turned_around() -> None:
    """Closed form: of colours all around the wheel, a complementary colour has the cosine -1, one a
    third of the wheel away (channels that have moved on by one) -1/2; by chance it is 0."""
    generator = torch.Generator().manual_seed(0)
    grey = torch.rand(64, 1, 4, 4, generator=generator)
    around = 2 * torch.pi * torch.rand(64, 1, 4, 4, generator=generator)
    third = 2 * torch.pi / 3 * torch.arange(3).view(3, 1, 1)
    images = 0.3 * torch.cos(around + third) + grey - 0.5

    assert hue(images, images).item() == pytest.approx(1, abs=0.05)
    assert hue(-images, images).item() == pytest.approx(-1, abs=0.05)
    assert hue(images.roll(1, 1), images).item() == pytest.approx(-0.5, abs=0.05)
    assert hue(images.roll(1, 0), images).item() == pytest.approx(0, abs=0.1)
    assert hue(0.2 * images + 0.5, images).item() == pytest.approx(1, abs=0.05)  # paler, brighter
    tinted = torch.tensor([0.5, 0.0, -0.5]).view(3, 1, 1).expand_as(images)
    assert hue(tinted, images).item() == pytest.approx(0, abs=1e-5)


def test_a_blue_flag_that_comes_out_yellow() -> None:
    """On white; brightness and colour together hardly tell."""
    images = torch.ones(9, 3, 32, 32)
    for number, image in enumerate(images):
        image[number % 3, 8:24, 8:24] = -1  # cyan, magenta, yellow
    turned = images.clone()
    flags = images[..., 8:24, 8:24]
    turned[..., 8:24, 8:24] = -flags
    assert hue(images, images).item() > 0.9
    assert hue(turned, images).item() < RECOLOURED


def test_the_distance_of_palettes() -> None:
    images = random_images(8, seed=7)
    assert palette_distance(images, images.flip(2)).item() == pytest.approx(0, abs=1e-6)
    # Brighter by a half: along a channel by 1/2, along grey by sqrt(3)/2, and not along the rest.
    brighter = palette_distance(images + 0.5, images).item()
    assert brighter == pytest.approx((3 * 0.5 + 0.5 * 3**0.5) / 7, rel=1e-4)


def test_a_palette_is_that_of_the_domain_that_was_asked_for() -> None:
    """Outputs of the colours of the two domains, but each of the other's: the set of all outputs
    has the right colours."""
    red, blue = torch.full((4, 3, 16, 16), -0.5), torch.full((4, 3, 16, 16), -0.5)
    red[:, 0], blue[:, 2] = 0.5, 0.5
    inputs, references = torch.cat([red, blue]), torch.cat([blue, red])
    labels = torch.eye(2)[[1] * 4 + [0] * 4]
    right = health_signals(references, references, inputs, labels=labels)["palette"].item()
    wrong = health_signals(inputs.flip(1), references, inputs.flip(1), labels=labels)
    assert right < -0.2
    assert wrong["palette"].item() == pytest.approx(0, abs=1e-6)
    green = torch.full((8, 3, 16, 16), -0.5)
    green[:, 1] = 0.5
    third = health_signals(green, references, references, labels=labels)["palette"].item()
    assert third > UNLIKE_TARGET


def test_edges_that_have_left_their_places() -> None:
    inputs = random_images(12, seed=8)
    assert structure(inputs, inputs).item() > 0.8
    assert structure(-0.3 * inputs, inputs).item() > 0.8  # other colours, the same edges
    assert abs(structure(inputs.roll(1, 0), inputs).item()) < 0.2
    same = inputs[:1].expand(12, -1, -1, -1)
    assert structure(same, inputs).item() == pytest.approx(0, abs=1e-4)
    assert structure(torch.zeros_like(inputs), inputs).item() == 0


def test_identity_is_kept_or_lost_without_pairs_only() -> None:
    inputs, other = random_images(40, seed=8), random_images(40, seed=9)
    assert health_signals(inputs, other, inputs)["structure"].item() > 0.8
    assert health_signals(other, other, inputs)["structure"].item() < UNLIKE_INPUT
    assert "structure" not in health_signals(inputs, other, inputs, paired=True)


def test_several_answers() -> None:
    inputs, outputs = random_images(6, seed=1), random_images(6, seed=2)
    assert answer_distance(outputs, outputs.roll(1, 0)).item() == pytest.approx(1)
    assert answer_distance(outputs, outputs).item() == 0
    signals = health_signals(outputs, outputs, inputs, again=outputs + 0.001)
    assert signals["answers"].item() < ONE_ANSWER
    assert "answers" not in health_signals(outputs, outputs, inputs)
