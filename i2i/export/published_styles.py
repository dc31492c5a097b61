"""The files of the authors' StarGAN v2, taken in as runs.

One file holds several networks: 100000_nets_ema.ckpt the moving averages of generator, mapping
network and style encoder, 100000_nets.ckpt the networks as trained, with the discriminator. Their
weights have our names, and all sizes follow from their shapes.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from i2i.config import read_options
from i2i.config.recipes import merge, read_recipe
from i2i.core.progress import audible
from i2i.errors import CheckpointError
from i2i.export.imported import Weights, fill, write_run
from i2i.runs.folder import Run, refuse_existing
from i2i.system import gate

_log = logging.getLogger(__name__)

FILE = re.compile(r"(\d+)_nets(_ema)?\.ckpt")
"""Names of such files, which begin with the number of steps."""
IN_USE = ("generator", "mapping_network", "style_encoder")
FIRST = {"generator": "from_rgb", "style_encoder": "shared.0", "discriminator": "main.0"}
"""The first convolution of each network of images."""


def styled_file(source: Path, epoch: str | None = None) -> Path | None:
    """The file of StarGAN v2 that `source` is, or that a folder holds; None if there is none.

    Of a folder it is that of the most steps, or of `epoch` steps; averages go before the others.
    """
    if not source.is_dir():
        return source if FILE.fullmatch(source.name) else None
    found = [
        (int(match[1]), match[2] is not None, path)
        for path in source.iterdir()
        if (match := FILE.fullmatch(path.name)) and epoch in (None, match[1], match[1].lstrip("0"))
    ]
    return max(found)[2] if found else None


@audible()
def import_styled(
    source: Path, name: str, *, runs_dir: Path = Path("runs"), domains: Sequence[str] = ()
) -> Path:
    """Make a run of a file of StarGAN v2.

    The discriminator comes along if the networks as trained lie beside their averages.

    Arguments:
        source: NUMBER_nets_ema.ckpt, or NUMBER_nets.ckpt.
        name: of the new run.
        runs_dir: the folder of the runs.
        domains: their names, in the order of the training, which is that of the alphabet.

    Returns:
        the folder of the run.

    Raises:
        CheckpointError: the file cannot be read, its weights do not fit exactly, or names of
            domains are missing or too many.
        RunError: there is such a run already.
    """
    run = Run(runs_dir / name)
    refuse_existing(run.folder)
    networks = _read(source)
    if missing := [each for each in IN_USE if each not in networks]:
        raise CheckpointError(
            f"{source} holds {', '.join(networks) or 'nothing'}, but no {', no '.join(missing)}: "
            "expected the networks of StarGAN v2."
        )
    if "fan" in networks:
        raise CheckpointError(
            f"{source} was trained with masks of facial landmarks (its network fan finds them; "
            "w_hpf is not 0), and the generator here has none, so its images would be others. "
            "Those without, such as the published one for animal faces, can be imported."
        )
    networks = {each: networks[each] for each in (*IN_USE, "discriminator") if each in networks}
    beside = source.with_name(source.name.replace("_nets_ema.", "_nets."))
    if "discriminator" not in networks and beside.is_file():
        networks |= {k: own for k, own in _read(beside).items() if k == "discriminator"}
    try:
        layer = _layer(networks, domains)
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{source} lacks weights of StarGAN v2 ({error}).") from error
    layer["summary"] = f"imported from {source.name}"
    options = read_options(merge(read_recipe("stargan-v2"), layer))
    weights = fill(options, source, networks)
    found = FILE.fullmatch(source.name)
    _log.info(
        f"{source.name}: StarGAN v2 of {options.data.crop_size} pixels and {len(domains)} domains"
    )
    write_run(run, options, weights, int(found[1]) if found else 0)
    return run.folder


def _read(path: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of each network of a file."""
    try:
        state = gate.load_tensors(path, old=True)
    except (gate.RefusedError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read: expected networks as PyTorch saves them, whole and with "
            f"nothing but tensors in them ({error})."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(own, Mapping) for own in state.values()):
        raise CheckpointError(f"{path} is no dictionary of the weights of several networks.")
    return {
        str(name): {str(key).removeprefix("module."): value for key, value in own.items()}
        for name, own in state.items()
    }


def _layer(networks: Mapping[str, Weights], domains: Sequence[str]) -> dict[str, Any]:
    """What the shapes of the weights say, to be laid over the recipe."""
    generator, mapping, encoder = (networks[each] for each in IN_USE)
    classes = _count(mapping, r"unshared\.(\d+)\.")
    if len(domains) != classes:
        raise CheckpointError(
            f"{len(domains) or 'no'} domains are named ({', '.join(domains)}), but the networks "
            f"have {classes}, and do not tell their names: say --domains A,B,..., in the order of "
            "the training, which is that of the alphabet."
        )
    hidden, latent = mapping["shared.0.weight"].shape
    last = max(int(key.split(".")[2]) for key in mapping if key.startswith("unshared.0."))
    channels = generator["from_rgb.weight"].shape[1]
    # A convolution, blocks that halve, then three layers that make one place of 4 x 4.
    size = 4 * 2 ** _count(encoder, r"shared\.(\d+)\.conv1\.")
    layer: dict[str, Any] = {
        "data": {
            "load_size": size,
            "crop_size": size,
            "input_channels": channels,
            "output_channels": channels,
            "domains": list(domains),
        },
        "game": {"latent_size": latent, "style_dim": len(mapping[f"unshared.0.{last}.weight"])},
        "mapping_network": {"hidden": hidden},
    }
    for role, first in FIRST.items():
        if own := networks.get(role):
            widest = max(len(value) for key, value in own.items() if key.endswith("conv2.weight"))
            layer[role] = {"width": len(own[f"{first}.weight"]), "max_width": widest}
    layer.setdefault("discriminator", layer["style_encoder"])
    return layer


def _count(weights: Weights, pattern: str) -> int:
    return len({found[1] for key in weights if (found := re.match(pattern, key))})
