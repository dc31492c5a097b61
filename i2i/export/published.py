"""The files of the authors' PyTorch implementations, taken in as runs and given out again.

Their weights have the same names as ours. What a file does not say, since it holds nothing but
weights, is worked out (`i2i.export.recognition`) or taken from the recipe of the model.
"""

import logging
import re
import shlex
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2i.config import Options, read_options
from i2i.config.recipes import merge, read_recipe
from i2i.core.label_maps import MOST_CLASSES
from i2i.core.labels import LabelSet
from i2i.core.progress import audible
from i2i.data.kinds import find_kind
from i2i.errors import CheckpointError
from i2i.export.imported import write_run
from i2i.export.recognition import Architecture, recognise
from i2i.models.build import build_model, data_kind
from i2i.runs.folder import Run, find_checkpoint, refuse_existing
from i2i.runs.opening import open_checkpoint
from i2i.system import gate
from i2i.system.atomic import replacing

_log = logging.getLogger(__name__)


FILES: Mapping[str, Mapping[str, str]] = {
    "cyclegan": {
        "generator_AtoB": "{}_net_G_A.pth",
        "generator_BtoA": "{}_net_G_B.pth",
        "discriminator_B": "{}_net_D_A.pth",  # named after the generator that it plays against
        "discriminator_A": "{}_net_D_B.pth",
    },
    "pix2pix": {"generator": "{}_net_G.pth", "discriminator": "{}_net_D.pth"},
    "cut": {
        "generator": "{}_net_G.pth",
        "discriminator": "{}_net_D.pth",
        "patch_sampler": "{}_net_F.pth",
    },
    "pix2pixhd": {"generator": "{}_net_G.pth", "discriminator": "{}_net_D.pth"},
    "spade": {"generator": "{}_net_G.pth", "discriminator": "{}_net_D.pth"},
    "spade-vae": {
        "generator": "{}_net_G.pth",
        "discriminator": "{}_net_D.pth",
        "style_encoder": "{}_net_E.pth",
    },
    "stargan": {"generator": "{}-G.ckpt", "discriminator": "{}-D.ckpt"},
}
"""Model -> network -> name of its file; {} is an epoch ("200"), "iter_5000" or "latest", for
StarGAN the number of steps. The generators come first; a model is there if they are. Whether a
generator is pix2pix's, CUT's, pix2pixHD's or SPADE's, its weights tell."""

OF_LABELS = ("pix2pixhd", "spade", "spade-vae")
"""Models whose authors train them on label maps."""

_INSTEAD = (
    "Every generator that translates can be had as an ONNX file (--format onnx), and for others "
    "who use i2i --format safetensors."
)


