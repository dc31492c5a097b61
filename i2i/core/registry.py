"""Doors: how a part gets its name, whether it is built in, installed, or in one file of a user.

Every kind of part has one `Registry`. A part is registered by a decorator, the built-in ones like
all others::

    @register_network("generator", "unet")
    class UNet(nn.Module): ...

An installed distribution names modules that do so under the entry points of the registry's group
("i2i.models", "i2i.networks", ...); `i2i.core.plugins` runs single files that do so.

What a program gives as an object of Python is there for a while, beside what is registered
(`giving`). Options name it "own:NAME", so that whoever lacks the object is told what it was.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from importlib.metadata import entry_points
from threading import RLock
from typing import Any, TypeVar

from i2i.errors import OptionsError, did_you_mean

Part = TypeVar("Part")

OWN = "own:"
"""What the names of objects begin with, in options: "own:MyNetwork"."""

_given: ContextVar[Mapping[str, Mapping[str, Any]]] = ContextVar("given", default={})  # noqa: B039
"""What of a registry -> name -> object. It is never changed in place."""


def is_own(name: object) -> bool:
    """Whether options name an object of a program by this."""
    return isinstance(name, str) and name.startswith(OWN)


def not_given(what: str, name: str, argument: str, takers: str) -> OptionsError:
    """What is to be said where an object is missing.

    Arguments:
        what: the option that names it.
        name: as it stands there.
        argument: how it is given, in Python.
        takers: the functions that it is given to.
    """
    return OptionsError(
        f"{what} (={name!r}) was an object of the Python program that began this run, which no "
        f"file holds: give it again, in Python, by {argument} of {takers}."
    )


class Registry(Mapping[str, Part]):
    """The parts of one kind, by name.

    Arguments:
        what: the kind, as it is called in messages ("model").
        group: the entry points that other distributions may have.
        package: all of whose modules register what is built in; they are imported when a part is
            looked for, so that registering costs nothing at start-up.

    Attributes:
        changes: how often a part was registered; whoever has made something of all parts sees by it
            that there are others.
    """

    def __init__(self, what: str, group: str, package: str) -> None:
        self.what = what
        self.group = group
        self._package = package
        self.changes = 0
        self._parts: dict[str, Part] = {}
        self._imported = self._complete = False
        self._lock = RLock()
        self._broken: dict[str, str] = {}

    def register(self, name: str) -> Callable[[Part], Part]:
        """Return a decorator that registers a part under `name`.

        Raises:
            OptionsError: another part has that name.
        """

        def add(part: Part) -> Part:
            known = self._parts.get(name)
            if known is not None and _origin(known) != _origin(part):
                raise OptionsError(
                    f"the {self.what} {name!r} of {_origin(part)} has the name of that of "
                    f"{_origin(known)}: give it another one."
                )
            self._parts[name] = part
            self.changes += 1
            return part

        return add

    def find(self, name: str) -> Part:
        """Return the part called `name`.

        Raises:
            OptionsError: there is none; lists those that there are.
        """
        if name in (own := self._own()):
            return own[name]
        if is_own(name):
            if OWN in own:  # whatever its class is called now
                return own[OWN]
            role, takers = self.what.removesuffix(".network"), "i2i.resume or i2i.own_parts"
            if role == self.what:
                raise not_given(role, name, f"{role}=...", takers)
            takers = f"i2i.load_translator, {takers}"
            raise not_given(self.what, name, f"networks={{{role!r}: ...}}", takers)
        self._load()
        if name not in self._parts:
            broken = "".join(
                f" That of the entry point {entry} cannot be imported: {why}."
                for entry, why in self._broken.items()
            )
            raise OptionsError(
                f"{self.what} (={name!r}) must be one of {', '.join(self.names())}."
                f"{did_you_mean(name, self._parts)}{broken}"
            )
        return self._parts[name]

    def __getitem__(self, name: str) -> Part:
        return self.find(name)

    def __len__(self) -> int:
        return len(self.names())

    def names(self) -> list[str]:
        """The names of all parts, in alphabetical order."""
        self._load()
        own = self._own()
        return sorted({*self._parts, *own} - {OWN}) if own else sorted(self._parts)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._parts or name in self._own()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _own(self) -> Mapping[str, Part]:
        """What a program has given, here and now."""
        return _given.get().get(self.what, {})

    def _load(self) -> None:
        if self._complete:
            return
        with self._lock:  # so that no other thread takes a part for all
            if not self._imported:
                self._imported = True  # first, since the modules may look into the registry
                self._import_all()
                self._complete = True

    def _import_all(self) -> None:
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
            importlib.import_module(f"{self._package}.{module.name}")
        for entry in entry_points(group=self.group):
            try:
                entry.load()
            except Exception as error:  # noqa: BLE001 (another's code may do anything)
                # Not an end for those who use another part; said when this one is looked for.
                self._broken[f"{entry.name} = {entry.value}"] = f"{type(error).__name__}: {error}"


@contextlib.contextmanager
def giving(parts: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Let objects be found beside what is registered, in this thread or task.

    Arguments:
        parts: `Registry.what` -> name -> object; `OWN` stands for any name that begins so.
    """
    before = _given.get()
    merged = {what: {**before.get(what, {}), **named} for what, named in parts.items()}
    token = _given.set({**before, **merged})
    try:
        yield
    finally:
        _given.reset(token)


