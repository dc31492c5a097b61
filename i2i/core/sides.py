"""The two sides of a batch: how what a data set gives becomes what networks see, and pictures.

The first side is what is translated, the second what is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from i2i.core.label_maps import LabelMaps

Fields = Mapping[str, int]
"""Field of a batch that holds images -> its side, 0 or 1."""


@dataclass(frozen=True)
class Sides:
    """What the sides of a batch hold.

    Attributes:
        fields: which side the images of a field are of.
        labels: of the sides that are label maps, what they hold; None for images.
    """

    fields: Fields = field(default_factory=dict)
    labels: tuple[LabelMaps | None, LabelMaps | None] = (None, None)

    def of(self, name: str) -> LabelMaps | None:
        """The label maps that a field of a batch holds; None for images."""
        return self.labels[self.fields[name]] if name in self.fields else None

    def shown(self, side: int, images: Tensor) -> Tensor:
        """Images or planes (N, C, H, W) of a side as a person can look at them, in -1..1."""
        labels = self.labels[side]
        return images if labels is None else labels.shown(images)
