"""From options to a model with fresh weights."""

import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from i2i.config import Network, Options
from i2i.core.draws import draws_apart
from i2i.core.growth import Growth, Stage
from i2i.core.latent import Latent
from i2i.core.model import Model, Parts
from i2i.core.registry import LOSSES, OWN, giving, is_own, networks, not_given
from i2i.core.size import Size
from i2i.data.kinds import find_kind
from i2i.errors import OptionsError
from i2i.losses import Adversarial
from i2i.models import find_model
from i2i.networks import has_dropout, initialise, set_inference
from i2i.networks.given import GivenNetwork, MissingNetwork
from i2i.networks.sizes import ensure_multiple


def latent(options: Options) -> Latent | None:
    """What the model of these options makes images of, if not of images."""
    told = options.latent
    if told is None:
        return None
    return Latent(told.size, told.distribution, told.categorical, told.continuous)


def growth(options: Options) -> Growth | None:
    """How the networks of these options grow, if they do."""
    if options.growth is None:
        return None
    return Growth(
        [
            Stage(each.size, each.batch_size or options.train.batch_size, each.fade, each.hold)
            for each in options.growth.stages
        ]
    )


def batch_sizes(options: Options) -> set[int]:
    """All that the batches of a run may have."""
    growing = growth(options)
    if growing is None:
        return {options.train.batch_size}
    return {stage.batch_size for stage in growing.stages}


def weights(options: Options) -> dict[str, float]:
    """The weight of each term, "auto" being what it stands for.

    That of R1 is 0.0002 size**2 / batch size (Karras et al., "Training generative adversarial
    networks with limited data", NeurIPS 2020, appendix; the published code's automatic setting).

    Raises:
        OptionsError: there is no rule for a term.
    """
    settled = {}
    for name, weight in options.objective.items():
        if weight == "auto":
            if not re.fullmatch(r"r1(_.*)?", name):
                raise OptionsError(
                    f"objective.{name} (='auto') must be a number: only of r1 there is a rule."
                )
            pixels = options.data.cropped.pixels * options.upscale**2
            weight = 0.0002 * pixels / options.train.batch_size
        settled[name] = float(weight)
    return settled


def data_kind(options: Options) -> str:
    """What kind of data set the model of these options learns from."""
    return find_model(options.model).data


def build_model(options: Options) -> Model:
    """Build a model with fresh weights, which follow from `train.seed` alone.

    Raises:
        OptionsError: the model or a term is unknown, or the crop does not fit the generator.
    """
    adversarial = options.adversarial
    kind = find_model(options.model)
    parts = Parts(
        make_network=partial(_network, options),
        adversarial=Adversarial(
            adversarial.loss,
            real_label=1.0 - adversarial.label_smoothing,
            fake_label=adversarial.fake_label_smoothing,
            label_noise=adversarial.label_noise,
            saturating=adversarial.saturating,
        ),
        weights=weights(options),
        input_channels=options.data.input_channels,
        output_channels=options.data.output_channels,
        crop=options.data.cropped,
        labels=options.data.labels,
        latent=latent(options),
        growth=growth(options),
    )
    if (not find_kind(kind.data).translates) != (options.latent is not None):
        raise OptionsError(
            f"[latent] is for models that make images from noise: {options.model} "
            f"{'needs it' if options.latent is None else 'translates images, so leave it out'}."
        )
    if options.upscale > 1 and not kind.upscales:
        raise OptionsError(
            f"generator.upscale (={options.upscale}) is for models of pairs in which the truth may "
            f"be larger than the input (pix2pix, pix2pixHD), not for {options.model}: set it to 1."
        )
    registered = [
        networks(role).find(chosen.network)
        for role, chosen in options.networks.items()
        if not is_own(chosen.network)
    ]
    _require_growth(options, registered)
    if options.data.references != kind.references:
        raise OptionsError(
            f"data.references (={options.data.references}) must be {kind.references} for "
            f"{options.model}."
        )
    losses = _own_losses(options)
    apart = draws_apart(options.train.seed, torch.get_default_device())
    with apart, giving({LOSSES.what: losses}):
        model = kind.assemble(parts, **options.game.model_dump())
    _require_growth(options, [n for n in model.children() if not isinstance(n, MissingNetwork)])
    model.own_losses = losses
    model.set_lazy(options.every)
    for name, weight in options.objective.items():
        if weight == "auto":
            (width, height), batch = options.data.cropped, options.train.batch_size
            width, height = width * options.upscale, height * options.upscale
            model.notices += (
                f"objective.{name} = {parts.weights[name]:.4g}, which is "
                f"0.0002 * {width} * {height} / {batch} (size and batch size).",
            )
    if options.anneal.beta2 is not None and options.optimizer.name != "adam":
        raise OptionsError(
            f"anneal.beta2 (={options.anneal.beta2}) is about adam, not about optimizer.name = "
            f"{options.optimizer.name!r}: leave it out."
        )
    pieces = 2 * options.train.gradient_accumulation
    for batch in batch_sizes(options) if getattr(options.game, "split_batch", False) else ():
        if batch % pieces:
            raise OptionsError(
                f"train.batch_size (={batch}) must be divisible by {pieces} with "
                "game.split_batch = true and train.gradient_accumulation = "
                f"{options.train.gradient_accumulation}: each turn has half of each piece."
            )
    for name in options.anneal.objective:
        if not parts.weights.get(name):
            raise OptionsError(
                f"anneal.objective.{name} is about a term that is not in use: give "
                f"objective.{name} the weight that it begins with."
            )
    penalised = any(w and "gradient_penalty" in name for name, w in options.objective.items())
    if penalised and getattr(options.networks.get("discriminator"), "norm", "none") == "batch":
        model.notices += (
            "the gradient penalty is meant for each image by itself, but batch norm mixes those "
            "of a batch: discriminator.norm = 'none' or 'layer' goes with it.",
        )
    model.notices += _idle_dropout(options, model)
    size = options.data.cropped
    translates = find_kind(model.data).translates
    if translates and is_own(options.generator.network):
        _find_multiples(options, model)
    for name in model.generators if translates else ():
        multiple = getattr(model.get_submodule(name), "multiple", 1)
        if size.width % multiple or size.height % multiple:
            fitting = Size(*(max(multiple, side - side % multiple) for side in size))
            shape = _shape(options.generator)
            raise OptionsError(
                f"data.crop_size (={size}) must be a multiple of {multiple} for this "
                f"{options.generator.network.removeprefix(OWN)}: take {fitting}"
                f"{shape and f', or another depth ({shape})'}."
            )
    for network in model.children():
        minimum = getattr(network, "minimum", 1)
        if min(size) < minimum:
            raise OptionsError(
                f"data.crop_size (={size}) must be at least {minimum} for this "
                f"{options.discriminator.network}, or it needs fewer layers "
                f"({_shape(options.discriminator)})."
            )
    return model