DataSet = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Labels of a data set: the names of its domains, or those of its attributes in groups."""


@dataclass(frozen=True)
class _Network:
    """A network as it was found in a file."""

    path: Path
    architecture: Architecture
    weights: dict[str, Tensor]


@audible()
def import_published(
    source: Path,
    name: str,
    *,
    runs_dir: Path = Path("runs"),
    epoch: str | None = None,
    domains: Sequence[str] = (),
    attributes: Sequence[Sequence[str]] = (),
    domains_2: Sequence[str] = (),
    attributes_2: Sequence[Sequence[str]] = (),
    no_dropout: bool = False,
    evaluate: bool = False,
    no_instances: bool = False,
    dont_care: bool = False,
) -> Path:
    """Make a run of weights that the authors' code saved.

    A generator alone becomes a run of CUT if it is antialiased, of StarGAN, pix2pixHD or SPADE if
    it is one of these, else of pix2pix; two that belong together (G_A and G_B) become one of
    CycleGAN. Other networks that lie beside them under their usual names come along. Everything
    else about the run is as in the recipe of the model.

    Arguments:
        source: the file of a generator, or a folder of files with the names in `FILES`; or the
            folder of a run of StarGAN whose labels are to get other names.
        name: of the new run.
        runs_dir: the folder of the runs.
        epoch: which files of a folder, where there are several ("latest", "200", "iter_5000"); by
            default "latest", or else the highest number.
        domains: the names of StarGAN's domains, in the order of its labels. The files do not tell
            them, so that these or the attributes must be given.
        attributes: or those of its attributes, in groups of which only one can hold.
        domains_2, attributes_2: the same of the second data set, if it was trained on two.
        no_dropout: a U-Net was trained without dropout, which its weights cannot tell. Otherwise
            one that comes alone is taken to have it, as is the default for pix2pix.
        evaluate: use the generator as their code does with --eval, that is normalise with the
            running statistics and without dropout. Otherwise as it does without: with the
            statistics of each image and with dropout, if there is any.
        no_instances: pix2pixHD and SPADE: the generator sees no borders of objects, as with the
            authors' --no_instance. Otherwise the last of its input channels is taken for them.
        dont_care: SPADE: one of its channels is for pixels of no class, as with the authors'
            --contain_dontcare_label.

    Returns:
        the folder of the run.

    Raises:
        CheckpointError: a file cannot be read, or its weights do not fit exactly; or names of
            labels are missing or too many.
        OptionsError: the network is one that our models cannot have (of six channels, say).
        RunError: there is such a run already.
    """
    run = Run(runs_dir / name)
    refuse_existing(run.folder)
    if (source / "checkpoints").is_dir():
        model_name, when, networks = _of_run(source)
    else:
        model_name, when, networks = _of_files(*_find(source, epoch))
    first = next(iter(networks.values()))
    if first.architecture.role != "generator":
        raise CheckpointError(
            f"{first.path} is a {first.architecture}: expected a generator, which lies beside it."
        )
    for network in networks.values():
        _log.info(f"{network.path.name}: {network.architecture}")
    if "patch_sampler" in networks and not _of_these_layers(networks):
        _log.info(
            f"note: {networks.pop('patch_sampler').path.name} is left out: it is for the features "
            "of other layers than the published ones, and which they are its weights do not tell."
        )
    arguments = first.architecture.arguments
    dropout = arguments.get("dropout", False)
    if no_dropout and dropout:
        raise CheckpointError(f"{first.path} has dropout, as the names of its weights say.")
    if first.architecture.network == "unet" and re.search("_net_G_[AB]", first.path.name) is None:
        dropout = not no_dropout and arguments["downs"] > 5
        if dropout:
            _log.info("note: taken to have dropout, which the weights of a U-Net do not tell.")
    sets = [(domains, attributes), (domains_2, attributes_2)]
    options = _options(
        model_name, networks, dropout, evaluate, [each for each in sets if any(each)]
    )
    if model_name in OF_LABELS:
        options = _of_label_maps(options, networks, no_instances, dont_care)
    elif no_instances or dont_care:
        raise CheckpointError("--no-instances and --dont-care are for pix2pixHD and SPADE.")

    weights = _fill(options, networks)
    step = int(when) if model_name == "stargan" and when.isdigit() else 0
    write_run(run, options, weights, step)
    return run.folder


@audible()
def export_published(
    checkpoint: Path | str, folder: Path | str, *, average: bool | None = None
) -> list[Path]:
    """Write the networks of a checkpoint as files that the authors' code loads.

    The files are in the older of the two formats of PyTorch, which every version of it reads.

    Arguments:
        checkpoint: a file or a run folder, whose newest checkpoint is taken.
        folder: where the files go; made if it is not there.
        average: whether the moving average of the generator is written; by default if there is one.

    Returns:
        the files.

    Raises:
        CheckpointError: a network has no published counterpart, or a file is there already.
    """
    checkpoint, folder = Path(checkpoint), Path(folder)
    path, why = find_checkpoint(checkpoint, Path())
    _log.info(why)
    options, state = open_checkpoint(path)
    if options.model not in FILES:
        raise CheckpointError(
            f"{path} is of the model {options.model!r}, for which the authors' code has no "
            f"counterpart: it has one for {', '.join(FILES)}."
            + (f" {_INSTEAD}" if find_kind(data_kind(options)).translates else "")
        )
    if getattr(options.generator, "upsample", "transposed") != "transposed":
        raise CheckpointError(
            f"{path} cannot be exported: generator.upsample is 'resize', but the published "
            f"generators have transposed convolutions only. {_INSTEAD} For files that the authors' "
            "code reads, train with --set generator.upsample=transposed from the start: the "
            "weights of one do not fit the other."
        )
    if options.upscale > 1:
        raise CheckpointError(
            f"{path} cannot be exported: generator.upscale is {options.upscale}, and the published "
            f"generators make images of the size of their input. {_INSTEAD}"
        )
    if len(options.data.labels.sets) > 2:
        raise CheckpointError(
            f"{path} cannot be exported: it has learnt the labels of "
            f"{len(options.data.labels.sets)} data sets, and the authors' code knows two at most. "
            f"{_INSTEAD}"
        )
    if average and not state["average"]:
        raise CheckpointError(f"{path} has no moving average: it was trained without one.")
    weights = state["model"] | (state["average"] if average is not False else {})

    when = str(state["step"]) if options.model == "stargan" else "latest"
    networks: list[_Network] = []
    for attribute, pattern in FILES[options.model].items():
        prefix = f"{attribute}."
        own = {
            key.removeprefix(prefix): w
            for key, w in weights.items()
            # What pix2pixHD has for its coarse phase alone, the authors have in a run of its own.
            if key.startswith(prefix) and not key.startswith(f"{prefix}coarse_head.")
        }
        if own:
            try:
                architecture, own = recognise(own, f"{path}: {attribute}")
            except CheckpointError as error:
                raise CheckpointError(f"{error} {_INSTEAD}") from error
            networks.append(_Network(folder / pattern.format(when), architecture, own))
    existing = [network.path for network in networks if network.path.exists()]
    if existing:
        raise CheckpointError(
            f"{', '.join(map(str, existing))} exist{'s' * (len(existing) == 1)} already: "
            "give another folder."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be made: {error.strerror}.") from error
    for network in networks:
        _write(network)
        _log.info(f"{network.path}: {_flags(network.architecture, options)}")
    if options.model == "stargan":
        back = ["i2i", "import", str(networks[0].path), "RUN_NAME", *_named(options)]
        _log.info(f"the names of the labels are not in the files; back with: {shlex.join(back)}")
    return [network.path for network in networks]


def _of_run(folder: Path) -> tuple[str, str, dict[str, _Network]]:
    """The model of a run, its steps and its networks, to give other names to its labels."""
    path, _ = find_checkpoint(folder, Path())
    options, state = open_checkpoint(path)
    model = options.model
    if model != "stargan":
        raise CheckpointError(f"{folder} is a run of i2i already, of {model}: use it as it is.")
    networks = {}
    for name, pattern in FILES[model].items():
        weights = state["model"] | state["average"]
        own = {
            key.removeprefix(f"{name}."): w for key, w in weights.items() if key.startswith(name)
        }
        if own:
            # Named after the file that it would be published as.
            file = path.with_name(pattern.format(state["step"]))
            networks[name] = _Network(file, *recognise(own, f"{path}: {name}"))
    return model, str(state["step"]), networks


def _of_files(
    model_name: str, when: str, files: Mapping[str, Path]
) -> tuple[str, str, dict[str, _Network]]:
    """The model of some files, their step or epoch, and their networks, the main one first."""
    first = _read(next(iter(files.values())))
    if model_name != "cyclegan" and first.architecture.role == "generator":
        model_name = _model_of(first.architecture)
        if model_name in ("cut", "spade-vae") and when:  # they have one more than pix2pix
            files = _present(first.path.parent, model_name, when)
    networks = {
        attribute: first if path == first.path else _read(path) for attribute, path in files.items()
    }
    return model_name, when, networks


def _model_of(generator: Architecture) -> str:
    """The model whose generator it is, if it came alone."""
    if generator.network == "stargan":
        return "stargan"
    if generator.network.startswith("pix2pixhd"):
        return "pix2pixhd"
    if generator.network == "spade":
        return "spade-vae" if generator.arguments.get("style") else "spade"
    inputs, outputs = generator.channels
    # CUT's describes its outputs, too.
    if generator.network == "antialiased-resnet" and inputs == outputs:
        return "cut"
    return "pix2pix"


def _of_these_layers(networks: Mapping[str, _Network]) -> bool:
    """Whether a patch sampler is for the layers of the generator that the recipe names."""
    with torch.device("meta"):
        generator: Any = networks["generator"].architecture.build()
    channels = generator.channels(read_recipe("cut")["game"]["nce_layers"])
    return bool(networks["patch_sampler"].architecture.channels == (channels,))


def _find(source: Path, epoch: str | None) -> tuple[str, str, dict[str, Path]]:
    """Which model, which epoch, and the file of each network, the main generator first."""
    if source.is_dir():
        return _find_in_folder(source, epoch)
    if not source.is_file():
        raise CheckpointError(f"{source} is neither a file nor a folder.")
    if epoch is not None:
        raise CheckpointError(
            f"epoch (={epoch!r}) chooses among the files of a folder, but {source} is one file."
        )
    for model in ("pix2pix", "stargan"):
        when = _when(FILES[model]["generator"], source.name)
        if when is not None:
            return model, when, _present(source.parent, model, when)
    return "pix2pix", "", {"generator": source}


def _find_in_folder(folder: Path, epoch: str | None) -> tuple[str, str, dict[str, Path]]:
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".pth", ".ckpt"))
    for model, patterns in FILES.items():
        of_each_generator = [
            {when for name in names if (when := _when(pattern, name)) is not None}
            for network, pattern in patterns.items()
            if network.startswith("generator")
        ]
        complete = set.intersection(*of_each_generator)
        if epoch is not None:
            complete &= {epoch}
        if complete:
            when = max(complete, key=_age)
            return model, when, _present(folder, model, when)
    of = f" of epoch {epoch!r}" if epoch else ""
    there = f"but {', '.join(names[:8])}{', ...' * (len(names) > 8)}" if names else "nor any other"
    raise CheckpointError(
        f"{folder} holds no generator{of} under its usual name (latest_net_G.pth, both "
        f"latest_net_G_A.pth and latest_net_G_B.pth, or 200000-G.ckpt), {there}: give the file of "
        "a generator itself."
    )


def _present(folder: Path, model: str, when: str) -> dict[str, Path]:
    paths = {network: folder / pattern.format(when) for network, pattern in FILES[model].items()}
    return {network: path for network, path in paths.items() if path.is_file()}


def _when(pattern: str, name: str) -> str | None:
    """What stands in a file's name where the pattern has {}."""
    before, after = map(re.escape, pattern.split("{}"))
    found = re.fullmatch(f"{before}(.+){after}", name)
    return found[1] if found else None


