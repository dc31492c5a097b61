"""Convolutions in integers of 8 bits: static, per channel, with ranges seen on images.

Weights become signed bytes with a scale for each output channel, activations unsigned bytes with a
scale and a zero point for each tensor, both written as pairs of QuantizeLinear and DequantizeLinear
around the layers (Jacob et al.: Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, CVPR 2018).

Convolutions and nothing else: onnxruntime has no kernel in integers for normalisation and for
transposed convolutions on a processor (`phases` makes ordinary ones of some), and activations and
sums in integers gain no time, but rounding errors.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i.inference.onnx.libraries import library
from i2i.inference.onnx.session import INPUT

SCHEMES = {"all convolutions": 0, "all convolutions but the first and the last": 1}
"""In words -> how many stay in fp32 at either end, where a network is the most sensitive; in the
order in which they are tried."""


def convolutions(path: Path) -> list[str]:
    """Return the names of the convolutions of an ONNX file, in the order of their computation."""
    model = library("onnx").load(path, load_external_data=False)
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def quantise(source: Path, target: Path, names: list[str], images: Tensor) -> None:
    """Write an ONNX file in which some convolutions compute in integers of 8 bits.

    Arguments:
        source: the file to begin with.
        target: the file to write.
        names: of the convolutions.
        images: (N, C, H, W), what the network takes; ranges are the least and the most that
            occurs with them.
    """
    quantization: Any = library("onnxruntime.quantization")
    preparation: Any = library("onnxruntime.quantization.shape_inference")
    prepared = target.with_name(f"prepared-{target.name}")
    try:
        preparation.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            target,
            _Reader(images.split(1)),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=names,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    finally:
        prepared.unlink(missing_ok=True)


class _Reader:
    """Images, one after another, as onnxruntime asks for them (`CalibrationDataReader`)."""

    def __init__(self, images: Iterable[Tensor]) -> None:
        self._images: Iterator[Tensor] = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image.numpy()}
