"""Comparisons of two folders."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from i2i.data.cache import cache_folder
from i2i.data.check import check_pictures, usable_pictures
from i2i.data.reading import list_pictures
from i2i.errors import DataError
from i2i.evaluation.comparisons import Comparison, Judge
from i2i.evaluation.pictures import FolderPictures, PictureSet
from i2i.metrics.classifier import Classifier, brought, cached_classifier

CLASSIFIER_SIDE = 64
CLASSIFIER_PICTURES = 5000
"""Of each kind, at most, that a classifier learns from."""

CLASSIFIER_STEPS = 1000
CLASSIFIER_BATCH = 64
"""A minute or two on one core."""

Progress = Callable[[str, int, int], None]


def folder_comparisons(
    result: Path,
    reference: Path,
    *,
    domains: bool = False,
    count: int | None = None,
    size: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Comparison]:
    """Compare the pictures in a folder with the real ones in another.

    Pictures of the same name below the two folders (the suffix may differ) are partners.

    Arguments:
        result: what was made.
        reference: real pictures.
        domains: whether the sub-folders are domains, which are then compared one by one; those
            that are in both folders count. A classifier that learns to tell the real ones apart
            judges the others.
        count: how many pictures of each folder are looked at, evenly from all over it.
        size: bring each picture to a square of this size.
        progress: told what is being done, and how much of how much is.

    Raises:
        DataError: a folder is not there, or has no pictures or no such domains, or a picture
            cannot be read.
    """
    if not domains:
        made, truth = (_pictures(each, count, size, progress) for each in (result, reference))
        return [Comparison("", made, truth, _partners(made, truth))]
    names = [
        each.name
        for each in sorted(reference.iterdir() if reference.is_dir() else ())
        if each.is_dir() and each.name[0] != "." and (result / each.name).is_dir()
    ]
    if len(names) < 2:
        raise DataError(
            f"Domains are sub-folders of the same name in '{result}' and '{reference}', two at "
            f"least; there are: {', '.join(names) or 'none'}."
        )
    real = {name: _pictures(reference / name, count, size, progress) for name in names}
    judge = shared_classifier(lambda: (real, None), progress=progress)
    found = []
    for name in names:
        made = _pictures(result / name, count, size, progress)
        pairs = _partners(made, real[name])
        found.append(Comparison(name, made, real[name], pairs, judge=Judge(judge, name)))
    return found


Sets = Mapping[str, PictureSet]


def shared_classifier(
    pictures: Callable[[], tuple[Sets, Sets | None]],
    *,
    flip: bool = True,
    progress: Progress = lambda what, done, total: None,
) -> Callable[[], Classifier]:
    """A function that trains a classifier when it is first called, or finds it in the cache.

    Arguments:
        pictures: returns those to learn from, by name, and those to measure the accuracy on, or
            None for a tenth of the first.
        flip: whether a mirrored picture is one of the same kind.
        progress: told of the training.
    """

    @cache
    def classifier() -> Classifier:
        real, held_out = pictures()
        names = list(real)
        images, labels = _labelled(real, names)
        return cached_classifier(
            images,
            labels,
            names,
            cache_folder(),
            held_out=None if held_out is None else _labelled(held_out, names),
            flip=flip,
            steps=CLASSIFIER_STEPS,
            batch_size=CLASSIFIER_BATCH,
            progress=lambda done, total: progress("training a classifier", done, total),
        )

    return classifier


def _labelled(sets: Mapping[str, PictureSet], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Pictures shrunk for a classifier, and their labels."""
    images, labels = [], []
    for label, name in enumerate(names):
        chosen = sets[name].some(_evenly(len(sets[name]), CLASSIFIER_PICTURES))
        for batch in chosen.batches():
            images.append(brought(batch, batch.shape[1], CLASSIFIER_SIDE))
        labels += [label] * len(chosen)
    return torch.cat(images), torch.tensor(labels)


def _pictures(
    folder: Path, count: int | None, size: int | None, progress: Progress
) -> FolderPictures:
    paths = list_pictures(folder)
    if not paths:
        raise DataError(f"There is no picture in '{folder}'.")
    paths = [paths[number] for number in _evenly(len(paths), count)]
    checked = check_pictures(
        paths, cache_folder(), progress=lambda d, n: progress("checking pictures", d, n)
    )
    paths = usable_pictures(paths, checked)
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in paths]
    shapes = [(checked.sizes[path][1], checked.sizes[path][0]) for path in paths]
    return FolderPictures(paths, names, shapes, size)


def _evenly(total: int, count: int | None) -> list[int]:
    """Up to `count` numbers below `total`, as far apart as can be."""
    if count is None or count >= total:
        return list(range(total))
    return [number * total // count for number in range(count)]


def _partners(made: PictureSet, real: PictureSet) -> list[tuple[int, int]]:
    numbers = {name: number for number, name in enumerate(real.names)}
    return [(n, numbers[name]) for n, name in enumerate(made.names) if name in numbers]
