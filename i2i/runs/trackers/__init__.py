"""Where the numbers, images and texts of a run go while it is trained: TensorBoard, JSON lines,
W&B, MLflow, trackio, or whatever a plug-in registers (`train.trackers`, `--track`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image


class Tracker:
    """Receives what is logged of a run; each method may be left as it is, doing nothing.

    An exception of any kind is said once, and the tracker is left out from then on: it never ends a
    run. Of several processes, the first alone has trackers.

    Arguments:
        folder: of the run.
        start: the step after which the run goes on; 0 of a new one. What was logged after that step
            is logged again.
    """

    title: ClassVar[str] = ""
    """What it is called in messages; "" for the name that it is registered by."""

    in_folder: ClassVar[bool] = False
    """Whether it writes into the folder of the run alone. If somebody removes that, such a tracker
    is made anew and receives all scalars again."""

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        self.start = start

    @classmethod
    def require(cls) -> None:
        """Raise `OptionsError` if it cannot be had here, before anything is done."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by their names (`i2i.core.signals`); they may be infinite or NaN."""

    def options(self, values: Mapping[str, Any]) -> None:
        """The options of the run by their dotted paths, as plain values; told before any number."""

    def image(self, step: int, name: str, image: Image.Image) -> None:
        """An image grid."""

    def text(self, name: str, text: str) -> None:
        """A text in Markdown: the options of the run, its health."""

    def checkpoint(self, step: int, path: Path) -> None:
        """A checkpoint has been saved."""

    def close(self) -> None:
        """Nothing more will come."""

    @classmethod
    def forget(cls, folder: Path) -> None:
        """Remove what was written into a folder that somebody has removed in part."""