def _age(when: str) -> tuple[bool, bool, int]:
    """What sorts "latest" behind epochs, and these behind iterations."""
    number = re.search(r"\d+$", when)
    return when == "latest", when.isdigit(), int(number[0]) if number else -1


def _read(path: Path) -> _Network:
    """Read a file and find out which network it holds."""
    try:
        state = gate.load_tensors(path, old=True)
    except (gate.RefusedError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read: expected a file of weights as PyTorch saves it, whole and "
            f"with nothing but tensors in it ({error})."
        ) from error
    if isinstance(state, dict) and "format" in state and "options" in state:
        raise CheckpointError(f"{path} is a checkpoint of i2i already: use it as it is.")
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise CheckpointError(
            f"{path} holds more than weights: expected a dictionary from names to tensors."
        )
    if all(key.startswith("module.") for key in state):  # saved from within a DataParallel
        state = {key.removeprefix("module."): value for key, value in state.items()}
    architecture, weights = recognise(state, str(path))
    return _Network(path, architecture, weights)


def _options(
    model: str,
    networks: Mapping[str, _Network],
    dropout: bool,
    evaluate: bool,
    sets: Sequence[DataSet],
) -> Options:
    """The complete options of the run: the recipe, with what the files say laid over it.

    `sets` are the labels of each data set; none if nothing is said of labels.
    """
    if model in OF_LABELS:
        return _plain_options(model, networks)
    recipe = read_recipe(model)
    generator, *others = (network.architecture for network in networks.values())
    inputs, outputs = generator.channels
    arguments = {k: v for k, v in generator.arguments.items() if k != "dropout"}
    layer: dict[str, Any] = {
        "summary": f"imported from {', '.join(n.path.name for n in networks.values())}",
        "generator": {"network": generator.network, **arguments},
        "inference": {
            "norm": "running" if evaluate else "instance",
            "dropout": dropout and not evaluate,
        },
    }
    labels = [_labels(each) for each in sets]
    names = [name for each in labels for key in ("domains", "attributes") for name in each[key]]
    if generator.network == "stargan":
        _require_names(names, len(sets), inputs - outputs)
        first, *more = labels
        layer["data"] = {
            "input_channels": outputs,
            "output_channels": outputs,
            "more": more,
            **first,
        }
    elif names:
        raise CheckpointError(
            f"names of labels ({', '.join(names)}) are for StarGAN, but this is a {generator}."
        )
    else:
        layer["data"] = {"input_channels": inputs, "output_channels": outputs}
        layer["generator"]["dropout"] = dropout
        if generator.network != "antialiased-resnet":
            layer["generator"]["upsample"] = "transposed"
        size, multiple = recipe["data"]["crop_size"], 2 ** arguments.get("downs", 2)
        if size % multiple:
            layer["data"] |= {"crop_size": multiple, "load_size": multiple}
    for other in others:
        if other.role != "generator":
            arguments = {k: v for k, v in other.arguments.items() if k not in ("classes", "size")}
            layer[other.role] = {"network": other.network, **arguments}
            if "size" in other.arguments:
                size = other.arguments["size"]
                layer["data"] |= {"crop_size": size, "load_size": size}
    return read_options(merge(recipe, layer))


