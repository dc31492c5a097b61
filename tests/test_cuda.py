"""What only a GPU can tell: no step waits for it, and it computes what the CPU computes.

python -m pytest -m cuda
"""

import pytest
import torch

from i2i.builder import build_trainer
from i2i.estimate import measure
from i2i.recipes import recipes
from shrunk import batch_for, shrunk

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", recipes())
def test_no_step_waits_for_the_device(recipe: str, precision: str) -> None:
    settings = [f"train.precision={precision}", "train.average=0.9", "data.augment.rotation=10"]
    trainer = build_trainer(shrunk(recipe, *settings), device="cuda")
    batch = batch_for(trainer.model)
    batch = type(batch)(*(images.pin_memory() for images in batch))
    for _ in range(3):  # libraries may wait while they warm up
        trainer.step(batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("recipe", recipes())
def test_the_first_step_is_that_of_the_cpu(recipe: str) -> None:
    settings = ["generator.dropout=false", "train.tf32=false"]
    trainers = [
        build_trainer(shrunk(recipe, *settings), device=device) for device in ("cpu", "cuda")
    ]
    expected, found = (trainer.step(batch_for(trainer.model)) for trainer in trainers)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=1e-4, atol=1e-5)


def test_memory_and_time_are_those_of_the_device() -> None:
    estimate = measure(shrunk("pix2pix"), device="cuda")
    assert estimate.device == torch.cuda.get_device_name()
    assert estimate.memory is not None
    assert 4 * 4 * sum(estimate.parameters.values()) < estimate.memory  # weights, gradients, Adam
    assert estimate.seconds > 0
