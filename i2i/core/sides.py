"""The two sides of a batch: how what a data set gives becomes what networks see, and pictures.

The first side is what is translated, the second what is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale

Fields = Mapping[str, int]
"""Field of a batch that holds images -> its side, 0 or 1."""


@dataclass(frozen=True)
class Sides:
    """What the sides of a batch hold.

    Attributes:
        fields: which side the images of a field are of.
        labels: of the sides that are label maps, what they hold; None for images.
        scales: of the sides whose values are used as they are, what they mean; None for others.
        show: the bands that people see, from 1; empty for the first three, or the only one.
    """

    fields: Fields = field(default_factory=dict)
    labels: tuple[LabelMaps | None, LabelMaps | None] = (None, None)
    scales: tuple[Scale | None, Scale | None] = (None, None)
    show: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def of(self, name: str) -> LabelMaps | None:
        """The label maps that a field of a batch holds; None for images."""
        return self.labels[self.fields[name]] if name in self.fields else None

    def travels(self, side: int) -> torch.dtype:
        """The type in which images of a side travel."""
        scale = self.scales[side]
        if scale is None:
            return torch.uint8
        return {1: torch.uint8, 2: torch.uint16, 4: torch.float32}[scale.travels.itemsize]

    def shown(self, side: int, images: Tensor) -> Tensor:
        """Images or planes (N, C, H, W) of a side as a person can look at them, in -1..1, with 1 or
        3 channels."""
        labels = self.labels[side]
        return images[:, self.bands(side, images)] if labels is None else labels.shown(images)

    def bands(self, side: int, images: Tensor) -> list[int]:
        """Which channels of images are shown, from 0."""
        count = images.shape[1]
        chosen = [band - 1 for band in self.show[side] if band <= count]
        return chosen if len(chosen) in (1, 3) else list(range(3 if count >= 3 else 1))

    def pictures(
        self, columns: Mapping[str, Tensor], side_of: Callable[[str], int]
    ) -> dict[str, Tensor]:
        """What of the columns of a sheet can be looked at: name -> (N, 1 or 3, H, W) in -1..1.

        Where a side has values of its own, each band that is shown is stretched from the 2nd to the
        98th percentile of all columns of the side, and the names say so.

        Arguments:
            columns: of images as networks see them.
            side_of: the side that the images of a column are of.
        """
        shown = {
            name: self.shown(side_of(name), images.float()) for name, images in columns.items()
        }
        labels = {name: name for name in columns}
        for side in (0, 1):
            own = [name for name in columns if side_of(name) == side]
            if self.scales[side] is None or not own:
                continue
            rows = torch.cat([shown[name].movedim(1, 0).flatten(1) for name in own], dim=1)
            step = -(-rows.shape[1] // 2**20)
            limits = torch.quantile(rows[:, ::step], rows.new_tensor([0.02, 0.98]), dim=1)
            low, high = limits[:, None, :, None, None]
            bands = self.bands(side, columns[own[0]])
            which = f"bands {', '.join(str(band + 1) for band in bands)}, "
            note = which if columns[own[0]].shape[1] > 1 else ""
            for name in own:
                stretched = 2 * (shown[name] - low) / (high - low).clamp(min=1e-6) - 1
                shown[name] = stretched.clamp(-1, 1)
                labels[name] = f"{name} ({note}2-98 %)"
        return {labels[name]: images for name, images in shown.items()}