def _plain_options(model: str, networks: Mapping[str, _Network]) -> Options:
    """The options of a run of pix2pixHD or SPADE, as if it translated images."""
    recipe = read_recipe(model)
    generator = networks["generator"].architecture
    layer: dict[str, Any] = {
        "summary": f"imported from {', '.join(n.path.name for n in networks.values())}",
        "data": {"output_channels": generator.channels[1]},
    }
    for role, network in networks.items():
        arguments = dict(network.architecture.arguments)
        if (size := arguments.pop("size", None)) is not None:
            layer["data"] |= {"crop_size": size[0], "load_size": size[0]}
        if (style := arguments.pop("style", None)) is not None:
            layer["game"] = {"style": style}
        layer[role] = {"network": network.architecture.network, **arguments}
    return read_options(merge(recipe, layer))


def _of_label_maps(
    options: Options, networks: Mapping[str, _Network], no_instances: bool, dont_care: bool
) -> Options:
    """The options with what the channels of a generator mean: three are those of images, others
    the planes of label maps."""
    inputs = networks["generator"].architecture.channels[0]
    if inputs == 3 and no_instances and not dont_care:
        return options
    classes = inputs - (not no_instances) - dont_care
    if not 0 < classes <= MOST_CLASSES:
        raise CheckpointError(
            f"{networks['generator'].path} takes {inputs} channels, which leave no class of a "
            "label map: say --no-instances, or leave out --dont-care."
        )
    side: dict[str, Any] = {"kind": "labels", "classes": classes}
    if not no_instances:
        side["instances"] = "instances"
    if dont_care:
        side |= {"ignore": [255], "ignore_plane": True}
    return read_options(merge(options.to_dict(), {"data": {"A": side}}))


