"""Checkpoints save memory and change nothing else."""

import copy

import pytest
import torch
from torch import Tensor, nn

from i2i.errors import OptionsError
from i2i.networks import GENERATORS
from i2i.networks.checkpointing import set_checkpointing
from i2i.training.build import build_trainer
from shrunk import batch_for, shrunk

NETWORKS = [
    ("resnet", {"blocks": 2, "norm": "batch", "dropout": True}),
    ("resnet", {"blocks": 1, "norm": "instance", "upsample": "resize"}),
    ("unet", {"downs": 6, "norm": "batch", "dropout": True}),
    ("unet", {"downs": 3, "norm": "none", "upsample": "resize"}),
    ("stargan", {"blocks": 2}),
    ("spade", {"upsampling": "least", "hidden": 16}),
    ("spade", {"upsampling": "normal", "hidden": 16, "norm": "instance", "spectral": False}),
]


def pair_of(name: str, arguments: dict[str, object]) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = GENERATORS[name](3, 3, width=4, **arguments)
    saving = copy.deepcopy(plain)
    assert set_checkpointing(saving)
    return plain, saving


def kept(network: nn.Module, images: Tensor) -> int:
    """Bytes that the backward pass needs, beside the weights."""
    sizes: dict[int, int] = {}
    own = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = network(images)
    del output
    return sum(sizes.values())


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_outputs_gradients_and_statistics_are_the_same(
    name: str, arguments: dict[str, object], precision: torch.dtype
) -> None:
    found = []
    for network in pair_of(name, arguments):
        torch.manual_seed(1)
        images = torch.randn(2, 3, 64, 64, requires_grad=True)
        for _ in range(2):
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                output = network(images)
            torch.rand(5)  # others draw in between
            output.float().square().mean().backward()
        assert images.grad is not None
        gradients = [p.grad for p in network.parameters()]
        found.append([output, images.grad, *gradients, *network.buffers(), torch.rand(3)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("name", "arguments"), NETWORKS)
def test_less_is_kept(name: str, arguments: dict[str, object]) -> None:
    plain, saving = pair_of(name, arguments)
    images = torch.randn(2, 3, 64, 64, requires_grad=True)
    assert kept(saving, images) < 0.8 * kept(plain, images)


def test_without_gradients_nothing_is_different() -> None:
    plain, saving = pair_of(*NETWORKS[0])
    images = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(plain.eval()(images), saving.eval()(images))


@pytest.mark.parametrize(
    "recipe", ["pix2pix", "cyclegan", "stargan", "spade", "spade-vae", "stargan-v2"]
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_runs_are_the_same(recipe: str, pieces: int) -> None:
    trainers = [
        build_trainer(
            shrunk(recipe, f"train.gradient_accumulation={pieces}", f"train.checkpointing={wish}")
        )
        for wish in ("false", "true")
    ]
    for step in range(5):
        batch = batch_for(trainers[0].model, seed=step)
        plain, saving = (trainer.step(batch) for trainer in trainers)
        assert plain == saving
    for one, other in zip(
        *(trainer.model.state_dict().values() for trainer in trainers), strict=True
    ):
        assert torch.equal(one, other)


def test_other_generators_are_refused() -> None:
    with pytest.raises(OptionsError, match=r"checkpointing \(=true\) .*'dcgan'"):
        build_trainer(shrunk("dcgan", "train.checkpointing=true"))
