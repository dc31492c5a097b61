"""A translator depends on nothing around it, and changes nothing: training, threads, forks."""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from known import translator
from PIL import Image
from torch import fx, nn

import i2i
from i2i.inference import translator as translator_module
from i2i.inference.load import build_sampler, build_translator
from i2i.inference.tiles import Plan
from i2i.models.build import build_model
from i2i.networks import ResNet, UNet
from i2i.networks.inference import SeededDropout, drawing_from, inference_copy
from i2i.training.build import build_trainer
from shrunk import batch_for, shrunk


@pytest.mark.parametrize("norm", ["instance", "running"])
@pytest.mark.parametrize("dropout", ["true", "false"])
def test_training_and_translating_do_not_notice_each_other(norm: str, dropout: str) -> None:
    settings = (
        "generator.dropout=true",
        "generator.downs=6",
        "data.crop_size=64",
        "data.load_size=64",
        f"inference.norm={norm}",
        f"inference.dropout={dropout}",
    )

    def train(*, translate: bool) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        torch.manual_seed(0)
        options = shrunk("pix2pix", *settings)
        model = build_model(options)
        trainer = build_trainer(options, model)
        translate_one = build_translator(options, model)
        images = 2 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) - 1
        results = []
        for step in range(3):
            trainer.step(batch_for(model, size=64, seed=step))
            if translate:
                results += [translate_one(images), translate_one(images)]
        return results, model.state_dict()

    results, after = train(translate=True)
    _, expected = train(translate=False)
    assert all(torch.equal(result, results[0]) for result in results)
    assert all(torch.equal(after[key], expected[key]) for key in expected)


def test_training_and_sampling_do_not_notice_each_other() -> None:
    options = shrunk("dcgan")
    model = build_model(options)
    trainer = build_trainer(options, model)
    sampler = build_sampler(options, model)
    before = sampler([1, 2])
    trainer.step(batch_for(model))
    assert torch.equal(sampler([1, 2]), before)
    assert all(module.training for module in model.modules())


def test_random_states_of_the_process_stay_as_they_are() -> None:
    drop = translator(UNet(3, 3, width=1, downs=6, norm="batch", dropout=True), dropout=True)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 (what a program around us may use)
    torch.manual_seed(1)

    def states() -> list[Any]:
        numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
        return [random.getstate(), numpy_state, torch.get_rng_state().tolist()]

    before = states()
    drop(torch.zeros(3, 64, 64))
    drop.tile = 32
    drop(torch.zeros(3, 128, 128))
    assert states() == before


def test_seeded_dropout_draws_what_dropout_of_torch_does() -> None:
    features = torch.rand(2, 3, 8, 8) + 1
    torch.manual_seed(5)
    expected = nn.Dropout(0.3)(features)
    with drawing_from(torch.Generator().manual_seed(5)):
        assert torch.equal(SeededDropout(0.3)(features), expected)
    assert SeededDropout(0.3).eval()(features) is features


def test_a_copy_shares_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.5))
    copy = inference_copy(network, norm="instance", dropout=True)
    assert network.training
    assert type(network[1]) is nn.Dropout
    assert network[0].weight.requires_grad
    assert not copy[0].weight.requires_grad
    assert copy[0].weight.data_ptr() != network[0].weight.data_ptr()


@pytest.mark.parametrize("name", ["unet", "resnet"])
def test_many_threads_with_mixed_sizes_get_what_one_gets_alone(name: str) -> None:
    torch.manual_seed(0)
    network = {
        "unet": lambda: UNet(3, 3, width=1, downs=5, norm="batch", dropout=True),
        "resnet": lambda: ResNet(3, 3, width=1, blocks=1, norm="instance", dropout=True),
    }[name]()
    shared = translator(network, dropout=True)
    # 600 x 600 is more than is tried without an estimate, which looks into the network.
    sizes = [(600, 600), (40, 70), (513, 600), (7, 9)]
    assert translator_module.SMALL < 600 * 600
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    alone = [translator(network, dropout=True)(image) for image in images]

    state = torch.get_rng_state()
    order = [i % len(images) for i in range(34)]
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda i: shared(images[i]), order))
    for i, result in zip(order, results, strict=True):
        np.testing.assert_array_equal(result, alone[i])
    assert torch.equal(torch.get_rng_state(), state)
    # And torch itself still works.
    assert nn.Linear(2, 2)(torch.zeros(1, 2)).shape == (1, 2)


def test_networks_are_looked_into_once_and_without_fx(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError("torch.fx replaces nn.Module.__call__ for all threads")

    calls = []
    monkeypatch.setattr(fx.Tracer, "trace", never)
    trace = translator_module.trace
    monkeypatch.setattr(translator_module, "trace", lambda net: calls.append(net) or trace(net))
    shared = translator(ResNet(3, 3, width=1, blocks=1, norm="instance"))
    for side in (520, 600, 520):
        shared(Image.new("RGB", (side, side)))
    assert len(calls) == 1


def test_a_plan_of_written_steps_is_that_of_the_network() -> None:
    network = UNet(3, 3, width=1, downs=3, norm="instance").eval()
    one, other = Plan(network, 3, 64, 48), Plan(translator_module.trace(network), 3, 64, 48)
    assert one.memory_untiled() == other.memory_untiled()
    assert one.memory_tiled(16) == other.memory_tiled(16)


FORK = """
import os, sys, torch
torch.set_num_threads(2)
from known import translator
from i2i.errors import ProcessError
from i2i.networks import ResNet
from PIL import Image
translate = translator(ResNet(3, 3, width=4, blocks=1, norm="instance"))
image = Image.new("RGB", (300, 300))
translate(image)
child = os.fork()
if not child:
    try:
        translate(image)
    except ProcessError as error:
        print(error, flush=True)
    torch.set_num_threads(1)
    translate(image)
    print("done", flush=True)
    os._exit(0)
os.waitpid(child, 0)
translate(image)
print("parent", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_gets_a_sentence_instead_of_waiting_forever() -> None:
    folders = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(i2i.__file__))]  # noqa: PTH120
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=240, env=environment
    )
    sentence, *others = done.stdout.splitlines()
    assert "was forked" in sentence
    assert "--preload" in sentence
    assert others == ["done", "parent"], done.stderr
