"""Plug-ins: single files of a user that register parts (`i2i.core.registry`).

A file runs only because a person named it: on the command line (`--plugin FILE`), in a recipe of
their own, in Python (`load_plugin`), or by trusting the copies that a run keeps
(`--trust-plugins`). A checkpoint says which files it needs, with their hashes, and nothing runs.
"""

import hashlib
import importlib.util
import logging
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from i2i.errors import OptionsError

FOLDER = "plugins"
"""Where a run folder keeps copies."""

_loaded: dict[str, dict[str, Path]] = {}
_codes: dict[Path, bytes] = {}
_trusted = False


def load_plugin(file: Path | str) -> dict[str, str]:
    """Run a file that registers parts, once.

    Returns:
        what options and checkpoints note of it: the name of the file and its SHA-256.

    Raises:
        OptionsError: there is no such file, or it fails.
    """
    path = Path(file).expanduser()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise OptionsError(f"the plug-in {path} cannot be read: {error.strerror}.") from error
    return _run(path, code)


def _run(path: Path, code: bytes) -> dict[str, str]:
    digest = hashlib.sha256(code).hexdigest()
    noted = {"file": path.name, "sha256": digest}
    if digest in _loaded.get(path.name, {}):
        return noted
    name = f"i2i_plugins.{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}"
    if _loaded.get(path.name):
        name += f"_{digest[:8]}"
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    sys.modules[name] = module  # so that what it defines can be inspected and pickled
    try:
        exec(compile(code, str(path), "exec"), vars(module))
    except OptionsError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        line = next(
            (
                f", line {each.tb_lineno}"
                for each in _frames(error)
                if each.tb_frame.f_code.co_filename == str(path)
            ),
            "",
        )
        raise OptionsError(
            f"the plug-in {path}{line} fails: {type(error).__name__}: {error}."
        ) from error
    _loaded.setdefault(path.name, {})[digest] = path
    _codes[path] = code
    return noted


class LoadedPlugins:
    """Stands for the plug-ins of this process: where it is unpickled, they are run as well.

    What is unpickled after it may be of their classes, and read their image formats.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _run_all, (dict(_codes),)


def _run_all(codes: Mapping[Path, bytes]) -> LoadedPlugins:
    for path, code in codes.items():
        _run(path, code)
    return LoadedPlugins()


def trust_plugins(trusted: bool = True) -> None:
    """Let checkpoints run the copies of plug-ins that lie in their run folders."""
    global _trusted
    _trusted = trusted


def in_recipe(recipe: Mapping[str, Any], folder: Path) -> list[Mapping[str, str]]:
    """Run the plug-ins that a recipe names, by paths relative to it, and return their notes."""
    named = recipe.get("plugins", [])
    if not isinstance(named, list):
        raise OptionsError(
            f'plugins (={named!r}) must be a list of files: plugins = ["my_model.py"].'
        )
    # What is noted already comes from the options of a run, which another function answers for.
    return [
        each if isinstance(each, Mapping) else load_plugin(folder / str(each)) for each in named
    ]


def require_plugins(noted: Iterable[Mapping[str, Any]], run: Path | None = None) -> None:
    """See to it that the plug-ins of a checkpoint are loaded.

    Arguments:
        noted: what the options say of them.
        run: the run folder, whose copies are taken if the user trusts them.

    Raises:
        OptionsError: some are not loaded, and may not be.
    """
    missing: list[str] = []
    for each in noted:
        name, digest = str(each.get("file")), str(each.get("sha256"))
        known = _loaded.get(name, {})
        if digest in known:
            continue
        if known:
            logging.getLogger("i2i").warning(
                "note: the plug-in %s has changed since this checkpoint was made.", name
            )
            continue
        copy = None if run is None else run / FOLDER / Path(name).name
        if _trusted and copy is not None and copy.is_file():
            found = hashlib.sha256(copy.read_bytes()).hexdigest()
            if found != digest:
                raise OptionsError(
                    f"{copy} is not the file that this run was made with (SHA-256 {found[:12]}..., "
                    f"not {digest[:12]}...): name the right one with --plugin."
                )
            load_plugin(copy)
            continue
        missing.append(name)
    if missing:
        copies = "" if run is None else ", or trust the copies in the run folder by --trust-plugins"
        flags = " ".join(f"--plugin {name}" for name in missing)
        raise OptionsError(
            f"this needs the plug-in{'s' * (len(missing) > 1)} {', '.join(missing)}, whose code "
            f"would run here: name {'them' if len(missing) > 1 else 'it'} with {flags} (in Python: "
            f"i2i.load_plugin){copies}."
        )


def keep_copies(noted: Iterable[Mapping[str, Any]], run: Path) -> None:
    """Copy the plug-ins of a run into its folder."""
    for each in noted:
        source = _loaded[each["file"]].get(each["sha256"])
        if source is not None and source.is_file():
            folder = run / FOLDER
            folder.mkdir(exist_ok=True)
            if source.resolve() != (folder / source.name).resolve():
                shutil.copyfile(source, folder / source.name)


def _frames(error: BaseException) -> Iterable[Any]:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next
