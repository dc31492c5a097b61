"""From options to objects: the one place that sees both.

Networks, losses, data sets and the trainer take plain arguments; here is where an option becomes an
argument.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from i2i.conditioner import Conditioner
from i2i.data.device_augment import DeviceAugment
from i2i.errors import CheckpointError, OptionsError, did_you_mean
from i2i.game import Model
from i2i.labels import Asked
from i2i.models import Kit, find_model
from i2i.networks import DISCRIMINATORS, GENERATORS, initialise, set_inference
from i2i.networks.blocks import BatchNorm2d
from i2i.objectives import Adversarial
from i2i.options import Adversarial as AdversarialOptions
from i2i.options import Network, Optimizer, Options, read_options
from i2i.processes import ALONE, Processes
from i2i.training.checkpoint import load_checkpoint
from i2i.training.distributed import differentiable_mean
from i2i.training.run import find_checkpoint
from i2i.training.schedule import Schedule
from i2i.training.trainer import Trainer
from i2i.translator import Translator

Say = Callable[[str], None]


def pick_device(name: str) -> torch.device:
    """The device that "auto", "cpu", "cuda", "cuda:1" or "mps" stands for.

    Raises:
        OptionsError: there is no such device here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind, _, index = name.partition(":")
    here = {"cpu": True, "cuda": cuda, "mps": mps}
    if kind not in here or (index and not index.isdigit()):
        raise OptionsError(
            f"device (={name!r}) must be auto, cpu, cuda, cuda:1 or mps.{did_you_mean(kind, here)}"
        )
    if not here[kind] or (kind == "cuda" and int(index or 0) >= torch.cuda.device_count()):
        raise OptionsError(
            f"device (={name!r}) is not on this machine; `auto` takes what there is."
        )
    return torch.device(name)


def data_kind(options: Options) -> str:
    """What kind of data set the model of these options learns from."""
    return find_model(options.model).data


def build_model(options: Options) -> Model:
    """Build a model with fresh weights, which follow from `train.seed` alone.

    Raises:
        OptionsError: the model or a term is unknown, or the crop does not fit the generator.
    """
    kit = Kit(
        generator=partial(_network, GENERATORS, options.generator),
        discriminator=partial(_network, DISCRIMINATORS, options.discriminator),
        input_channels=options.data.input_channels,
        output_channels=options.data.output_channels,
        adversarial=Adversarial(
            options.adversarial.loss, real_label=1.0 - options.adversarial.label_smoothing
        ),
        weights=options.objective,
        size=options.data.crop_size,
        pool=options.adversarial.pool,
        critic_turns=options.adversarial.critic_turns,
        labels=options.data.labels,
    )
    kind = find_model(options.model)
    for key in ("pool", "critic_turns"):
        value = getattr(options.adversarial, key)
        idle = AdversarialOptions.model_fields[key].default
        if value != idle and key not in kind.settings:
            raise OptionsError(
                f"adversarial.{key} (={value}) means nothing to {options.model}: set it to {idle}."
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.train.seed)
        model = kind.assemble(kit)
    for player in options.optimizer.player_learning_rates:
        if player not in model.players:
            raise OptionsError(
                f"optimizer.player_learning_rates.{player} names no player of {options.model}."
                f"{did_you_mean(player, model.players)} They are: {', '.join(model.players)}."
            )
    size = options.data.crop_size
    for name in model.generators:
        multiple = model.get_submodule(name).multiple
        assert isinstance(multiple, int)
        if size % multiple:
            raise OptionsError(
                f"data.crop_size (={size}) must be a multiple of {multiple} for this "
                f"{options.generator.network}: take {max(multiple, size - size % multiple)}, or "
                f"another depth ({_shape(options.generator)})."
            )
    for network in model.children():
        minimum = getattr(network, "minimum", 1)
        if size < minimum:
            raise OptionsError(
                f"data.crop_size (={size}) must be at least {minimum} for this "
                f"{options.discriminator.network}, or it needs fewer layers "
                f"({_shape(options.discriminator)})."
            )
    return model


def _shape(network: Network) -> str:
    shape = {"downs", "blocks", "layers"} & set(type(network).model_fields)
    return ", ".join(f"{key} = {getattr(network, key)}" for key in shape)


def _network(
    registry: dict[str, type[nn.Module]], options: Any, *channels: int, **more: int
) -> nn.Module:
    arguments = options.model_dump(exclude={"network", "init", "init_gain"}) | more
    try:
        inspect.signature(registry[options.network]).bind(*channels, **arguments)
    except TypeError as error:
        role = "generator" if registry is GENERATORS else "discriminator"
        raise OptionsError(
            f"{role}.network (={options.network!r}) does not go with this model ({error}): take "
            "that of its own recipe."
        ) from error
    network = registry[options.network](*channels, **arguments)
    if options.init != "torch":
        initialise(network, options.init, options.init_gain)
    return network


