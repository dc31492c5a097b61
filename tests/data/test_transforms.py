"""What belongs together stays together, at any size; random choices are independent."""

import albumentations as A
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from i2i.data.augment.geometry import JointGeometry, ResizedCrop, evaluation_geometry, resize_pixels
from i2i.errors import OptionsError

RESIZES = st.sampled_from(["stretch", "shorter side", "none"])


def noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    generator = np.random.default_rng((height, width, channels))
    return generator.integers(0, 256, (height, width, channels), dtype=np.uint8)


def coordinates(height: int, width: int) -> np.ndarray:
    """An image whose pixels say where they are: (row, column, 0)."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)


@settings(max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    load=st.integers(1, 60),
    crop=st.integers(1, 48),
    resize=RESIZES,
    random_crop=st.booleans(),
    flip=st.booleans(),
    position=st.integers(0, 10**12),
)
def test_both_images_are_treated_alike_at_any_size(
    height: int,
    width: int,
    load: int,
    crop: int,
    resize: str,
    random_crop: bool,
    flip: bool,
    position: int,
) -> None:
    geometry = JointGeometry(load, crop, resize, random_crop=random_crop, flip=flip)
    image = noise(height, width)
    a, b = geometry(5, position, image, image.copy())
    assert a.shape == b.shape == (crop, crop, 3)
    assert a.dtype == np.uint8
    np.testing.assert_array_equal(a, b)
    _, grey = geometry(5, position, image, image[..., :1].copy())
    np.testing.assert_array_equal(grey[..., 0], a[..., 0])
    (alone,) = geometry(5, position, image)
    np.testing.assert_array_equal(alone, a)


@settings(max_examples=40)
@given(
    height=st.integers(20, 60),
    width=st.integers(20, 60),
    crop=st.integers(2, 20),
    position=st.integers(0, 10**9),
)
def test_a_crop_is_a_piece_of_the_image_perhaps_mirrored(
    height: int, width: int, crop: int, position: int
) -> None:
    image = coordinates(height, width)
    (out,) = JointGeometry(crop_size=crop, resize="none")(0, position, image)
    if out[0, 0, 1] > out[0, -1, 1]:
        out = out[:, ::-1]
    top, left = int(out[0, 0, 0]), int(out[0, 0, 1])
    np.testing.assert_array_equal(out, image[top : top + crop, left : left + crop])


def test_crops_and_mirrors_are_uniform_and_independent() -> None:
    image = coordinates(40, 40)
    geometry = JointGeometry(crop_size=31, resize="none")
    count = 3000
    choices = np.empty((count, 3))
    for position in range(count):
        (out,) = geometry(0, position, image)
        mirrored = out[0, 0, 1] > out[0, -1, 1]
        choices[position] = out[0, 0, 0], out[0, :, 1].min(), mirrored
    top, left, mirrored = choices.T
    for offsets in (top, left):
        # 300 each of 10 are expected, with a standard deviation of 16.
        assert np.abs(np.bincount(offsets.astype(int), minlength=10) - 300).max() < 80
    assert abs(mirrored.mean() - 0.5) < 0.05
    correlations = np.corrcoef(choices.T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.08
    # From one position to the next nothing carries over either.
    for sequence in (top, left, mirrored):
        assert abs(np.corrcoef(sequence[:-1], sequence[1:])[0, 1]) < 0.08


def test_the_seed_and_the_position_decide_and_the_past_does_not() -> None:
    image = coordinates(60, 60)
    geometry = JointGeometry(crop_size=20, resize="none")
    first = [geometry(1, position, image)[0] for position in range(8)]
    for position in (7, 0, 3):
        np.testing.assert_array_equal(geometry(1, position, image)[0], first[position])
    assert len({out.tobytes() for out in first}) == 8
    other = [geometry(2, position, image)[0] for position in range(8)]
    assert {out.tobytes() for out in first}.isdisjoint(out.tobytes() for out in other)


def test_what_is_switched_off_does_not_happen() -> None:
    image = coordinates(40, 30)
    still = JointGeometry(crop_size=20, resize="none", random_crop=False, flip=False)
    upright = JointGeometry(crop_size=20, resize="none", flip=False)
    for position in range(20):
        np.testing.assert_array_equal(still(0, position, image)[0], image[10:30, 5:25])
        (out,) = upright(0, position, image)
        assert out[0, 0, 1] < out[0, -1, 1]


@pytest.mark.parametrize(
    ("resize", "size", "resized"),
    [
        ("stretch", (100, 400), (286, 286)),
        ("shorter side", (100, 400), (286, 1144)),
        ("shorter side", (400, 100), (1144, 286)),
        ("none", (300, 400), (300, 400)),
        ("none", (128, 400), (256, 800)),
    ],
)
def test_sizes_before_the_crop(
    resize: str, size: tuple[int, int], resized: tuple[int, int]
) -> None:
    assert JointGeometry(286, 256, resize).resized(*size) == resized


def test_a_load_size_below_the_crop_is_raised_to_it() -> None:
    assert JointGeometry(100, 256, "stretch").resized(50, 50) == (256, 256)
    assert JointGeometry(100, 256, "shorter side").resized(50, 100) == (256, 512)


def test_evaluation_loads_at_the_crop_size_and_cuts_the_centre() -> None:
    image = noise(60, 90)
    (out,) = evaluation_geometry(30)(0, 0, image)
    np.testing.assert_array_equal(out, resize_pixels(image, 30, 30))
    (out,) = evaluation_geometry(30, "shorter side")(0, 1, image)
    np.testing.assert_array_equal(out, resize_pixels(image, 30, 45)[:, 7:37])
    (out,) = evaluation_geometry(30, "none")(0, 2, image)
    np.testing.assert_array_equal(out, image[15:45, 30:60])


def test_an_unknown_resize_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"'strech'.* Did you mean 'stretch'\?"):
        JointGeometry(resize="strech")


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    wanted=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    channels=st.sampled_from([1, 3, 4]),
)
def test_resizing_is_that_of_pillow_and_torchvision(
    size: tuple[int, int], wanted: tuple[int, int], channels: int
) -> None:
    pixels = 80 + noise(*size, channels) // 3  # away from 0 and 255, where clipping sets in
    resized = resize_pixels(pixels, *wanted)
    assert resized.shape == (*wanted, channels)

    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = reference.resize(planes, list(wanted), InterpolationMode.BICUBIC, antialias=True)
    np.testing.assert_array_equal(resized, expected.permute(1, 2, 0).numpy())

    for channel in range(channels):  # one by one, since Pillow would weigh RGB with alpha
        plane = Image.fromarray(pixels[..., channel].copy())
        pillow = np.asarray(plane.resize(wanted[::-1], Image.Resampling.BICUBIC))
        assert np.abs(resized[..., channel].astype(int) - pillow).max() <= 2


@pytest.mark.parametrize("size", [64, 128, 286, 500])
def test_resizing_what_is_smooth_is_nearly_always_exact(size: int) -> None:
    pixels = resize_pixels(noise(16, 16), 256, 256)
    pillow = np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))
    difference = np.abs(resize_pixels(pixels, size, size).astype(int) - pillow)
    assert difference.max() <= 2
    assert difference.mean() < 0.01


def test_half_of_a_image_may_be_resized() -> None:
    both = noise(40, 80)
    right = both[:, 40:]
    np.testing.assert_array_equal(
        resize_pixels(right, 30, 30), resize_pixels(np.ascontiguousarray(right), 30, 30)
    )


def reseed(transform: A.BasicTransform | A.BaseCompose, generator: np.random.Generator) -> None:
    transform.set_random_seed(int(generator.integers(2**63)))
    for child in getattr(transform, "transforms", ()):
        reseed(child, generator)


@settings(max_examples=100)
@given(
    size=st.tuples(st.integers(20, 60), st.integers(20, 60)),
    crop=st.integers(2, 20),
    random_crop=st.booleans(),
    flip=st.booleans(),
    planes=st.booleans(),
    seed=st.integers(0, 2**63),
    position=st.integers(0, 10**12),
)
def test_a_seed_gives_the_images_of_a_composition(
    size: tuple[int, int],
    crop: int,
    random_crop: bool,
    flip: bool,
    planes: bool,
    seed: int,
    position: int,
) -> None:
    images = [noise(*size), noise(*size, 1)]
    kind = A.RandomCrop if random_crop else A.CenterCrop
    compose = A.Compose(
        [kind(crop, crop), A.HorizontalFlip(p=0.5 if flip else 0.0)],
        additional_targets={"other": "image"},
    )
    reseed(compose, np.random.default_rng((seed, 2, position)))
    expected = compose(image=images[0], other=images[1])
    if planes:  # as kept images lie in memory
        images = [np.ascontiguousarray(p.transpose(2, 0, 1)).transpose(1, 2, 0) for p in images]
    geometry = JointGeometry(crop_size=crop, resize="none", random_crop=random_crop, flip=flip)
    image, other = geometry(seed, position, *images)
    np.testing.assert_array_equal(image, expected["image"])
    np.testing.assert_array_equal(other, expected["other"])


def test_images_that_cannot_be_written_to_are_taken() -> None:
    """As numpy makes them of a Pillow image, of which torch warns."""
    pixels = np.asarray(Image.fromarray(noise(8, 8)))
    assert not pixels.flags.writeable
    geometry = JointGeometry(8, 8, "none", random_crop=False, flip=True)
    found = [geometry(0, position, pixels)[0] for position in range(20)]
    straight, mirrored = noise(8, 8), noise(8, 8)[:, ::-1]
    assert all(np.array_equal(each, straight) or np.array_equal(each, mirrored) for each in found)
    assert any(np.array_equal(each, mirrored) for each in found)


def test_a_resized_crop_is_as_published() -> None:
    """An image of its own coordinates tells which part of it was cut out."""
    height, width = 100, 100
    ramp = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), axis=2)
    image = np.concatenate([2 * ramp, 0 * ramp[..., :1]], axis=2).astype(np.uint8)
    geometry = ResizedCrop(100, 50)
    areas, ratios, mirrored, whole = [], [], 0, 0
    for position in range(1000):
        (out,) = geometry(7, position, image)
        assert out.shape == (50, 50, 3)
        rows, columns = out[:, 25, 0].astype(float), out[25, :, 1].astype(float)
        mirrored += columns[0] > columns[-1]
        # Slopes: pixels of the image for each pixel of the result.
        down, across = (abs(each[40] - each[10]) / 2 / 30 * 50 for each in (rows, columns))
        whole += min(down, across) > 99
        if min(down, across) < 99:
            areas.append(down * across / (height * width))
            ratios.append(across / down)
    assert 430 < mirrored < 570
    assert 430 < whole < 580  # with hardly a part that is nearly everything
    assert 0.77 < min(areas) < 0.84
    assert max(areas) <= 1.0
    assert 0.87 < min(ratios) < 0.93
    assert 1.07 < max(ratios) < 1.13
    (again,) = geometry(7, 3, image)
    np.testing.assert_array_equal(again, geometry(7, 3, image)[0])
    still = ResizedCrop(100, 50, flip=False)
    assert all(still(7, position, image)[0][25, 0, 1] < 60 for position in range(50))
