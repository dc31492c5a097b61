import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.errors import DataError
from i2i.metrics import sliced
from i2i.metrics.sliced import (
    downsample,
    laplacian_pyramid,
    level_sizes,
    patch_distance,
    pyramid_patches,
    sliced_distance,
    upsample,
)

KERNEL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def noise(count: int, height: int, width: int, seed: int = 0, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@given(st.integers(16, 40), st.integers(16, 40))
def test_the_pyramid_agrees_with_scipy(height: int, width: int) -> None:
    image = np.random.default_rng(0).normal(size=(height, width))
    smaller = scipy.ndimage.convolve(image, KERNEL, mode="mirror")[::2, ::2]
    images = torch.from_numpy(image)[None, None]
    np.testing.assert_allclose(downsample(images)[0, 0], smaller, atol=1e-12)
    spread = np.zeros((height, width))
    spread[::2, ::2] = smaller
    larger = scipy.ndimage.convolve(spread, 4 * KERNEL, mode="mirror")
    found = upsample(torch.from_numpy(smaller)[None, None], (height, width))
    np.testing.assert_allclose(found[0, 0], larger, atol=1e-12)


def test_the_levels_make_up_the_image() -> None:
    image = torch.randn(2, 3, 70, 65, dtype=torch.float64)
    levels = laplacian_pyramid(image)
    assert [tuple(level.shape[2:]) for level in levels] == level_sizes(70, 65)
    whole = levels.pop()
    while levels:
        whole = levels[-1] + upsample(whole, levels.pop().shape[-2:])
    torch.testing.assert_close(whole, image)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(256, [256, 128, 64, 32, 16]), (28, [28]), (31, [31, 16]), (7, [7]), (64, [64, 32, 16])],
)
def test_levels_go_down_to_sixteen_pixels(size: int, expected: list[int]) -> None:
    assert [height for height, _ in level_sizes(size, size)] == expected


def test_points_in_one_dimension_are_at_the_wasserstein_distance_of_scipy() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 200, 1)).astype(np.float32)
    y = y * 2 + 1
    found = sliced_distance(
        torch.from_numpy(x), torch.from_numpy(y), projections=3, generator=torch.Generator()
    )
    assert found == pytest.approx(scipy.stats.wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-5)


def test_a_shift_is_its_mean_length_along_random_directions() -> None:
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    shifted = points + torch.tensor([2.0, 0.0, 0.0])
    found = sliced_distance(
        points, shifted, projections=20_000, generator=torch.Generator().manual_seed(0)
    )
    # The first coordinate of a direction on the sphere is uniform in -1..1.
    assert found == pytest.approx(2 * 0.5, rel=0.02)


def test_patches_are_cut_out_of_the_images_in_turn() -> None:
    # Each image tells at every pixel who it is and where; one level, so nothing is filtered.
    count, side = 3, 12
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = torch.stack(
        [torch.stack([torch.full_like(row, 50 * i), row, column]) for i in range(count)]
    ).to(torch.uint8)
    (patches,) = pyramid_patches(images, patches=20, seed=0)
    values = ((patches + 1) * 127.5).round().long().unflatten(2, (7, 7))
    for number, (who, rows, columns) in enumerate(values):
        assert (who == 50 * (number % count)).all()
        assert (rows - rows[:1] == torch.arange(7)[:, None]).all()
        assert (columns - columns[:, :1] == torch.arange(7)[None]).all()
    assert values[:, 1, 0, 0].unique().numel() > 3
    # Lazy images, in slices, are no different from a tensor.
    assert torch.equal(patches, pyramid_patches(images, patches=20, seed=0)[0])


def test_patches_do_not_depend_on_how_many_images_are_taken_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = torch.randint(0, 256, (7, 3, 32, 32), generator=torch.manual_seed(0)).byte()
    whole = pyramid_patches(images, patches=20, seed=0)
    monkeypatch.setattr(sliced, "VALUES", 2 * images[0].numel())
    for level, expected in zip(pyramid_patches(images, patches=20, seed=0), whole, strict=True):
        torch.testing.assert_close(level, expected)


def test_equal_sets_are_at_distance_zero_and_each_scale_is_told_apart() -> None:
    images = noise(20, 32, 32)
    assert patch_distance(images, images, patches=500).mean == 0.0
    # Noise that is blurred lacks the finest details more than the coarse ones.
    blurred = torch.from_numpy(
        scipy.ndimage.gaussian_filter(images.float().numpy(), (0, 0, 1, 1))
    ).to(torch.uint8)
    found = patch_distance(blurred, images, patches=500, normalisation="reference")
    assert list(found.levels) == [32, 16]
    assert found.levels[32] > found.levels[16]
    assert found.mean == pytest.approx(sum(found.levels.values()) / 2)


def test_only_the_reference_shows_brightness() -> None:
    images = noise(30, 16, 16) // 2
    brighter = images + 50
    own = patch_distance(brighter, images, patches=2000)
    assert own.mean == pytest.approx(0, abs=1e-5)
    found = patch_distance(
        brighter, images, patches=2000, projections=2000, normalisation="reference"
    )
    # Every coordinate moves by the same shift; a direction sees it with length |sum of it|, and
    # the sum of a random direction of D dimensions is about normal with variance 1.
    deviation = (images.float() / 127.5).std().item()
    assert found.mean == pytest.approx(50 / 127.5 / deviation * (2 / np.pi) ** 0.5, rel=0.05)


def test_more_of_the_same_noise_is_closer_than_other_noise() -> None:
    same = patch_distance(noise(40, 16, 16, 1), noise(30, 16, 16, 2), patches=4000)
    stripes = noise(40, 1, 16, 1).expand(-1, -1, 16, -1)
    other = patch_distance(stripes, noise(30, 16, 16, 2), patches=4000)
    assert other.mean > 2 * same.mean


def test_it_follows_from_the_seed_and_leaves_the_random_state_alone() -> None:
    x, y = noise(5, 16, 16, 1), noise(6, 16, 16, 2)
    state = torch.get_rng_state()
    first = patch_distance(x, y, patches=300)
    assert first == patch_distance(x, y, patches=300)
    assert first != patch_distance(x, y, patches=300, seed=1)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="16 x 17 pixels with 3 channels"):
        patch_distance(noise(2, 17, 16), noise(2, 16, 16))
    with pytest.raises(DataError, match="only 6 x 20 pixels"):
        patch_distance(noise(2, 20, 6), noise(2, 20, 6))
