"""A network as a list of steps."""

import operator
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.inference.tiles.layers import (
    Add,
    Average,
    Concatenate,
    Convolve,
    ConvolveTransposed,
    Halve,
    Layer,
    Multiply,
    Normalise,
    Pad,
    Pick,
    Pointwise,
    Repeat,
    Stretch,
)
from i2i.networks.antialiased import BlurDown, BlurUp
from i2i.networks.blocks import BatchNorm2d, InstanceNorm2d
from i2i.networks.spade import FirstMap
from i2i.networks.spectral import HookedConv2d

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
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_HALVING = {"stride": 2, "padding": 1, "count_include_pad": False}
"""How the image pyramid of pix2pixHD is made."""

_SIDE = 2**12


class _WithNumber(nn.Module):
    """A sum with a number, a product or a quotient."""

    def __init__(self, operation: Callable[[Any, float], Any], number: float) -> None:
        super().__init__()
        self.operation, self.number = operation, number

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.operation(features, self.number))


class UntileableError(Exception):
    """A network contains what cannot be computed in parts; the text says what."""


@dataclass(frozen=True)
class Step:
    """One layer and where its inputs come from.

    Attributes:
        layer: what is computed; None stands for the image itself.
        inputs: numbers of earlier steps.
        in_place: the result takes the place of its input, which nobody reads afterwards.
        by_chance: the result differs when it is computed again.
    """

    layer: Layer | None
    inputs: tuple[int, ...] = ()
    in_place: bool = False
    by_chance: bool = False


def trace(network: nn.Module) -> list[Step]:
    """Write down what a network does in eval mode with one image; the last step is the result.

    The network runs once, on `_Features` in the place of a tensor, in a copy whose layers note that
    they are called. Nothing outside of this call changes, unlike with `torch.fx`, which replaces
    `nn.Module.__call__` for the whole process while it traces: other threads may use torch, and
    this network, at the same time.

    Raises:
        UntileableError: there is something else in it than convolutions, padding, activations,
            normalisations of a channel, dropout, repeating and picking pixels, sums, products and
            concatenations.
    """
    program = _Program(_SIDE * int(getattr(network, "multiple", 1)))
    layers = {id(layer): _Noted(layer, program) for layer in network.modules() if _is_layer(layer)}
    try:
        with torch.no_grad():
            result = deepcopy(network, cast(dict[int, Any], layers))(_Features(program, 0))
    except UntileableError:
        raise
    except Exception as error:  # whatever the network does with an image that is none
        raise UntileableError(f"it cannot be traced ({error})") from error
    if program.index(result) != len(program.steps) - 1:
        raise UntileableError("its result is not what it computes last")
    return program.steps


def _is_layer(module: nn.Module) -> bool:
    """Say whether a module is one step, or some that `_steps` knows; not looked into any more."""
    known = (BatchNorm2d, InstanceNorm2d, BlurDown, BlurUp, FirstMap, HookedConv2d, nn.Dropout)
    is_of_torch = type(module).__module__.startswith("torch.nn")
    return isinstance(module, known) or (is_of_torch and not isinstance(module, _CONTAINERS))


class _Program:
    """The steps that were noted so far, and the height and width of what they compute of an image
    whose sides are said to be `side`."""

    def __init__(self, side: int) -> None:
        self.steps = [Step(None)]
        self.sizes = [(side, side)]

    def index(self, features: object) -> int:
        """Return which step has computed `features`."""
        if not isinstance(features, _Features):
            raise UntileableError("it computes with something else than features")
        return features.index

    def note(self, step: Step) -> int:
        """Append a step; return its number."""
        assert step.layer is not None
        height, width = self.sizes[step.inputs[0]]
        self.steps.append(step)
        self.sizes.append((step.layer.length(height, 0), step.layer.length(width, 1)))
        return len(self.steps) - 1

    def append(self, layer: Layer, *inputs: object) -> "_Features":
        return _Features(self, self.note(Step(layer, tuple(map(self.index, inputs)))))

    def call(self, module: nn.Module, features: "_Features") -> "_Features":
        """Append the steps of a layer; return its result, `features` themselves if in place."""
        index = self.index(features)
        for step in _steps(module, index, len(self.steps)):
            index = self.note(step)
            if step.in_place:
                features.index = index
        return features if features.index == index else _Features(self, index)

    def resize(self, features: "_Features", size: object) -> "_Features":
        """Append the step that repeats or picks pixels, for a size that is such a multiple."""
        have = self.sizes[features.index]
        want = self.sizes[size.index] if isinstance(size, _Size) else cast(tuple[int, int], size)
        if want == have:
            return _Features(self, features.index)
        for smaller, larger, layer in ((want, have, Pick), (have, want, Repeat)):
            factor, rest = divmod(larger[0], smaller[0])
            if not rest and larger[1] == factor * smaller[1]:
                return self.append(layer(factor), features)
        raise UntileableError(f"it resizes by {want[0] / have[0]:.3g} times")