def _labels(data_set: DataSet) -> dict[str, Any]:
    """The labels of a data set as options."""
    domains, attributes = data_set
    return {
        "domains": list(domains),
        "attributes": [name for group in attributes for name in group],
        "groups": [list(group) for group in attributes if len(group) > 1],
    }


def _require_names(names: Sequence[str], sets: int, planes: int) -> None:
    """Raise a CheckpointError unless there is a name for each plane that a generator is told.

    With two data sets, two more planes say whose labels are known.
    """
    mask = sets if sets > 1 else 0
    if names and len(names) + mask == planes:
        return
    wanted = (
        f"name them in their order, by --domains A,B,... if an image has exactly one of them, else "
        f"by --attributes 'A|B,C'; if there were two data sets (--dataset Both), "
        f"{planes - 2} of the planes are labels, and those of the second data set are named by "
        "--domains-2 or --attributes-2."
    )
    if not names:
        raise CheckpointError(
            f"the generator has {planes} label planes, and the file does not tell what they mean: "
            f"{wanted}"
        )
    raise CheckpointError(
        f"{len(names)} labels are named ({', '.join(names)}), but the generator has {planes} label "
        f"planes{f', {mask} of which say whose labels are known' if mask else ''}: {wanted}"
    )


def _fill(options: Options, networks: Mapping[str, _Network]) -> dict[str, Tensor]:
    """The weights under the names of the model, after trying that it takes them."""
    model = build_model(options)
    first = next(iter(networks.values()))
    weights: dict[str, Tensor] = {}
    for attribute, network in networks.items():
        module = model.get_submodule(attribute)
        try:
            module.load_state_dict(network.weights)
        except RuntimeError as error:
            alone = network.architecture.role == "generator"
            raise CheckpointError(
                f"{network.path} ({network.architecture}) does not go with {first.path.name} "
                f"({first.architecture}) in one {options.model}: "
                + ("give the file of one of them alone." if alone else "move it elsewhere.")
            ) from error
        for key, value in network.weights.items():
            if not value.isfinite().all():
                raise CheckpointError(
                    f"{network.path}: {key} holds values that are not finite, so its training has "
                    "failed: take a file of an earlier epoch."
                )
        weights |= {f"{attribute}.{key}": value for key, value in module.state_dict().items()}
    return weights


