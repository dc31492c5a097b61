"""What every import does in the end: try that a model takes the weights, and write the run."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.config import Options
from i2i.errors import CheckpointError
from i2i.models.build import build_model
from i2i.runs.checkpoint import save_checkpoint
from i2i.runs.folder import Run, create_run, environment
from i2i.system.atomic import write_text

_log = logging.getLogger(__name__)

Weights = Mapping[str, Tensor]


def fill(
    options: Options, source: Path, networks: Mapping[str, Weights | None]
) -> dict[str, Tensor]:
    """The weights of networks, whose names are the model's, under the names of the whole model.

    Raises:
        CheckpointError: a weight is missing, left over, of another shape or not finite.
    """
    model = build_model(options)
    weights: dict[str, Tensor] = {}
    for role, own in networks.items():
        if own is None:
            continue
        module: nn.Module = model.get_submodule(role)
        try:
            module.load_state_dict(dict(own))
        except RuntimeError as error:
            unfit = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise CheckpointError(
                f"{source}: the {role} does not fit {options.networks[role].network}: {unfit}"
            ) from error
        for key, value in own.items():
            if not value.isfinite().all():
                raise CheckpointError(f"{source}: {role}.{key} holds values that are not finite.")
        weights |= {f"{role}.{key}": value for key, value in module.state_dict().items()}
    return weights


def write_run(run: Run, options: Options, weights: Weights, step: int = 0) -> None:
    """Make the folder of a run with one checkpoint that holds nothing but weights."""
    create_run(run, environment(torch.device("cpu")))
    write_text(run.options, options.to_toml())
    about: dict[str, Any] = {"options": options.to_dict(), "data": "", "best": None, "step": step}
    nothing: dict[str, Any] = {"optimizers": {}, "scalers": {}, "average": {}}
    save_checkpoint(run.checkpoint(step), about | nothing | {"model": dict(weights)})
    _log.info(f"imported as {run.folder}")
