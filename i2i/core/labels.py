"""What a generator for many domains can be asked for: the labels of one data set or of several.

The images of a data set either belong to exactly one *domain* each, or have *attributes*, each of
which holds or not; some of these may form a group of which no more than one holds (the colours of
hair). Labels are numbers, 1 or 0, in the order of the names of all data sets. Where there are
several data sets, the labels of the others are unknown for every image: they are 0, and a mask
says which data set's labels are known (Choi et al., StarGAN, CVPR 2018, section 3.3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, combinations, groupby, pairwise
from reprlib import repr as shortened

import torch
from torch import Tensor

from i2i.errors import OptionsError, did_you_mean

Changes = Mapping[str, bool | None]
"""Name -> whether it shall hold; None: the reverse of what it is."""

Asked = str | Changes | None
"""What a person asks for: by one word, or in detail."""

REVERSED = "-reversed"


def read_changes(told: object) -> Changes:
    """Return changes that were told as text, "NAME=1,NAME=0", or as a mapping.

    Raises:
        OptionsError: it is neither; or a value is none, or a name has two of them.
    """
    if isinstance(told, str):
        changes: dict[str, bool | None] = {}
        for setting in told.split(","):
            name, _, digit = (part.strip() for part in setting.partition("="))
            if not name or digit not in ("0", "1"):
                raise OptionsError(f"{setting!r} is not NAME=1 or NAME=0.")
            if changes.setdefault(name, digit == "1") != (digit == "1"):
                raise OptionsError(f"{name!r} is to be both 0 and 1: say one of them.")
        return changes
    if not isinstance(told, Mapping):
        raise OptionsError(
            f"attributes (={shortened(told)}) must be names with a value each, such as "
            '{"Smiling": true, "Young": false}.'
        )
    return {name: _holds(name, value) for name, value in told.items()}


def _holds(name: str, value: object) -> bool | None:
    """Whether an attribute shall hold: numbers are 1 and 0, as on the command line."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    raise OptionsError(
        f"{name} (={shortened(value)}) must be true or 1 to hold, false or 0 not to, or "
        "nothing (None, null) for the reverse of what it is."
    )


