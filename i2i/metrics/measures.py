"""Metrics with a function that computes them, which a run can measure at its validations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from i2i.core.registry import METRICS
from i2i.core.signals import Metric, register_metric
from i2i.errors import OptionsError

Function = TypeVar("Function", bound=Callable[[Tensor, Tensor], Tensor])


@dataclass(frozen=True)
class Measure:
    """What a run can measure at its validations (`train.metrics`).

    Arguments:
        function: (outputs, references), both (N, C, H, W) in -1..1, to one number, or to one for
            each output, (N,), whose mean counts.
        needs_truth: whether reference i is what output i should be; else they are two sets.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    needs_truth: bool

    def __call__(self, outputs: Tensor, references: Tensor) -> float:
        values = torch.as_tensor(self.function(outputs, references))
        if values.ndim > 1 or values.numel() not in (1, len(outputs)):
            raise ValueError(
                f"it gives {tuple(values.shape)}, expected is one number, or one for each output, "
                f"({len(outputs)},): take the mean over all other dimensions"
            )
        return float(values.float().mean())


def register_measure(
    name: str,
    *,
    higher_is_better: bool | None = None,
    meaning: str = "",
    unit: str = "",
    needs_truth: bool = True,
) -> Callable[[Function], Function]:
    """Return a decorator that registers a function as a metric that a run can measure.

    See `Measure` for the function, `i2i.core.signals.Metric` for the rest, which is left out where
    the table of signals has it::

        @register_measure("edges", higher_is_better=False, meaning="difference of edges")
        def edges(outputs: Tensor, references: Tensor) -> Tensor: ...
    """

    def add(function: Function) -> Function:
        if meaning:
            register_metric(Metric(name, higher_is_better, "result", meaning, unit))
        METRICS.register(name)(Measure(function, needs_truth))
        return function

    return add


def find_measures(names: Sequence[str], *, has_truth: bool) -> dict[str, Measure]:
    """The measures of these names.

    Arguments:
        names: as in `train.metrics`.
        has_truth: whether it is known what each output should be.

    Raises:
        OptionsError: there is no such measure, or it needs a truth that is not known.
    """
    found: dict[str, Measure] = {name: METRICS.find(name) for name in names}
    for name, measure in found.items():
        if measure.needs_truth and not has_truth:
            raise OptionsError(
                f"train.metrics (={name!r}) compares each result with its truth, which this kind "
                "of data does not have: leave it out."
            )
    return found