def _write(network: _Network) -> None:
    """Write a file whole or not at all."""
    try:
        with replacing(network.path) as partial:
            torch.save(OrderedDict(network.weights), partial, _use_new_zipfile_serialization=False)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{network.path} could not be written: {error}.") from error


def _named(options: Options) -> list[str]:
    """The flags of `i2i import` that name the labels of a run."""
    flags = []
    for number, each in enumerate(options.data.labels.sets):
        kind = "--domains" if each.exclusive else "--attributes"
        flags += [kind + ("" if number == 0 else f"-{number + 1}"), _in_groups(each)]
    return flags


def _in_groups(labels: LabelSet) -> str:
    """Names in their order, with | between those of a group, which lie side by side."""
    text = ""
    for before, name in zip((None, *labels.names), labels.names, strict=False):
        together = any(before in group and name in group for group in labels.groups)
        text += name if before is None else f"{'|' if together else ','}{name}"
    return text


def _flags(architecture: Architecture, options: Options) -> str:
    """What to tell the authors' code, so that it builds the network that the weights are for."""
    if options.model == "cut" or architecture.network.startswith("antialiased"):
        return _flags_of_cut(architecture, options)
    if options.model in OF_LABELS:
        return _flags_of_labels(architecture, options)
    arguments = architecture.arguments
    width = arguments["width"]
    match architecture.network, architecture.role:
        case "stargan", "generator":
            counts = [len(each.names) for each in options.data.labels.sets]
            labels = f"--c_dim {counts[0]}"
            if len(counts) == 2:
                labels = f"--dataset Both {labels} --c2_dim {counts[1]}"
            return f"--g_conv_dim {width} --g_repeat_num {arguments['blocks']} {labels}"
        case "stargan", "discriminator":
            layers, size = arguments["layers"], arguments["size"]
            return f"--d_conv_dim {width} --d_repeat_num {layers} --image_size {size}"
        case "pixelgan", _:
            named = "--netD pixel"
        case "patchgan", _:
            named = f"--netD n_layers --n_layers_D {arguments['layers']}"
        case "unet", _:
            named = f"--netG unet_{2 ** arguments['downs']}"
        case _:
            named = f"--netG resnet_{arguments['blocks']}blocks"
    if architecture.role == "discriminator":
        return f"{named} --ndf {width} --norm {arguments['norm']}"
    inputs, outputs = architecture.channels
    no_dropout = "" if getattr(options.generator, "dropout", False) else " --no_dropout"
    flags = (
        f"{named} --ngf {width} --norm {arguments['norm']}{no_dropout} "
        f"--input_nc {inputs} --output_nc {outputs}"
    )
    if arguments.get("downs", 8) in (7, 8) and arguments.get("blocks", 9) in (6, 9):
        return flags
    return f"{flags} (which their define_G does not know: add a case of this depth)"