def _require_growth(options: Options, networks: Iterable[object]) -> None:
    """Raise OptionsError unless all networks grow, or none and nobody says when."""
    if {hasattr(network, "grow") for network in networks} - {options.growth is not None}:
        raise OptionsError(
            "[growth] goes with a generator and a discriminator that grow (network = 'progan', or "
            f"a method grow(stage, alpha)): give all three or none ({_chosen(options)}, "
            f"[growth] is {'missing' if options.growth is None else 'there'})."
        )


def _find_multiples(options: Options, model: Model) -> None:
    """Try which sizes a generator of a program's own takes, unless it says so."""
    if find_kind(model.data).has_domains or model.companions:
        return  # what else it is told is not known here
    channels = options.data.input_channels, options.data.output_channels
    for number, name in enumerate(model.generators):
        network = model.get_submodule(name)
        if next(iter(network.parameters()), torch.empty(0)).device.type != "meta":
            ensure_multiple(network, channels[number % 2])


def _idle_dropout(options: Options, model: Model) -> tuple[str, ...]:
    """What to say where dropout is on and no generator has a layer for it."""
    asked = {
        "generator.dropout": getattr(options.generator, "dropout", False),
        "inference.dropout": options.inference.dropout,
    }
    on = [name for name, value in asked.items() if value]
    if not on or any(has_dropout(model.get_submodule(name)) for name in model.generators):
        return ()
    shape = _shape(options.generator)
    return (
        f"{' and '.join(on)} (=true) {'has' if len(on) == 1 else 'have'} no effect: this "
        f"{options.generator.network.removeprefix(OWN)}{shape and f' ({shape})'} has no dropout "
        "layer.",
    )


def _shape(network: Network) -> str:
    shape = {"downs", "blocks", "layers"} & set(type(network).model_fields)
    return ", ".join(f"{key} = {getattr(network, key)}" for key in shape)


def _chosen(options: Options) -> str:
    return ", ".join(
        f"{role}.network = {each.network!r}" for role, each in options.networks.items()
    )


def _network(options: Options, role: str, *numbers: int, **more: Any) -> nn.Module:
    """Make the network of a role, and draw its weights."""
    chosen = options.networks[role]
    try:
        network = networks(role).find(chosen.network)
    except OptionsError as error:
        if not is_own(chosen.network) or role == "generator":
            raise
        return MissingNetwork(error)
    arguments = chosen.model_dump(exclude={"network", "init", "init_gain"}) | more
    if isinstance(network, GivenNetwork):
        return _initialised(network(*numbers, **arguments), chosen, network)
    try:
        inspect.signature(network).bind(*numbers, **arguments)
    except TypeError as error:
        raise OptionsError(
            f"{role}.network (={chosen.network!r}) does not go with this model ({error}): take "
            "that of its own recipe."
        ) from error
    return _initialised(network(*numbers, **arguments), chosen, network)


def _initialised(made: nn.Module, chosen: Network, network: Any) -> nn.Module:
    """A network whose weights are drawn as its table says."""
    if chosen.init != "torch":
        keeps = getattr(network, "keeps_biases", False)
        initialise(made, chosen.init, chosen.init_gain, zero_biases=not keeps)
    return made


def _own_losses(options: Options) -> dict[str, Any]:
    """The losses that a program has given; one that is missing here fails when it is asked, which
    no use of a trained model does."""
    names = () if options.own is None else options.own.losses
    return {name: LOSSES.find(name) if name in LOSSES else _missing(name) for name in names}


def _missing(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    def fail(output: Tensor, target: Tensor) -> Tensor:
        losses = f'losses=[("{name}", function, weight)]'
        raise not_given(f"objective.{name}", name, losses, "i2i.resume")

    return fail


def inference_mode(options: Options) -> Callable[[nn.Module], None]:
    """What puts a generator into the mode in which it is validated and used."""
    return partial(set_inference, norm=options.inference.norm, dropout=options.inference.dropout)
