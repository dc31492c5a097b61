"""Where a data set is: a folder, a name in the catalogue, or the embedded one."""

from pathlib import Path

from i2i.config import Data
from i2i.config.recipes import shipped
from i2i.data.catalogue.cache import cache_folder
from i2i.data.catalogue.cards import catalogued
from i2i.data.images.read import require_folder, typed_path
from i2i.data.kinds import find_kind
from i2i.data.shards.path import ShardPath, holds_shards
from i2i.data.shards.remote import is_address, remote_root
from i2i.data.unpacked import Unpacking, unpacked
from i2i.errors import DataError, in_words

DEMO = "demo"
"""The dataroot that stands for the embedded data set."""


def find_root(dataroot: str, kind: str | None, data: Data | None = None, *, side: str = "") -> Path:
    """Return the folder of a data set; what is not there yet is downloaded or painted.

    Where videos or medical volumes lie in it, it is a folder of links in which they are images
    (`i2i.data.unpacked`). One in tar files, here or on the network, is a folder in which those lie
    in the places that they had when they were packed (`i2i.data.shards`).

    Arguments:
        dataroot: the folder, or a name.
        kind: what is wanted; None for whatever there is.
        data: says how videos and volumes become images; by default one by one, all in full.
        side: "B" where all of it is domain B.

    Raises:
        DataError: there is no such data set, or it cannot be had.
    """
    if is_address(dataroot):
        return remote_root(dataroot)
    dataroot = typed_path(dataroot)
    try:
        if Path(dataroot).is_dir():
            if holds_shards(Path(dataroot)):
                return ShardPath(dataroot)
            return unpacked(Path(dataroot), _unpacking(data) if data else Unpacking(), side)
        if Path(dataroot).exists():
            require_folder(Path(dataroot))
    except OSError as error:  # a name that is too long, say
        raise DataError(f"There is no such data set: {in_words(error)}") from error
    if dataroot != DEMO:
        return catalogued(dataroot, shipped("datasets"), cache_folder(), kind=kind)
    from i2i.data.demo.sets import demo_folder

    return demo_folder(find_kind(kind or "paired").demo, cache_folder())


def _unpacking(data: Data) -> Unpacking:
    windows = [None if each.window == "volume" else each.window for each in (data.A, data.B)]
    return Unpacking(data.axis, (windows[0], windows[1]), data.frame_step, data.skip_bad)
