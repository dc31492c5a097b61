"""What makes training fast on a device and may change how numbers are rounded."""

import torch

from i2i.config import Layer
from i2i.system.cpu import best_precision


def fast(device: torch.device) -> Layer:
    """Options that belong between those of a recipe and those that a person asks for.

    On a GPU: bfloat16 where it has instructions for it, else float16; the memory layout that its
    convolutions prefer; and steps that are replayed as CUDA graphs where they can be recorded. On a
    CPU: bfloat16 where it has instructions for it, and optimizers that update all weights in one
    pass; not channels_last, which is slower there, nor compiled networks, which may be.

    Arguments:
        device: where to train.
    """
    if device.type != "cuda":
        return {
            "train": {"precision": best_precision(device)},
            "optimizer": {"fused": "if possible"},
        }
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    precision = "bf16" if native else "fp16"
    return {"train": {"precision": precision, "channels_last": True, "graph": "auto"}}


PLAIN: Layer = {"train": {"channels_last": False, "compile": False, "graph": False}}
"""Options with which Python plays every step as it is written down."""
