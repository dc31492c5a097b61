"""A network as a list of steps."""

import operator
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from i2i.networks.antialiased import BlurDown, BlurUp
from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d, require_size
from i2i.tiles.layers import (
    Add,
    Concatenate,
    Convolve,
    ConvolveTransposed,
    Layer,
    Normalise,
    Pad,
    Pointwise,
    Repeat,
)

_ACTIVATIONS = (
    nn.ELU,
    nn.GELU,
    nn.Hardtanh,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ReLU,
    nn.Sigmoid,
    nn.SiLU,
    nn.Softplus,
    nn.Tanh,
)
_FUNCTIONS = {torch.relu: nn.ReLU(), F.relu: nn.ReLU(), torch.tanh: nn.Tanh()}
_SUMS = (operator.add, operator.iadd, torch.add)


class UntileableError(Exception):
    """A network contains what cannot be computed in parts; the text says what."""


@dataclass(frozen=True)
class Step:
    """One layer and where its inputs come from.

    Attributes:
        layer: what is computed; None stands for the picture itself.
        inputs: numbers of earlier steps.
        in_place: the result takes the place of its input, which nobody reads afterwards.
        by_chance: the result differs when it is computed again.
    """

    layer: Layer | None
    inputs: tuple[int, ...] = ()
    in_place: bool = False
    by_chance: bool = False


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = isinstance(m, BatchNorm2d | InstanceNorm2d | BlurDown | BlurUp)
        return own or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> list[Step]:
    """Write down what a network does in eval mode with one picture; the last step is the result.

    Raises:
        UntileableError: there is something else in it than convolutions, padding, activations,
            normalisations of a channel, dropout, repeating pixels, sums and concatenations.
    """
    tracer = _Tracer(autowrap_functions=(require_size,))
    try:
        graph = tracer.trace(network)
    except UntileableError:
        raise
    except Exception as error:  # whatever the network does with a picture that is none
        raise UntileableError(f"it cannot be traced ({error})") from error

    steps = [Step(None)]
    where: dict[Any, int] = {}  # which step's result each node of the graph holds now

    def append(step: Step) -> int:
        steps.append(step)
        if step.in_place:
            # Whoever asks for the input from now on gets what has overwritten it.
            where.update({node: len(steps) - 1 for node in where if where[node] == step.inputs[0]})
        return len(steps) - 1

    def inputs(nodes: Any) -> tuple[int, ...]:
        if not all(node in where for node in nodes):
            raise UntileableError("it computes with something else than features")
        return tuple(where[node] for node in nodes)

    for node in graph.nodes:
        if node.op == "placeholder" and not where:
            where[node] = 0
        elif node.op == "call_module":
            module = network.get_submodule(node.target)
            [index] = inputs(node.args)
            for step in _steps(module, index, len(steps)):
                index = append(step)
            where[node] = index
        elif node.target is require_size:
            continue
        elif node.op == "call_function" and node.target in _FUNCTIONS and not node.kwargs:
            layer = Pointwise(_FUNCTIONS[node.target])
            where[node] = append(Step(layer, inputs(node.args[:1])))
        elif node.op == "call_function" and node.target in _SUMS and not node.kwargs:
            in_place = node.target is operator.iadd
            where[node] = append(Step(Add(), inputs(node.args), in_place))
        elif node.target is torch.cat and _dimension(node) in (1, -3):
            where[node] = append(Step(Concatenate(), inputs(node.args[0])))
        elif node.op == "output":
            [result] = inputs(node.args)
            if result != len(steps) - 1:
                raise UntileableError("its result is not what it computes last")
        else:
            raise UntileableError(f"it contains {node.format_node()}")
    return steps


def _dimension(node: fx.Node) -> Any:
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)


def _steps(module: nn.Module, index: int, following: int) -> list[Step]:
    """Return the steps that a module consists of.

    Arguments:
        module: a layer of torch, or a normalisation or a blur of ours.
        index: the step that it reads.
        following: the number that its first step will have.
    """
    match module:
        case nn.Identity():
            return []
        case BlurDown() | BlurUp():
            first, second = module.layers()
            return [*_steps(first, index, following), *_steps(second, following, following + 1)]
        case nn.Dropout() | nn.Dropout2d() if not module.training or not module.p:
            return []
        case nn.Dropout():
            return [Step(Pointwise(module), (index,), module.inplace, by_chance=True)]
        case nn.BatchNorm2d() | nn.InstanceNorm2d():
            gathers = isinstance(module, nn.BatchNorm2d) or module.track_running_stats
            if not gathers or getattr(module, "per_picture", False):
                return [Step(Normalise(module), (index,))]
            if module.training:
                raise UntileableError(f"a {type(module).__name__} is in training mode")
            return [Step(Pointwise(module), (index,))]
        case nn.ReflectionPad2d() | nn.ReplicationPad2d():
            left, right, top, bottom = module.padding
            if min(left, right, top, bottom) >= 0:
                is_reflected = isinstance(module, nn.ReflectionPad2d)
                return [Step(Pad((top, left), (bottom, right), reflect=is_reflected), (index,))]
        case nn.Conv2d() if not isinstance(module.padding, str):
            padding = cast(tuple[int, int], module.padding)
            extents = [d * (k - 1) + 1 for k, d in _kernel(module)]
            if module.padding_mode in ("reflect", "replicate"):
                is_reflected = module.padding_mode == "reflect"
                pad = Step(Pad(padding, padding, reflect=is_reflected), (index,))
                return [pad, Step(Convolve(module, (0, 0)), (following,))]
            if module.padding_mode == "zeros" and all(map(operator.lt, padding, extents)):
                return [Step(Convolve(module, padding), (index,))]
        case nn.ConvTranspose2d():
            extents = [d * (k - 1) + 1 for k, d in _kernel(module)]
            if all(map(operator.le, module.stride, extents)):
                return [Step(ConvolveTransposed(module), (index,))]
        case nn.Upsample() if module.mode == "nearest" and module.size is None:
            factor = module.scale_factor
            if isinstance(factor, int | float) and factor == int(factor):
                return [Step(Repeat(int(factor)), (index,))]
        case _ if isinstance(module, _ACTIVATIONS):
            in_place = getattr(module, "inplace", False)
            return [Step(Pointwise(module), (index,), in_place)]
    raise UntileableError(f"it contains {module}")


def _kernel(module: nn.Conv2d | nn.ConvTranspose2d) -> list[tuple[int, int]]:
    return list(zip(module.kernel_size, module.dilation, strict=True))
