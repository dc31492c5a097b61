"""Comparisons for a run: what it makes of the held-out images of its data set."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from operator import mul
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.config import Options
from i2i.core.batch import Labelled, as_torch, to_device, to_signed, to_travel
from i2i.core.draws import draws_apart
from i2i.core.model import Clock, Model
from i2i.core.progress import progress
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images.content_hash import Member
from i2i.data.kinds import find_kind
from i2i.data.kinds.kind import DataKind, Groups, NamedImages
from i2i.data.kinds.labelled_images import first_labelled
from i2i.data.sides import sides_of
from i2i.data.sources import Source, elsewhere, open_source
from i2i.distributed.processes import ALONE, Processes, share
from i2i.errors import DataError
from i2i.evaluation.comparisons import Comparison, Judge
from i2i.evaluation.figures import PerImage
from i2i.evaluation.folders import CLASSIFIER_IMAGES, shared_classifier
from i2i.evaluation.images import TensorImages, seen
from i2i.evaluation.seen import require_split, seen_before, what_is_measured
from i2i.inference.load import build_translator, load_model, load_sampler
from i2i.inference.sampler import Sampler
from i2i.inference.translator import Translator
from i2i.metrics.classifier import LARGEST, Classifier, cached_classifier
from i2i.models import find_model
from i2i.models.build import build_model, data_kind, inference_mode
from i2i.runs.folder import BEST, find_checkpoint
from i2i.runs.opening import open_checkpoint
from i2i.system.device import pick_device

_log = logging.getLogger(__name__)

BATCH = 8
SAMPLES = 512
CLASS_IMAGES = 60_000


@dataclass(frozen=True)
class RunComparisons:
    """What a run is measured by.

    `checkpoint` was taken, after `step` steps of training; `options` are those of the run, with
    the data that it is measured on.
    """

    checkpoint: Path
    step: int
    options: Options
    comparisons: tuple[Comparison, ...]
    split: str
    best: bool
    """Whether the checkpoint was chosen by validation."""

    said: str
    """What to conclude from that, for a person."""


@dataclass(frozen=True)
class _Context:
    """What comparisons are made from."""

    options: Options
    source: Source
    state: dict[str, Any]
    average: bool | None
    count: int | None
    load: Callable[..., Any]
    device: torch.device
    processes: Processes

    def translator(self, **more: Any) -> Translator:
        translator: Translator = self.load(**more)
        return translator

    def sampler(self) -> Sampler:
        sampler: Sampler = self.load()
        return sampler

    @property
    def held_out(self) -> range:
        total = self.source.validation_images
        return range(total if self.count is None else min(self.count, total))


def run_comparisons(
    checkpoint: Path | None,
    *,
    runs_dir: Path = Path("runs"),
    dataroot: str | None = None,
    table: str = "",
    split: str = "val",
    average: bool | None = None,
    best: bool | str = False,
    device: str = "auto",
    count: int | None = None,
    processes: Processes = ALONE,
    asked: Sequence[str] = (),
) -> RunComparisons:
    """Translate the held-out images of a data set, in memory.

    Paired images are compared with their truth. Without pairs there is a comparison for each
    direction that was learnt, with the held-out images of the domain it leads to; with labels one
    for each domain, of which no image is one that had it already.

    Arguments:
        checkpoint: a file or a run folder; by default the newest run under `runs_dir`.
        runs_dir: the folder of the runs.
        dataroot: the data set; by default that of the run.
        table: of the attributes of its images, where it is not that of the run.
        split: of the data set: "train", "val" or "test".
        average: whether the moving average of the generator is used; by default if there is one.
        best: of a run, whether to take the checkpoint with the best validation, not the last one.
        device: "auto", "cpu", "cuda", ...
        count: how many held-out images are looked at.
        processes: those that share the translating and sampling.
        asked: what is asked for: of `i2i.evaluation.figures.MEASURES`, or "--csv". What needs
            truths is refused before anything is translated where the data has none.

    Raises:
        CheckpointError, DataError, OptionsError: the checkpoint or the data are not as they should
            be, or do not fit each other.
    """
    require_split(split)
    path, why = find_checkpoint(checkpoint, runs_dir, best=best)
    _log.info(why)
    options, state = open_checkpoint(path)
    kind = data_kind(options)
    of_kind = find_kind(kind)
    needs = ", ".join(name for name in asked if name in (*get_args(PerImage), "--csv"))
    if needs and not of_kind.has_truth:
        raise DataError(
            f"{needs} cannot be had of {path}: that takes a truth for each result, which "
            f"the data of {options.model} does not have. Leave it out."
        )
    if dataroot is not None:
        options = elsewhere(options, dataroot, kind, table=table)
    source = open_source(_unchanged(options), kind).evaluated(split)
    if not source.validation_images:
        raise DataError(
            f"'{options.data.root}' has no image held out to evaluate with: name a data set that "
            "has with --dataroot."
        )
    where = pick_device(processes.device(device))
    load = (
        partial(_translator, cache(lambda: load_model(path, average=average)), where)
        if of_kind.translates
        else partial(_sampler, path, average, device, processes)
    )
    context = _Context(options, source, state, average, count, load, where, processes)
    splits: Mapping[str, Sequence[Member]] = getattr(source, "splits", {})
    notes = seen_before(path.absolute().parent.parent, splits.get(split, ()), split)
    chosen = bool(best) or path.name == BEST
    said = what_is_measured(split, best=chosen, others=len(splits.get("test", ())))
    comparisons = tuple(
        each if each.name == "real" else replace(each, notes=[*each.notes, *notes])
        for each in (_translations(context, of_kind) if of_kind.translates else _images(context))
    )
    return RunComparisons(path, state["step"], options, comparisons, split, chosen, said)


def open_run_data(
    checkpoint: Path, *, dataroot: str | None, average: bool | None, best: bool | str
) -> tuple[Model, Options, Source]:
    """Load the model of a run, with generators as they are used after training, and its data.

    Arguments are those of `run_comparisons`; the options are those of the run, with this data.
    """
    options, model, why = load_model(checkpoint, average=average, best=best)
    _log.info(why)
    if dataroot is not None:
        options = elsewhere(options, dataroot, model.data)
    for name in (*model.generators, *model.companions):
        inference_mode(options)(model.get_submodule(name))
    return model, options, open_source(_unchanged(options), model.data)


def _unchanged(options: Options) -> Options:
    """With training images as they are: not mirrored, and without the transforms of a recipe."""
    plain = options.data.model_copy(update={"flip": False, "transforms": ()})
    return options.model_copy(update={"data": plain})


def _translator(
    load: Callable[[], tuple[Options, Model, str]], device: torch.device, **more: Any
) -> Translator:
    """A translator of a model that is read once, for as many directions as there are."""
    options, model, _ = load()
    return build_translator(options, model, device=device, **more)


def _sampler(path: Path, average: bool | None, device: str, processes: Processes) -> Sampler:
    return load_sampler(path, average=average, device=device, processes=processes)


def _translations(context: _Context, kind: DataKind) -> Iterator[Comparison]:
    """What a translator makes of the held-out images, trial by trial."""
    data = context.options.data
    two_ways = find_model(context.options.model).directions
    translators: dict[str | None, Translator] = {}

    @cache
    def classifier(groups: Callable[[], tuple[Groups, Groups]]) -> Callable[[], Classifier]:
        def load() -> tuple[dict[str, TensorImages], dict[str, TensorImages]]:
            learnt, held = (
                {name: TensorImages(*images) for name, images in each.items()} for each in groups()
            )
            return learnt, held

        return shared_classifier(load, flip=data.flip)

    error = cache(partial(_generated_error, context))  # one for all domains
    for each in kind.trials(
        context.source, context.options, context.count, examples=CLASSIFIER_IMAGES, side=LARGEST
    ):
        trial = each
        if trial.direction and not two_ways:
            if trial.direction != "AtoB":
                continue
            # The only way of a model leads from the first side to the second, however called.
            trial = replace(trial, name="", direction=None, side="")
        way = {} if trial.direction is None else {"direction": trial.direction}
        if trial.direction not in translators:
            translators[trial.direction] = context.translator(**way)
        translator = translators[trial.direction]
        images, names = trial.sources
        made = _translated(context, translator, images, trial.domain, trial.labels)
        pictures = (
            images if labels is None else labels.pictured(images)
            for labels, images in zip(
                (*translator.labels, translator.labels[1]),
                (images, made, trial.real.images),
                strict=True,
            )
        )
        sources, made, real = pictures
        if sources.shape[2:] != made.shape[2:]:  # what copying would be of a smaller input
            sources = _enlarged(sources, made.shape[2:])
        yield Comparison(
            trial.name,
            TensorImages(made, names),
            TensorImages(real, trial.real.names),
            pairs=[(number, number) for number in range(len(names))] if trial.aligned else (),
            sources=TensorImages(sources, names),
            judge=Judge(classifier(trial.groups), trial.group) if trial.groups else None,
            generated_error=partial(error, f"_{trial.side}" if trial.side else ""),
            notes=trial.notes,
        )


def _enlarged(images: Tensor, size: torch.Size) -> Tensor:
    """Images as they travel, of another height and width (bicubic)."""
    larger = F.interpolate(to_signed(images), size=tuple(size), mode="bicubic")
    return to_travel(larger.clamp(-1, 1), images.dtype)


def _images(context: _Context) -> Iterator[Comparison]:
    """As many images from noise as there are real ones to compare them with, of their classes;
    and real images from the training, as what is best to be expected."""
    sampler = context.sampler()
    held = first_labelled(context.source.validation, context.count)
    made = []
    with progress("sampling") as update:
        for at in range(0, len(held.images), SAMPLES):
            seeds = range(at, min(at + SAMPLES, len(held.images)))
            labels = held.labels[at : at + SAMPLES] if sampler.names else None
            made.append(sampler.make(sampler.vectors(seeds), labels))
            update(seeds.stop, len(held.images))
    learnt = first_labelled(context.source.train, min(len(held.images), context.source.images))
    reference = TensorImages(*NamedImages.numbered(held.images))
    names = context.options.data.labels.names
    judge = partial(Judge, cache(lambda: _class_judge(context, held))) if len(names) > 1 else None
    asked = held.labels.argmax(dim=1) if sampler.names else None
    coded = context.options.latent is not None and context.options.latent.categorical
    yield Comparison(
        "",
        TensorImages(*NamedImages.numbered(torch.cat(made))),
        reference,
        judge=judge(asked) if judge else None,
        agreement=partial(_agreement, context) if judge and coded else None,
        generated_error=partial(_generated_error, context, ""),
    )
    yield Comparison(
        "real",
        TensorImages(*NamedImages.numbered(learnt.images)),
        reference,
        judge=judge(learnt.labels.argmax(dim=1)) if judge else None,
    )


def _class_judge(context: _Context, held: Labelled) -> Classifier:
    """A classifier of the images that a model of images from noise learns from."""
    count = min(context.source.images, CLASS_IMAGES)
    learnt = first_labelled(context.source.train, count, side=min(LARGEST, held.images.shape[-1]))
    return cached_classifier(
        seen(learnt.images),
        learnt.labels.argmax(dim=1),
        context.options.data.labels.names,
        cache_folder(),
        held_out=(seen(held.images), held.labels.argmax(dim=1)),
        flip=context.options.data.flip,
    )


def _translated(
    context: _Context,
    translator: Translator,
    images: Tensor,
    domain: str | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Translate images; processes that work together share them, and all get everything."""
    begins, processes = range(0, len(images), BATCH), context.processes
    made = {}
    with progress("translating") as update:
        for at in share(begins, processes.rank, processes.world):
            part = slice(at, at + BATCH)
            told = None if labels is None else labels[part]
            made[at] = _at_full_depth(translator, images[part], domain, told)
            update(at + len(made[at]), len(images))
    everything = {at: part for each in processes.gather(made) for at, part in each.items()}
    return torch.cat([everything[at] for at in begins])


