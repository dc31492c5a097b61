"""From a network of torch to an ONNX file."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from i2i.inference.onnx.libraries import library
from i2i.inference.onnx.session import INPUT, OUTPUT


def write_graph(network: nn.Module, channels: int, path: Path) -> None:
    """Write a network as it is, in its present mode, for any batch, height and width.

    Weights lie inside the file, unless it would be larger than 2 GB, which the format forbids.

    Arguments:
        network: (N, `channels`, H, W) -> (N, C, H, W), with the attribute `multiple`.
        channels: of its input.
        path: of the file to write.
    """
    library("onnx")
    library("onnxscript")
    multiple: Any = network.multiple
    rows, columns = (multiple * Dim(name) for name in ("rows", "columns"))
    # No size of the example is special: not 1, not the least, not the same twice.
    example = torch.zeros(2, channels, *_example_size(multiple))
    with warnings.catch_warnings():
        # Until torch 2.12 its own code used what it had deprecated.
        warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: Dim("batch"), 2: rows, 3: columns},),
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # the lines of the source, with the paths of this machine
    program.save(path)


def largest_difference(network: nn.Module, other: nn.Module, channels: int) -> float:
    """Return how far two networks are apart at most, in -1..1, on noise of two sizes.

    Arguments:
        network, other: (N, `channels`, H, W) -> the same shape each.
        channels: of the input.
    """
    multiple: Any = network.multiple
    height, width = _example_size(multiple)
    generator = torch.Generator().manual_seed(0)
    sizes = ((1, height, height), (3, width, 2 * height))
    noise = [torch.rand(n, channels, h, w, generator=generator) * 2 - 1 for n, h, w in sizes]
    with torch.no_grad():
        apart: list[Tensor] = [(network(x) - other(x)).abs().max() for x in noise]
    return max(each.item() for each in apart)


def _example_size(multiple: int) -> tuple[int, int]:
    least = multiple * -(-16 // multiple)
    return 2 * least, 3 * least


def describe_file(path: Path, metadata: dict[str, str]) -> None:
    """Put entries into the metadata of an ONNX file."""
    onnx = library("onnx")
    model = onnx.load(path, load_external_data=False)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