def make_optimizer(
    options: Optimizer, device: torch.device, player: str, parameters: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimizer of one player."""
    rate = options.player_learning_rates.get(player, options.learning_rate)
    # One kernel for all weights; on a GPU with fp16 it also need not wait. On a CPU it saves up to
    # a third of a small step, but rounds differently, which shows in published numbers.
    fused = options.fused if options.fused != "auto" else device.type == "cuda"
    match options.name:
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, betas=options.betas, fused=fused)
        case "rmsprop":
            if options.fused is True:
                raise OptionsError("optimizer.fused (=true) is not to be had with rmsprop.")
            return torch.optim.RMSprop(parameters, lr=rate)
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, fused=fused)


def build_trainer(
    options: Options,
    model: Model | None = None,
    *,
    device: torch.device | str = "cpu",
    rate: Callable[[int], float] = lambda step: 1.0,
    processes: Processes = ALONE,
) -> Trainer:
    """Build the trainer of a model.

    Arguments:
        options: of the run.
        model: to train; by default `build_model(options)`.
        device: where to train.
        rate: step -> what the learning rates are multiplied by; a constant by default, since the
            schedule depends on how many pictures there are (`learning_rate_schedule`).
        processes: those that train together.
    """
    device = torch.device(device)
    train = options.train
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if train.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = train.tf32
        torch.backends.cudnn.benchmark = True  # shapes never change within a run
    augment = options.data.augment.model_dump()
    model = build_model(options) if model is None else model
    if train.sync_batch_norm and not processes.alone:
        for module in model.modules():
            if isinstance(module, BatchNorm2d):
                module.mean_of_all = differentiable_mean(processes)
                module.shares = processes.world
    return Trainer(
        model,
        partial(make_optimizer, options.optimizer, device),
        device=device,
        precision=train.precision,
        rate=rate,
        seed=train.seed,
        accumulate=train.accumulate,
        average=train.average,
        channels_last=train.channels_last,
        compile=_compiled(options, model) if train.compile else (),
        augment=DeviceAugment(**augment) if any(augment.values()) else None,
        processes=processes,
    )


def _compiled(options: Options, model: Model) -> list[str]:
    """The networks to compile: all, but a critic whose gradient is penalised.

    A penalty differentiates twice, which `torch.compile` cannot do.
    """
    penalised = any(
        weight and name.startswith(("gradient_penalty", "r1"))
        for name, weight in options.objective.items()
    )
    networks = {name for names in model.players.values() for name in names}
    return sorted(networks & set(model.generators) if penalised else networks)


def run_length(options: Options, pictures: int) -> int:
    """The number of steps of a run over a data set of `pictures` training samples."""
    if options.train.steps is not None:
        return options.train.steps
    assert options.train.epochs is not None
    return -(-options.train.epochs * pictures // options.train.batch_size)


def learning_rate_schedule(options: Options, pictures: int) -> Callable[[int], float]:
    """step -> what every learning rate is multiplied by.

    In a run whose length is given in epochs the rate changes from epoch to epoch, as published; in
    one whose length is given in steps, from step to step.
    """
    shape, train = options.schedule, options.train
    length = train.epochs or train.steps
    assert length is not None
    schedule = Schedule(shape.name, length, shape.hold, shape.every, shape.factor)
    if train.epochs is None:
        return schedule.at
    return lambda step: schedule.at(step * train.batch_size // pictures)


def inference_mode(options: Options) -> Callable[[nn.Module], None]:
    """What puts a generator into the mode in which it is validated and used."""
    return partial(set_inference, norm=options.inference.norm, dropout=options.inference.dropout)


def build_translator(
    options: Options,
    model: Model,
    *,
    direction: str | None = None,
    domain: Asked = None,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
    classify: bool = True,
) -> Translator:
    """Build what translates pictures with a generator of a model.

    The generator itself is put into inference mode, not a copy of it, and so is a classifier.

    Arguments:
        options: of the model.
        model: whose generator is used.
        direction: "AtoB" or "BtoA", for models that translate both ways; by default that of the
            options.
        domain: what to translate to unless a call says otherwise, for models of many domains; or
            which attributes to change, and whether they shall hold.
        device: to compute on; the generator moves there.
        precision: to compute in.
        classify: whether the model's classifier can be used to find attributes.

    Raises:
        OptionsError: the model does not translate in this direction or to this domain.
    """
    wanted = direction or options.data.direction
    ways = model.directions or {options.data.direction: model.generators[0]}
    if wanted not in ways:
        raise OptionsError(
            f"direction (={wanted!r}) is not what this {options.model} has learnt: "
            f"it translates {' and '.join(ways)}."
        )
    channels = options.data.input_channels, options.data.output_channels
    if model.directions and wanted == "BtoA":
        channels = channels[::-1]
    conditioner = None
    if model.data == "domains":
        labels, classifier = options.data.labels, None
        if classify and model.classifier and not all(each.exclusive for each in labels.sets):
            classifier = model.get_submodule(model.classifier).eval().to(device)
        conditioner = Conditioner(
            labels,
            classifier,
            size=options.data.crop_size,
            stretch=options.data.resize == "stretch",
            asked=domain,
        )
    elif domain is not None:
        raise OptionsError(
            f"domain (={domain!r}) means nothing to this {options.model}, which has learnt nothing "
            "of domains."
        )
    return Translator(
        model.get_submodule(ways[wanted]),
        input_channels=channels[0],
        output_channels=channels[1],
        norm=options.inference.norm,
        dropout=options.inference.dropout,
        device=device,
        precision=precision,
        seed=options.train.seed,
        conditioner=conditioner,
    )


def load_translator(
    checkpoint: Path | str | None = None,
    *,
    runs_dir: Path | str = "runs",
    direction: str | None = None,
    domain: Asked = None,
    device: str = "auto",
    precision: str = "fp32",
    average: bool | None = None,
) -> tuple[Translator, str]:
    """Build a translator from a checkpoint, which knows everything about itself.

    Arguments:
        checkpoint: a file or a run folder; by default the newest run under `runs_dir`.
        runs_dir: the folder of the runs.
        direction: "AtoB" or "BtoA", for models that translate both ways.
        domain: what to translate to unless a call says otherwise, for models of many domains; or
            which attributes to change, and whether they shall hold.
        device: "auto", "cpu", "cuda", ...
        precision: to compute in.
        average: whether the moving average of the generator is used; by default if there is one.

    Returns:
        the translator, and which checkpoint it is made of and why, in words.
    """
    path, why = find_checkpoint(Path(checkpoint) if checkpoint else None, Path(runs_dir))
    state = load_checkpoint(path)
    options = read_options(state["options"])
    if average and not state["average"]:
        raise CheckpointError(f"{path} has no moving average: it was trained without one.")
    weights = state["model"] | (state["average"] if average is not False else {})
    model = build_model(options)
    needed = list(model.generators)
    if model.classifier and any(key.startswith(f"{model.classifier}.") for key in weights):
        needed.append(model.classifier)
    for name in needed:
        prefix = f"{name}."
        model.get_submodule(name).load_state_dict(
            {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}
        )
    translator = build_translator(
        options,
        model,
        direction=direction,
        domain=domain,
        device=pick_device(device),
        precision=precision,
        classify=model.classifier in needed,
    )
    return translator, why


def describe_checkpoint(path: Path) -> str:
    """What a checkpoint is, in a few lines."""
    state = load_checkpoint(path)
    options = read_options(state["options"])
    model = build_model(options)
    lines = [
        f"model:      {options.model} - {options.summary}",
    ]
    if state["optimizers"]:
        lines.append(
            f"trained:    {state['step']} steps of {options.train.batch_size} on "
            f"{', '.join(each.root for each in (options.data, *options.data.more))}"
            f"{f' ({options.data.direction})' if model.data == 'paired' else ''}"
        )
    else:
        lines.append("trained:    elsewhere; imported")
    for each in options.data.labels.sets if model.data == "domains" else ():
        kind = "domains:" if each.exclusive else "attributes:"
        lines.append(f"{kind:11} {', '.join(each.names)}")
    for name, network in model.named_children():
        count = sum(parameter.numel() for parameter in network.parameters())
        lines.append(f"{name + ':':11} {type(network).__name__}, {count:,} parameters")
    if model.decisive is not None and state["best"] is not None:
        measure, better = model.decisive
        lines.append(f"best:       {measure} = {state['best']:.4g} ({better} is better)")
    if state["average"]:
        lines.append(f"average:    moving average of the generator, {options.train.average}")
    lines.append(
        f"in use:     batch norm by the statistics of the {options.inference.norm}"
        f"{' picture' if options.inference.norm == 'running' else ''}, "
        f"dropout {'on' if options.inference.dropout else 'off'}"
    )
    return "\n".join([*lines, "", options.to_toml()])
