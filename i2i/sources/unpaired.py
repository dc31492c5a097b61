"""Pictures of two kinds that do not belong together: for CycleGAN and its like."""

from pathlib import Path
from typing import Any

from i2i.data.check import Checked
from i2i.data.layouts import find_unpaired, hold_out
from i2i.data.transforms import evaluation_geometry
from i2i.data.unpaired import UnpairedPictures
from i2i.doctor.words import counted
from i2i.options import Options
from i2i.sources.kept import keep_decoded
from i2i.sources.source import HELD_OUT, Say, Source, fingerprint, geometry, readable


def unpaired(options: Options, root: Path, say: Say, checked: Checked) -> Source:
    """Make data sets of the pictures of both kinds in a folder."""
    data, seed = options.data, options.train.seed
    root_b = Path(data.root_b) if data.root_b else None
    found = find_unpaired(root, "train", root_b)
    assert found is not None
    sides = [readable(side, data, say, checked) for side in (found.a, found.b)]
    held = find_unpaired(root, "val", root_b)
    if held is not None:
        validation, split = (
            [readable(side, data, say, checked) for side in (held.a, held.b)],
            "its own",
        )
    else:
        both = [hold_out(side, HELD_OUT, seed) for side in sides]
        # A single picture is trained on and validated with.
        sides, validation = [train for train, _ in both], [rest or train for train, rest in both]
        split = "held out from those for training"
    say(
        f"data: {root} ({found.layout}), {counted(len(sides[0]), 'picture', 'pictures')} of A "
        f"and {len(sides[1])} of B to train on, {len(validation[0])} and {len(validation[1])} to "
        f"validate with ({split})"
    )
    common: dict[str, Any] = {"channels": (data.input_channels, data.output_channels), "seed": seed}
    train = UnpairedPictures(sides, geometry(data), shuffle=True, **common)
    keep_decoded(train, [path for side in sides for path in side], data, say, train.channels)
    held_out = UnpairedPictures(
        validation, evaluation_geometry(data.crop_size, data.resize), **common
    )
    return Source(
        train=train,
        validation=held_out,
        pictures=len(train),
        validation_pictures=len(held_out),
        fingerprint=fingerprint(path.name for side in sides for path in side),
    )
