"""What a generator for many domains is told about an image that it is to translate.

A domain is asked for and that is all. An attribute is changed and the others stay as they are, so
they have to be known: from whoever asks, or by the classifier that was trained beside the
generator.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.batch import to_signed
from i2i.core.labels import Asked, Changes, LabelSpace, with_planes
from i2i.core.size import AnySize, Size
from i2i.data.catalogue.attributes import read_table
from i2i.errors import DataError, OptionsError


class Conditioner:
    """Turns what is asked for into a condition for each image.

    Arguments:
        labels: what the generator has learnt.
        classifier: (N, C, H, W) of `size` -> anything, and logits (N, L); None if there is none. It
            is used where it lies, and must be in evaluation mode.
        size: of the images that the classifier takes: the side of squares, or (width, height).
        stretch: whether images are brought to it whatever their proportions; else their middle
            is cut out.
        asked: what is asked for by default.

    Raises:
        OptionsError: that is nothing which the generator has learnt.
    """

    def __init__(
        self,
        labels: LabelSpace,
        classifier: nn.Module | None,
        *,
        size: AnySize,
        stretch: bool,
        asked: Asked = None,
    ) -> None:
        self.labels = labels
        self.classifier = classifier
        self.size = Size.of(size)
        self.stretch = stretch
        self.strength = 1.0
        """How far the condition goes from what an image is like to what is asked for."""
        self.ask(asked)

    def ask(self, asked: Asked) -> None:
        """Change what is asked for by default."""
        self.changes = None if asked is None else self.labels.changes(asked)

    def __call__(self, images: Tensor, asked: Asked = None, labels: Tensor | None = None) -> Tensor:
        """Return the conditions (N, planes) for images (N, C, H, W), on their device.

        Arguments:
            images: uint8 in 0..255 or floating point in -1..1.
            asked: for; by default what the conditioner was made with.
            labels: what the images are like, (N, L); by default what the classifier finds.

        Raises:
            OptionsError: nothing is asked for, or nothing that the generator has learnt; or the
                labels are needed and there is no classifier.
        """
        changes = self._changes(asked)
        partly = self.strength != 1
        if labels is None and (self.labels.depends(changes) or partly):
            labels = self.classify(images)
        if labels is None:
            labels = torch.zeros(len(images), len(self.labels.names))
        condition = self.labels.edited(labels.float(), changes)
        if partly:
            condition = torch.lerp(labels.float(), condition, self.strength)
        return condition.to(images.device)

    @property
    def has_strength(self) -> bool:
        """Whether a condition can lie between what an image is like and what is asked for: it must
        be known what the image is like, and the labels must be all that the generator is told."""
        return self.classifier is not None and len(self.planes) == len(self.labels.names)

    @contextmanager
    def telling(
        self, images: Tensor, asked: Asked = None, labels: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Yield what the generator is to be given for images, with arguments as above: here
        signed images with the planes of their conditions behind the channels. It is told as long
        as the block lasts, whatever other threads ask for."""
        yield with_planes(to_signed(images).float(), self(images, asked, labels))

    @property
    def planes(self) -> tuple[str, ...]:
        """What the planes behind the channels mean."""
        return self.labels.plane_names

    def _changes(self, asked: Asked) -> Changes:
        changes = self.changes if asked is None else self.labels.changes(asked)
        if changes is None:
            raise OptionsError(
                "this model translates to more than one domain: ask for one (domain) of "
                f"{', '.join(self.labels.targets)}."
            )
        return changes

    @torch.inference_mode()
    def classify(self, images: Tensor) -> Tensor:
        """Return the labels (N, L) that the classifier finds, 0 or 1.

        Raises:
            OptionsError: there is no classifier.
        """
        if self.classifier is None:
            raise OptionsError(
                "to change some attributes, the others have to be known, and this checkpoint has "
                "no discriminator to find them: set all of them, or give a table of them."
            )
        device = next(self.classifier.parameters()).device
        fitted = fitted_to(to_signed(images).float().to(device), self.size, stretch=self.stretch)
        _, logits = self.classifier(fitted)
        return self.labels.decided(logits.float()).to(images.device)

    def told_by(self, table: Path) -> Callable[[Path], Tensor]:
        """Return what a table says of an image: path -> labels (L,).

        The table has all attributes of the data set from which something is asked for.

        Raises:
            DataError: the table is not as it should be; in use: it has no row for the image.
            OptionsError: a domain is asked for, for which no table is needed.
        """
        assert self.changes is not None
        number = self.labels.number(self.changes)
        each, part = self.labels.sets[number], self.labels.parts[number]
        if each.exclusive:
            raise OptionsError(
                f"a table of attributes ('{table}') is of no use to change domains: leave it out."
            )
        rows = read_table(table, each.names)

        def labels(image: Path) -> Tensor:
            key = rows.key(image)
            if key is None:
                raise DataError(f"'{image}' has no row in '{table}'.")
            told = torch.zeros(len(self.labels.names))
            told[part] = torch.tensor(rows.rows[key], dtype=told.dtype)
            return told

        return labels


def fitted_to(images: Tensor, size: Size, *, stretch: bool) -> Tensor:
    """Bring images (N, C, H, W) to a size, as validation does in training.

    Arguments:
        images: in -1..1.
        size: of the result.
        stretch: whatever the proportions; else the middle is cut out.
    """
    height, width = images.shape[-2:]
    if stretch:
        height, width = size.shape
    else:
        scale = max(size.height / height, size.width / width)
        height, width = round(height * scale), round(width * scale)
    images = F.interpolate(images, (height, width), mode="bicubic", antialias=True)
    top, left = (height - size.height) // 2, (width - size.width) // 2
    return images[..., top : top + size.height, left : left + size.width].clamp(-1, 1)
