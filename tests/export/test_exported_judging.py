"""What held-out images are judged by, and how speeds are measured."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from i2i.core.batch import Labelled, Pair, Unpaired, to_signed
from i2i.core.labels import LabelSet, LabelSpace
from i2i.core.sides import Sides
from i2i.data.sources.source import Source
from i2i.errors import DataError
from i2i.export.quality import held_out, images_per_second, in_bf16


class Images:
    """Samples by their number, as data sets give them."""

    def __init__(self, samples: list[Any], sides: tuple[int, int] = (0, 0)) -> None:
        self.samples = samples
        self.images = [list(range(count)) for count in sides]

    def __getitem__(self, position: int) -> Any:
        return self.samples[position]


def source_of(samples: list[Any], sides: tuple[int, int] = (0, 0)) -> Source:
    data: Any = Images(samples, sides)
    return Source(data, data, len(samples), len(samples), "")


def number_of(images: Tensor) -> list[int]:
    """Which images these are, told by their first byte."""
    return [round(value) for value in (images[:, 0, 0, 0].add(1) * 127.5).tolist()]


def image(number: int, channels: int = 3) -> Tensor:
    image = torch.full((channels, 4, 4), 200, dtype=torch.uint8)
    image[:, 0, 0] = number
    return image


class Towards(nn.Module):
    """Adds a constant to everything."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :3] + self.shift


def model_of(kind: str, **networks: nn.Module) -> Any:
    model = nn.ModuleDict(networks)
    directions = {k.removeprefix("generator_"): k for k in networks if k != "generator"}
    return SimpleNamespace(
        data=kind,
        directions=directions,
        generators=tuple(networks),
        get_submodule=model.get_submodule,
    )


def decibel(error: float) -> float:
    """PSNR of a constant error in -1..1: 10 log10(4 / error^2)."""
    return (10 * torch.tensor(4 / error**2).log10()).item()


def test_pairs_are_judged_by_their_truth() -> None:
    samples = [Pair(image(n), 255 - image(n)) for n in range(11)]
    found = held_out(source_of(samples), model_of("paired"), LabelSpace(()), "AtoB", 0, Sides())
    used = number_of(found.calibration), number_of(found.judged)
    assert len(used[0]) == 5
    assert sorted(used[0] + used[1]) == list(range(11))  # none is both, and none is left out
    assert used[0] != list(range(5))
    assert found.measure == "PSNR to the truth"
    quality = found.quality(-found.judged + 0.25)
    torch.testing.assert_close(quality, torch.full((6,), decibel(0.25)))


def test_without_pairs_the_way_back_is_judged_and_no_image_comes_twice() -> None:
    # A has four images, of which B's ten show each several times.
    samples = [Unpaired(image(n % 4), image(100 + n)) for n in range(10)]
    model = model_of("unpaired", generator_AtoB=Towards(0.5), generator_BtoA=Towards(-0.25))
    source = source_of(samples, (4, 10))
    for direction, numbers, error in (
        ("AtoB", list(range(4)), 0.25),
        ("BtoA", list(range(100, 110)), 0.125),
    ):
        found = held_out(source, model, LabelSpace(()), direction, 0, Sides())
        assert sorted(number_of(found.calibration) + number_of(found.judged)) == numbers
        # Made exactly 0.5 or 0.375 too bright, then moved by the other generator.
        made = found.judged + (0.5 if direction == "AtoB" else -0.375)
        torch.testing.assert_close(
            found.quality(made), torch.full((len(found.judged),), decibel(error))
        )


def test_one_way_is_judged_by_what_should_not_change() -> None:
    samples = [Unpaired(image(n), image(100 + n % 7)) for n in range(10)]
    found = held_out(
        source_of(samples, (10, 7)),
        model_of("unpaired", generator=Towards(0.5)),
        LabelSpace(()),
        "BtoA",
        0,
        Sides(),
    )
    calibration, judged = number_of(found.calibration), number_of(found.judged)
    assert len(calibration) == 3
    assert set(calibration) < set(range(10))  # what is translated, whatever the direction
    assert len(judged) == 4
    assert {n - 100 for n in judged} == set(range(7)) - set(calibration)
    torch.testing.assert_close(found.quality(found.judged + 0.25), torch.full((4,), decibel(0.25)))


class Told(nn.Module):
    """Adds the first plane of the condition, halved."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[1] == 5
        return images[:, :3] + images[:, 3:4] / 2


def test_domains_are_judged_on_the_way_to_the_next_and_home() -> None:
    space = LabelSpace((LabelSet(("red", "blue"), exclusive=True),))
    labels = torch.eye(2)
    samples = [Labelled(image(n), labels[n % 2], torch.ones(1)) for n in range(8)]
    found = held_out(
        source_of(samples), model_of("domains", generator=Told()), space, "AtoB", 0, Sides()
    )
    assert found.judged.shape == (4, 5, 4, 4)
    numbers = number_of(found.judged)
    own = labels[torch.tensor(numbers) % 2]
    # Asked to become what the next one is, and home again what it was itself.
    assert torch.equal(found.judged[:, 3:, 0, 0], own.roll(-1, 0))
    images = to_signed(torch.stack([image(n) for n in numbers]))
    assert torch.equal(found.judged[:, :3], images)
    expected = torch.tensor([decibel(0.75) if red else decibel(0.25) for red in own[:, 0]])
    torch.testing.assert_close(found.quality(images + 0.25), expected)


def test_one_image_is_not_enough() -> None:
    with pytest.raises(DataError, match="--calibrate-on"):
        held_out(
            source_of([Pair(image(0), image(1))]),
            model_of("paired"),
            LabelSpace(()),
            "AtoB",
            0,
            Sides(),
        )


def test_speeds_are_measured_in_turns() -> None:
    calls: list[str] = []
    now = 0.0

    def takes(name: str, *seconds: float) -> Any:
        times = iter(seconds)

        def network(images: Tensor) -> Tensor:
            nonlocal now
            assert images.shape == (1, 3, 4, 4)
            calls.append(name)
            now += next(times)
            return images

        return network

    networks = {"slow": takes("slow", 0.1, 0.5, 0.25, 4.0), "fast": takes("fast", 9, 0.5, 0.125, 1)}
    speeds = images_per_second(networks, torch.zeros(2, 3, 4, 4), lambda: now, turns=3)
    assert speeds == pytest.approx({"slow": 4.0, "fast": 8.0})
    assert calls == ["slow", "fast"] * 4


def test_bf16_is_bf16() -> None:
    layer = nn.Conv2d(3, 2, 1)
    assert in_bf16(layer)(torch.zeros(1, 3, 4, 4)).dtype == torch.bfloat16
