"""Which checkpoints translate, and what each image is translated to, where a person says more than
one."""

import csv
from collections.abc import Sequence
from pathlib import Path

from i2i.core.labels import LabelSpace
from i2i.data.images.formats import image_suffixes
from i2i.data.images.read import images_among
from i2i.errors import CheckpointError, DataError
from i2i.runs.folder import Run, find_checkpoint, step_of


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
        domain -> absolute paths; images without a row are in none.

    Raises:
        DataError: the table cannot be read, or names no image that is there.
        OptionsError: a domain is none of the generator.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"The table '{path}' cannot be read: {why}.") from error
    wanted: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        named, domain = ((row.get(column) or "").strip() for column in ("file", "domain"))
        if not named or not domain:
            raise DataError(f"'{path}', line {number}: expected the columns file and domain.")
        labels.changes(domain)
        name = Path(named.replace("\\", "/"))
        key = name.with_suffix("") if name.suffix.lower() in image_suffixes() else name
        if wanted.setdefault(key.as_posix(), domain) != domain:
            raise DataError(f"'{path}', line {number}: {named!r} was there with another domain.")
    found: dict[str, set[Path]] = {}
    for image in images_among(sources):
        parts = image.with_suffix("").parts
        tails = ("/".join(parts[at:]) for at in range(len(parts)))
        domain = next((wanted[tail] for tail in tails if tail in wanted), "")
        if domain:
            found.setdefault(domain, set()).add(image.absolute())
    if not found:
        where = ", ".join(f"'{source}'" for source in sources)
        raise DataError(f"'{path}' names none of the images in {where}.")
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
