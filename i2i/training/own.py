"""What a program gives a training as objects of Python: networks, data, losses, and the rest.

The options of a run name them (`i2i.config.options.Own`, "own:NAME"), and no file holds them. So a
run goes on exactly if the same objects are given again, and is told what is missing if not.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from i2i.config import Options
from i2i.core.model import Model
from i2i.core.registry import LOSSES, METRICS, MODELS, OWN, giving, is_own
from i2i.core.size import Size
from i2i.data.own import first_sample, own_name
from i2i.data.sides import sides_of
from i2i.errors import OptionsError, RunError
from i2i.metrics.measures import Measure
from i2i.models import find_model
from i2i.models.build import data_kind
from i2i.networks.given import given_networks
from i2i.training.callbacks import Callback, named
from i2i.training.own_schedule import OwnSchedule, require_schedule, schedule_name

OfImages = Callable[[Tensor, Tensor], Tensor]
"""Of outputs and what they should be, both (N, C, H, W) in -1..1."""


class Term(NamedTuple):
    """A loss of two images that is added to what the generator pays; a plain tuple will do, too.

    Attributes:
        name: of the term, in the log and in the recipe (`objective.NAME`).
        function: (output, target), both (N, C, H, W) in -1..1, to a scalar that is differentiable.
            It is compared whatever the model compares: for CycleGAN, images with what comes back.
        weight: what it is multiplied by.
    """

    name: str
    function: OfImages
    weight: float = 1.0


@dataclass(frozen=True)
class OwnParts:
    """The objects of a program, as they were given.

    Attributes:
        networks: role -> a module, or what makes one.
        losses: further terms of the objective.
        metrics: what validations measure: functions, called by their names, or (name, function);
            or the name of one that is registered.
        callbacks: take part in the training.
        schedule: sets the learning rates.
        data: what is learnt from.
        validation: what is validated with.
        model: a class of models that is not registered.
    """

    networks: Mapping[str, Any] = field(default_factory=dict)
    losses: Sequence[Term | tuple[str, OfImages, float]] = ()
    metrics: Sequence[str | OfImages | tuple[str, OfImages]] = ()
    callbacks: Sequence[Callback] = ()
    schedule: OwnSchedule | None = None
    data: Any = None
    validation: Any = None
    model: type[Model] | None = None
    terms: dict[str, Term] = field(init=False)
    measures: dict[str, Measure] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", _terms(self.losses))
        object.__setattr__(self, "measures", _measures(self.metrics))
        named(self.callbacks)
        if self.schedule is not None:
            require_schedule(self.schedule)
        if self.model is not None and not (
            inspect.isclass(self.model) and issubclass(self.model, Model)
        ):
            raise OptionsError(f"model (={self.model!r}) must be a subclass of i2i.Model.")
        if self.validation is not None and self.data is None:
            raise OptionsError("validation is given without data: give both, or a dataroot.")

    @contextmanager
    def given(self) -> Iterator[None]:
        """Let them be found, in this thread or task."""
        parts: dict[str, dict[str, Any]] = {**given_networks(self.networks)}
        if self.terms:
            parts[LOSSES.what] = {name: _scalar(term) for name, term in self.terms.items()}
        if self.model is not None:
            parts[MODELS.what] = {OWN: self.model}
        with giving(parts):
            yield

    def first_layer(self) -> dict[str, Any]:
        """The layer of options that must be known before others can be read."""
        model = {} if self.model is None else {"model": OWN + self.model.__name__}
        return {**model, **({"own": {"losses": [*self.terms]}} if self.terms else {})}

    def layer(self, options: Options) -> dict[str, Any]:
        """The layer of options that names everything, for a new run.

        Arguments:
            options: what the recipe and the settings say.

        Raises:
            OptionsError: something has no place in this model.
        """
        model = find_model(options.model)
        layer: dict[str, Any] = {}
        for role, each in given_networks(self.networks).items():
            role = role.removesuffix(".network")
            if role not in model.roles:
                raise OptionsError(
                    f"networks[{role!r}] is no network of {options.model}: its roles are "
                    f"{', '.join(model.roles)}."
                )
            given = each[OWN]
            layer[role] = {"network": given.name} | (
                {"init": "torch"} if given.draws_own_weights else {}
            )
        weights = self._weights(options, model)
        if weights:
            layer["objective"] = weights
        train: dict[str, Any] = {}
        if registered := [each for each in self.metrics if isinstance(each, str)]:
            train["metrics"] = list(dict.fromkeys([*options.train.metrics, *registered]))
        if self.data is not None:
            layer["data"] = {"root": own_name(self.data), "root_b": "", "more": []}
        if self.schedule is not None:
            layer["schedule"] = {"name": "constant"}
        own = {
            "losses": [*self.terms],
            "metrics": [*self.measures],
            "schedule": "" if self.schedule is None else schedule_name(self.schedule),
        }
        if any(own.values()):
            layer["own"] = own
        return {**layer, **({"train": train} if train else {})}

    def _weights(self, options: Options, model: type[Model]) -> dict[str, float]:
        """What the terms weigh, unless the options say so."""
        endings = [each for names in model.comparisons.values() for each in names]
        if self.terms and not endings:
            raise OptionsError(
                f"losses: {options.model} compares no images, so that a loss of two images has no "
                "place in it."
            )
        return {
            name + ending: options.objective.get(name + ending, term.weight)  # type: ignore[misc]
            for name, term in self.terms.items()
            for ending in endings
        }

    def fitting(self, options: Options) -> dict[str, Any]:
        """The layer of options that the data tells: of its first sample the channels of images,
        and their size; of its first batch how many samples are in one, if it gives batches."""
        if self.data is None:
            return {}
        sample, batch_size = first_sample(self.data, data_kind(options))
        sides = sides_of(options)
        found: dict[str, Any] = {}
        fields = {name: side for name, side in sides.fields.items() if name in sample._fields}
        fields = fields or {"images": 1}
        one_side = len({*fields.values()}) == 1
        for name, side in fields.items():
            images = getattr(sample, name)
            if images.ndim == 3 and images.shape[2] <= 4 < images.shape[0]:
                raise OptionsError(
                    f"{name} of the first sample has the shape {tuple(images.shape)}: expected "
                    "(C, H, W). What is (H, W, C), as in Pillow and NumPy, becomes that by "
                    "permute(2, 0, 1)."
                )
            if sides.of(name) is None and images.ndim == 3:
                named = ("input_channels", "output_channels")
                found |= dict.fromkeys(named if one_side else named[side : side + 1], len(images))
                times = options.upscale if side else 1
                size = Size(images.shape[2] // times, images.shape[1] // times)
                found.setdefault("crop_size", size.plain)  # of what is translated
        if batch_size is None:
            return {"data": found}
        # A classifier is trained on single samples.
        return {"data": found, "train": {"batch_size": batch_size, "classifier_steps": 0}}

    def require(self, options: Options) -> None:
        """Refuse to train without what the options name.

        Raises:
            RunError: lists what is missing.
        """
        told = options.own
        absent = {
            role: _bare(each.network)
            for role, each in options.networks.items()
            if is_own(each.network) and role not in self.networks
        }
        listed = ", ".join(f"{role!r}: {name}" for role, name in absent.items())
        missing = [f"networks={{{listed}}}"] if absent else []
        if told is not None:
            for argument, names, here in (
                ("losses", told.losses, self.terms),
                ("metrics", told.metrics, self.measures),
            ):
                if lacking := [name for name in names if name not in here]:
                    missing.append(f"{argument}=[{', '.join(lacking)}]")
            if told.schedule and self.schedule is None:
                missing.append(f"schedule={told.schedule}")
        if is_own(options.data.root) and self.data is None:
            missing.append(f"data={_bare(options.data.root)}")
        if missing:
            given = (self.networks, self.losses, self.metrics, self.schedule, self.data is not None)
            raise RunError(
                f"this run was made from objects of a Python program, which no file holds: "
                f"{', '.join(missing)}. Give the same ones again, in Python: "
                f"i2i.resume(run, {'..., ' * any(map(bool, given))}{', '.join(missing)})."
            )


@contextmanager
def own_parts(
    *, networks: Mapping[str, Any] = MappingProxyType({}), model: type[Model] | None = None
) -> Iterator[None]:
    """Let runs that were made from objects be used: whatever is called in here finds them::

        with i2i.own_parts(networks={"generator": MyNetwork()}):
            i2i.evaluate_run("runs/mine")

    Arguments:
        networks, model: as for `i2i.train`.
    """
    with OwnParts(networks=networks, model=model).given():
        yield


def _bare(name: str) -> str:
    return name.removeprefix(OWN)


def _no_term(given: Any) -> OptionsError:
    shown = getattr(given, "__name__", None) or repr(given)
    return OptionsError(
        f"losses: {shown} must be i2i.Term(name, function, weight), such as "
        'i2i.Term("edges", edges, 10.0).'
    )


def _scalar(term: Term) -> OfImages:
    """The function of a term, which says so if it gives something else than a scalar.

    Raises:
        OptionsError: when it is called.
    """

    @wraps(term.function)
    def function(output: Tensor, target: Tensor) -> Tensor:
        value = term.function(output, target)
        if not isinstance(value, Tensor) or value.numel() != 1:
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
            raise OptionsError(
                f"losses: {term.name!r} gave a {type(value).__name__}{shape}: expected a scalar "
                "tensor, such as the mean over all pixels."
            )
        return value

    return function


def _terms(losses: Sequence[Any]) -> dict[str, Term]:
    found: dict[str, Term] = {}
    for each in losses:
        try:
            term = Term(*each)
        except TypeError:
            raise _no_term(each) from None
        if not isinstance(term.name, str) or not callable(term.function):
            raise _no_term(each)
        if term.name in LOSSES or term.name in found:
            raise OptionsError(
                f"losses: there is a loss {term.name!r} already: give this one another name."
            )
        found[term.name] = term
    return found


def _measures(metrics: Sequence[Any]) -> dict[str, Measure]:
    found: dict[str, Measure] = {}
    for each in metrics:
        if isinstance(each, str):
            METRICS.find(each)
            continue
        name, function = each if isinstance(each, tuple) else (getattr(each, "__name__", ""), each)
        if not isinstance(name, str) or not name or not callable(function):
            raise OptionsError(
                f"metrics: {each!r} must be a function of (outputs, references), or "
                "(name, function)."
            )
        if name in METRICS or name in found:
            raise OptionsError(
                f"metrics: there is a measure {name!r} already: give this one another name."
            )
        found[name] = Measure(function, needs_truth=False)
    return found


NOTHING: OwnParts = OwnParts()
"""For a run that has nothing but what is registered."""
