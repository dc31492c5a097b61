"""From options to a trainer: here is where an option becomes an argument."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from i2i.config import Optimizer, Options
from i2i.core.model import Model
from i2i.data.augment.device import DeviceAugment
from i2i.data.sides import sides_of
from i2i.distributed.gradients import differentiable_mean
from i2i.distributed.processes import ALONE, Processes
from i2i.errors import OptionsError
from i2i.models.build import build_model, growth, inference_mode
from i2i.networks.augment import AdaptiveProbability, Sometimes, augmentation_of
from i2i.networks.blocks import BatchNorm2d
from i2i.networks.checkpointing import set_checkpointing
from i2i.networks.given import MissingNetwork
from i2i.system.device import chosen_precision
from i2i.training.anneal import Anneal
from i2i.training.augment import DiscriminatorAugmentation
from i2i.training.batch_check import check_for
from i2i.training.cuda_graphs import CudaRecorder, StepGraphs
from i2i.training.ema import HalfLife, averaging_note
from i2i.training.freeze import Frozen
from i2i.training.noise import InstanceNoise
from i2i.training.pretrained import Begun, begin_from
from i2i.training.schedule import Schedule, warmed_up
from i2i.training.trainer import Trainer

_log = logging.getLogger(__name__)


def resolve_precision(options: Options, device: torch.device) -> Options:
    """Options in which `train.precision` is what "auto" stands for on this device."""
    precision = chosen_precision(options.train.precision, device)
    train = options.train.model_copy(update={"precision": precision})
    return options.model_copy(update={"train": train})


def samples_before(options: Options) -> Callable[[int], int]:
    """How many training samples come before a step."""
    if (growing := growth(options)) is not None:
        return growing.images
    return lambda step: step * options.train.batch_size


def make_optimizer(
    options: Optimizer,
    device: torch.device,
    player: str,
    parameters: list[nn.Parameter],
    networks: Mapping[str, nn.Module] = MappingProxyType({}),
    share_of_turns: Callable[[str], float] = lambda player: 1.0,
    old: Collection[nn.Parameter] = frozenset(),
    old_rate: float = 1.0,
) -> torch.optim.Optimizer:
    """The optimizer of one player.

    Arguments:
        options: the table [optimizer].
        device: where the parameters will be.
        player: whose they are.
        parameters: all that the player trains.
        networks: those that have something of their own in `options.networks`.
        share_of_turns: see `Model.share_of_turns`; told about the rates and betas of all networks.
        old: those that have been trained before.
        old_rate: their learning rate, as a part of that of the others.

    Raises:
        OptionsError: there is nothing to train.
    """
    if not parameters:
        raise OptionsError(f"the networks of the {player} have no weights, so it cannot learn.")
    share = share_of_turns(player)
    rate = options.player_learning_rates.get(player, options.learning_rate)
    groups = list(_groups(options, rate, parameters, networks, share))
    if old_rate != 1.0:
        groups = list(_slower(groups, {*old}, old_rate, rate * share))
    decay = options.weight_decay
    # One kernel for all weights; on a GPU with fp16 it also need not wait. On a CPU it saves up to
    # a third of a small step, but rounds differently, which shows in published numbers.
    on_gpu = device.type == "cuda"
    fused = on_gpu if options.fused == "auto" else bool(options.fused)
    # "Capturable" is what a CUDA graph can record. Steps without one have it too, to be the same.
    match options.name:
        case "adam":
            return torch.optim.Adam(
                groups,
                lr=rate * share,
                betas=_lazy(options.betas, share),
                weight_decay=decay,
                fused=fused,
                capturable=on_gpu,
            )
        case "rmsprop":
            if options.fused is True:
                raise OptionsError("optimizer.fused (=true) is not to be had with rmsprop.")
            return torch.optim.RMSprop(
                groups, lr=rate * share, weight_decay=decay, capturable=on_gpu
            )
        case "sgd":
            return torch.optim.SGD(groups, lr=rate * share, weight_decay=decay, fused=fused)


def _groups(
    options: Optimizer,
    rate: float,
    parameters: list[nn.Parameter],
    networks: Mapping[str, nn.Module],
    share: float,
) -> Iterator[dict[str, Any]]:
    """The groups of a player's parameters: what its networks share, then those with their own."""
    own = {name: set(networks[name].parameters()) & {*parameters} for name in networks}
    shared = [p for p in parameters if not any(p in group for group in own.values())]
    if shared:
        yield {"params": shared}
    for name, group in own.items():
        if group:
            told = options.networks[name].model_dump(exclude_none=True)
            betas = told.pop("betas", None)
            if betas and options.name == "adam":
                told["betas"] = _lazy(betas, share)
            told["lr"] = told.pop("learning_rate", rate) * share
            yield {"params": [p for p in parameters if p in group], **told}


