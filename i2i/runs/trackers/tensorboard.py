"""TensorBoard, for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from i2i.core.registry import register_tracker
from i2i.runs.trackers import Tracker


@register_tracker("tensorboard")
class TensorBoard(Tracker):
    """Event files in the folder of the run."""

    title = "TensorBoard"
    in_folder = True

    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        super().__init__(folder, start)
        # What an interrupted run had logged after its last checkpoint is hidden.
        self._options: Mapping[str, Any] = {}
        self._measures: list[str] = []
        self.writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

        measured = [name for name in values if name.startswith("validation/")]
        if measured and not self._measures:
            self._measures = measured
            self._describe()

    def options(self, values: Mapping[str, Any]) -> None:
        self._options = values

    def _describe(self) -> None:
        """Fill the page of HParams: the options, and the scalars that tell how good the run is."""
        from torch.utils.tensorboard.summary import hparams

        plain = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in self._options.items()
        }
        assert self.writer.file_writer is not None
        for summary in hparams(plain, dict.fromkeys(self._measures, 0.0)):
            self.writer.file_writer.add_summary(summary)

    def image(self, step: int, name: str, image: Image.Image) -> None:
        self.writer.add_image(name, np.asarray(image), step, dataformats="HWC")
        self.writer.flush()

    def text(self, name: str, text: str) -> None:
        self.writer.add_text(name, text)

    def close(self) -> None:
        self.writer.close()

    @classmethod
    def forget(cls, folder: Path) -> None:
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