def _at_full_depth(
    translator: Translator, images: Tensor, domain: str | None, labels: Tensor | None
) -> Tensor:
    """Translate images as they travel into such images of the other side."""
    filing = translator.filing
    if filing is None:
        return translator(images, domain, labels)
    seen = to_signed(images) if translator.labels[0] is None else translator.planes(images)
    made = translator(seen, domain, labels)
    if (held := translator.labels[1]) is not None:
        return held.decided(made)
    to = torch.uint8 if filing.target is None else as_torch(filing.target.travels)
    return to_travel(made, to)


def _whole_model(context: _Context) -> Any:
    """The model with its discriminators: these as in training, the generators as they are used."""
    state, model = context.state, build_model(context.options)
    average = {} if context.average is False else state["average"]
    found = model.load_state_dict(state["model"] | average, strict=False)
    players = {name for names in model.players.values() for name in names}
    missing = [key for key in found.missing_keys if key.split(".")[0] in players]
    if missing:
        raise DataError(f"the checkpoint has no discriminator ({missing[0]} is missing).")
    for name in (*model.generators, *model.companions):
        inference_mode(context.options)(model.get_submodule(name))
    return model.to(context.device)


@torch.no_grad()
def _agreement(context: _Context) -> float:
    """How well the categories that a discriminator finds in held-out images agree with their
    classes; it is as in use, with its running statistics."""
    model: Model = _whole_model(context).eval()
    measured = [
        model.validation_step(to_device(batch, context.device))["agreement"]
        for batch in context.source.validation_batches(len(context.held_out), SAMPLES)
    ]
    return model.reduce({"agreement": torch.cat(measured)})["agreement"]


def _generated_error(context: _Context, ending: str) -> float:
    """Let the model play on held-out images, while nobody learns.

    The networks are as in training, with its batch size, but the generators as they are used.
    """
    options, state = context.options, context.state
    model: Model = _whole_model(context)
    clock = Clock(max(0, state["step"] - 1))  # of the last step, whose growth the networks have
    errors, counts = [], []
    # A model may draw what it translates to.
    with draws_apart(options.train.seed, context.device):
        for batch in context.source.validation_batches(
            len(context.held_out), options.train.batch_size
        ):
            batch = to_device(batch, context.device, sides=sides_of(options))
            for _, loss in model.play(batch, clock):
                if (error := loss.readings.get(f"generated_error{ending}")) is not None:
                    errors.append(error.item())
                    counts.append(len(batch[0]))
    if not errors:
        loss_name = options.adversarial.loss
        raise DataError(
            f"the {options.model} gives no such error: the scores of the loss {loss_name!r} are no "
            "probabilities."
        )
    return float(sum(map(mul, errors, counts)) / sum(counts))
