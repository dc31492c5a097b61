"""Where decoded images are kept for the epochs after the first."""

import logging
import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from i2i.config import Data
from i2i.data.catalogue.cache import cache_folder
from i2i.data.loading.decoded_cache import (
    DecodedCache,
    Decoding,
    estimated_bytes,
    fingerprint,
    in_memory,
    make_room,
    on_disk,
)
from i2i.distributed.processes import processes_here
from i2i.system.memory import free_memory

_log = logging.getLogger(__name__)

SHARE = 0.5
"""Of the memory, or the disk, that is free: the most that decoded images may take. Memory is
divided among the processes of a job on this machine; a file on the disk they share."""


MANY = 100_000
"""Items of which some are not kept on the disk if not all find room."""


def keep_decoded(train: Decoding, files: Iterable[Path], data: Data, *about: object) -> None:
    """Let a data set keep the images that it decodes, as the options ask.

    Arguments:
        train: the data set.
        files: all that it reads, in its order.
        data: the options.
        about: what else its decoded images depend on, beside the options of their size.
    """
    if data.cache == "off":
        return
    needed = estimated_bytes(train)
    kept = where = None
    if data.cache != "disk":
        room = int(SHARE * (free_memory(torch.device("cpu")) or 0)) // processes_here()
        if data.cache == "memory" or needed <= room:
            kept, where = in_memory(train.items, room), "memory"
    if kept is None and data.cache != "memory":
        kept, where = _on_disk(train, files, data, needed, *about), f"{_folder()}"
    train.kept = kept
    if kept is None:
        _log.info("note: decoded images cannot be kept here, so every epoch reads the files again")
        return
    size = f"{math.ceil(needed / 2**20)} MiB"
    part = f", of which {kept.limit / 2**20:.0f} fit" if kept.limit < needed else ""
    _log.info(f"data: decoded images are kept in {where} (about {size}{part})")


def _folder() -> Path:
    return cache_folder() / "decoded"


def _on_disk(
    train: Decoding, files: Iterable[Path], data: Data, needed: int, *about: object
) -> DecodedCache | None:
    if train.items > MANY and needed > data.cache_gib * 2**30:
        return None  # of so many, a part is not worth a question to the disk for each file
    word = fingerprint(files, data.load_size, data.crop_size, data.resize, *about)
    kept = on_disk(_folder(), word, train.items, int(data.cache_gib * 2**30))
    if kept is not None:
        make_room(_folder(), needed, kept.limit, kept.path)
        there = Path(kept.path).stat().st_size
        kept.limit = min(kept.limit, there + int(SHARE * shutil.disk_usage(_folder()).free))
    return kept
