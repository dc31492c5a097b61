"""What trackers that lie outside of the run folder have in common."""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, ClassVar

from i2i.errors import OptionsError
from i2i.runs.trackers import Tracker
from i2i.system import gate
from i2i.system.atomic import write_text

KNOWN_AS = "trackers.json"
"""In the folder of a run: under which name each tracker knows it, so that a run that is resumed
goes on there."""


class OutsideTracker(Tracker):
    """One that a package of somebody else brings.

    Which project it goes to says I2I_PROJECT, by default "i2i".
    """

    package: ClassVar[str]
    """As it is imported."""

    distribution: ClassVar[str]
    """As it is installed."""

    def __init__(self, folder: Path, start: int) -> None:
        super().__init__(folder, start)
        self.told: dict[str, Any] = {}

    @classmethod
    def require(cls) -> None:
        if importlib.util.find_spec(cls.package) is None:
            raise OptionsError(
                f"the tracker {cls.package} needs {cls.distribution}: pip install "
                f"{cls.distribution}, or leave it out of train.trackers (--track)."
            )

    @property
    def project(self) -> str:
        return os.environ.get("I2I_PROJECT") or "i2i"

    def options(self, values: Mapping[str, Any]) -> None:
        """Note the options, without what they say of this machine: of a path no more than its last
        name."""
        self.told = {
            key: PurePath(value).name if _is_place(value) else value
            for key, value in values.items()
        }

    @property
    def takes_checkpoints(self) -> bool:
        """Whether checkpoints are handed over, too: the option train.track_checkpoints."""
        return self.told.get("train.track_checkpoints") is True

    def known_as(self) -> str:
        """The name under which this tracker knows the run already; "" if it does not."""
        name = self._names().get(self.package)
        return name if self.start and isinstance(name, str) else ""

    def remember(self, name: str) -> None:
        """Note the name for whoever goes on with the run."""
        names = {**self._names(), self.package: name}
        write_text(self.folder / KNOWN_AS, json.dumps(names) + "\n")

    def _names(self) -> dict[str, Any]:
        try:
            found = gate.parse_json(gate.read_text(self.folder / KNOWN_AS, gate.MOST_TOML))
        except gate.RefusedError:
            return {}
        return found if isinstance(found, dict) else {}


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and PurePath(value).is_absolute()


def of_run(folder: Path) -> str:
    """What a run is called."""
    return folder.resolve().name