MODELS: Registry[Any] = Registry("model", "i2i.models", "i2i.models")
"""Subclasses of `i2i.core.model.Model`."""

LOSSES: Registry[Any] = Registry("loss", "i2i.losses", "i2i.losses")
"""Losses of two images: (output, target), both (N, C, H, W) in -1..1 -> a scalar."""

ADVERSARIAL_LOSSES: Registry[Any] = Registry(
    "adversarial.loss", "i2i.adversarial_losses", "i2i.losses"
)
"""Subclasses of `i2i.losses.adversarial.AdversarialLoss`."""

DATA_KINDS: Registry[Any] = Registry("data kind", "i2i.data_kinds", "i2i.data.kinds")
"""Subclasses of `i2i.data.kinds.kind.DataKind`."""

IMAGE_FORMATS: Registry[Any] = Registry(
    "image format", "i2i.image_formats", "i2i.data.images.formats"
)
"""Subclasses of `i2i.data.images.formats.ImageFormat`."""

TRACKERS: Registry[Any] = Registry("train.trackers", "i2i.trackers", "i2i.runs.trackers")
"""Subclasses of `i2i.runs.trackers.Tracker`."""

METRICS: Registry[Any] = Registry("train.metrics", "i2i.metrics", "i2i.metrics")
"""What a run can measure at validations: an `i2i.core.signals.Measure` each."""

WEIGHT_SOURCES: Registry[Any] = Registry(
    "source of weights", "i2i.weight_sources", "i2i.export.sources"
)
"""What stands before the colon of `zoo:NAME`: functions from the name to a folder or file."""

_NETWORKS: dict[str, Registry[Any]] = {}


def networks(role: str) -> Registry[Any]:
    """The networks for a role: "generator", "discriminator", or any other that a model has."""
    found = _NETWORKS.get(role)
    if found is None:  # one for all threads, whichever is the first
        # Those that know the world come with their weights, and measure, too.
        package = "i2i.metrics" if role == "features" else "i2i.networks"
        new: Registry[Any] = Registry(f"{role}.network", "i2i.networks", package)
        found = _NETWORKS.setdefault(role, new)
    return found


def register_model(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a model: the `model` of a recipe."""
    return MODELS.register(name)


def register_data_kind(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a kind of data set: the `data` of a model.

    It is a subclass of `i2i.data.kinds.kind.DataKind`, or of one of the package's: that of pairs
    needs nothing but a way to find them (`i2i.data.kinds.paired.Paired.find`).
    """
    return DATA_KINDS.register(name)


def register_image_format(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a format of image files.

    It is a subclass of `i2i.data.images.formats.ImageFormat`, which turns bytes into an array.
    """
    return IMAGE_FORMATS.register(name)


def register_weight_source(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers where weights can come from: `NAME:REST` in the place of a
    run or checkpoint.

    It is a function from REST to the path of a run, checkpoint or bundle.
    """
    return WEIGHT_SOURCES.register(name)


def register_tracker(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a tracker: one of `train.trackers`, or `--track`.

    It is a subclass of `i2i.runs.trackers.Tracker`, and receives what is logged of a run.
    """
    return TRACKERS.register(name)


def register_loss(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a loss of two images.

    It takes an output and what it should be, both (N, C, H, W) in -1..1, and returns a scalar that
    is differentiable and 0 for equal images. Wherever a model compares two images, each registered
    loss can be a term of a recipe: `[objective] NAME = 10` for pix2pix, `NAME_cycle_A` and
    `NAME_cycle_B` for CycleGAN, `NAME_reconstruction` for StarGAN
    (`i2i.core.model.Model.comparisons`).
    """
    return LOSSES.register(name)


def register_adversarial_loss(name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers an adversarial loss: the `loss` of [adversarial].

    It is a subclass of `i2i.losses.adversarial.AdversarialLoss`, with what the discriminator pays
    for each score (`real`, `fake`) and what the generator pays (`fool`)::

        @register_adversarial_loss("hinge")
        class Hinge(AdversarialLoss):
            @staticmethod
            def real(scores: Tensor, label: float) -> Tensor:
                return F.relu(1 - scores)
            ...
    """
    return ADVERSARIAL_LOSSES.register(name)


def register_network(role: str, name: str) -> Callable[[Part], Part]:
    """Return a decorator that registers a network: the `network` in a table of a recipe.

    Its constructor takes what a model tells it (channels, size, number of classes), and its options
    as keyword-only arguments with a meaning: the keys of the table (see `i2i.config.parts`)::

        @register_network("generator", "unet")
        class UNet(nn.Module):
            def __init__(
                self,
                in_channels: int,
                out_channels: int,
                *,
                width: Annotated[int, Ge(1), "channels of the first layer"] = 64,
            ) -> None: ...

    Arguments:
        role: the table: "generator", "discriminator", or another that the model has.
        name: of the network.
    """
    return networks(role).register(name)


def _origin(part: object) -> str:
    """The module and name of a part: the same ones again if its file is imported anew."""
    return f"{getattr(part, '__module__', '?')}.{getattr(part, '__qualname__', part)}"
