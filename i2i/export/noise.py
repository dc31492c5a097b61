"""Generators of images from noise as ONNX files."""

import logging
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from i2i.config import Options
from i2i.errors import CheckpointError
from i2i.export.graph import describe_file
from i2i.inference.onnx.description import SUFFIX, SamplerDescription
from i2i.inference.onnx.libraries import library
from i2i.inference.sampler import Sampler
from i2i.system.gate import without_places

_log = logging.getLogger(__name__)


MAX_DIFFERENCE = 1e-3
"""Of -1..1, between a written file and its network: an eighth of a step of 8 bits."""

OUTPUT = "images"


class FromNoise(nn.Module):
    """What a file computes: images (N, C, H, W), about -1..1, of `latents` (N, width) and, where
    the generator is told classes, `labels` (N, classes), and, where it makes styles, `truncation`:
    a number, 1 for none, 0 for the average style.

    Attributes:
        inputs: their names.
    """

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.generator: Any = sampler.generator
        self.width, self.classes = sampler.latent.width, len(sampler.names)
        self.inputs = ["latents"]
        self.inputs += ["labels"] if sampler.names else []
        self.inputs += ["truncation"] if sampler.styled else []

    def forward(self, latents: Tensor, *more: Tensor) -> Tensor:
        told = dict(zip(self.inputs[1:], more, strict=True))
        if "truncation" in told:
            mapping = self.generator.mapping
            style = mapping(latents, told.get("labels"))
            style = mapping.w_avg + told["truncation"] * (style - mapping.w_avg)
            styles = style[:, None].expand(-1, self.generator.num_ws, -1)
            images: Tensor = self.generator.synthesis(styles, "const")
        else:
            images = self.generator(latents, told.get("labels"))
        return images

    def example(self, count: int) -> tuple[Tensor, ...]:
        """Inputs for so many images."""
        classes = max(1, self.classes)
        made = {
            "latents": torch.rand(count, self.width, generator=torch.Generator().manual_seed(0)) * 2
            - 1,
            "labels": torch.eye(classes)[torch.arange(count) % classes],
            "truncation": torch.tensor(0.7),
        }
        return tuple(made[name] for name in self.inputs)


def export_sampler(sampler: Sampler, options: Options, target: Path) -> Path:
    """Write a generator of images from noise as an ONNX file that computes in fp32.

    Arguments:
        sampler: of it, on the processor.
        options: of the run, for the description in the file.
        target: a file NAME.onnx, or a folder for "generator.onnx"; made if it is not there.

    Returns:
        the file.

    Raises:
        CheckpointError: the file exists already, or what was written computes something else.
        OptionsError: the libraries are not installed.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        library(name)
    target = target if target.suffix.lower() == SUFFIX else target / f"generator{SUFFIX}"
    if target.exists():
        raise CheckpointError(f"{target} exists already: give another name.")
    network = FromNoise(sampler).eval()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        file = Path(folder, target.name)
        _write(network, file)
        description = SamplerDescription(
            options=without_places(options.to_dict()),
            made_from="" if sampler.checkpoint is None else sampler.checkpoint.name,
            latent=sampler.latent,
            classes=tuple(sampler.names),
            size=sampler.size,
            written=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        describe_file(file, description.to_metadata())
        apart = _largest_difference(network, file)
        if apart > MAX_DIFFERENCE:
            raise CheckpointError(
                f"the ONNX file computes something else than the network: they differ by up to "
                f"{apart:.2g} of -1..1, where {MAX_DIFFERENCE:g} was expected; try other versions "
                "of torch, onnxscript and onnxruntime."
            )
        for path in sorted(Path(folder).iterdir(), reverse=True):  # large weights lie beside it
            path.replace(target.parent / path.name)
    _log.info(f"fp32: differs from torch by {apart:.1g} of -1..1 at most")
    _log.info(f"written: {target} ({', '.join(network.inputs)} -> {OUTPUT})")
    return target


def _write(network: FromNoise, path: Path) -> None:
    batch = Dim("batch")
    shapes = {"latents": {0: batch}, "labels": {0: batch}, "truncation": {}}
    latents, *more = (shapes[name] for name in network.inputs)
    with warnings.catch_warnings():
        # Until torch 2.12 its own code used what it had deprecated.
        warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
        warnings.filterwarnings("ignore", r".*axis name: batch will not be used")  # it is used once
        program = torch.onnx.export(
            network,
            network.example(3),
            dynamo=True,
            input_names=network.inputs,
            output_names=[OUTPUT],
            dynamic_shapes=(latents, tuple(more)) if more else (latents,),
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the lines of the source, with the paths of this machine
    program.save(path)


def _largest_difference(network: FromNoise, path: Path) -> float:
    """How far the file is from the network, in -1..1, for one image and for five."""
    session = library("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    apart: list[float] = []
    for count in (1, 5):
        given = network.example(count)
        named = {name: each.numpy() for name, each in zip(network.inputs, given, strict=True)}
        (found,) = session.run([OUTPUT], named)
        with torch.no_grad():
            apart += [(torch.from_numpy(found) - network(*given)).abs().max().item()]
    return max(apart)
