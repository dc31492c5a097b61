"""Fetch one large file over a line that breaks.

What has arrived lies in `NAME.part`, and beside it a note of which file it is a part of: after a
break only the rest is asked for, on the condition that the file is still the same (RFC 9110,
If-Range). A server that cannot do that, or no longer has that file, sends all of it again.
"""

import http.client
import json
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from i2i.core.progress import Update, progress
from i2i.errors import DataError
from i2i.system import gate

ATTEMPTS = 4
"""Attempts in a row that bring nothing new before an address is given up."""

TIMEOUT = 30.0
"""Seconds without a byte after which a connection is taken for broken."""

BACK_OFF = 1.0
"""Seconds before the second attempt; doubled each time."""

_CHUNK = 2**20

MEGABYTE = 10**6


class _FetchError(Exception):
    """An address does not give the file."""


class _BrokenError(_FetchError):
    """An attempt failed in a way that another one may not."""


@dataclass(frozen=True)
class _Note:
    """Which file a part belongs to."""

    url: str = ""
    validator: str = ""  # strong ETag or date of modification; "" if the server gives neither
    total: int | None = None


def download(
    urls: Sequence[str],
    target: Path,
    *,
    size: int | None = None,
    attempts: int = ATTEMPTS,
    timeout: float = TIMEOUT,
    back_off: float = BACK_OFF,
) -> None:
    """Download a file; `target` appears when all of it has arrived.

    Only one process at a time may do this for the same `target`.

    Arguments:
        urls: addresses of the same file, tried one after the other.
        target: where it is put; its folder is made if need be.
        size: how many bytes it must have, where that is known.
        attempts: in a row without any progress, for each address.
        timeout: of the connection and of each read, in seconds.
        back_off: seconds before the second attempt, doubled with each further one.

    Raises:
        DataError: no address gives the file, or the disk is too small for it. What has arrived is
            kept, and the next call goes on with it.
    """
    part = target.with_name(f"{target.name}.part")
    problems = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with progress(f"downloading {target.name} (MB)") as update:
            for url in urls:
                try:
                    _fetch(url, part, size, update, attempts, timeout, back_off)
                except _FetchError as error:
                    problems.append(f"  {url}: {error}")
                    continue
                part.replace(target)
                _note_of(part).unlink(missing_ok=True)
                return
    except OSError as error:
        raise DataError(f"'{target}' cannot be written: {error.strerror or error}.") from error
    if _size(part) and _read_note(part).validator:
        problems.append("What has arrived is kept: the same command goes on with it.")
    raise DataError(
        f"{target.name} cannot be downloaded:\n" + "\n".join(problems) + "\n"
        f"Without a network, fetch it elsewhere, put it at\n  {target}\n"
        "and run the same command again: the file is then checked and unpacked."
    )


def require_space(folder: Path, needed: int) -> None:
    """Raise DataError unless so many bytes are free on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"'{folder}' has {free / 1e9:.2f} GB free, {needed / 1e9:.2f} GB are needed: make "
            "room, or name a folder on another disk in the environment variable I2I_CACHE."
        )


def _fetch(
    url: str,
    part: Path,
    size: int | None,
    update: Update,
    attempts: int,
    timeout: float,
    back_off: float,
) -> None:
    furthest = failures = 0
    while True:
        try:
            return _attempt(url, part, size, update, timeout)
        except _BrokenError as error:
            # Measured against the furthest so far: a server that breaks off at the same place
            # and has to start over each time makes no progress.
            failures = failures + 1 if _size(part) <= furthest else 1
            furthest = max(furthest, _size(part))
            if failures >= attempts:
                raise _FetchError(str(error)) from error
        time.sleep(back_off * 2 ** (failures - 1))


def _attempt(url: str, part: Path, size: int | None, update: Update, timeout: float) -> None:
    """Ask once for what is missing; at the end `part` is complete."""
    assert url.startswith(("http://", "https://"))
    note = _read_note(part)
    have = _size(part) if note.url == url and note.validator else 0
    if have and have == note.total:
        return
    headers = {"User-Agent": "i2i", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": note.validator}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except ValueError as error:  # an address that is none, in a redirection
        raise _FetchError(str(error)) from error
    except urllib.error.HTTPError as error:
        with error:
            problem = f"HTTP {error.code} {error.reason}"
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        elif error.code < 500 and error.code not in (408, 425, 429):
            raise _FetchError(problem) from error
        raise _BrokenError(problem) from error
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        problem = str(cause) or type(cause).__name__
        # A name that is not found is a break only if something has come from there before.
        offline = isinstance(cause, socket.gaierror) and not have
        if offline or isinstance(cause, ssl.SSLCertVerificationError):
            raise _FetchError(problem) from error
        raise _BrokenError(problem) from error
    with answer:
        _receive(answer, url, part, have, note, size, update)


def _receive(
    answer: Any,
    url: str,
    part: Path,
    have: int,
    note: _Note,
    size: int | None,
    update: Update,
) -> None:
    now = _Note(url, _validator(answer.headers), _length(answer, have))
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        if now != note:
            part.unlink(missing_ok=True)
            raise _BrokenError("the rest belongs to another file than the beginning")
    elif answer.status == http.HTTPStatus.OK:
        have = 0
    else:
        raise _FetchError(f"HTTP {answer.status} {answer.reason}")
    total = now.total if now.total is not None else size
    if size is not None and total != size:
        raise _FetchError(f"the file there has {total} bytes, {size} were expected")
    if total is not None:
        # As much again for what is unpacked from it: images hardly shrink in an archive.
        require_space(part.parent, 2 * total - have)
    end = total if total is not None else shutil.disk_usage(part.parent).free // 2
    if not have:
        # In this order: a new note beside an old part would join two files.
        part.write_bytes(b"")
        _note_of(part).write_text(json.dumps(asdict(now)), encoding="utf-8")
    with part.open("ab") as file:
        while have < end:
            try:
                chunk = answer.read1(min(_CHUNK, end - have))
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(str(error) or type(error).__name__) from error
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
            if total:
                update(have // MEGABYTE, max(1, total // MEGABYTE))
    if total is None and have == end:
        part.unlink()
        raise _FetchError(f"the file does not end within {end} bytes")
    if total is not None and have < total:
        raise _BrokenError(f"the connection ended after {have} of {total} bytes")


def _length(answer: Any, have: int) -> int | None:
    """Length of the whole file; -1 if the answer is a range that was not asked for."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        length = answer.headers.get("Content-Length", "")
        return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    number = "([0-9]{1,18})"
    found = re.fullmatch(
        rf"bytes {number}-{number}/{number}", answer.headers.get("Content-Range", "")
    )
    return int(found[3]) if found and int(found[1]) == have else -1


def _validator(headers: Any) -> str:
    tag = str(headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", ""))


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_note(part: Path) -> _Note:
    """What is noted of a part; a note that is broken is none."""
    try:
        note = _Note(**gate.parse_json(gate.read_text(_note_of(part), gate.MOST_JSON)))
    except (gate.RefusedError, TypeError):
        return _Note()
    plain = isinstance(note.url, str) and isinstance(note.validator, str)
    return note if plain and isinstance(note.total, int | None) else _Note()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
