"""Kinds of data sets, one file each (paired, unpaired, domains, unconditional), and how their files
are found in folders."""

from typing import TYPE_CHECKING

from i2i.core.registry import DATA_KINDS

if TYPE_CHECKING:
    from i2i.data.kinds.kind import DataKind


def find_kind(name: str) -> "DataKind":
    """Return the kind of data of this name.

    Raises:
        OptionsError: there is none; lists those that there are.
    """
    kind: DataKind = DATA_KINDS.find(name)(name)
    return kind


def all_kinds() -> "list[DataKind]":
    """All kinds, that of the lowest rank first."""
    return sorted(map(find_kind, DATA_KINDS), key=lambda kind: kind.rank)
