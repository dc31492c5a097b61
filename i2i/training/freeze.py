"""Weights that do not learn: which they are, and how nothing of them moves.

A pattern names networks, or a part of one::

    generator                 a network (generator* where there are several)
    generator.encoder         all before the first layer that enlarges; generator.decoder: the rest
    discriminator.0-2         layers, counted from 0; a layer is a convolution or a linear map, with
                              the normalisation behind it
    generator.model.4*        weights and modules by their names
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from i2i.core.model import Model
from i2i.core.text import listed
from i2i.errors import OptionsError, did_you_mean
from i2i.networks.antialiased import BlurUp

_log = logging.getLogger(__name__)

_ENLARGING = (nn.ConvTranspose2d, nn.Upsample, BlurUp)


class Frozen:
    """Holds some weights of a model, and the buffers that belong to them, as they are.

    Modules that are frozen whole compute as they do in use: those of generators as `prepare` says,
    others with their running statistics and without dropout. So what learns around them meets what
    it will meet later.

    Arguments:
        model: whose weights.
        patterns: which.
        prepare: puts a generator into the mode in which it is used.

    Raises:
        OptionsError: a pattern matches nothing.
    """

    def __init__(
        self,
        model: Model,
        patterns: Iterable[str],
        prepare: Callable[[nn.Module], Any],
    ) -> None:
        self._prepare = prepare
        names: set[str] = set()
        for pattern in patterns:
            found = frozen_names(model, pattern)
            _log.info(f"frozen: {pattern}: {_amount(model, found)}")
            names |= found
        self.names = frozenset(names)
        for name, parameter in model.named_parameters():
            if name in names:
                parameter.requires_grad_(False)
        self._buffers = [buffer for name, buffer in model.named_buffers() if name in names]
        self._kept = [buffer.clone() for buffer in self._buffers]
        used = {*model.generators, *model.companions}
        self._modules = [
            (module, name.partition(".")[0] in used)
            for name, module in model.named_modules()
            if name and (keys := [f"{name}.{key}" for key in module.state_dict()])
            if names.issuperset(keys)
        ]

    def hold(self) -> None:
        """Put frozen modules into the mode in which they compute, before a step."""
        for module, is_used in self._modules:
            if is_used:
                self._prepare(module)
            else:
                module.eval()

    def remember(self) -> None:
        """Take what the buffers are now for what they stay."""
        self._kept = [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def restore(self) -> None:
        """Put back what a step has changed of frozen buffers, whatever the network is."""
        for buffer, kept in zip(self._buffers, self._kept, strict=True):
            buffer.copy_(kept)


def frozen_names(model: Model, pattern: str) -> set[str]:
    """The names of the weights and buffers that a pattern means.

    Raises:
        OptionsError: none.
    """
    known = [name for names in model.players.values() for name in names]
    head, _, rest = pattern.partition(".")
    networks = [name for name in known if fnmatchcase(name, head)]
    if not networks:
        raise OptionsError(
            f"train.freeze (={pattern!r}) names no network.{did_you_mean(head, known)} They are: "
            f"{', '.join(known)}."
        )
    found = {
        f"{name}.{key}"
        for name in networks
        for key in _part(model.get_submodule(name), rest, f"{name}.{rest}")
    }
    if not found:
        network = model.get_submodule(networks[0])
        inside = [name for name, _ in network.named_children()]
        raise OptionsError(
            f"train.freeze (={pattern!r}) names nothing in {networks[0]}, which has the layers "
            f"0-{len(layers(network)) - 1} and the parts {', '.join(inside)}"
            f"{', encoder, decoder' if _encoder(network) else ''}."
        )
    return found


def layers(network: nn.Module) -> list[list[str]]:
    """The names of weights and buffers of each layer, in the order in which they are computed."""
    found: list[list[str]] = []
    owners = set()
    for module, name, tensor in _tensors(network):
        owner = module.partition(".parametrizations.")[0]
        if isinstance(tensor, nn.Parameter) and tensor.dim() > 1 and owner not in owners:
            owners.add(owner)
            found.append([])
        if not found:  # what stands before the first layer belongs to it
            found.append([])
        found[-1].append(name)
    return found


def _tensors(network: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """Module, name and tensor, module by module."""
    kept = network.state_dict().keys()
    for path, module in network.named_modules():
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in own:
            full = f"{path}.{name}" if path else name
            if full in kept:
                yield path, full, tensor


def _encoder(network: nn.Module) -> set[str]:
    """What stands before the first layer that enlarges; nothing if there is none."""
    names: set[str] = set()
    for path, module in network.named_modules():
        if isinstance(module, _ENLARGING):
            return names
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        names |= {f"{path}.{name}" if path else name for name, _ in own}
    return set()


def _part(network: nn.Module, rest: str, pattern: str) -> set[str]:
    everything = {name for _, name, _ in _tensors(network)}
    inside = dict(network.named_children())
    if not rest:
        return everything
    if rest in ("encoder", "decoder") and rest not in inside:
        encoder = _encoder(network) & everything
        return encoder if rest == "encoder" or not encoder else everything - encoder
    if (numbers := re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", rest)) and rest not in inside:
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        return {name for layer in layers(network)[first : last + 1] for name in layer}
    return {
        name
        for name in everything
        if name.startswith(f"{rest}.") or fnmatchcase(name, rest) or fnmatchcase(name, f"{rest}.*")
    }


def _amount(model: Model, names: set[str]) -> str:
    """How much of which networks, in words."""
    told = []
    for network in dict.fromkeys(name.partition(".")[0] for name in sorted(names)):
        sizes = {n: p.numel() for n, p in model.named_parameters() if n.startswith(f"{network}.")}
        held = sum(size for name, size in sizes.items() if name in names)
        told.append(f"{held:,} of {sum(sizes.values()):,} weights of the {network}")
    return listed(told, 4)
