"""Pictures of what is wrong with outputs: the places that show it most, framed and enlarged."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from i2i.core.model import Generated
from i2i.metrics.marks import Mark, find_marks
from i2i.runs.image_grid import image_grid
from i2i.system.atomic import replacing

ROWS = 3
"""Images of a picture."""

LARGE = 128
"""Pixels of the longer side of each image in a picture, at least."""

RED = (1.0, -0.7, -0.7)


def marked(kind: str, produced: Generated) -> Image.Image:
    """A picture of a fault: in each row an input (or none), the output with a frame, and the place
    within the frame, enlarged, as it is and as it is in the truth or the input. Faults that have no
    place have inputs and outputs only.

    Arguments:
        kind: of verdict.
        produced: what a generator made of several images, in -1..1.
    """
    produced = _in_colour(produced)
    outputs, inputs = produced.outputs, produced.inputs
    original, named = (produced.references, "truth") if produced.paired else (inputs, "input")
    marks = find_marks(kind, outputs, original, ROWS)
    rows = [mark.image for mark in marks] or list(range(min(ROWS, len(outputs))))
    columns = {} if inputs is None else {"input": inputs[rows]}
    if not marks:
        columns["output"] = outputs[rows]
        if produced.again is not None:
            columns["by other noise"] = produced.again[rows]
    else:
        columns["output"] = torch.stack([_framed(outputs[mark.image], mark) for mark in marks])
        columns["there"] = _enlarged(outputs, marks)
        if original is not None and original.shape == outputs.shape:
            columns[f"there in the {named}"] = _enlarged(original, marks)
    if produced.paired:
        columns["truth"] = produced.references[rows]
    return image_grid({name: _large(images) for name, images in columns.items()})


def write_marked(folder: Path, pictures: Mapping[tuple[str, str], Image.Image]) -> None:
    """Write the pictures of a validation, by kind and domain; those of the last one go.

    Raises:
        OSError: one cannot be written.
    """
    files = {marked_file(folder, *about): picture for about, picture in pictures.items()}
    for path in folder.glob("*.png"):
        if path not in files:
            path.unlink(missing_ok=True)
    for path, picture in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            picture.save(partial, format="PNG")


def marked_file(folder: Path, kind: str, domain: str) -> Path:
    """Where the picture of a verdict is, if there is one."""
    return folder / (re.sub(r"\W+", "-", f"{kind} {domain}".strip()) + ".png")


def _in_colour(produced: Generated) -> Generated:
    """Images of one or three channels as they are; of any others their mean."""

    def shown(images: Tensor | None) -> Tensor | None:
        if images is None or images.shape[1] in (1, 3):
            return images
        return images.mean(dim=1, keepdim=True)

    outputs, references = shown(produced.outputs), shown(produced.references)
    assert outputs is not None
    assert references is not None
    return produced._replace(
        outputs=outputs,
        references=references,
        inputs=shown(produced.inputs),
        again=shown(produced.again),
    )


def _framed(image: Tensor, mark: Mark) -> Tensor:
    """An image (C, H, W) with a red frame around a place, enlarged if it is tiny."""
    large = _large(image).expand(3, -1, -1).clone()
    times = large.shape[-1] // image.shape[-1]
    top, left, side = (times * each for each in mark[1:])
    inner = large[:, top : top + side, left : left + side].clone()
    width = 2
    frame = (
        slice(max(0, top - width), top + side + width),
        slice(max(0, left - width), left + side + width),
    )
    large[:, *frame] = large.new_tensor(RED)[:, None, None]
    large[:, top : top + side, left : left + side] = inner
    return large


def _enlarged(images: Tensor, marks: Sequence[Mark]) -> Tensor:
    """What is in some places, as large as the images beside."""
    places = [images[n, :, top : top + side, left : left + side] for n, top, left, side in marks]
    return _large(torch.stack(places), max(images.shape[-2:]))


def _large(images: Tensor, least: int = LARGE) -> Tensor:
    """Images (..., H, W) with each pixel repeated until they are large enough to see."""
    repeat = math.ceil(max(LARGE, least) / max(images.shape[-2:]))
    return images.repeat_interleave(repeat, -2).repeat_interleave(repeat, -1)
