"""From the `[data]` of the options to data sets, with everything checked before training starts."""

from dataclasses import replace
from pathlib import Path

from i2i.config import Options, read_options
from i2i.core.registry import is_own
from i2i.data.images.check import CheckResult
from i2i.data.images.read import typed_path
from i2i.data.kinds import find_kind
from i2i.data.shards.remote import is_address
from i2i.data.sides import measured
from i2i.data.sources.remarks import remarks
from i2i.data.sources.root import DEMO, find_root
from i2i.data.sources.source import Source, table_file
from i2i.errors import DataError, OptionsError

__all__ = [
    "DEMO",
    "Source",
    "elsewhere",
    "find_root",
    "open_source",
    "remarks",
    "resolve_options",
]


CELEBA = "list_attr_celeba.txt"
"""The table of attributes that CelebA comes with."""


def open_source(options: Options, kind: str) -> Source:
    """Find the images of a run, check every one of them, and make data sets of them.

    Arguments:
        options: of the run.
        kind: the name of what the model learns from (`i2i.data.kinds`).

    Raises:
        DataError: the folder or images in it are not as they should be.
    """
    _require_root(options)
    of_kind = find_kind(kind)
    of_kind.require_meaning(options)
    checked = CheckResult()
    return replace(of_kind.open(options, checked), checked=checked)


def resolve_options(options: Options, kind: str) -> Options:
    """Write into the options of a new run where its data is, whichever folder it is resumed from,
    and what only the data can tell: the names of the labels.

    So everything after that, from building the model to using it, need not look at the data.

    Raises:
        DataError: there are no labels, or not those that the options name; or a place is an address
            on the network.
        OptionsError: it is not said where the images are, or something is said that this kind of
            data does not have.
    """
    _require_root(options)
    of_kind = find_kind(kind)
    of_kind.require_meaning(options)
    layer = options.to_dict()
    for each in (layer["data"], *layer["data"]["more"]):
        for key in ("root", "root_b", "table", "split_table"):
            where = each.get(key)
            if where and key == "root" and is_address(where):
                continue
            if where:
                each[key] = where = typed_path(where)
            # A table is looked for below the root first.
            tables = key in ("table", "split_table")
            below = where and tables and Path(each["root"], where).is_file()
            if where and Path(where).exists() and not below:
                each[key] = str(Path(where).absolute())
    options = read_options(layer)
    layer["data"] |= of_kind.labels(options)
    layer["data"] |= measured(read_options(layer))
    return read_options(layer)


def elsewhere(options: Options, dataroot: str, kind: str, *, table: str = "") -> Options:
    """Return the options with another data set, which must have the labels that were learnt.

    A table of splits holds for it, too, if it lies there. So does a table of attributes; where none
    is known, as after an import, that of CelebA is looked for.

    Raises:
        DataError: it has not.
        OptionsError: there is no table of its attributes; or labels of several data sets were
            learnt, of which this one could only have some.
    """
    data = options.data
    if data.more:
        raise OptionsError(
            f"this model has learnt the labels of {len(data.more) + 1} data sets together, for "
            f"which '{dataroot}' alone cannot stand: translate it with --domain all, and compare "
            "the results: i2i evaluate RESULT REFERENCE --domains."
        )
    layer = options.to_dict()
    layer["data"] |= {"root": dataroot, "root_b": ""}
    if table and not data.attributes:
        raise OptionsError(f"table (={table!r}) holds attributes, and this model has learnt none.")
    if data.attributes:
        table = table or data.table or CELEBA
        if not table_file(table, find_root(dataroot, kind, data)).is_file():
            raise OptionsError(
                f"'{dataroot}' holds no table '{table}' that says which of "
                f"{', '.join(data.attributes)} its images have: put it there, or name another "
                "(i2i evaluate --table FILE)."
            )
        layer["data"]["table"] = table
    if not Path(dataroot, options.data.split_table).is_file():
        layer["data"]["split_table"] = ""
    return resolve_options(read_options(layer), kind)


def _require_root(options: Options) -> None:
    """Refuse to go without a data set."""
    if not options.data.root:
        raise OptionsError(
            "data.root is empty: say where the images are with data.root=FOLDER (--dataroot), or "
            "try data.root=demo."
        )
    if is_own(options.data.root):
        raise DataError(
            f"data.root (={options.data.root!r}) was an object of the Python program that began "
            "this run, which no file holds: name a folder with --dataroot (dataroot=...); a run "
            "goes on by i2i.resume(run, data=...)."
        )
