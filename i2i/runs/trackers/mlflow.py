"""MLflow: `--track mlflow`."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from i2i.core.registry import register_tracker
from i2i.runs.trackers.outside import OutsideTracker, of_run

_MOST = 100
"""Parameters in one request."""


@register_tracker("mlflow")
class MLflow(OutsideTracker):
    """It goes where MLFLOW_TRACKING_URI says; without it, to `mlflow.db` beside the run folders."""

    title = "MLflow"
    package = "mlflow"
    distribution = "mlflow"

    def __init__(self, folder: Path, start: int) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        super().__init__(folder, start)
        self._metric: Any = Metric
        self._param: Any = Param
        beside = folder.resolve().parent
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{beside / 'mlflow.db'}"
        self.client: Any = MlflowClient(place)
        self.id = self.known_as()
        if self.id:
            self.client.update_run(self.id, status="RUNNING")
            return
        found = self.client.get_experiment_by_name(self.project)
        artifacts = None if "MLFLOW_TRACKING_URI" in os.environ else (beside / "mlflow").as_uri()
        experiment = (
            found.experiment_id
            if found
            else self.client.create_experiment(self.project, artifact_location=artifacts)
        )
        self.id = self.client.create_run(experiment, run_name=of_run(folder)).info.run_id
        self.remember(self.id)

    def options(self, values: Mapping[str, Any]) -> None:
        super().options(values)
        if self.start:  # what was said of a run cannot change
            return
        told = [self._param(key, str(value)[:500]) for key, value in self.told.items()]
        for first in range(0, len(told), _MOST):
            self.client.log_batch(self.id, params=told[first : first + _MOST])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(_allowed(key), value, now, step) for key, value in values.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def image(self, step: int, name: str, image: Image.Image) -> None:
        self.client.log_image(self.id, image, f"{_allowed(name)}/step-{step:08d}.png")

    def text(self, name: str, text: str) -> None:
        self.client.log_text(self.id, text, f"{_allowed(name)}.md")

    def checkpoint(self, step: int, path: Path) -> None:
        if self.takes_checkpoints:
            self.client.log_artifact(self.id, str(path), "checkpoints")

    def close(self) -> None:
        self.client.set_terminated(self.id)


def _allowed(name: str) -> str:
    """A name without the signs that MLflow refuses."""
    return re.sub(r"[^\w./ -]", "_", name)
