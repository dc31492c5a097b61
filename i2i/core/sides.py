"""The two sides of a batch: how what a data set gives becomes what networks see, and pictures.

The first side is what is translated, the second what is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from i2i.core.inputs import Input, Inputs
from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale

Fields = Mapping[str, int]
"""Field of a batch that holds images -> its side, 0 or 1."""

Held = LabelMaps | Inputs
"""What travels in bytes that are no colours."""


@dataclass(frozen=True)
class Sides:
    """What the sides of a batch hold.

    Attributes:
        fields: which side the images of a field are of.
        labels: of the sides that are label maps or several inputs, what they hold; None for
            images.
        scales: of the sides whose values are used as they are, what they mean; None for others.
        show: the bands that people see, from 1; empty for the first three, or the only one.
    """

    fields: Fields = field(default_factory=dict)
    labels: tuple[Held | None, Held | None] = (None, None)
    scales: tuple[Scale | None, Scale | None] = (None, None)
    show: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def of(self, name: str) -> Held | None:
        """The label maps or several inputs that a field of a batch holds; None for images."""
        return self.labels[self.fields[name]] if name in self.fields else None

    def travels(self, side: int) -> torch.dtype:
        """The type in which images of a side travel."""
        scale = self.scales[side]
        if scale is None:
            return torch.uint8
        return {1: torch.uint8, 2: torch.uint16, 4: torch.float32}[scale.travels.itemsize]

    def shown(self, side: int, images: Tensor) -> Tensor:
        """Images or planes (N, C, H, W) of a side as a person can look at them, in -1..1, with 1 or
        3 channels; of several inputs the first."""
        return _seen(*self._pieces(side, images)[0])

    def pictures(
        self, columns: Mapping[str, Tensor], side_of: Callable[[str], int]
    ) -> dict[str, Tensor]:
        """What of the columns of a sheet can be looked at: name -> (N, 1 or 3, H, W) in -1..1.

        Of several inputs each is a column of its own. Where images have values of their own, each
        band that is shown is stretched from the 2nd to the 98th percentile of all such columns of
        the side, and the names say so.

        Arguments:
            columns: of images as networks see them.
            side_of: the side that the images of a column are of.
        """
        pieces = [
            (side_of(name), f"{name}: {piece.name}" if piece.name else name, piece, planes)
            for name, images in columns.items()
            for piece, planes in self._pieces(side_of(name), images.float())
        ]
        found: dict[str, Tensor] = {}
        for side, name, piece, planes in pieces:
            seen = _seen(piece, planes)
            if piece.scale is None:
                found[name] = seen
                continue
            alike = [_seen(p, x) for s, _, p, x in pieces if (s, p) == (side, piece)]
            rows = torch.cat([each.movedim(1, 0).flatten(1) for each in alike], dim=1)
            step = -(-rows.shape[1] // 2**20)
            limits = torch.quantile(rows[:, ::step], rows.new_tensor([0.02, 0.98]), dim=1)
            low, high = limits[:, None, :, None, None]
            bands = _bands(piece.show, planes)
            which = f"bands {', '.join(str(band + 1) for band in bands)}, "
            note = which if planes.shape[1] > 1 else ""
            stretched = 2 * (seen - low) / (high - low).clamp(min=1e-6) - 1
            found[f"{name} ({note}2-98 %)"] = stretched.clamp(-1, 1)
        return found

    def _pieces(self, side: int, images: Tensor) -> list[tuple[Input, Tensor]]:
        """What the images of a side consist of: several inputs, or one without a name."""
        held = self.labels[side]
        if isinstance(held, Inputs):
            return list(held.of_planes(images))
        one = Input("", images.shape[1], held, self.scales[side], self.show[side])
        return [(one, images)]


def _seen(piece: Input, planes: Tensor) -> Tensor:
    """One input as a person can look at it, (N, 1 or 3, H, W)."""
    if piece.labels is not None:
        return piece.labels.shown(planes)
    return planes[:, _bands(piece.show, planes)]


def _bands(show: tuple[int, ...], images: Tensor) -> list[int]:
    """Which channels of images are shown, from 0."""
    count = images.shape[1]
    chosen = [band - 1 for band in show if band <= count]
    return chosen if len(chosen) in (1, 3) else list(range(3 if count >= 3 else 1))
