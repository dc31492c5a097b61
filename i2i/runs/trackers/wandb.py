"""Weights & Biases: `--track wandb`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from i2i.core.registry import register_tracker
from i2i.runs.trackers.outside import OutsideTracker, of_run


@register_tracker("wandb")
class WeightsAndBiases(OutsideTracker):
    """Its own settings hold: WANDB_MODE=offline, WANDB_PROJECT, WANDB_ENTITY, WANDB_API_KEY, ..."""

    title = "W&B"
    package = distribution = "wandb"

    def __init__(self, folder: Path, start: int) -> None:
        import wandb

        super().__init__(folder, start)
        self._wandb: Any = wandb
        self.run: Any = wandb.init(
            project=wandb.Settings().project or self.project,
            name=of_run(folder),
            id=self.known_as() or None,
            resume="allow",
            dir=str(folder),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.remember(self.run.id)
        # The steps of a run that goes on from an older checkpoint come again; W&B's own do not.
        self.run.define_metric("step")
        self.run.define_metric("*", step_metric="step")

    def options(self, values: Mapping[str, Any]) -> None:
        super().options(values)
        self.run.config.update(self.told, allow_val_change=True)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log({"step": step, **values})

    def image(self, step: int, name: str, image: Image.Image) -> None:
        self.run.log({"step": step, name: self._wandb.Image(image)})

    def text(self, name: str, text: str) -> None:
        if name != "options":  # which are its config
            self.run.summary[name] = text

    def checkpoint(self, step: int, path: Path) -> None:
        if self.takes_checkpoints:
            artifact = self._wandb.Artifact(f"{of_run(self.folder)}-checkpoint", type="model")
            artifact.add_file(str(path))
            self.run.log_artifact(artifact, aliases=[f"step-{step}"])

    def close(self) -> None:
        self.run.finish()
