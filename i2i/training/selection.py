"""What a run is judged by while it trains: a distance, a classifier, a measure that decides."""

import logging
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

import torch

from i2i.config import Options, read_options
from i2i.config.recipes import merge
from i2i.core.batch import AnyBatch, to_bytes, to_device, to_signed
from i2i.core.draws import draws_apart
from i2i.core.model import Model
from i2i.core.sides import Sides
from i2i.data.catalogue.cache import cache_folder
from i2i.data.kinds import find_kind
from i2i.data.sides import sides_of
from i2i.data.sources import Source
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.metrics.classifier import LARGEST, Classifier, brought, cached_classifier
from i2i.metrics.distance import Distance, kernel, sliced_wasserstein
from i2i.metrics.features import find_features
from i2i.models import find_model

_log = logging.getLogger(__name__)


CLASSIFIER_IMAGES = 4000
"""Training images that the classifier learns from."""


def resolve_monitor(options: Options, device: torch.device | str) -> Options:
    """Write into the options of a new run which measure decides on its best checkpoint.

    Raises:
        OptionsError: a package or the weights for the distance are missing, nobody knows which way
            of the measure is better, or `patience` has nothing to go by.
    """
    if options.train.monitor == "auto":
        options = _settled(options, device)
    monitor = options.train.monitored
    if options.train.patience is not None and monitor is None:
        raise OptionsError(
            f"train.patience (={options.train.patience}) needs a measure that decides, and "
            f"train.monitor (={options.train.monitor!r}) names none: a new run can have one."
        )
    return options


def require_measured(
    options: Options,
    model: Model,
    batch: AnyBatch,
    distance: Distance | None,
    classifier: Callable[[], Classifier] | None,
    metrics: Collection[str] = (),
) -> None:
    """Refuse a run whose deciding measure will never be measured; its dry run asks the same.

    Arguments:
        options: of which `resolve_monitor` knows.
        model: in training mode, wherever it is.
        batch: a few validation samples, as byte images.
        distance, classifier, metrics: what a validation has beside the model's own measures.

    Raises:
        OptionsError: says what is measured.
    """
    monitor = options.train.monitored
    if monitor is None:
        return
    device = next(model.parameters()).device
    model.eval()  # nothing is learnt of these images
    try:
        with torch.no_grad(), draws_apart(device=device):
            given = to_device(batch, device, sides=sides_of(options))
            names = [name for name in model.validation_step(given) if "/" not in name]
    finally:
        model.train()
    # What has a truth is compared with it, not with a set.
    names += [distance.name] if distance and not find_kind(model.data).has_truth else []
    names += ["domain_accuracy"] if classifier else []
    names += [name for name in metrics if name not in names]
    if monitor[0] not in names:
        raise OptionsError(
            f"train.monitor (={options.train.monitor!r}) is not among what is measured."
            f"{did_you_mean(monitor[0], names)} That is: {', '.join(names)}."
        )


def _settled(options: Options, device: torch.device | str) -> Options:
    monitor: str | None = find_model(options.model).monitor
    if monitor == "domain_accuracy" and not _can_classify(options):
        monitor = "distance"
    if monitor == "distance":
        distance = distance_of(options, device)
        monitor = distance.name if distance else None
    changes = {"train": {"monitor": monitor or "none"}}
    return read_options(merge(options.to_dict(), changes))


def distance_of(options: Options, device: torch.device | str) -> Distance | None:
    """The distance between generated and real images, if one is wanted.

    Raises:
        OptionsError: a package or weights for it are missing.
    """
    seed = options.train.seed
    match options.train.distance:
        case "off":
            return None
        case "swd":
            return sliced_wasserstein(seed)
    features = find_features(options.train.distance, device=device)
    assert features is not None  # only "auto" may find none
    return kernel(features, seed)


def classifier_of(
    options: Options, source: Source, device: torch.device | str
) -> Callable[[], Classifier] | None:
    """What gives a classifier of the domains, trained on real images when it is first asked for.

    Attributes that may hold together, and several data sets, are beyond it.
    """
    if not _can_classify(options):
        return None

    sides = sides_of(options)

    @cache
    def classifier() -> Classifier:
        try:
            trained = cached_classifier(
                *_labelled(source.train, source.images, sides),
                options.data.labels.names,
                cache_folder(),
                held_out=_labelled(source.validation, source.validation_images, sides),
                steps=options.train.classifier_steps,
                batch_size=64,
                flip=options.data.flip,
                seed=options.train.seed,
                device=device,
                without="train.classifier_steps=0 goes without it",
            )
        except DataError as error:
            raise DataError(
                f"{error} It judges the validations; without it: --set train.classifier_steps=0."
            ) from error
        _log.info(
            f"a classifier of the domains is right on {trained.accuracy:.1%} of "
            f"{trained.held_out} held-out real images; it judges the translations"
        )
        return trained

    return classifier


def _can_classify(options: Options) -> bool:
    sets = options.data.labels.sets
    decides = find_model(options.model).monitor == "domain_accuracy"
    return decides and options.train.classifier_steps > 0 and len(sets) == 1 and sets[0].exclusive


def _labelled(dataset: Any, count: int, sides: Sides) -> tuple[torch.Tensor, torch.Tensor]:
    """The first images of a data set, as small as the classifier sees them, in the bands that
    people see, and their classes."""
    images, labels = [], []
    for number in range(min(count, CLASSIFIER_IMAGES)):
        sample = dataset[number]
        one = sample.images[None]
        if sides.scales[0] is not None:
            one = to_bytes(sides.shown(0, to_signed(one)))
        _, channels, side, _ = one.shape
        images.append(brought(one, channels, min(LARGEST, side)))
        labels.append(sample.labels.argmax())
    return torch.cat(images), torch.stack(labels)
