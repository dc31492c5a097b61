"""The history pool against the algorithm in plain words, and its statistics."""

import torch

from i2i.networks import ImagePool


def numbered(first: int, count: int) -> torch.Tensor:
    return torch.arange(first, first + count).float().view(count, 1, 1, 1).expand(-1, 3, 2, 2)


def names(images: torch.Tensor) -> list[int]:
    return [int(image.unique().item()) for image in images]


def test_while_it_fills_it_hands_back_what_it_is_given() -> None:
    pool = ImagePool(5, (3, 2, 2))
    assert names(pool(numbered(1, 3))) == [1, 2, 3]
    assert names(pool(numbered(4, 2))) == [4, 5]
    assert pool.filled.item() == 5
    assert names(pool.images) == [1, 2, 3, 4, 5]


def test_afterwards_a_image_is_exchanged_or_handed_back() -> None:
    torch.manual_seed(0)
    pool = ImagePool(5, (3, 2, 2))
    pool(numbered(0, 5))
    exchanged = 0
    held = set(range(5))
    places: list[int] = []
    for number in range(5, 2005):
        before = names(pool.images)
        (shown,) = names(pool(numbered(number, 1)))
        after = names(pool.images)
        if shown == number:
            assert after == before
        else:
            assert shown in held
            place = before.index(shown)
            places.append(place)
            assert after == [*before[:place], number, *before[place + 1 :]]
            held = set(after)
            exchanged += 1
    assert abs(exchanged - 1000) < 4 * (2000 / 4) ** 0.5  # four standard deviations
    assert set(places) == set(range(5))
    assert pool.filled.item() == 5


def test_it_is_saved_and_no_gradient_passes() -> None:
    pool = ImagePool(2, (3, 2, 2))
    images = numbered(1, 2).clone().requires_grad_()
    assert not pool(images).requires_grad
    copy = ImagePool(2, (3, 2, 2))
    copy.load_state_dict(pool.state_dict())
    assert names(copy.images) == [1, 2]
    assert copy.filled.item() == 2


def test_without_places_it_is_transparent() -> None:
    pool = ImagePool(0, (3, 2, 2))
    images = numbered(1, 2).clone().requires_grad_()
    assert torch.equal(pool(images), images)
    assert not pool(images).requires_grad
