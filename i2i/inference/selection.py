"""Which checkpoints translate, and what each image is translated to, where a person says more than
one."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

from i2i.core.labels import LabelSpace
from i2i.core.text import listed
from i2i.data.images.read import images_among
from i2i.data.images.tables import delimiter_of, key_of, keys_of, opened_table
from i2i.errors import CheckpointError, DataError, did_you_mean
from i2i.runs.folder import Run, find_checkpoint, step_of

_log = logging.getLogger(__name__)


def read_domain_table(
    path: Path, sources: Sequence[Path], labels: LabelSpace
) -> dict[str, set[Path]]:
    """What each image is to be translated to.

    Arguments:
        path: CSV with the columns file and domain; a file is as much of a path as tells it from
            others, with or without suffix.
        sources: folders of images, or images.
        labels: what the generator has learnt.

    Returns:
        domain -> absolute paths; images without a row are in none. It is logged which rows have no
        image.

    Raises:
        DataError: the table cannot be read, or names no image that is there.
        OptionsError: a domain is none of the generator.
    """
    with opened_table(path) as file:
        delimiter = delimiter_of(file.readline())
        file.seek(0)
        table = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
        columns = table.fieldnames = [each.strip() for each in table.fieldnames or ()]
        rows = list(table)
    if not {"file", "domain"} <= {*columns}:
        raise DataError(
            f"'{path}' must have the columns file and domain, not: "
            f"{', '.join(columns) or 'nothing'}."
        )
    wanted: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        named, domain = ((row.get(column) or "").strip() for column in ("file", "domain"))
        if not named or not domain:
            raise DataError(f"'{path}', line {number}: expected the columns file and domain.")
        labels.changes(domain)
        if wanted.setdefault(key_of(named), domain) != domain:
            raise DataError(f"'{path}', line {number}: {named!r} was there with another domain.")
    found: dict[str, set[Path]] = {}
    used: set[str] = set()
    names = []
    for image in images_among(sources):
        names.append(image.stem)
        if named := next((key for key in keys_of(image) if key in wanted), None):
            found.setdefault(wanted[named], set()).add(image.absolute())
            used.add(named)
    if not found:
        where = ", ".join(f"'{source}'" for source in sources)
        raise DataError(f"'{path}' names none of the images in {where}.")
    if lost := [name for name in wanted if name not in used]:
        _log.info(
            f"note: {len(lost)} of the {len(wanted)} files that '{path}' names are not among the "
            f"images: {listed(lost, 3)}.{did_you_mean(lost[0], names)}"
        )
    return found


def several_checkpoints(
    checkpoint: Path | None, runs_dir: Path, which: str
) -> list[tuple[str, Path]]:
    """The checkpoints of a run, oldest first, by the names of their steps ("step-400").

    Arguments:
        checkpoint: the run, or a checkpoint of it; by default the newest run.
        runs_dir: the folder of the runs.
        which: "all", or numbers of steps with commas between them.

    Raises:
        CheckpointError: there is no such one.
    """
    path, _ = find_checkpoint(checkpoint, runs_dir)
    run = Run(path.resolve().parent.parent)
    there = {step_of(each): each for each in run.checkpoints()}
    if which == "all":
        return [(f"step-{step}", each) for step, each in there.items()]
    chosen = []
    for word in which.split(","):
        step = int(word) if word.strip().isdecimal() else -1
        if step not in there:
            known = ", ".join(map(str, there)) or "none"
            raise CheckpointError(
                f"{run.folder} has no checkpoint of step {word.strip()!r} (--checkpoints): there "
                f"are {known}; more are kept with train.keep=all."
            )
        chosen.append((f"step-{step}", there[step]))
    return chosen
