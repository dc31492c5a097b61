"""Whether weights belong to a network."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from i2i.system.gate.values import shortened


def misfits(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Say in a few words how weights differ from those that a network has; "" if they fit.

    Arguments:
        expected: the `state_dict` of the network, which may be on the meta device.
        found: tensors, or their outlines: whatever has a `shape` and a `dtype`.
    """
    wrong = []
    for key, wanted in expected.items():
        if key not in found:
            wrong.append(f"{key} is missing")
        elif isinstance(wanted, Tensor):
            shape, there = tuple(wanted.shape), getattr(found[key], "shape", None)
            if there is None:
                wrong.append(f"{key} is no tensor")
            elif tuple(there) != shape:
                wrong.append(f"{key} has the shape {tuple(there)} where {shape} is wanted")
            elif found[key].dtype.is_floating_point != wanted.dtype.is_floating_point:
                wrong.append(f"{key} is of {found[key].dtype} where {wanted.dtype} is wanted")
        elif (why := _other(wanted, found[key])) is not None:
            wrong.append(f"{key} {why}")
    wrong += [f"{shortened(key)} belongs to no network" for key in found if key not in expected]
    if not wrong:
        return ""
    return f"{wrong[0]}{f', and {len(wrong) - 1:,} more' if len(wrong) > 1 else ''}"


def _other(wanted: Any, there: Any) -> str | None:
    """How what a module keeps beside its tensors differs in kind: a table of numbers, none of them
    negative or larger than in a module that is complete."""
    if not isinstance(wanted, dict):
        return None if type(wanted) is type(there) else f"(={shortened(there)}) is something else"
    if not isinstance(there, dict) or there.keys() != wanted.keys():
        return f"(={shortened(there)}) must say {', '.join(wanted)}"
    for name, most in wanted.items():
        value = there[name]
        whole = isinstance(most, int)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not 0 <= value <= most:
            return f"says {name} = {shortened(value)} where 0..{most} was expected"
    return None


@torch.no_grad()
def not_finite(weights: Mapping[str, Any]) -> str:
    """Say in a few words which weights are NaN or infinite; "" if none is.

    Arguments:
        weights: name -> tensor; what is no tensor of floats is passed over.
    """
    bad = {
        key: value
        for key, value in weights.items()
        if isinstance(value, Tensor)
        and value.is_floating_point()
        and not math.isfinite(value.double().sum().item())
        and not value.isfinite().all()
    }
    if not bad:
        return ""
    first, values = next(iter(bad.items()))
    count = int((~values.isfinite()).sum())
    more = f", and in {len(bad) - 1:,} more tensors" if len(bad) > 1 else ""
    return f"{count:,} of {values.numel():,} in {first}{more}"
