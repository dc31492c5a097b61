"""Which images a run is measured with, and which of them it has seen, known by their content."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from i2i.data.images.content_hash import Member
from i2i.data.kinds.splits import read_splits
from i2i.errors import OptionsError, RunError, did_you_mean

Split = Literal["train", "val", "test"]

SHOWN = 5
"""Names in a note."""

_USES = {
    "train": "the images that were trained on",
    "val": "the images to validate with",
    "test": "the images to test with",
}


def require_split(name: str) -> None:
    """Raise OptionsError for what is no split."""
    if name not in get_args(Split):
        raise OptionsError(
            f"split (={name!r}) must be train, val or test.{did_you_mean(name, get_args(Split))}"
        )


def what_is_measured(split: str, *, best: bool, others: int) -> str:
    """Say which split figures are of, and what to conclude.

    Arguments:
        split: "train", "val" or "test".
        best: whether the checkpoint was chosen by validation.
        others: how many images there are to test with.
    """
    chosen = " The checkpoint was chosen by validation." if best else ""
    said = f"Measured on {_USES[split]} (--split {split}).{chosen}"
    match split:
        case "train":
            return f"{said} These figures say nothing of new images."
        case "val" if best:
            said += " By the same images, so that these figures flatter it"
            return said + (": --split test has others." if others else ".")
    return said


def seen_before(run: Path, measured: Sequence[Member], split: str = "val") -> list[str]:
    """Say which of the images that a run is measured with it has been trained on, or, of those to
    test with, validated with.

    Arguments:
        run: its folder; one without a readable record of its split says nothing.
        measured: the images, with the hashes of their content.
        split: that they are measured as; of "train" all is known.
    """
    try:
        known = read_splits(run)
    except RunError:
        return []
    notes = []
    for other, what, how in (
        ("train", "trained on", "those of held-out images"),
        ("val", "validated with", "independent of what the checkpoint was chosen by"),
    ):
        if split == "train" or (other == "val" and split != "test"):
            continue
        contents = {content or name for name, content in known.get(other, ())}
        # Of a large data set not every image was read: those are known by their names.
        seen = [name for name, content in measured if content in contents or name in contents]
        if seen:
            shown = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
            notes.append(
                f"{len(seen)} of {len(measured)} images were {what} (the same by content: {shown}),"
                f" so these figures are not {how}: name others with --dataroot."
            )
    return notes
