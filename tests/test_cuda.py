"""What only a GPU can tell: no step waits for it, it computes what the CPU computes, and a step
that is recorded and replayed is the step that Python plays.

python -m pytest -m cuda
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from i2i.config.recipes import recipes
from i2i.core.batch import Labelled
from i2i.data.loading.loader import make_loader
from i2i.data.loading.prefetch import CopyStream, on_device
from i2i.training.build import build_trainer
from i2i.training.cost import measure
from i2i.training.trainer import Trainer
from shrunk import batch_for, shrunk

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@contextmanager
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def _same_algorithms() -> Iterator[None]:
    """Convolutions that sum in one order only."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("recipe", recipes())
def test_no_step_waits_for_the_device(recipe: str, precision: str) -> None:
    settings = [f"train.precision={precision}", "train.ema_decay=0.9", "data.augment.rotation=10"]
    settings.append("train.graph=false")
    trainer = build_trainer(shrunk(recipe, *settings), device="cuda")
    batch = batch_for(trainer.model)
    batch = type(batch)(*(images.pin_memory() for images in batch))
    for _ in range(3):  # libraries may wait while they warm up
        trainer.step(batch)
    with no_waiting():
        trainer.step(batch)


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


def fall(step: int) -> float:
    return 1 / (1 + step)


def trainers(recipe: str, *settings: str) -> tuple[Trainer, Trainer]:
    """The same training, played by Python and recorded."""
    given = shrunk(recipe, "train.ema_decay=0.9", *settings)
    recorded = build_trainer(given, device="cuda", rate=fall, length=40)
    assert recorded.graphs is not None
    return played(recipe, *settings), recorded


def played(recipe: str, *settings: str) -> Trainer:
    given = shrunk(recipe, "train.ema_decay=0.9", *settings, "train.graph=false")
    trainer = build_trainer(given, device="cuda", rate=fall, length=40)
    assert trainer.graphs is None
    return trainer


def batch_of(recipe: str, seed: int = 0, count: int = 2) -> Any:
    return batch_for(build_trainer(shrunk(recipe)).model, count, seed=seed)


def assert_equal_steps(recipe: str, settings: tuple[str, ...], batches: list[Any]) -> None:
    """To 1e-6, or to what two runs without recordings differ in: some kernels of torch (the
    gradient of reflection padding) add up in any order."""
    one, recorded = trainers(recipe, *settings)
    again = played(recipe, *settings)
    noise = 0.0
    for number, batch in enumerate(batches):
        expected, found, other = (trainer.step(batch) for trainer in (one, recorded, again))
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            noise = max(noise, (other[name] - value).abs().item())
            allowed = 1e-6 * max(1.0, value.abs().item()) + 4 * noise
            difference = (found[name] - value).abs().item()
            assert difference <= allowed, (number, name, difference, noise)
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1


@pytest.mark.usefixtures("_same_algorithms")
@pytest.mark.parametrize("recipe", recipes())
def test_recorded_steps_equal_played_ones(recipe: str, said: list[str]) -> None:
    batches = [batch_of(recipe, seed) for seed in range(20)]
    assert_equal_steps(recipe, ("train.tf32=false",), batches)
    assert not any("could not" in line for line in said), said


@pytest.mark.usefixtures("_same_algorithms")
@pytest.mark.parametrize(
    "settings",
    [
        ("train.batch_size=4", "train.gradient_accumulation=2"),  # seeds at several places
        ("adversarial.instance_noise=0.1", "data.augment.rotation=10"),
        ("train.precision=bf16", "train.channels_last=true"),
        ("train.precision=fp16",),
        ("train.historical_averaging=0.1",),
        ('augment_discriminator.policy="color,translation,cutout"',),
        (
            *('augment_discriminator.policy="bgc"', "augment_discriminator.adaptive=true"),
            *("augment_discriminator.probability=0.5", "augment_discriminator.kimg=0.02"),
            "augment_discriminator.interval=2",
        ),
    ],
    ids=lambda settings: settings[-1],
)
@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "dcgan"])
def test_what_recipes_may_add_is_recorded_too(
    recipe: str, settings: tuple[str, ...], said: list[str]
) -> None:
    count = 4 if "train.gradient_accumulation=2" in settings else 2
    batches = [batch_of(recipe, seed, count) for seed in range(10)]
    assert_equal_steps(recipe, settings, batches)
    assert not any("could not" in line for line in said), said


@pytest.mark.usefixtures("_same_algorithms")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_layers_that_fade_in_are_recorded(precision: str, said: list[str]) -> None:
    stages = (
        "growth.stages=[{size=4,batch_size=2,fade=0,hold=5},{size=8,batch_size=2,fade=6,hold=4},"
        "{size=16,batch_size=2,fade=5,hold=4}]"
    )
    settings = (stages, "generator.width=8", "train.tf32=false", f"train.precision={precision}")
    batches = [batch_of("progan", seed) for seed in range(24)]
    assert_equal_steps("progan", settings, batches)
    assert not any("not recorded" in line or "could not" in line for line in said), said


@pytest.mark.parametrize("recipe", recipes())
def test_no_replayed_step_waits_for_the_device(recipe: str) -> None:
    _, recorded = trainers(recipe)
    batch = batch_of(recipe)
    batch = type(batch)(*(tensor.pin_memory() for tensor in batch))
    for _ in range(25):  # each cadence is recorded
        recorded.step(batch)
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1
    with no_waiting():
        for _ in range(5):
            recorded.step(batch)


