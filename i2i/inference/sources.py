"""Where the several inputs of a network lie, and which of their files belong together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from i2i.data.kinds.partners import matched
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.inference.jobs import Failure, Job


@dataclass(frozen=True)
class Sources:
    """The files of several inputs.

    Attributes:
        names: of the inputs; empty where there is one.
        folder: of the first input, or its file.
        places: folders or files of all inputs.
        beside: file of the first input -> those of the others.
        lonely: files that lack a partner -> why they are of no use.
    """

    names: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)
    places: tuple[Path, ...] = ()
    beside: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    lonely: dict[Path, str] = field(default_factory=dict)

    def match(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Failure]]:
        """The jobs whose file has all its partners, each to be read whole, and what has not.

        Raises:
            DataError: there is none.
        """
        whole = [job._replace(stream=None) for job in jobs if job.source in self.beside]
        failed = [Failure(path, why) for path, why in self.lonely.items()]
        failed += [
            Failure(job.source, "it is of a kind that is not read as one of several inputs")
            for job in jobs
            if job.source not in self.beside and job.source not in self.lonely
        ]
        if not whole:
            first = f": '{failed[0].path}': {failed[0].reason}" if failed else ""
            raise DataError(
                f"No scene has all inputs ({', '.join(self.names)}) under one name{first}."
            )
        return whole, failed

    def require_outside(self, folder: Path) -> None:
        """Refuse to write where another input is read.

        Raises:
            DataError: `folder` is that of an input, or within it.
        """
        real = folder.resolve()
        for place in self.places[1:]:
            if place.is_dir() and place.resolve() in (real, *real.parents):
                raise DataError(
                    f"Results would be written to '{folder}', inside the input '{place}': choose "
                    "an output folder outside of it."
                )


def find_sources(
    names: tuple[str, ...],
    source: Path,
    beside: Sequence[Path],
    only: Collection[Path] | None,
) -> Sources:
    """Find the files of several inputs.

    Arguments:
        names: of the inputs, in the order in which networks see them.
        source: the folder or file of the first input; or, with no others beside it, the folder
            that holds those of all, or a data set of which `only` names images.
        beside: the folders or files of the others.
        only: of the images of the first input, those that count.

    Raises:
        OptionsError: there are more or fewer than the inputs.
        DataError: a folder is missing, or two files in one have the same name.
    """
    wanted = ", ".join(names)
    if only is not None and not beside:
        found: dict[Path, tuple[Path, ...]] = {}
        lonely: dict[Path, str] = {}
        for folder in dict.fromkeys(_folder_of(path, names[0]) for path in sorted(only)):
            own = matched([folder / name for name in names])
            found |= {files[0]: files[1:] for files in own.files.values()}
            lonely |= own.lonely
        return Sources(names, source, (source,), found, lonely)
    if not beside:
        if not source.is_dir():
            raise OptionsError(
                f"this network takes several inputs of each scene ({wanted}): name {len(names)} "
                "folders or files in this order, or the folder that holds such folders."
            )
        inside = sorted(path.name for path in source.iterdir() if path.is_dir())
        for name in names:
            if not (source / name).is_dir():
                raise DataError(
                    f"There is no folder {name!r} in '{source}': this network takes the inputs "
                    f"{wanted}.{did_you_mean(name, inside)}"
                )
        places = [source / name for name in names]
    else:
        places = [source, *beside]
    if len(places) != len(names):
        raise OptionsError(
            f"there are {len(places)} inputs, and this network takes {len(names)} of each scene "
            f"({wanted}): name as many folders or files, in this order."
        )
    if all(place.is_file() for place in places):
        return Sources(names, source, tuple(places), {source: tuple(beside)})
    for place in places:
        if place.is_file():
            raise DataError(f"'{place}' is a file, and other inputs are folders: name one kind.")
    own = matched(places)
    beside_first = {files[0]: files[1:] for files in own.files.values()}
    return Sources(names, places[0], tuple(places), beside_first, own.lonely)


def _folder_of(path: Path, name: str) -> Path:
    """The folder that holds that of the first input, of a file in it."""
    for folder in path.parents:
        if folder.name == name:
            return folder.parent
    raise DataError(f"'{path}' lies in no folder {name!r}, which is the first input.")
