"""Data sets in tar files on the network: S3, HTTP and whatever else fsspec reads.

The index is fetched into the cache; images are asked for one by one, each by the process that needs
it, so that a byte of them crosses the network once an epoch however many machines there are.
"""

import hashlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from i2i.data.catalogue.cache import cache_folder
from i2i.data.shards.index import INDEX, file_system
from i2i.data.shards.path import ShardPath
from i2i.errors import DataError
from i2i.system.atomic import replacing


def is_address(text: str) -> bool:
    """Whether a text is the address of what may be a packed data set: of a folder, no archive."""
    is_archive = text.lower().endswith((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z"))
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None and not is_archive


def remote_root(address: str) -> Path:
    """The folder that stands for a data set on the network, whose index is fetched.

    Raises:
        DataError: there is no such data set, or it cannot be read.
    """
    address = address.rstrip("/")
    system, path = file_system(f"{address}/{INDEX}")
    folder = cache_folder() / "shards" / hashlib.sha256(address.encode()).hexdigest()[:16]
    try:
        data = system.cat_file(path)
    except Exception as error:  # whatever the library for this kind of address raises
        raise DataError(
            f"'{address}' is an address on the network where no packed data set lies "
            f"({INDEX}: {error}): download what is there and name the folder, or pack it there "
            "(i2i datasets pack)."
        ) from error
    word = folder / "word"
    fresh = hashlib.sha256(data).hexdigest()
    if not (folder / INDEX).is_file() or not word.is_file() or word.read_text() != fresh:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / INDEX) as partial:
            partial.write_bytes(data)
            try:
                with closing(sqlite3.connect(partial)) as database:
                    database.execute("DELETE FROM place")
                    database.execute("INSERT INTO place VALUES (?)", (address,))
                    database.commit()
            except sqlite3.Error as error:
                raise DataError(f"'{address}/{INDEX}' cannot be read: {error}.") from error
        word.write_text(fresh)
    return ShardPath(folder)