class _Noted(nn.Module):
    """Stands in the place of a layer."""

    def __init__(self, layer: nn.Module, program: _Program) -> None:
        super().__init__()
        self.layer = layer
        self.program = program

    def forward(self, features: "_Features") -> "_Features":
        return self.program.call(self.layer, features)


class _Features:
    """Stands in the place of a tensor: what the step `index` has computed.

    Where a tensor would be changed in place, the same object moves on to the step that did it, so
    that whoever reads it from then on gets what has overwritten it.
    """

    def __init__(self, program: _Program, index: int) -> None:
        self.program = program
        self.index = index

    @property
    def shape(self) -> "tuple[int, int, int, int] | _Shape":
        """Of the image a size that the network takes, for its check; else what others may get."""
        if self.index:
            return _Shape(self.index)
        return 1, 1, *self.program.sizes[0]

    def __add__(self, other: object) -> "_Features":
        return self._with(other, operator.add, Add())

    __radd__ = __add__

    def __iadd__(self, other: object) -> "_Features":
        step = Step(Add(), (self.index, self.program.index(other)), in_place=True)
        self.index = self.program.note(step)
        return self

    def __mul__(self, other: object) -> "_Features":
        return self._with(other, operator.mul, Multiply())

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> "_Features":
        return self._with(other, operator.truediv)

    def _with(
        self, other: object, operation: Callable[[Any, float], Any], layer: Layer | None = None
    ) -> "_Features":
        """A step that computes with a number, or, by a layer, with other features."""
        if isinstance(other, int | float):
            return self.program.append(Pointwise(_WithNumber(operation, other)), self)
        if layer is None:
            raise UntileableError("it divides features by something else than a number")
        return self.program.append(layer, self, other)

    def __getattr__(self, name: str) -> Any:
        raise UntileableError(f"it cannot be traced: it asks features for {name!r}")

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> "_Features":
        if function is F.avg_pool2d and args[1:] == (3,) and kwargs == _HALVING:
            return cast(_Features, args[0]).program.append(Halve(), args[0])
        # Functions of torch that are written in Python hand on their defaults as well.
        kwargs = {key: value for key, value in (kwargs or {}).items() if value not in (None, False)}
        if function is F.interpolate and kwargs.keys() == {"size", "mode"}:
            if kwargs["mode"] == "nearest":
                return cast(_Features, args[0]).program.resize(args[0], kwargs["size"])
        elif (layer := _layer(function, args[1:], kwargs)) is not None:
            program: _Program = args[0].program
            return program.append(layer, args[0])
        if function is torch.add and not kwargs:
            first, second = args
            return cast(_Features, first + second)
        if function is torch.cat:
            parts, *dimension = args
            if (dimension[0] if dimension else kwargs.get("dim", 0)) in (1, -3):
                program = next(part.program for part in parts if isinstance(part, _Features))
                return program.append(Concatenate(), *parts)
        raise UntileableError(f"it contains {getattr(function, '__name__', function)}")


class _Shape:
    """The shape of features of which only height and width may be asked, to resize others."""

    def __init__(self, index: int) -> None:
        self.index = index

    def __getitem__(self, key: object) -> "_Size":
        if key != slice(2, None):
            raise UntileableError("it looks at the size of features")
        return _Size(self.index)


@dataclass(frozen=True)
class _Size:
    """Height and width of what a step computes."""

    index: int


def _layer(function: Any, numbers: tuple[Any, ...], told: dict[str, Any]) -> Layer | None:
    """The layer that a function of features, and of what else it is told, stands for, if any."""
    if function in _FUNCTIONS and not told:
        return Pointwise(_FUNCTIONS[function])
    if function is F.leaky_relu and not numbers and told.keys() == {"negative_slope"}:
        return Pointwise(nn.LeakyReLU(told["negative_slope"]))
    if function is F.interpolate and told.keys() == {"scale_factor", "mode"}:
        factor = told["scale_factor"]
        return Repeat(factor) if told["mode"] == "nearest" and isinstance(factor, int) else None
    if function is F.avg_pool2d and not told and len(numbers) == 1 and isinstance(numbers[0], int):
        return Average(numbers[0])
    return None


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
            if not gathers or getattr(module, "per_image", False):
                return [Step(Normalise(module), (index,))]
            if module.training:
                raise UntileableError(f"a {type(module).__name__} is in training mode")
            return [Step(Pointwise(module), (index,))]
        case nn.ReflectionPad2d() | nn.ReplicationPad2d():
            left, right, top, bottom = module.padding
            if min(left, right, top, bottom) >= 0:
                is_reflected = isinstance(module, nn.ReflectionPad2d)
                return [Step(Pad((top, left), (bottom, right), reflect=is_reflected), (index,))]
        case FirstMap():
            stretch = Stretch(lambda: module.values)
            return [Step(Pick(module.multiple), (index,)), Step(stretch, (following,))]
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
