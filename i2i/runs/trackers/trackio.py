"""trackio: `--track trackio`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from i2i.core.registry import register_tracker
from i2i.runs.trackers.outside import OutsideTracker, of_run


@register_tracker("trackio")
class Trackio(OutsideTracker):
    """Local unless its own settings say otherwise (TRACKIO_DIR, TRACKIO_SPACE_ID)."""

    title = "trackio"
    package = distribution = "trackio"

    def __init__(self, folder: Path, start: int) -> None:
        import trackio

        super().__init__(folder, start)
        self._trackio: Any = trackio

    def options(self, values: Mapping[str, Any]) -> None:
        super().options(values)
        name = self.known_as()
        run = self._trackio.init(
            project=self.project,
            name=name or of_run(self.folder),
            resume="allow" if name else "never",
            config={key: str(value) for key, value in self.told.items()},
            embed=False,
        )
        self.remember(run.name)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def image(self, step: int, name: str, image: Image.Image) -> None:
        self._trackio.log({name: self._trackio.Image(image)}, step=step)

    def text(self, name: str, text: str) -> None:
        if name != "options":  # which are its config
            self._trackio.log({name: self._trackio.Markdown(text)})

    def close(self) -> None:
        self._trackio.finish()