def _slower(
    groups: Iterable[dict[str, Any]], old: set[nn.Parameter], factor: float, rate: float
) -> Iterator[dict[str, Any]]:
    """The groups with what is new first and what is old apart, at a part of their rate."""
    for group in groups:
        for is_old in (False, True):
            own = [p for p in group["params"] if (p in old) == is_old]
            if own:
                full = group.get("lr", rate)
                yield {**group, "params": own, "lr": full * factor if is_old else full}


def _lazy(betas: tuple[float, float], share: float) -> tuple[float, float]:
    """Betas of an optimizer that also steps for lazy terms; see `Model.share_of_turns`."""
    return betas[0] ** share, betas[1] ** share


def build_trainer(
    options: Options,
    model: Model | None = None,
    *,
    device: torch.device | str = "cpu",
    images: int | None = None,
    rate: Callable[[int], float] | None = None,
    length: int | None = None,
    processes: Processes = ALONE,
    begun: Begun | None = None,
) -> Trainer:
    """Build the trainer of a model. Given the same batches, its steps are those of `i2i train`.

    Arguments:
        options: of the run.
        model: to train; by default `build_model(options)`.
        device: where to train.
        images: how many training images there are. The schedule of the learning rate needs it where
            the length of the run is given in epochs.
        rate: step -> what the learning rates are multiplied by; by default the schedule of the
            options.
        length: of the run in steps, for what changes over the run; by default that of the options,
            or 1 where it is not known.
        processes: those that train together.
        begun: what the weights of `model` are; without a model, as `train.init_from` says.

    Raises:
        OptionsError: the model cannot be built, steps are to be recorded that cannot be, or the
            schedule needs `images`.
    """
    device = torch.device(device)
    train = options.train
    if rate is None:
        rate = _rate(options, images)
    if length is None:
        length = train.steps or (run_length(options, images) if images else 1)
    if train.ema_decay:
        _log.info(averaging_note(train.ema_decay, train.ema_warmup, length))
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if train.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = train.tf32
        torch.backends.cudnn.benchmark = True  # shapes never change within a run
    augment = options.data.augment.model_dump()
    if model is None:
        model = build_model(options)
        begun = begin_from(model, options) if train.init_from else None
    for network in model.children():
        if isinstance(network, MissingNetwork):
            raise network.error
    prepare = inference_mode(options)
    old: list[nn.Parameter] = []
    if begun is not None:
        old = [weight for name, weight in model.named_parameters() if name not in begun.anew]
    if train.checkpointing and not all(
        set_checkpointing(model.get_submodule(name)) for name in model.generators
    ):
        raise OptionsError(
            "train.checkpointing (=true) is for generators that translate images, not for "
            f"generator.network = {options.generator.network!r}: set it to false."
        )
    # Who judges: players that train no generator.
    judges = {
        player: names
        for player, names in model.players.items()
        if not {*names} & {*model.generators}
    }
    adversarial, augmentation, noise = options.adversarial, None, None
    networks = [model.get_submodule(name) for names in judges.values() for name in names]
    if options.augment_discriminator.on:
        augmentation = _augmentation(options, model, networks, device)
    if adversarial.instance_noise:
        noise = InstanceNoise(
            adversarial.instance_noise, adversarial.instance_noise_until, networks, device
        )
    if train.sync_batch_norm and not processes.alone:
        for module in model.modules():
            if isinstance(module, BatchNorm2d):
                module.mean_of_all = differentiable_mean(processes)
                module.shares = processes.world
    anneal = Anneal(
        options.anneal.until,
        options.anneal.learning_rate
        and options.anneal.learning_rate / options.optimizer.learning_rate,
        options.anneal.beta2,
        options.anneal.average_half_life,
        options.anneal.objective,
    )
    half_life = None
    if train.average_half_life is not None:
        half_life = HalfLife(train.average_half_life, train.average_ramp)
    elif train.average_ramp is not None or anneal.half_life is not None:
        raise OptionsError(
            "train.average_half_life is missing: train.average_ramp and anneal.average_half_life "
            "are about it."
        )
    sides = sides_of(options)
    maps = {name: held for name in sides.fields if (held := sides.of(name)) is not None}
    return Trainer(
        model,
        partial(
            make_optimizer,
            options.optimizer,
            device,
            networks={name: model.get_submodule(name) for name in options.optimizer.networks},
            share_of_turns=model.share_of_turns,
            old=old,
            old_rate=train.init_rate,
        ),
        device=device,
        precision=chosen_precision(train.precision, device),
        rate=rate,
        seed=train.seed,
        gradient_accumulation=train.gradient_accumulation,
        average=train.ema_decay,
        ema_warmup=train.ema_warmup,
        half_life=half_life,
        anneal=anneal,
        images=samples_before(options),
        channels_last=train.channels_last,
        compile=_compiled(options, model) if train.compile else (),
        augment=DeviceAugment(**augment, maps=maps) if any(augment.values()) else None,
        augmentation=augmentation,
        noise=noise,
        clip=dict.fromkeys(judges, adversarial.clip) if adversarial.clip else {},
        max_grad_norm=options.optimizer.max_grad_norm,
        historical_averaging=train.historical_averaging,
        length=length,
        processes=processes,
        graphs=_graphs(options, device, processes),
        check=check_for(
            model,
            input_channels=options.data.input_channels,
            output_channels=options.data.output_channels,
            labels=len(options.data.labels.names),
            sets=len(options.data.labels.sets),
            sides=sides,
        ),
        sides=sides,
        prepare=prepare,
        frozen=Frozen(model, train.freeze, prepare) if train.freeze else None,
        about={
            "options": options.to_dict(),
            "data": "",
            "init": {} if begun is None else begun.told(),
        },
    )