EVERYTHING = "all"
"""The word that asks for every target in turn, which therefore no label can be called."""


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The groups of names that differ in nothing but case, signs, spaces or an s at the end."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_bare(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def misspelt(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """The names that look like typing mistakes of others: one letter too many, missing, swapped or
    wrong, as angerr beside anger.

    A letter may also be all that two words differ by (mouse and house). Therefore it is a mistake
    only in a long word, where letters are doubled or swapped, or of what is `RARER` than the other.

    Arguments:
        counts: name -> of how many images it is; 0 where that is not known.

    Returns:
        (the rarer name, the other) for each pair.
    """
    near: dict[str, list[str]] = {}
    for name in counts:
        bare = _bare(name)
        cut = {bare[:at] + bare[at + 1 :] for at, each in enumerate(bare) if not each.isdigit()}
        for form in {bare, *cut} if len(bare) >= SHORTEST else ():
            near.setdefault(form, []).append(name)
    pairs = {pair for names in near.values() for pair in combinations(names, 2)}
    found = []
    for pair in sorted(pairs):
        rare, common = sorted(pair, key=lambda name: counts[name])
        a, b = _bare(rare), _bare(common)
        slip = sorted(a) == sorted(b) or _undoubled(a) == _undoubled(b)
        rarer = 0 < counts[common] >= RARER * counts[rare]
        if a != b and _digits(a) == _digits(b) and (slip or rarer or min(len(a), len(b)) >= LONG):
            found.append((rare, common))
    return found


SHORTEST, LONG = 4, 7
"""Letters of a name from which on it can be a typing mistake, and surely is one."""

RARER = 4
"""How many times rarer a mistake is than the name that was meant, if letters do not tell."""


def _bare(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum()).removesuffix("s") or name


def _undoubled(name: str) -> str:
    return "".join(letter for letter, _ in groupby(name))


def _digits(name: str) -> str:
    return "".join(filter(str.isdigit, name))


@dataclass(frozen=True)
class LabelSet:
    """The labels of one data set."""

    names: tuple[str, ...]
    exclusive: bool
    """Whether each image has exactly one of them (domains) or any number (attributes)."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Attributes of which no more than one holds."""

    def rivals(self, name: str) -> set[str]:
        """What cannot hold when `name` does."""
        rivals = set(self.names) if self.exclusive else set()
        return rivals.union(*(group for group in self.groups if name in group)) - {name}

    @property
    def targets(self) -> tuple[str, ...]:
        """A name for each change worth seeing: what has rivals is chosen, the rest is reversed."""
        return tuple(name if self.rivals(name) else name + REVERSED for name in self.names)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of all data sets, side by side.

    Tensors of labels are (N, L), one column for each of `names`; masks are (N, S), one column for
    each data set, 1 where its labels are known. A *condition* (N, `planes`) is what a generator is
    told: the labels, followed by the mask if there is more than one data set.
    """

    sets: tuple[LabelSet, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(name for each in self.sets for name in each.names)

    @cached_property
    def parts(self) -> tuple[slice, ...]:
        """The columns of each data set."""
        ends = accumulate((len(each.names) for each in self.sets), initial=0)
        return tuple(slice(begin, end) for begin, end in pairwise(ends))

    @property
    def planes(self) -> int:
        return len(self.plane_names)

    @cached_property
    def plane_names(self) -> tuple[str, ...]:
        """What the numbers of a condition mean, in their order."""
        several = len(self.sets) > 1
        mask = [f"labels of data set {n + 1} are known" for n in range(len(self.sets))]
        return (*self.names, *(mask if several else ()))

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """What a generator can be asked for by one word, in the order of the names."""
        return tuple(target for each in self.sets for target in each.targets)

    def condition(self, labels: Tensor, mask: Tensor) -> Tensor:
        """Return what a generator is told of labels and a mask."""
        return torch.cat([labels, mask], dim=1) if len(self.sets) > 1 else labels

    def known(self, mask: Tensor) -> Tensor:
        """Spread a mask to the labels: (N, L), 1 where a label is known."""
        columns = [mask[:, i : i + 1].expand(-1, len(s.names)) for i, s in enumerate(self.sets)]
        return torch.cat(columns, dim=1)

    def decided(self, logits: Tensor) -> Tensor:
        """Return the labels that a classifier's logits (N, L) stand for, in each data set."""
        decisions = []
        for each, part in zip(self.sets, self.parts, strict=True):
            own = logits[:, part]
            if each.exclusive:
                own = torch.zeros_like(own).scatter(1, own.argmax(dim=1, keepdim=True), 1.0)
            else:
                own = (own > 0).to(own.dtype)
            decisions.append(own)
        return torch.cat(decisions, dim=1)

    def changes(self, target: str | Changes) -> Changes:
        """Return what is asked for: by one of `names` (it shall hold) or of `targets`, or as it is.

        Raises:
            OptionsError: a word is neither; or the changes contradict each other.
        """
        if not isinstance(target, str):
            changes = read_changes(target)
            self.number(changes)
            return changes
        if target in self.names:
            return {target: True}
        if target in self.targets:
            return {target.removesuffix(REVERSED): None}
        known = dict.fromkeys([*self.names, *self.targets])
        raise OptionsError(
            f"{target!r} is none of the domains that this model has learnt."
            f"{did_you_mean(target, known)} They are: {', '.join(known)}."
        )

    def depends(self, changes: Changes) -> bool:
        """Say whether the result of `edited` depends on the labels that an image has already."""
        each = self.sets[self.number(changes)]
        settled = set(changes).union(*(each.rivals(name) for name in changes if changes[name]))
        return None in changes.values() or settled != set(each.names)

    def edited(self, labels: Tensor, changes: Changes) -> Tensor:
        """Return the conditions (N, planes) that change images which have these labels.

        What is made to hold ends what it excludes. The changes are of one data set; the labels
        of the others become unknown.

        Raises:
            OptionsError: a name is unknown, or the changes contradict each other.
        """
        number = self.number(changes)
        edited = torch.zeros_like(labels)
        edited[:, self.parts[number]] = labels[:, self.parts[number]]
        for name, holds in changes.items():
            column = self.names.index(name)
            edited[:, column] = 1 - labels[:, column] if holds is None else float(holds)
            for rival in self.sets[number].rivals(name) - changes.keys():
                edited[:, self.names.index(rival)] *= 1 - edited[:, column]
        mask = torch.zeros(len(labels), len(self.sets), device=labels.device, dtype=labels.dtype)
        mask[:, number] = 1.0
        return self.condition(edited, mask)

    def number(self, changes: Changes) -> int:
        """Return which data set changes are about, once they have been found sensible.

        Raises:
            OptionsError: a name is unknown, or the changes contradict each other.
        """
        for name in changes:
            if name not in self.names:
                raise OptionsError(
                    f"{name!r} is none of the labels that this model has learnt."
                    f"{did_you_mean(name, self.names)} They are: {', '.join(self.names)}."
                )
        numbers = {n for n, each in enumerate(self.sets) for name in changes if name in each.names}
        if len(numbers) != 1:
            raise OptionsError(
                f"{', '.join(changes) or 'nothing'} cannot be asked for: name labels of a single "
                "data set."
            )
        number = numbers.pop()
        each = self.sets[number]
        for name, holds in changes.items():
            others = {other for other in changes if changes[other] is not False}
            if holds is not False and (both := each.rivals(name) & others):
                raise OptionsError(f"{name} and {both.pop()} exclude each other: choose one.")
            if each.exclusive and not holds:
                raise OptionsError(
                    f"{name} is a domain, which images cannot just leave: ask for another of "
                    f"{', '.join(each.names)}."
                )
        return number


def with_planes(images: Tensor, condition: Tensor) -> Tensor:
    """Put a condition (N, planes) behind the channels of images (N, C, H, W), a plane for each
    number: (N, C + planes, H, W)."""
    planes = condition.to(images.dtype)[:, :, None, None]
    return torch.cat([images, planes.expand(-1, -1, *images.shape[-2:])], dim=1)
