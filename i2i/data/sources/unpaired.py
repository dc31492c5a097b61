"""Images of two kinds that do not belong together: for CycleGAN and its like."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2i.config import Options
from i2i.core.registry import MODELS
from i2i.core.text import counted
from i2i.data.augment.geometry import evaluation_geometry
from i2i.data.images.check import CheckResult
from i2i.data.kinds.layouts import find_unpaired, hold_out, lonely_sides
from i2i.data.kinds.unpaired import UnpairedImages
from i2i.data.sources.cached import keep_decoded
from i2i.data.sources.source import (
    FEW,
    HELD_OUT,
    Say,
    Source,
    fingerprint,
    geometry,
    members_of,
    readable,
    say_not_used,
)
from i2i.errors import DataError


def unpaired(options: Options, root: Path, say: Say, checked: CheckResult) -> Source:
    """Make data sets of the images of both kinds in a folder.

    What a model that translates one way alone is to translate comes first: B, if `data.direction`
    is "BtoA".
    """
    data = options.data
    root_b = Path(data.root_b) if data.root_b else None
    found = find_unpaired(root, "train", root_b)
    assert found is not None
    roots = [root, *([root_b] if root_b else [])]
    lonely = [] if root_b else lonely_sides(root)
    say_not_used(roots, (f"{each}: not used" for each in lonely), say)
    if found.names != ("A", "B"):
        say(f"data: A is {found.names[0]!r}, B is {found.names[1]!r}")
    sides = [readable(side, data, say, checked) for side in (found.a, found.b)]
    held = find_unpaired(root, "val", root_b)
    if held is not None:
        validation, split = (
            [readable(side, data, say, checked) for side in (held.a, held.b)],
            "its own",
        )
    else:
        both = [hold_out(side, HELD_OUT, data.split_seed) for side in sides]
        # A single image is trained on and validated with.
        sides, validation = [train for train, _ in both], [rest or train for train, rest in both]
        split = "held out from those for training"
    say(
        f"data: {root} ({found.layout}), {counted(len(sides[0]), 'image', 'images')} of A "
        f"and {len(sides[1])} of B to train on, {len(validation[0])} and {len(validation[1])} to "
        f"validate with ({split})"
    )
    for name, side in zip(found.names, validation, strict=True):
        if len(side) < FEW:
            say(
                f"note: of {name} there {'is' if len(side) == 1 else 'are'} only {len(side)} to "
                "validate with: how different results are from each other cannot be measured."
            )
    if data.direction == "BtoA" and not MODELS.find(options.model).directions:
        sides, validation = sides[::-1], validation[::-1]
    common: dict[str, Any] = {
        "channels": (data.input_channels, data.output_channels),
        "seed": options.train.seed,
    }
    train = UnpairedImages(sides, geometry(data), shuffle=True, **common)
    keep_decoded(train, [path for side in sides for path in side], data, say, train.channels)
    held_out = UnpairedImages(
        validation, evaluation_geometry(data.crop_size, data.resize), **common
    )
    return Source(
        train=train,
        validation=held_out,
        images=len(train),
        validation_images=len(held_out),
        fingerprint=fingerprint(path.name for side in sides for path in side),
        members=members_of(
            {
                "train": [path for side in sides for path in side],
                "val": [path for side in validation for path in side],
                "test": _tested(root, root_b, validation),
            },
            roots,
            checked,
        ),
        sides=found.names,
    )


def _tested(root: Path, root_b: Path | None, validation: Sequence[Sequence[Path]]) -> list[Path]:
    """The images to test with beside those that validate; whatever is wrong with them."""
    held = {path for side in validation for path in side}
    with contextlib.suppress(DataError):
        if (found := find_unpaired(root, "test", root_b)) is not None:
            return [path for path in (*found.a, *found.b) if path not in held]
    return []
