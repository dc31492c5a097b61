"""What a change to a generator costs: PSNR on held-out images, and images per second."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from i2i.core.batch import Labelled, Pair, Unpaired, to_device
from i2i.core.labels import LabelSpace, with_planes
from i2i.core.model import Model
from i2i.core.sides import Sides
from i2i.data.kinds import find_kind
from i2i.data.sources import Source
from i2i.errors import DataError
from i2i.metrics.images import psnr
from i2i.models.starganv2 import StarGANv2

CALIBRATION, JUDGED = 32, 100
"""Held-out images that are taken at most: half of them to calibrate, the others to judge."""

BATCH = 8

CPU = torch.device("cpu")

MOST = 120.0
"""dB that count for equal images, so that differences and means stay finite."""

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class HeldOut:
    """Held-out images as a generator takes them, (N, C, H, W) in -1..1.

    `quality` tells of the outputs for `judged` how good each is, in dB; `measure` says what that
    is in words.
    """

    calibration: Tensor
    judged: Tensor
    quality: Callable[[Tensor], Tensor]
    measure: str


class _Samples(NamedTuple):
    """Inputs of a generator, and the quality of what it makes of them."""

    inputs: Tensor
    quality: Callable[[Tensor], Tensor]
    measure: str


def held_out(
    source: Source, model: Model, labels: LabelSpace, direction: str, seed: int, sides: Sides
) -> HeldOut:
    """Choose images to calibrate and others to judge by, at random.

    Paired images are judged by their truth. Where there is none, translations are translated
    back by the unchanged model, by its other generator or to the labels that the image had, and
    compared with the image. Where there is no way back, it is judged how little the generator
    changes images that are as they should be already.

    Arguments:
        source: the data, of the kind of the model.
        model: with generators in the mode in which they are used.
        labels: of the model, if it is of many domains.
        direction: in which the generator translates.
        seed: of the choice.
        sides: how batches become what networks see.

    Raises:
        DataError: there are fewer than two held-out images.
    """
    dataset: Any = source.validation
    kind = find_kind(model.data)
    total = kind.count_held_out(source, direction if model.directions else None)
    if total < 2:
        raise DataError(
            f"{total} held-out image is not enough: one is needed to calibrate and another to "
            "judge by. Name a data set that has more with --calibrate-on."
        )
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed)).tolist()
    first = min(CALIBRATION, total // 2)
    if kind.batch is Unpaired and not model.directions:
        return _one_way(dataset, order[:first], order[first : first + JUDGED], sides)

    def samples(numbers: list[int]) -> _Samples:
        chosen = [dataset[number] for number in numbers]
        fields = [torch.stack(field) for field in zip(*chosen, strict=True)]
        match batch := to_device(kind.batch(*fields), CPU, sides=sides):
            case Pair():
                return _paired(batch)
            case Unpaired():
                return _there_and_back(batch, model, direction)
            case Labelled() if isinstance(model, StarGANv2):
                return _to_a_style_and_back(batch, model)
            case Labelled():
                return _to_others_and_back(batch, model, labels)
        raise DataError(f"what a model makes of {kind.name} data cannot be judged by itself.")

    judged = samples(order[first : first + JUDGED])
    return HeldOut(samples(order[:first]).inputs, judged.inputs, judged.quality, judged.measure)


def _paired(batch: Pair) -> _Samples:
    return _Samples(batch.source, lambda made: psnr(made, batch.target, MOST), "PSNR to the truth")


def _one_way(dataset: Any, calibration: list[int], judged: list[int], sides: Sides) -> HeldOut:
    sources, targets = to_device(
        Unpaired(
            torch.stack([dataset[number][0] for number in calibration]),
            torch.stack([dataset[number][1] for number in judged]),
        ),
        CPU,
        sides=sides,
    )
    measure = "PSNR of images of the target domain to what becomes of them"
    return HeldOut(sources, targets, lambda made: psnr(made, targets), measure)


def _there_and_back(batch: Unpaired, model: Model, direction: str) -> _Samples:
    inputs = batch["AB".index(direction[0])]
    back = model.get_submodule(model.directions["BtoA" if direction == "AtoB" else "AtoB"])
    measure = "PSNR of the way there and back to the input"
    return _Samples(inputs, lambda made: psnr(in_batches(back, made), inputs, MOST), measure)


def _to_others_and_back(batch: Labelled, model: Model, labels: LabelSpace) -> _Samples:
    """Each image is translated to the labels of its successor, as in validation."""
    images, own, mask = batch
    generator = model.get_submodule(model.generators[0])
    there = labels.condition(own.roll(-1, 0), mask.roll(-1, 0))
    home = labels.condition(own, mask)

    def quality(made: Tensor) -> Tensor:
        return psnr(in_batches(generator, with_planes(made, home)), images, MOST)

    measure = "PSNR of the way to another domain and back to the input"
    return _Samples(with_planes(images, there), quality, measure)


def _to_a_style_and_back(batch: Labelled, model: StarGANv2) -> _Samples:
    """Each image is translated into the one style, and back into its own by the unchanged model."""
    images, domains = batch.images, batch.labels.argmax(dim=1)

    @torch.no_grad()
    def quality(made: Tensor) -> Tensor:
        parts = (each.split(BATCH) for each in (made, images, domains))
        back = [
            model.translate(output, model.style_encoder(image, domain))
            for output, image, domain in zip(*parts, strict=True)
        ]
        return psnr(torch.cat(back), images, MOST)

    return _Samples(images, quality, "PSNR of the way into the style and back to the input")


@torch.no_grad()
def in_batches(network: Network, inputs: Tensor) -> Tensor:
    """Return what a network makes of (N, C, H, W), which may be too many to compute at once."""
    return torch.cat([network(part) for part in inputs.split(BATCH)])


@torch.no_grad()
def images_per_second(
    networks: Mapping[str, Network],
    inputs: Tensor,
    clock: Callable[[], float] = perf_counter,
    turns: int = 10,
) -> dict[str, float]:
    """Measure networks in turns on the same images, one image at a time.

    Of each the fastest turn counts, which other programs have disturbed least; the first, in which
    memory is fetched, does not.

    Arguments:
        networks: name -> network.
        inputs: (N, C, H, W); the first ones are taken, from the beginning again if need be.
        clock: tells the time in seconds.
        turns: of each network.
    """
    times: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(turns + 1):
        image = inputs[turn % len(inputs)][None]
        for name, network in networks.items():
            began = clock()
            network(image)
            times[name].append(clock() - began)
    return {name: 1 / min(each[1:]) for name, each in times.items()}


def in_bf16(network: nn.Module) -> Network:
    """Return the network in autocast to bf16, on the processor."""

    def compute(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            translated: Tensor = network(images)
        return translated

    return compute