@pytest.mark.parametrize("recipe", ["pix2pix", "dcgan"])
def test_no_replayed_step_waits_where_augmentation_adapts(recipe: str) -> None:
    settings = ('augment_discriminator.policy="bgc"', "augment_discriminator.adaptive=true")
    _, recorded = trainers(recipe, *settings, "augment_discriminator.interval=2")
    batch = batch_of(recipe)
    batch = type(batch)(*(tensor.pin_memory() for tensor in batch))
    for _ in range(10):
        recorded.step(batch)
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1
    with no_waiting():
        for _ in range(5):
            recorded.step(batch)


def test_recordings_need_little_more_memory() -> None:
    peaks = []
    for trainer in trainers("cyclegan", "train.batch_size=8"):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        batch = batch_of("cyclegan", count=8)
        for _ in range(8):
            trainer.step(batch)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    without, with_recordings = peaks
    # Libraries have a workspace of their own for each stream.
    assert with_recordings < 2 * without + 2**26


def test_a_run_goes_on_across_devices_and_recordings() -> None:
    _, recorded = trainers("cyclegan")
    batches = [batch_of("cyclegan", seed) for seed in range(12)]
    for batch in batches[:6]:
        recorded.step(batch)
    state = recorded.state_dict()
    on_cpu = build_trainer(shrunk("cyclegan", "train.ema_decay=0.9"), rate=fall, length=40)
    on_cpu.load_state_dict(state)
    on_cpu.step(batches[6])
    recorded.load_state_dict(on_cpu.state_dict())
    assert recorded.graphs is not None
    assert recorded.graphs.recorded == 0
    for batch in batches[7:]:
        losses = recorded.step(batch)
    assert recorded.graphs.recorded == 1
    assert all(value.isfinite() for value in losses.values())


class Noise(torch.utils.data.Dataset[Labelled]):
    """Images and labels that follow from their position."""

    def __getitem__(self, position: int) -> Labelled:
        generator = torch.Generator().manual_seed(position)
        image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=generator)
        return Labelled(image, torch.rand(5, generator=generator), torch.ones(1))


def noise(steps: int, *, workers: int = 0, pin_memory: bool = False) -> Iterator[Labelled]:
    return make_loader(
        Noise(), batch_size=16, start=0, stop=steps, workers=workers, pin_memory=pin_memory
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_copied_ahead_are_those_of_the_loader(workers: int) -> None:
    device = torch.device("cuda")
    copied = list(on_device(noise(30, workers=workers, pin_memory=True), device))
    for batch, expected in zip(copied, noise(30), strict=True):
        assert type(batch) is Labelled
        for tensor, other in zip(batch, expected, strict=True):
            assert tensor.device.type == "cuda"
            assert torch.equal(tensor.cpu(), other)


def test_batches_are_pinned() -> None:
    for workers in (0, 1):
        for batch in noise(3, workers=workers, pin_memory=True):
            assert all(tensor.is_pinned() for tensor in batch)


def test_memory_of_a_batch_is_not_used_again_while_it_is_read() -> None:
    """The device is kept busy, so that Python is many steps ahead of it and drops batches that are
    read only later; their memory, on the device and on the host, must not be written meanwhile."""
    heavy = torch.rand(4096, 4096, device="cuda")
    sums = []
    for batch in on_device(noise(40, pin_memory=True), torch.device("cuda")):
        torch.mm(heavy, heavy)
        sums.append((batch.images.long().sum(), batch.labels.double().sum()))
    for (pixels, labels), expected in zip(sums, noise(40), strict=True):
        assert pixels.item() == expected.images.long().sum()
        assert labels.item() == pytest.approx(expected.labels.double().sum().item(), rel=1e-12)


def test_nothing_waits_for_a_copy() -> None:
    trainer = build_trainer(shrunk("dcgan", "train.graph=false"), device="cuda")
    batch = batch_for(trainer.model)
    pinned = [type(batch)(*(tensor.pin_memory() for tensor in batch)) for _ in range(12)]
    batches = on_device(iter(pinned), trainer.device)
    for _ in range(3):
        trainer.step(next(batches))
    with no_waiting():
        for each in batches:
            trainer.step(each)
    assert trainer.steps_done == 12


def test_copies_run_beside_the_computation() -> None:
    device = torch.device("cuda")
    copies = CopyStream(device)
    batches = noise(2, pin_memory=True)
    heavy = torch.rand(8192, 8192, device=device)
    torch.mm(heavy, heavy)
    copies.begin(next(batches))()  # there is memory on the device from here on
    torch.cuda.synchronize()
    for _ in range(40):
        torch.mm(heavy, heavy)
    computed = torch.cuda.current_stream(device).record_event()
    finish = copies.begin(next(batches))
    copies.stream.synchronize()
    assert not computed.query()  # the copy has arrived, what was asked for before is not done
    finish()


@pytest.mark.usefixtures("_same_algorithms")
@pytest.mark.parametrize("recipe", ["pix2pix", "dcgan"])
def test_a_recorded_training_on_copied_batches_is_the_same(recipe: str) -> None:
    """The recording holds on to memory of a batch, and batches are copied while it is made."""
    one, recorded = trainers(recipe, "train.tf32=false")
    batches = [batch_of(recipe, seed) for seed in range(12)]
    pinned = (type(batch)(*(tensor.pin_memory() for tensor in batch)) for batch in batches)
    for batch, copied in zip(batches, on_device(pinned, recorded.device), strict=True):
        expected, found = one.step(batch), recorded.step(copied)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)
    assert recorded.graphs is not None
    assert recorded.graphs.recorded >= 1