def _augmentation(
    options: Options, model: Model, discriminators: list[nn.Module], device: torch.device
) -> DiscriminatorAugmentation:
    """What augments the input of discriminators.

    Raises:
        OptionsError: the policy is unknown, or nobody says its probability.
    """
    told, adversarial = options.augment_discriminator, options.adversarial
    made = augmentation_of(told.policy, 0.0)
    if told.probability is not None:
        made.p.fill_(told.probability)
    elif not told.adaptive:
        if not isinstance(made, Sometimes):
            raise OptionsError(
                f"augment_discriminator.policy (={told.policy!r}) needs a probability: set "
                "augment_discriminator.adaptive=true, or augment_discriminator.probability, 0.2 "
                "say."
            )
        made.p.fill_(1.0)
    # Where a least-squares discriminator ends up that cannot tell real from generated images.
    labels = (1 - adversarial.label_smoothing, adversarial.fake_label_smoothing)
    middle = sum(labels) / 2 if adversarial.loss == "least-squares" else 0.0
    labelled = sides_of(options).labels[0] is not None
    colourless = model.condition == "image" and (labelled or not told.color_condition)
    return DiscriminatorAugmentation(
        made,
        discriminators,
        device=device,
        condition="planes" if colourless else model.condition,
        judged=options.data.output_channels,
        alike=model.compares_layers,
        adaptive=AdaptiveProbability(target=told.target, kimg=told.kimg) if told.adaptive else None,
        interval=told.interval,
        middle=middle,
    )


def _rate(options: Options, images: int | None) -> Callable[[int], float]:
    """The schedule of the options, if it can be known."""
    if options.schedule.name == "constant":
        return warmed_up(lambda step: 1.0, options.schedule.warmup_steps)
    if options.train.steps is None and images is None:
        raise OptionsError(
            f"schedule.name (={options.schedule.name!r}) counts epochs, so build_trainer must be "
            "told how many training images there are (images=400), or the length of the run in "
            "steps (train.steps=1000, train.epochs left out); schedule.name=constant needs neither."
        )
    return learning_rate_schedule(options, images or 0)


def _graphs(options: Options, device: torch.device, processes: Processes) -> StepGraphs | None:
    """What records the steps, if they are to be recorded and can be."""
    train = options.train
    if train.graph is False or (train.graph == "auto" and device.type != "cuda"):
        return None
    against = None
    if device.type != "cuda":
        against = f"they are for CUDA devices, and this run computes on {device.type}"
    elif not processes.alone:
        against = "several processes train together, and exchange gradients within a step"
    elif train.precision == "fp16" and options.optimizer.name == "rmsprop":
        against = "with rmsprop in fp16 Python must know whether a gradient overflowed"
    if against is None:
        return StepGraphs(CudaRecorder(device), device)
    if train.graph is True:
        raise OptionsError(
            f"train.graph (=true): steps cannot be replayed as CUDA graphs, since {against}; "
            "`auto` takes them where they can be had."
        )
    _log.info(f"note: steps are not replayed as CUDA graphs, since {against}.")
    return None


def _compiled(options: Options, model: Model) -> list[str]:
    """The networks to compile: all, but a critic whose gradient is penalised.

    A penalty differentiates twice, which `torch.compile` cannot do.
    """
    penalised = any(
        weight and name.startswith(("gradient_penalty", "r1", "r2"))
        for name, weight in options.objective.items()
    )
    networks = {name for names in model.players.values() for name in names}
    if options.objective.get("path_length"):
        networks -= set(model.generators)
    used = {*model.generators, *model.companions}
    return sorted(networks & used if penalised else networks)


def run_length(options: Options, images: int) -> int:
    """The number of steps of a run over a data set of `images` training samples."""
    if options.train.steps is not None:
        return options.train.steps
    assert options.train.epochs is not None
    return -(-options.train.epochs * images // options.train.batch_size)


def learning_rate_schedule(options: Options, images: int) -> Callable[[int], float]:
    """step -> what every learning rate is multiplied by.

    In a run whose length is given in epochs the rate changes from epoch to epoch, as published; in
    one whose length is given in steps, from step to step.
    """
    shape, train = options.schedule, options.train
    length = train.epochs or train.steps
    assert length is not None
    schedule = Schedule(shape.name, length, shape.hold, shape.every, shape.factor)

    def in_epochs(step: int) -> float:
        return schedule.at(step * train.batch_size // images)

    rate = schedule.at if train.epochs is None else in_epochs
    return warmed_up(rate, shape.warmup_steps)
