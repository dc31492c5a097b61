"""The data sets that torchvision downloads.

Images stay as torchvision keeps them. A process of a loader opens the files for itself, so that
nothing large is sent to it.
"""

import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from i2i.data.catalogue.torchvision_names import TORCHVISION, Arguments, Named
from i2i.data.images.read import Pixels, reason, to_pixels
from i2i.data.kinds.image_set import FoundImages, ImageSet, Integers
from i2i.errors import DataError

_log = logging.getLogger(__name__)


class TorchvisionStore:
    """The images of one split of a data set of torchvision.

    Args:
        named: How the data set is made.
        arguments: What chooses the split.
        root: The folder that torchvision keeps its files in; they are there already.
    """

    def __init__(self, named: Named, arguments: Arguments, root: Path) -> None:
        self.named = named
        self.arguments = arguments
        self.root = root

    def __len__(self) -> int:
        return len(self.dataset)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "dataset"}

    @cached_property
    def dataset(self) -> Any:
        """What torchvision makes of the files."""
        return _make(self.named, self.arguments, self.root, download=False)

    def read(self, index: int, channels: int) -> Pixels:
        """Return an image as (H, W, channels) uint8, or raise DataError."""
        try:
            image, _ = self.dataset[index]
        except Exception as error:  # decoders of broken files raise nearly anything
            raise DataError(
                f"LoadedImage {index} of {self.named.maker} in '{self.root}' cannot be read: "
                f"{reason(error)}."
            ) from error
        pixels = to_pixels(image, channels)
        return pixels.swapaxes(0, 1).copy() if self.named.transposed else pixels

    def name(self, index: int) -> str:
        return str(index)

    @cached_property
    def labels(self) -> Integers | None:
        """The number of each image's class."""
        if not self.named.labels:
            return None
        values = getattr(self.dataset, self.named.labels)
        if isinstance(values[0], tuple):
            values = [label for _, label in values]
        return np.asarray(values, dtype=np.int64)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, which can be names of folders."""
        if self.labels is None:
            return ()
        if not self.named.classes:
            return tuple(map(str, range(int(self.labels.max()) + 1)))
        return tuple(map(_folder_name, getattr(self.dataset, self.named.classes)))

    @cached_property
    def fingerprint(self) -> str:
        labels = b"" if self.labels is None else self.labels.tobytes()
        what = f"{self.named.maker} {dict(self.arguments)} {len(self)} "
        return hashlib.sha256(what.encode() + labels).hexdigest()


def torchvision_folder(name: str, cache: Path) -> Path:
    """Return where torchvision keeps the files of a data set."""
    return cache / "torchvision" / TORCHVISION[name].maker


def find_named(name: str, cache: Path) -> FoundImages:
    """Return a data set of `TORCHVISION`; on first use torchvision downloads it.

    Arguments:
        name: of the data set.
        cache: where data sets are kept.

    Raises:
        DataError: it cannot be had; says where to put the files by hand.
    """
    named, root = TORCHVISION[name], torchvision_folder(name, cache)
    train = _store(name, named, named.splits[0], root)
    layout = f"torchvision's {named.maker}"
    found = _whole(train, train.classes)
    if named.splits[1] is None:
        return FoundImages(layout, found, None)
    validation = _store(name, named, named.splits[1], root)
    return FoundImages(layout, found, _whole(validation, train.classes))


def _store(name: str, named: Named, arguments: Arguments, root: Path) -> TorchvisionStore:
    store = TorchvisionStore(named, arguments, root)
    try:
        _ = store.dataset
    except Exception as missing:  # from archives, pickles and optional packages comes anything
        if not named.downloads:
            raise DataError(_by_hand(name, named, root, missing)) from missing
        _download(name, named, arguments, root)
    return store


def _download(name: str, named: Named, arguments: Arguments, root: Path) -> None:
    _log.info(f"downloading {name} into {root}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        _make(named, arguments, root, download=True)
    except Exception as error:  # as above, and from sockets
        raise DataError(_by_hand(name, named, root, error)) from error


def _make(named: Named, arguments: Arguments, root: Path, *, download: bool) -> Any:
    # It takes a second to import, and not every run needs it.
    from torchvision import datasets

    if named.downloads:
        arguments = {**arguments, "download": download}
    return getattr(datasets, named.maker)(root=str(root), **arguments)


def _by_hand(name: str, named: Named, root: Path, error: Exception) -> str:
    why = " ".join(reason(error).split())
    if isinstance(error, ImportError) and named.needs:
        return f"The data set {name!r} needs the package {named.needs}: pip install {named.needs}."
    if not named.downloads:
        chosen = [category for each in named.splits if each for category in each["classes"]]
        folders = " and ".join(f"{category}_lmdb" for category in chosen)
        return (
            f"The data set {name!r} has to be fetched by hand ({why}): put the folders {folders} "
            f"of {named.maker} into '{root}'."
        )
    return (
        f"The data set {name!r} cannot be had ({why}): where there is a network, let "
        f"torchvision.datasets.{named.maker} download it, and copy what is then in its root to "
        f"'{root}'."
    )


def _whole(store: TorchvisionStore, classes: Sequence[str]) -> ImageSet:
    """All images of a store whose class is known, if any are."""
    every = np.arange(len(store))
    if store.labels is None or not classes:
        return ImageSet(store, every)
    known = store.labels < len(classes)
    return ImageSet(store, every[known], tuple(classes), store.labels[known])


def _folder_name(name: str | Sequence[str]) -> str:
    """Return the first of several names, without what cannot be in the name of a folder."""
    first = name if isinstance(name, str) else name[0]
    return "".join("-" if c in "/\\" or not c.isprintable() else c for c in first)
