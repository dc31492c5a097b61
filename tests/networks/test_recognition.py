"""Networks are known again by the names and shapes of their weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor, nn

from i2i.errors import CheckpointError
from i2i.export.recognition import recognise
from i2i.networks import (
    NORMS,
    PatchGAN,
    PixelGAN,
    ResNet,
    StarGANDiscriminator,
    StarGANGenerator,
    UNet,
)
from i2i.networks.antialiased import AntialiasedPatchGAN, AntialiasedResNet
from i2i.networks.patch_sampler import PatchSampler

REFERENCE = Path(__file__).parents[1] / "reference"
KINDS = ("unet", "resnet", "patchgan", "pixelgan", "stargan")
HERE = sorted(file for kind in KINDS for file in REFERENCE.glob(f"{kind}_*.safetensors"))

channels = st.integers(1, 8)
widths = st.integers(1, 5)
norms = st.sampled_from(NORMS)
pairs = st.tuples(channels, channels)

NETWORKS = {
    UNet: (pairs, {"width": widths, "downs": st.integers(2, 9), "norm": norms}),
    ResNet: (
        pairs,
        {"width": widths, "blocks": st.integers(0, 10), "norm": norms, "dropout": st.booleans()},
    ),
    PatchGAN: (
        st.tuples(channels),
        {"width": widths, "layers": st.integers(1, 6), "norm": norms},
    ),
    PixelGAN: (st.tuples(channels), {"width": widths, "norm": norms}),
    AntialiasedResNet: (
        pairs,
        {"width": widths, "blocks": st.integers(0, 10), "norm": norms, "dropout": st.booleans()},
    ),
    AntialiasedPatchGAN: (
        st.tuples(channels),
        {"width": widths, "layers": st.integers(1, 6), "norm": norms},
    ),
    PatchSampler: (st.tuples(st.lists(channels, min_size=1, max_size=12)), {"width": widths}),
    StarGANGenerator: (pairs, {"width": widths, "blocks": st.integers(0, 8)}),
    StarGANDiscriminator: (
        st.tuples(channels),
        {
            "width": widths,
            "layers": st.integers(1, 6),
            "classes": st.integers(1, 9),
            "size": st.sampled_from([64, 128, 192]),
        },
    ),
}


def state(kind: type[nn.Module], *channels: int, **arguments: Any) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(kind(*channels, **arguments).state_dict())


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_every_network_is_known_again_with_all_its_arguments(kind):
    channels, arguments = NETWORKS[kind]

    @settings(max_examples=25)
    @given(channels, st.fixed_dictionaries(arguments))
    def check(channels: tuple[int, ...], arguments: dict[str, Any]) -> None:
        if not arguments.get("blocks", 1):
            arguments.pop("dropout", None)  # without blocks there is no place for it
        weights = state(kind, *channels, **arguments)
        found, kept = recognise(weights, "a file")
        assert found.kind is kind
        assert found.channels == channels
        if kind in (ResNet, AntialiasedResNet):
            arguments = {"dropout": False} | arguments
        assert found.arguments == arguments
        assert kept == weights

    check()


OF_CUT = [
    REFERENCE / f"cut_{name}.safetensors" for name in ("generator_9blocks", "discriminator_3layers")
]


@pytest.mark.parametrize("file", [*HERE, *OF_CUT], ids=lambda file: file.stem)
def test_the_reference_networks_are_known_again(file):
    with safe_open(file, "pt") as stored:
        config = json.loads(stored.metadata()["config"])
        names = [name for name in stored.keys() if name.startswith("state.")]  # noqa: SIM118
        weights = {name.removeprefix("state."): stored.get_tensor(name) for name in names}
    found, kept = recognise(weights, file.name)
    assert kept == weights
    theirs = {"width": "nf", "classes": "domains"}
    for name, value in found.arguments.items():
        assert value == config.get(theirs.get(name, name), False), name
    planes = config.get("domains", 0) if found.role == "generator" else 0
    assert found.channels[0] == config.get("in", 3) + planes
    found.build().load_state_dict(kept, strict=True)


PUBLISHED = {
    "unet_256": state(UNet, 3, 3, width=64, downs=8, norm="batch"),
    "unet_128": state(UNet, 1, 3, width=64, downs=7, norm="instance"),
    "resnet_9blocks": state(ResNet, 3, 3, width=64, blocks=9, norm="instance"),
    "resnet_6blocks": state(ResNet, 3, 3, width=64, blocks=6, norm="batch", dropout=True),
    "basic": state(PatchGAN, 6, width=64, layers=3, norm="batch"),
    "pixel": state(PixelGAN, 6, width=64, norm="batch"),
    "cut-G": state(AntialiasedResNet, 3, 3, width=64, blocks=9, norm="instance"),
    "cut-D": state(AntialiasedPatchGAN, 3, width=64, layers=3, norm="instance"),
    "cut-F": state(PatchSampler, [3, 128, 256, 256, 256], width=256),
    "stargan-G": state(StarGANGenerator, 8, 3, width=64, blocks=6),
    "stargan-D": state(StarGANDiscriminator, 3, width=64, layers=6, classes=5, size=128),
}


@pytest.mark.parametrize("weights", PUBLISHED.values(), ids=PUBLISHED)
def test_any_missing_or_misshapen_weight_is_named(weights):
    counters = [name for name in weights if name.endswith("num_batches_tracked")]
    for name in [name for name in list(weights)[::5] if [name] != counters]:
        less = {key: tensor for key, tensor in weights.items() if key != name}
        with pytest.raises(CheckpointError, match=rf"a file does not .* missing: {name}\.$"):
            recognise(less, "a file")
        bent = weights | {name: torch.zeros(2, 2, 2, device="meta")}
        with pytest.raises(CheckpointError, match=rf"of another shape: {name} \(is 2x2x2, expec"):
            recognise(bent, "a file")


@pytest.mark.parametrize(
    "name", ["model.99.weight", "model.1.conv_block.2.weight", "features.0.bias", "running_mean"]
)
@pytest.mark.parametrize("weights", PUBLISHED.values(), ids=PUBLISHED)
def test_a_weight_too_many_is_named(weights, name):
    if name in weights:
        name = f"{name}_again"
    with pytest.raises(CheckpointError, match=f"left over: {name}"):
        recognise(weights | {name: torch.zeros(3)}, "a file")


@pytest.mark.parametrize("name", ["unet_128", "resnet_9blocks"])
def test_running_statistics_of_instance_norm_that_has_none_are_dropped(name):
    weights = dict(PUBLISHED[name])
    # What torch 0.3 and 0.4 left: buffers where batch norm would have them, and no weights there.
    batch = {"unet_128": (UNet, {"downs": 7}), "resnet_9blocks": (ResNet, {"blocks": 9})}[name]
    buffers = {
        key: tensor
        for key, tensor in state(batch[0], 3, 3, width=64, norm="batch", **batch[1]).items()
        if key.rsplit(".")[-1] in ("running_mean", "running_var", "num_batches_tracked")
    }
    assert len(buffers) > 30
    found, kept = recognise(weights | buffers, "a file")
    assert found.arguments["norm"] == "instance"
    assert kept == weights
    with pytest.raises(CheckpointError, match=r"left over: model\.1\.running_mean"):
        recognise(weights | {"model.1.running_mean": torch.zeros(64)}, "a file")


@pytest.mark.parametrize("name", ["unet_256", "resnet_6blocks", "basic", "stargan-G"])
def test_counters_that_older_versions_did_not_keep_are_added(name):
    weights = PUBLISHED[name]
    older = {
        key: tensor for key, tensor in weights.items() if not key.endswith("num_batches_tracked")
    }
    found, kept = recognise(older, "a file")
    assert found == recognise(weights, "a file")[0]
    assert kept.keys() == weights.keys()
    added = [kept[key] for key in kept.keys() - older.keys()]
    assert added
    assert all(torch.equal(tensor, torch.tensor(0)) for tensor in added)


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)},
        {"model.0.weight": torch.zeros(3), "model.encoder": torch.zeros(2)},
        {"model.0.weight": torch.zeros(()), "model.1.weight": torch.zeros(0)},
        {f"main.{number}.weight": torch.zeros(0, 0) for number in range(500)},
        {"model." * 400 + "weight": torch.zeros(1)},
    ],
    ids=["empty", "vgg", "other", "no sizes", "many", "deep"],
)
def test_foreign_weights_are_refused(weights):
    with pytest.raises(CheckpointError, match="a file holds the weights of no published network"):
        recognise(weights, "a file")


def test_what_follows_from_a_missing_weight_is_not_claimed():
    """Without its last layer nobody knows how many classes a discriminator tells apart."""
    discriminator = StarGANDiscriminator(3, width=4, layers=2, classes=5, size=16)
    weights = {k: w for k, w in discriminator.state_dict().items() if k != "conv2.weight"}
    with pytest.raises(CheckpointError) as raised:
        recognise(weights, "100-D.ckpt")
    assert str(raised.value) == (
        "100-D.ckpt does not fit a stargan discriminator: missing: conv2.weight."
    )
