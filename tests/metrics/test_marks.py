"""Places of faults that were put where they are known to be."""

import pytest
import torch
from torch import Tensor

from i2i.data.demo.painter import paint
from i2i.metrics.marks import Mark, find_marks, periodic


def painted(count: int = 5, side: int = 64) -> Tensor:
    images = [torch.from_numpy(paint(seed, side, "photo")) for seed in range(count)]
    return torch.stack(images).permute(0, 3, 1, 2) / 127.5 - 1


PLACE = (3, slice(None), slice(32, 56), slice(8, 32))
"""In the fourth image: rows 32 to 55, columns 8 to 31."""


def inside(mark: Mark) -> bool:
    return mark.image == 3 and 32 <= mark.top <= 56 - mark.side and 8 <= mark.left <= 32 - mark.side


@pytest.mark.parametrize("period", [2, 4, 8])
def test_dots_are_marked_where_they_are(period: int) -> None:
    images, dots = painted(), torch.zeros(24, 24)
    dots[::period, ::period] = 1.0
    images[PLACE] += dots
    worst, *others = find_marks("periodic pattern", images)
    assert worst.side == 16
    assert worst.image == 3
    assert 24 <= worst.top <= 48
    assert 0 <= worst.left <= 24
    assert len(others) == 2
    assert {mark.image for mark in others} < {0, 1, 2, 4}


def test_a_wave_of_every_second_pixel_has_the_square_of_its_height() -> None:
    board = 0.3 * (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    found = periodic(board.expand(1, 3, -1, -1))
    assert found[0, 8:24, 8:24].mean().item() == pytest.approx(0.09, rel=1e-4)
    assert periodic(torch.full((1, 3, 32, 32), 0.4)).max().item() == pytest.approx(0, abs=1e-10)


def spoilt(kind: str, truth: Tensor) -> Tensor:
    images = truth.clone()
    place = images[PLACE]
    match kind:
        case "outputs blurred":
            images[PLACE] = place.mean(dim=(1, 2), keepdim=True)
        case "colours changed":
            images[PLACE] = place.roll(1, 0) + torch.tensor([0.5, 0.0, -0.5]).view(3, 1, 1)
        case "colours shifted" | "colours inverted":
            images[PLACE] = place + 1
        case "identity lost":
            images[PLACE] = place + torch.rand(24, 24, generator=torch.Generator().manual_seed(0))
    return images


@pytest.mark.parametrize(
    "kind",
    ["outputs blurred", "colours changed", "colours shifted", "colours inverted", "identity lost"],
)
def test_what_is_not_like_the_original_is_marked(kind: str) -> None:
    truth = painted()
    assert inside(find_marks(kind, spoilt(kind, truth), truth)[0])


def test_what_has_no_place_or_no_original_has_no_marks() -> None:
    images = painted()
    assert find_marks("generator collapsed", images, images) == []
    assert find_marks("outputs blurred", images) == []


def test_small_and_other_images() -> None:
    tiny = torch.eye(5, 7).expand(2, 1, -1, -1)
    assert [mark.side for mark in find_marks("colours shifted", tiny, -tiny)] == [1, 1]
    grey, large = 0.1 * torch.rand(4, 1, 16, 16), torch.rand(4, 3, 32, 48)
    for kind in ("outputs blurred", "colours shifted", "identity lost"):
        assert len(find_marks(kind, grey, large)) == 3


@pytest.mark.parametrize("kind", ["periodic pattern", "outputs blurred", "colours changed"])
def test_images_without_the_fault_have_no_marks(kind: str) -> None:
    flat = torch.zeros(3, 3, 16, 16)
    assert find_marks(kind, flat, flat + 0.5) == []  # which is brighter, of the same colour
