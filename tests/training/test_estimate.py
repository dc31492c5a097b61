"""What is measured of a training, against counting by hand."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from i2i.config import Options
from i2i.errors import TrainingError
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from i2i.training.cost import (
    Estimate,
    measure,
    measure_apart,
    measure_memory,
    period_of,
    random_batch,
)
from i2i.training.flops import StepWork
from shrunk import recipes, shrunk


def test_operations_are_those_of_torch_where_it_can_count() -> None:
    options = shrunk("pix2pix")
    steps = []
    for counter in (StepWork(), FlopCounterMode(display=False)):
        model = build_model(options)
        trainer, batch = build_trainer(options, model), random_batch(options, model)
        with counter:
            trainer.step(batch)
        steps.append(
            counter.operations if isinstance(counter, StepWork) else counter.get_total_flops()
        )
    assert steps[0] == steps[1] > 0


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_can_be_measured(recipe: str) -> None:
    options = shrunk(recipe)
    estimate = measure(options, steps=1)
    model = build_model(options)
    assert estimate.parameters == {
        name: sum(p.numel() for p in network.parameters())
        for name, network in model.named_children()
        if list(network.parameters())
    }
    assert estimate.operations > 0
    # Each number that is learnt is read at least, its gradient written, and read to update it.
    learnt = sum(estimate.parameters.values())
    assert estimate.traffic > 3 * 4 * learnt / period_of(options)
    assert estimate.seconds > 0
    assert estimate.steps % period_of(options) == 0
    assert estimate.memory is None or estimate.memory > 10_000_000
    assert (estimate.device, estimate.batch_size, estimate.crop_size) == ("cpu", 2, 16)


def test_twice_the_batch_is_twice_the_operations() -> None:
    one, two = (
        measure(shrunk("cyclegan", f"train.batch_size={size}"), steps=1).operations
        for size in (1, 2)
    )
    assert two == 2 * one


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    measure(shrunk("pix2pix"), steps=1)
    assert torch.equal(torch.rand(3), expected)


def test_a_random_batch_has_the_channels_of_the_options() -> None:
    options = shrunk("pix2pix", "data.input_channels=1")
    source, target = random_batch(options, build_model(options))
    assert source.shape == (2, 1, 16, 16)
    assert target.shape == (2, 3, 16, 16)
    assert source.dtype == torch.uint8


def test_what_grows_is_measured_in_its_last_stage() -> None:
    def measured(first: int, last: int) -> Estimate:
        sizes = {4: first, 8: 2, 16: last}
        stages = ", ".join(
            f"{{ size = {size}, batch_size = {batch}, fade = {2 * (size > 4)}, hold = 1 }}"
            for size, batch in sizes.items()
        )
        return measure(shrunk("progan", f"growth.stages=[{stages}]"), steps=1)

    small, early, late = measured(4, 4), measured(8, 4), measured(4, 8)
    assert early.operations == small.operations
    assert late.operations == 2 * small.operations
    assert (small.batch_size, late.batch_size) == (4, 8)


def test_memory_is_measured_at_a_second_batch_size_in_a_process_of_its_own() -> None:
    ballast = torch.ones(300_000_000 // 4)  # 0.3 GB that is really there
    assert float(ballast[-1]) == 1.0
    options = shrunk("pix2pix")
    here = measure(options, steps=1)
    line = measure_memory(options, "cpu", here)
    if here.memory is None:
        assert line is None
        return
    assert line is not None
    assert line.at == (2, 8)
    assert line.memory[0] == here.memory
    assert line.memory[1] < here.memory - 200_000_000


def test_a_step_without_enough_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object, **__: object) -> Estimate:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("i2i.training.cost.measure", starved)
    options = shrunk("pix2pix")
    with pytest.raises(TrainingError, match=r"2 images of 16 pixels.*meta.*--batch-size"):
        measure_apart(options, "meta")
    known = Estimate("meta", 2, 16, {}, 1, 1, 1.0, 10, 1)
    assert measure_memory(options, "meta", known) is None


def test_the_second_batch_size_of_what_grows_is_that_of_the_last_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def weighed(options: Options, **_: object) -> Estimate:
        count = len(random_batch(options, build_model(options)).images)
        return Estimate("meta", count, 16, {}, 1, 1, 1.0, 100 + 7 * count, 1)

    monkeypatch.setattr("i2i.training.cost.measure", weighed)
    options = shrunk("progan")
    line = measure_memory(options, "meta", weighed(options))
    assert line is not None
    assert (line.at, line.memory, line.per_image) == ((2, 8), (114, 156), 7)
    large = shrunk("pix2pix", "train.batch_size=16")
    known = Estimate("meta", 16, 16, {}, 1, 1, 1.0, 212, 1)
    monkeypatch.setattr(
        "i2i.training.cost.measure", lambda options, **_: replace(known, memory=156)
    )
    line = measure_memory(large, "meta", known)
    assert line is not None
    assert line.at == (16, 8)
