"""A run as a bundle to hand on: weights, configuration, model card (`i2i.runs.bundle`)."""

import hashlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, float16, float32

from i2i.config import Options
from i2i.core.model import Model
from i2i.core.progress import audible
from i2i.data.kinds import find_kind
from i2i.errors import CheckpointError
from i2i.export.card import model_card
from i2i.models.build import data_kind, latent
from i2i.runs.bundle import CARD, CONFIG, WEIGHTS, write_bundle
from i2i.runs.folder import Run, find_checkpoint
from i2i.runs.opening import open_checkpoint, require_room
from i2i.system import gate
from i2i.system.atomic import write_text

_log = logging.getLogger(__name__)


SHEET = "sheet.png"
FILES = (CONFIG, WEIGHTS, CARD, SHEET)
"""All that a bundle is made of."""

PARTS = ("all", "generators")
"""Which networks: all that learn, so that others can go on from them, or what is used alone."""

OWN = {"train.init_from", "train.trackers", "train.track_checkpoints", "train.freeze"}
"""Options that are about the run and not about its weights."""


@audible()
def export_bundle(
    checkpoint: Path | str,
    folder: Path | str,
    *,
    average: bool | None = None,
    best: bool = False,
    dtype: Literal["float32", "float16"] = "float32",
    networks: Literal["all", "generators"] = "all",
    licence: str = "",
    title: str = "",
    sheet: bool = True,
) -> Path:
    """Write the weights of a checkpoint as a bundle.

    Arguments:
        checkpoint: a file or a run folder.
        folder: where; must not be there, or be empty.
        average: whether the moving average of the generator is written; by default if there is one.
        best: of a run, whether to take the checkpoint with the best validation, not the last one.
        dtype: of the stored weights; "float16" halves the files.
        networks: "all" that learn, or the "generators" and what they need in use.
        licence: of the weights, as an SPDX identifier, for the card.
        title: what the card calls it; by default the name of the run.
        sheet: whether the newest image grid of the run comes along. It shows validation images.

    Returns:
        the folder.

    Raises:
        CheckpointError: the checkpoint cannot be read, or there is something in the folder.
    """
    folder = Path(folder)
    path, why = find_checkpoint(Path(checkpoint), Path(), best=best)
    _log.info(why)
    options, state = open_checkpoint(path)
    if average and not state["average"]:
        raise CheckpointError(f"{path} has no moving average: it was trained without one.")
    weights = state["model"] | (state["average"] if average is not False else {})
    kept = _kept(require_room(options), networks)
    chosen = {
        key: tensor
        for key, tensor in weights.items()
        if key.partition(".")[0] in kept and isinstance(tensor, Tensor)
    }
    if wrong := gate.not_finite(chosen):
        raise CheckpointError(
            f"{path} has weights that are not finite ({wrong}): its training failed."
        )
    if dtype == "float16":
        chosen = _halved(chosen, path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} is there already and is not empty: give another name.")
    folder.mkdir(parents=True, exist_ok=True)
    about = {"dtype": dtype, "networks": list(kept), "preprocessing": preprocessing(options)}
    write_bundle(folder, _without_own(options), chosen, step=state["step"], about=about)
    run = Run(path.parent.parent)
    pictured = sheet and _copy_sheet(run, folder / SHEET)
    title = title or (run.folder.resolve().name if run.log.exists() else folder.resolve().name)
    write_text(
        folder / CARD,
        model_card(title, options, state, run, licence=licence, sheet=SHEET if pictured else ""),
    )
    size = (folder / WEIGHTS).stat().st_size
    _log.info(
        f"{folder}: {', '.join(kept)} in {dtype}, {size / 1e6:.2f} MB, SHA-256 {digest(folder)}"
    )
    if not licence:
        _log.info("note: the card states no licence; --licence apache-2.0 (or any other) does.")
    return folder


def digest(folder: Path) -> str:
    """The SHA-256 of the weights of a bundle."""
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def preprocessing(options: Options) -> dict[str, Any]:
    """How images go in and come out, for programs that are not i2i."""
    data = options.data
    told: dict[str, Any] = {
        "layout": "NCHW",
        "range": [-1, 1],
        "size": list(data.cropped),  # width, height
        "output_channels": data.output_channels,
        "normalisation": options.inference.norm,
        "dropout": options.inference.dropout,
    }
    if (noise := latent(options)) is not None:
        return told | {"latent": {"size": noise.size, "distribution": noise.distribution}}
    told |= {"input_channels": data.input_channels, "direction": data.direction}
    if find_kind(data_kind(options)).has_domains:
        told["planes"] = list(data.labels.plane_names)
    return told | {"multiple": getattr(_generator(options), "multiple", 1)}


def _generator(options: Options) -> Any:
    model = require_room(options)
    return model.get_submodule(model.generators[0])


def _kept(model: Model, networks: str) -> list[str]:
    """The networks that are written, in the order of the model."""
    if networks == "all":
        used = {name for names in model.players.values() for name in names}
    else:
        used = {*model.generators, *model.companions}
        used |= {model.classifier} if model.classifier else set()
    return [name for name, _ in model.named_children() if name in used]


def _halved(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The same in 16 bits."""
    halved = {k: w.to(float16) if w.dtype == float32 else w for k, w in weights.items()}
    if wrong := gate.not_finite(halved):
        raise CheckpointError(
            f"{path} has weights beyond the range of float16 ({wrong}): use float32."
        )
    return halved


def _without_own(options: Options) -> dict[str, Any]:
    plain = options.to_dict()
    for name in OWN:
        section, key = name.split(".")
        plain[section].pop(key, None)
    return plain


def _copy_sheet(run: Run, target: Path) -> bool:
    """Copy the newest image grid of a run, if there is any."""
    grids = sorted(run.samples.glob("step-*.png"))
    if grids:
        shutil.copyfile(grids[-1], target)
    return bool(grids)
