"""What a validation measures beside the model's own measures, on made-up models."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import pytest
import torch
from torch import Tensor, nn

from i2i.core.batch import Pair, Unpaired
from i2i.core.model import Clock, Generated, Model, Objective, Play
from i2i.metrics.distance import Distance
from i2i.training.trainer import Trainer
from i2i.training.validation import Validation


class Painted(Model):
    """Makes of an image what a function makes of it; trains a number that nobody uses."""

    data = "made up"
    monitor = "l1"
    generators = ("generator",)
    players: ClassVar = {"generator": ("generator",)}
    terms: ClassVar = {"generator": ("l1",)}

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.generator = nn.Linear(1, 1)
        self.paint = paint

    @classmethod
    def assemble(cls, kit: Any) -> Self:
        raise AssertionError

    def play(self, batch: Any, clock: Clock) -> Play:
        number = self.generator(torch.ones(1, 1)).mean()
        yield "generator", Objective({"l1": 1.0})(l1=lambda: number)

    def visualize(self, batch: Any) -> dict[str, Tensor]:
        return {"output": self.paint(batch[0])}

    def generate(self, batch: Any) -> dict[str, Generated]:
        return {
            "made": Generated(self.paint(batch[0]), batch[1], batch[0], isinstance(batch, Pair))
        }

    def validation_step(self, batch: Any) -> dict[str, Tensor]:
        return {"l1": (self.paint(batch[0]) - batch[1]).abs().mean((1, 2, 3))}

    def reduce(self, measured: Mapping[str, Tensor]) -> dict[str, float]:
        return {name: values.mean().item() for name, values in measured.items()}


def measured(
    paint: Callable[[Tensor], Tensor], batch: Any, steps: int = 0, **arguments: Any
) -> dict[str, float]:
    trainer = Trainer(Painted(paint), lambda _, p: torch.optim.SGD(p, lr=0.1), length=8)
    trainer.steps_done = steps
    return Validation([batch], nn.Module.eval, sheet=2, **arguments).measure(trainer)


def images(seed: int, count: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_pairs_know_what_copying_would_reach() -> None:
    source, target = images(0), images(1)
    found = measured(lambda x: -x, Pair(source, target), steps=2)
    a, b = source.double() / 127.5 - 1, target.double() / 127.5 - 1
    assert found["copying/l1"] == pytest.approx((a - b).abs().mean().item(), rel=1e-4)
    assert found["health/progress"] == 0.25
    same = measured(lambda x: x, Pair(source, target))
    assert same["l1"] == pytest.approx((a - b).abs().mean().item(), rel=1e-4)


def test_inputs_that_are_their_own_truths_have_no_psnr_to_copy() -> None:
    found = measured(lambda x: x, Pair(images(0), images(0)))
    assert found["copying/l1"] == 0
    assert "copying/psnr" not in found
    # One of them among others is left out of the mean.
    source, target = images(0), torch.cat([images(0)[:1], images(1)[1:]])
    mean = measured(lambda x: -x, Pair(source, target))["copying/psnr"]
    error = (source[1:].double() - target[1:].double()).square().mean(dim=(1, 2, 3))
    assert mean == pytest.approx((10 * (255**2 / error).log10()).mean().item(), rel=1e-4)


def test_without_pairs_the_distance_of_the_inputs_is_measured_once() -> None:
    calls = []

    def between(made: Tensor, real: Tensor) -> float:
        calls.append(made)
        return (made.double().mean() - real.double().mean()).abs().item()

    a, b = images(0), images(1)
    trainer = Trainer(Painted(lambda x: x * 0), lambda _, p: torch.optim.SGD(p, lr=0.1))
    validation = Validation(
        [Unpaired(a, b)], nn.Module.eval, sheet=2, distance=Distance("mean", between)
    )
    for _ in range(2):
        found = validation.measure(trainer)
    expected = (a.double().mean() - b.double().mean()).abs().item()
    assert found["copying/mean"] == pytest.approx(expected)
    assert found["mean"] == pytest.approx((b.double().mean() - 128).abs().item())
    assert len(calls) == 3


def test_inputs_of_other_channels_cannot_stand_in_for_outputs() -> None:
    found = measured(lambda x: x.repeat(1, 3, 1, 1), Pair(images(0)[:, :1], images(1)))
    assert not [name for name in found if name.startswith("copying/")]


def test_sick_outputs_show_in_the_signals() -> None:
    pair = Pair(images(0), images(1))
    flat = measured(lambda x: torch.full_like(x, 0.2), pair)
    assert flat["health/contrast"] == pytest.approx(0, abs=1e-6)
    assert flat["health/diversity"] == pytest.approx(0, abs=1e-6)
    board = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    assert measured(lambda x: x * 0.5 + 0.2 * board, pair)["health/grid"] > 50
    assert measured(lambda x: x, pair)["health/grid"] < 5


def test_sick_outputs_are_shown_and_healthy_ones_are_not() -> None:
    pair = Pair(images(0), images(1))
    board = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    trainer = Trainer(Painted(lambda x: x * 0.5 + 0.2 * board), lambda _, p: torch.optim.SGD(p))
    validation = Validation([pair], nn.Module.eval, sheet=2)
    validation.measure(trainer)
    assert validation.marked.keys() == {("periodic pattern", "")}
    picture = validation.marked["periodic pattern", ""]
    assert picture.height > 3 * 128  # three rows, enlarged
    trainer.model.paint = lambda x: x
    validation.measure(trainer)
    assert validation.marked == {}


def test_a_picture_of_a_collapse_has_inputs_and_outputs_as_they_are() -> None:
    batch = Unpaired(images(0), images(1))
    trainer = Trainer(Painted(torch.zeros_like), lambda _, p: torch.optim.SGD(p, lr=0.1))
    validation = Validation([batch], nn.Module.eval, sheet=2)
    validation.measure(trainer)
    assert ("generator collapsed", "") in validation.marked


def test_batches_of_which_one_has_no_other_answer() -> None:
    class Several(Painted):
        def generate(self, batch: Any) -> dict[str, Generated]:
            made = super().generate(batch)["made"]
            return {"made": made._replace(again=-made.outputs if len(batch[0]) > 1 else None)}

    def found(*counts: int) -> dict[str, float]:
        trainer = Trainer(Several(lambda x: x), lambda _, p: torch.optim.SGD(p, lr=0.1))
        batches = [Unpaired(images(0, count), images(1, count)) for count in counts]
        return Validation(batches, nn.Module.eval, sheet=1).measure(trainer)

    assert found(4, 3)["health/answers"] > 0.5
    assert "health/answers" not in found(4, 1)