def _flags_of_labels(architecture: Architecture, options: Options) -> str:
    """The same for the code of pix2pixHD and of SPADE."""
    told, labels = architecture.arguments, options.data.A.labels
    if architecture.role == "style_encoder":
        return f"--use_vae --norm_E spectral{told['norm']}"
    if architecture.role == "discriminator":
        norm = f" --norm_D spectral{told['norm']}" if "spectral" in architecture.network else ""
        return f"--num_D {told['scales']} --n_layers_D {told['layers']} --ndf {told['width']}{norm}"
    inputs = (
        f"--label_nc {labels.classes}{'' if labels.edges else ' --no_instance'}"
        f"{' --contain_dontcare_label' if labels.ignore_plane else ''}"
        if labels is not None
        else "--label_nc 0 --no_instance"
    )
    if architecture.network == "spade":
        spectral = "spectral" if told["spectral"] else ""
        norm = f"{spectral}spade{told['norm']}{told['kernel']}x{told['kernel']}"
        style = f" --use_vae --z_dim {told['style']}" if "style" in told else ""
        depth = options.generator.model_dump()["upsampling"]
        return (
            f"--ngf {told['width']} --norm_G {norm} --num_upsampling_layers {depth}{style} {inputs}"
        )
    flags = (
        f"--ngf {told['width']} --n_downsample_global {told['downs']} "
        f"--n_blocks_global {told['blocks']} --norm {told['norm']} {inputs}"
    )
    if "enhancers" not in told:
        return f"--netG global {flags}"
    return (
        f"--netG local {flags} --n_local_enhancers {told['enhancers']} "
        f"--n_blocks_local {told['local_blocks']}"
    )


def _flags_of_cut(architecture: Architecture, options: Options) -> str:
    """The same for the code of CUT, whose networks are antialiased unless it is told otherwise."""
    arguments, network = architecture.arguments, architecture.network
    width = arguments["width"]
    if architecture.role == "patch_sampler":
        layers = ",".join(map(str, options.game.model_dump()["nce_layers"]))
        return f"--netF mlp_sample --netF_nc {width} --nce_layers {layers}"
    plain = "" if network.startswith("antialiased") else " --no_antialias"
    if architecture.role == "discriminator":
        named = "pixel" if network == "pixelgan" else f"n_layers --n_layers_D {arguments['layers']}"
        return f"--netD {named} --ndf {width} --normD {arguments['norm']}{plain}"
    inputs, outputs = architecture.channels
    blocks, dropout = arguments["blocks"], arguments["dropout"]
    unknown = " (which their define_G does not know: add a case of this depth)"
    return (
        f"--netG resnet_{blocks}blocks --ngf {width} --normG {arguments['norm']}{plain} "
        f"--no_dropout {str(not dropout).lower()} --input_nc {inputs} --output_nc {outputs}"
        + ("" if blocks in (4, 6, 9) else unknown)
    )
