"""A checkpoint opened: its options are valid, and its weights are those of its networks.

All of that is known before a network is built and before a number is read: the networks are built
on the meta device, where tensors have a shape and no memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from i2i.config import Options, read_options
from i2i.core.model import Model
from i2i.core.registry import is_own
from i2i.errors import CheckpointError, OptionsError
from i2i.models.build import build_model
from i2i.networks.given import MissingNetwork
from i2i.runs.checkpoint import load_checkpoint, origin, require_parts
from i2i.system import gate
from i2i.system.memory import free_memory


def open_checkpoint(path: Path) -> tuple[Options, dict[str, Any]]:
    """Read a checkpoint and its options.

    Returns:
        the options of its run, and everything that it holds, on the CPU.

    Raises:
        CheckpointError: the file is missing, damaged or of another program; it has options that
            this i2i does not know, or weights that do not fit them; its networks are larger than
            the memory.
    """

    def require(outline: dict[str, Any]) -> None:
        require_parts(outline, path)
        _require_fit(_options(outline, path), outline, path)

    state = load_checkpoint(path, require=require)
    return _options(state, path), state


def open_model(path: Path, *, average: bool | None = None) -> tuple[Options, Model]:
    """Build a model as a checkpoint left it, on the CPU.

    Imported weights may be those of some networks only; the others are then fresh.

    Arguments:
        path: of the checkpoint.
        average: whether the moving average of the generator is used; by default if there is one.

    Raises:
        CheckpointError: as for `open_checkpoint`; there is no average, or a generator has failed.
    """
    options, state = open_checkpoint(path)
    if average and not state["average"]:
        raise CheckpointError(f"{path} has no moving average: it was trained without one.")
    weights = state["model"] | (state["average"] if average is not False else {})
    model = build_model(options)
    used = (*model.generators, *model.companions)
    for name, network in model.named_children():
        if isinstance(network, MissingNetwork):
            continue
        prefix = f"{name}."
        own = {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}
        if own or name in used:
            network.load_state_dict(own)
            if name in used and (wrong := gate.not_finite(own)):
                raise CheckpointError(
                    f"{path} has weights of the {name} that are not finite ({wrong}): its training "
                    "has failed, and all that it makes is black; take an older one."
                )
        elif name == model.classifier:
            model.classifier_known = False
    return options, model


def require_room(options: Options) -> Model:
    """Build the networks of some options without memory, and see whether they find room in it.

    Returns:
        the model, on the meta device.

    Raises:
        OptionsError: the options do not go together, or ask for more memory than is free.
    """
    with torch.device("meta"), _Empty():
        model = build_model(options)
    size = sum(each.nbytes for each in model.state_dict().values() if isinstance(each, Tensor))
    free = free_memory(torch.device("cpu"))
    if free is not None and size > free:
        sizes = [
            f"{role}.width = {each.width}"
            for role, each in options.networks.items()
            if hasattr(each, "width")
        ]
        raise OptionsError(
            f"the networks of these options take {_bytes(size)}, and {_bytes(free)} of memory are "
            "free: make them smaller "
            f"({', '.join([*sizes, f'data.crop_size = {options.data.cropped}'])})."
        )
    return model


class _Empty(TorchFunctionMode):
    """Leaves weights as they are, where they would be filled with numbers.

    On the meta device there are none; but torch would import a second of libraries to know how
    random ones would look.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _options(state: Mapping[str, Any], path: Path) -> Options:
    try:
        return read_options(state["options"])
    except OptionsError as error:
        if is_own(state["options"].get("model")):
            raise CheckpointError(f"{path}: {error}") from error
        raise CheckpointError(
            f"{path} has options that this i2i does not understand ({origin(state)}):\n{error}\n"
            "Install the i2i that wrote it, or a newer one."
        ) from error


def _require_fit(options: Options, outline: Mapping[str, Any], path: Path) -> None:
    """Raise `CheckpointError` unless the weights are those of the networks of the options.

    Imported checkpoints may lack whole networks, but not those that are used.
    """
    own = [role for role, each in options.networks.items() if is_own(each.network)]
    try:
        model = require_room(options)
    except OptionsError as error:
        if own:
            raise CheckpointError(f"{path}: {error}") from error
        raise CheckpointError(
            f"{path} holds options of which no model can be built ({origin(outline)}): {error}"
        ) from error
    missing = tuple(
        f"{name}." for name, each in model.named_children() if isinstance(each, MissingNetwork)
    )
    found = {
        key: value
        for key, value in {**outline["model"], **outline["average"]}.items()
        if not str(key).startswith(missing)
    }
    used = {*model.generators, *model.companions}
    there = {str(key).partition(".")[0] for key in found} | used
    expected = {
        key: value for key, value in model.state_dict().items() if key.partition(".")[0] in there
    }
    wrong = gate.misfits(expected, found)
    if wrong and own:
        raise CheckpointError(
            f"{path} has weights that do not fit the {' or the '.join(own)} that was given: "
            f"{wrong}. Give the module that it was trained with, or one that is built alike."
        )
    if wrong:
        raise CheckpointError(
            f"{path} has weights that do not fit the options in it: {wrong}. It is damaged or was "
            "altered: take an older one from the same folder."
        )


def _bytes(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
