"""The networks compute what the published ones compute; see tests/reference/README.md.

The stored numbers are of single precision. What is compared with them is computed in double
precision: a gradient through a ReLU jumps where two kernels disagree about the sign of a number
near 0, and is then a matter of the processor.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from i2i.networks import (
    PatchGAN,
    PixelGAN,
    ResNet,
    StarGANDiscriminator,
    StarGANGenerator,
    UNet,
)

KINDS = ("unet", "resnet", "patchgan", "pixelgan", "stargan")


def recorded(folder: Path) -> list[Path]:
    return sorted(file for kind in KINDS for file in folder.glob(f"{kind}_*.safetensors"))


HERE = recorded(Path(__file__).parents[1] / "reference")
ORIGINALS = recorded(Path(os.environ["I2I_REFERENCE"])) if "I2I_REFERENCE" in os.environ else []


def build(kind: str, config: dict) -> nn.Module:
    width, norm = config["nf"], config.get("norm")
    match kind:
        case "unet":
            return UNet(config["in"], config["out"], width=width, downs=config["downs"], norm=norm)
        case "resnet":
            blocks = config["blocks"]
            return ResNet(config["in"], config["out"], width=width, blocks=blocks, norm=norm)
        case "patchgan":
            return PatchGAN(config["in"], width=width, layers=config["layers"], norm=norm)
        case "pixelgan":
            return PixelGAN(config["in"], width=width, norm=norm)
        case "stargan_generator":
            planes = config["domains"]
            return StarGANGenerator(3 + planes, 3, width=width, blocks=config["blocks"])
        case "stargan_discriminator":
            layers, classes, size = config["layers"], config["domains"], config["size"]
            return StarGANDiscriminator(3, width=width, layers=layers, classes=classes, size=size)
    raise AssertionError(kind)


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """The larger of the errors in the Euclidean and in the maximum norm."""
    difference = ours - theirs
    euclidean = difference.norm() / theirs.norm()
    return max(euclidean, difference.abs().max() / theirs.abs().max()).item()


def test_there_are_vectors_of_every_kind():
    assert {file.name.split("_")[0] for file in HERE} == set(KINDS)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(
    "file", HERE + ORIGINALS, ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_published_weights_give_published_outputs_and_gradients(file, memory_format):
    with safe_open(file, "pt") as stored:
        metadata = {
            key: json.loads(value) for key, value in stored.metadata().items() if key != "note"
        }
        tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    if "image" in metadata:
        generator = torch.Generator().manual_seed(metadata["image"]["seed"])
        image = 2 * torch.rand(metadata["image"]["shape"], generator=generator) - 1
    else:
        image = tensors["input.image"]

    def sampled(name: str, tensor: Tensor) -> Tensor:
        stride = metadata.get("strides", {}).get(name, 1)
        return tensor[..., ::stride, ::stride]

    assert torch.equal(sampled("input.image", image), tensors["input.image"]), (
        "other random numbers"
    )

    network = build(metadata["kind"], metadata["config"]).double().to(memory_format=memory_format)
    state = {key[6:]: value for key, value in tensors.items() if key.startswith("state.")}
    network.load_state_dict(state, strict=True)
    image = image.double().contiguous(memory_format=memory_format).requires_grad_()
    given = image
    if "input.label" in tensors:
        planes = tensors["input.label"][:, :, None, None].expand(-1, -1, *image.shape[2:])
        given = torch.cat([image, planes], dim=1)

    if metadata["kind"] == "stargan_discriminator":
        source, logits = network(given)
        outputs = {"output.source": source, "output.class": logits}
        judged = source
    else:
        with torch.no_grad():
            outputs = {"output.eval": network.eval()(given)}
        judged = outputs["output.train"] = network.train()(given)
    (gradient,) = torch.autograd.grad(judged.square().mean(), image)
    outputs["output.input_gradient"] = gradient

    assert outputs.keys() == {name for name in tensors if name.startswith("output.")}
    errors = {
        name: relative_error(sampled(name, ours), tensors[name]) for name, ours in outputs.items()
    }
    assert max(errors.values()) < 1e-5, errors
