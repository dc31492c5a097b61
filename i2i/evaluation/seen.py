"""Images that a run is measured with although it was trained on them, known by their content."""

import json
from collections.abc import Sequence
from pathlib import Path

from i2i.data.images.content_hash import Member

SPLIT = "split.json"
"""In the folder of a run: which images were in which split, with a hash of each."""

SHOWN = 5
"""Names in a note."""


def trained_on(run: Path, measured: Sequence[Member]) -> list[str]:
    """Say which of the images that a run is measured with it has been trained on.

    Arguments:
        run: its folder; one without a readable record of its split says nothing.
        measured: the images, with the hashes of their content.
    """
    known = _hashes(run / SPLIT)
    seen = [name for name, content in measured if content in known]
    if not seen:
        return []
    shown = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
    return [
        f"{len(seen)} of {len(measured)} images were trained on (the same by content: {shown}), so "
        "these figures are not those of held-out images: name others with --dataroot."
    ]


def _hashes(path: Path) -> set[str]:
    """The hashes of the images that were trained on; none where nothing readable says so."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(each["hash"]) for each in found["splits"]["train"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
