"""Images that a run is measured with although it was trained on them, known by their content."""

from collections.abc import Sequence
from pathlib import Path

from i2i.data.images.content_hash import Member
from i2i.data.kinds.splits import read_splits
from i2i.errors import RunError

SHOWN = 5
"""Names in a note."""


def trained_on(run: Path, measured: Sequence[Member]) -> list[str]:
    """Say which of the images that a run is measured with it has been trained on.

    Arguments:
        run: its folder; one without a readable record of its split says nothing.
        measured: the images, with the hashes of their content.
    """
    try:
        known = {content for _, content in read_splits(run).get("train", ())}
    except RunError:
        return []
    seen = [name for name, content in measured if content in known]
    if not seen:
        return []
    shown = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
    return [
        f"{len(seen)} of {len(measured)} images were trained on (the same by content: {shown}), so "
        "these figures are not those of held-out images: name others with --dataroot."
    ]
