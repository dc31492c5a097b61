"""TensorBoard, for people."""

from collections.abc import Mapping
from pathlib import Path

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
        self.writer = SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

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
