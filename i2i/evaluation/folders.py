"""Comparisons of two folders."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from i2i.core.size import AnySize
from i2i.data.catalogue.cache import cache_folder
from i2i.data.images.check import check_images, usable_images
from i2i.data.images.read import list_images
from i2i.errors import DataError
from i2i.evaluation.comparisons import Comparison, Judge
from i2i.evaluation.depth import Span, span_of
from i2i.evaluation.images import FolderImages, ImageSet
from i2i.metrics.classifier import LARGEST, Classifier, brought, cached_classifier

T = TypeVar("T")

CLASSIFIER_IMAGES = 5000
"""Of each kind, at most, that a classifier learns from."""

CLASSIFIER_STEPS = 1000
CLASSIFIER_BATCH = 64
"""A minute or two on one core."""

SHOWN = 5
"""Names in a note."""


def folder_comparisons(
    result: Path,
    reference: Path,
    *,
    domains: bool = False,
    count: int | None = None,
    size: AnySize | None = None,
    span: Span | None = None,
) -> list[Comparison]:
    """Compare the images in a folder with the real ones in another.

    Images of the same name below the two folders (the suffix may differ) are partners. Where
    images are named as the authors' code does (NAME_fake_B beside NAME_real_B), the fakes of the
    result count, and the real ones of that side in the reference.

    Arguments:
        result: what was made.
        reference: real images.
        domains: whether the sub-folders are domains, which are then compared one by one; those
            that are in both folders count. A classifier that learns to tell the real ones apart
            judges the others.
        count: how many images of each folder are looked at, evenly from all over the result;
            of the reference their partners, if there are some.
        size: bring each image to this size: the side of a square, or (width, height).
        span: the values of black and white, for files of more than 8 bits; by default the least
            and the greatest value of the reference.

    Raises:
        DataError: a folder is not there, or has no images or no such domains, or an image
            cannot be read.
    """
    if not domains:
        made, truth, pairs, notes = _both(result, reference, count, size, span)
        return [Comparison("", made, truth, pairs, notes=notes)]
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
    sets = {name: _both(result / name, reference / name, count, size, span) for name in names}
    real = {name: truth for name, (_, truth, _, _) in sets.items()}
    judge = shared_classifier(lambda: (real, None))
    return [
        Comparison(name, made, truth, pairs, judge=Judge(judge, name), notes=notes)
        for name, (made, truth, pairs, notes) in sets.items()
    ]


Sets = Mapping[str, ImageSet]


def shared_classifier(
    load: Callable[[], tuple[Sets, Sets | None]],
    *,
    flip: bool = True,
) -> Callable[[], Classifier]:
    """A function that trains a classifier when it is first called, or finds it in the cache.

    Arguments:
        load: returns those to learn from, by name, and those to measure the accuracy on, or
            None for a tenth of the first.
        flip: whether a mirrored image is one of the same kind.
    """

    @cache
    def classifier() -> Classifier:
        real, held_out = load()
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
        )

    return classifier


def _labelled(sets: Mapping[str, ImageSet], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Images shrunk for a classifier, and their labels."""
    images, labels = [], []
    for label, name in enumerate(names):
        chosen = sets[name].some(_few(range(len(sets[name])), CLASSIFIER_IMAGES))
        for batch in chosen.batches():
            images.append(brought(batch, batch.shape[1], LARGEST))
        labels += [label] * len(chosen)
    return torch.cat(images), torch.tensor(labels)


def _both(
    result: Path,
    reference: Path,
    count: int | None,
    size: AnySize | None,
    span: Span | None,
) -> tuple[FolderImages, FolderImages, list[tuple[int, int]], list[str]]:
    """The images of two folders, which of them are partners, and what is to be said of them."""
    made, side, notes = _results(result)
    real = _truths(reference, side)
    notes += _without_partner(made, real)
    chosen = _few(list(made), count)
    partners = [name for name in chosen if name in real]
    others = partners or _few(list(real), count)
    if count is None:
        others = list(real)
    numbers = {name: number for number, name in enumerate(others)}
    pairs = [(n, numbers[name]) for n, name in enumerate(chosen) if name in numbers]
    truth = _images({name: real[name] for name in others}, size, None)
    span = span or span_of(truth.paths)
    truth.span = span
    if span is not None:
        notes.append(
            f"these are images of more than 8 bits, measured with {span[0]:.6g} for black and "
            f"{span[1]:.6g} for white (--span says other values)."
        )
    results = _images({name: made[name] for name in chosen}, size, span)
    return results, truth, pairs, notes


AUTHORS = re.compile(r"(?P<name>.+)_(?P<what>fake|real|rec|idt)(?:_(?P<side>[AB]))?")
"""How the authors' PyTorch code of pix2pix and CycleGAN names what it writes."""


def _results(folder: Path) -> tuple[dict[str, Path], str, list[str]]:
    """What was made, by name, of which side ("A", "B", or "" where nothing says so), and notes."""
    named = _named(folder)
    found = _authors(named)
    if not found:
        return named, "", []
    sides = {side for what, side in found if what == "fake"}
    if len(sides) > 1:
        raise DataError(
            f"'{folder}' holds results of both directions (NAME_fake_A and NAME_fake_B): give each "
            "a folder of its own."
        )
    (side,) = sides
    made = found["fake", side]
    others = sorted(f"_{what}{f'_{of}' if of else ''}" for what, of in found if what != "fake")
    note = (
        f"'{folder}' is named as the authors' code does: {len(made)} of {len(named)} images, those "
        f"that end in _fake{f'_{side}' if side else ''}, are the results; {', '.join(others)} and "
        "any others are left out."
    )
    return made, side, [note]


def _truths(folder: Path, side: str) -> dict[str, Path]:
    """Real images by name: of the authors' layout those of the side that results belong to."""
    named = _named(folder)
    found = _authors(named)
    if not found:
        return named
    if ("real", side) not in found or not side:
        raise DataError(
            f"'{folder}' holds results as the authors' code writes them, but no NAME_real_"
            f"{side or 'B'} to compare with: name a folder of real images."
        )
    return found["real", side]


def _authors(named: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, Path]]:
    """Images by what they are and of which side, if their names are those of the authors' code:
    some fake stands beside a real one of the same name."""
    found: dict[tuple[str, str], dict[str, Path]] = {}
    for name, path in named.items():
        if parts := AUTHORS.fullmatch(name):
            found.setdefault((parts["what"], parts["side"] or ""), {})[parts["name"]] = path
    fakes, reals = (
        {name for (what, _), own in found.items() if what == kind for name in own}
        for kind in ("fake", "real")
    )
    return found if fakes & reals else {}


def _without_partner(made: Mapping[str, Path], real: Mapping[str, Path]) -> list[str]:
    """Say which truths nothing was made for, and the other way round, if any two are partners."""
    if not made.keys() & real.keys():
        return []
    notes = []
    for these, those, words in (
        (real, made, "truths have no result"),
        (made, real, "results have no truth"),
    ):
        alone = [name for name in these if name not in those]
        if alone:
            shown = ", ".join(alone[:SHOWN]) + (", ..." if len(alone) > SHOWN else "")
            notes.append(f"{len(alone)} of {len(these)} {words} ({shown}).")
    return notes


def _named(folder: Path) -> dict[str, Path]:
    """The images of a folder by their names without suffix; with it, where two have the same."""
    # What `i2i sample` and `i2i translate --sheet` write beside the images is none of them.
    paths = [path for path in list_images(folder) if path != folder / "sheet.png"]
    if not paths:
        raise DataError(f"There is no image in '{folder}'.")
    relative = {path: path.relative_to(folder) for path in paths}
    alike = Counter(each.with_suffix("") for each in relative.values())
    return {
        (each if alike[each.with_suffix("")] > 1 else each.with_suffix("")).as_posix(): path
        for path, each in relative.items()
    }


def _images(paths: Mapping[str, Path], size: AnySize | None, span: Span | None) -> FolderImages:
    checked = check_images(paths.values(), cache_folder())
    usable = usable_images(list(paths.values()), checked)
    shapes = [(checked.sizes[path][1], checked.sizes[path][0]) for path in usable]
    return FolderImages(usable, list(paths), shapes, size, span)


def _few(items: Sequence[T], count: int | None) -> list[T]:
    """Up to `count` items, evenly from all over."""
    count = len(items) if count is None else min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]
