"""The same picture twice: byte by byte, or stored anew, resized, brightened or mirrored."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from i2i.data.look import FINGERPRINT_BITS, Look, mirrored
from i2i.doctor.finding import Finding
from i2i.doctor.survey import Part, Survey
from i2i.doctor.words import counted, of
from i2i.processor import cores

NEAR = 40
"""Bits of 256 that the fingerprints of near duplicates differ in at most.

Of 450 photos, facades and faces, copies at JPEG quality 30, of half the size, of 3/2 the size,
brightened by 15 % or mirrored differ in 25 bits at most, those with a margin of 2 % cut off in
29 to 40 in the median. The closest two different pictures differ in 52 bits among facades, in 58
among horses and zebras, in 65 among faces that are cropped alike.
"""

_BLOCK = 256  # rows that are compared at once: few enough to stay in the cache of a processor

_SIDE_WORDS = {"unpaired": "domain", "domains": "domain", "pictures": "class"}

Groups = list[tuple[Path, ...]]


@dataclass(frozen=True)
class Alike:
    """Groups of pictures that are the same.

    Attributes:
        exact: those with the same bytes.
        near: those that look the same, among them also those with the same bytes.
        mirrored: those of `near` in which some picture is a mirrored one.
    """

    exact: Groups
    near: Groups
    mirrored: frozenset[tuple[Path, ...]] = frozenset()


def find_alike(looks: Mapping[Path, Look], *, near: bool = True) -> Alike:
    """Find the groups of two or more pictures that are the same.

    Pictures of one colour belong to no group: there is nothing to tell them apart by.
    """
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for path, look in looks.items():
        if not look.flat:
            by_digest[look.digest].append(path)
    exact = [tuple(paths) for paths in by_digest.values() if len(paths) > 1]
    first = [paths[0] for paths in by_digest.values() if looks[paths[0]].print]
    if not near or not first:
        return Alike(exact, exact)
    copies = {paths[0]: paths for paths in by_digest.values()}
    clusters, turned = near_clusters([looks[path].print for path in first])
    groups = {
        at: tuple(path for i in cluster for path in copies[first[i]])
        for at, cluster in enumerate(clusters)
    }
    seen = {path for group in groups.values() for path in group}
    rest = [group for group in exact if group[0] not in seen]
    flipped = frozenset(groups[at] for at in turned)
    return Alike(exact, [*(g for g in groups.values() if len(g) > 1), *rest], flipped)


def near_clusters(prints: Sequence[str], threshold: int = NEAR) -> tuple[list[list[int]], set[int]]:
    """Put fingerprints together that differ in `threshold` bits at most, directly or via others.

    All are compared with all, also mirrored, in blocks.

    Returns:
        the clusters, of one or more, as positions in `prints`; and which of them hold a picture
        that is mirrored.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(prints):
        places[text].append(place)
    raw = np.frombuffer(bytes.fromhex("".join(places)), np.uint8).reshape(len(places), -1)
    assert raw.shape[1] * 8 == FINGERPRINT_BITS
    words, flipped = raw.view(np.uint64), mirrored(raw).view(np.uint64)
    label = np.arange(len(places))
    turned: set[int] = set()  # some member of each cluster that holds a mirrored picture

    def compare(block: tuple[int, bool]) -> tuple[bool, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        start, mirror = block
        rows = (flipped if mirror else words)[start : start + _BLOCK]
        others = words[start:]
        # The first bit is always set, so that the sum cannot be 256, which a byte does not hold.
        distance = np.zeros((len(rows), len(others)), np.uint8)
        for word in range(words.shape[1]):
            distance += np.bitwise_count(rows[:, None, word] ^ others[None, :, word])
        i, j = np.nonzero(distance <= threshold)
        later = j > i
        return mirror, i[later] + start, j[later] + start

    blocks = [(at, mirror) for at in range(0, len(places), _BLOCK) for mirror in (False, True)]
    workers = cores()
    with ThreadPoolExecutor(workers) as pool:
        # A few at a time, since among frames of a film every block may hold nothing but neighbours.
        for at in range(0, len(blocks), workers):
            for mirror, i, j in pool.map(compare, blocks[at : at + workers]):
                if mirror:
                    # A symmetric picture is near its mirror image, and so are its copies.
                    apart = ~_near(words[i], words[j], threshold)
                    turned.update(i[apart].tolist())
                _join(label, i, j)
    clusters: dict[int, list[int]] = defaultdict(list)
    for name, equal in zip(label.tolist(), places.values(), strict=True):
        clusters[name] += equal
    names = list(clusters)
    return list(clusters.values()), {names.index(n) for n in {int(label[at]) for at in turned}}


def duplicate_findings(survey: Survey, looks: Mapping[Path, Look], *, near: bool) -> list[Finding]:
    """Say which pictures are in a data set more than once, and where that matters.

    Raises nothing. Partners of a pair may look alike (grey and coloured, blurred and sharp), so the
    sides of paired data are looked at one by one.
    """
    sides: dict[str, list[Part]] = defaultdict(list)
    for part in survey.parts:
        sides[part.name if survey.kind == "paired" else ""].append(part)
    findings = []
    for side, parts in sides.items():
        where = {path: part for part in parts for path in part.pictures if path in looks}
        alike = find_alike({path: looks[path] for path in where}, near=near)
        of_side = f" of {side}" if side else ""
        findings += _leaks(alike, where, looks, of_side)
        if survey.kind != "paired":
            findings += _on_both_sides(alike, where, looks, _SIDE_WORDS[survey.kind])
        findings += _inside(alike, where, looks, of_side, survey.has("val"))
    return findings + _same_partners(survey, looks)


def _near(
    a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64], threshold: int
) -> npt.NDArray[np.bool_]:
    near: npt.NDArray[np.bool_] = np.bitwise_count(a ^ b).sum(axis=1, dtype=np.int64) <= threshold
    return near


def _join(label: npt.NDArray[np.intp], i: npt.NDArray[np.intp], j: npt.NDArray[np.intp]) -> None:
    """Give the clusters of each i and j one label, in place."""
    edges = np.unique(label[i] * len(label) + label[j])
    parent: dict[int, int] = {}

    def root(name: int) -> int:
        while (above := parent.get(name, name)) != name:
            parent[name] = name = parent.get(above, above)
        return name

    for edge in edges.tolist():
        a, b = (root(name) for name in divmod(edge, len(label)))
        parent[max(a, b)] = min(a, b)
    new = np.arange(len(label))
    for name in parent:
        new[name] = root(name)
    label[:] = new[label]


def _leaks(
    alike: Alike, where: Mapping[Path, Part], looks: Mapping[Path, Look], of_side: str
) -> list[Finding]:
    """The loudest finding: what is to be judged by was trained on."""
    findings = []
    held = sum(part.split == "val" for part in where.values())

    def both(groups: Groups) -> Groups:
        return [g for g in groups if {where[path].split for path in g} == {"train", "val"}]

    def validating(groups: Groups) -> list[Path]:
        return [path for g in groups for path in g if where[path].split == "val"]

    advice = (
        "Remove them from one of the two: measures on pictures that were trained on say nothing "
        "about new ones."
    )
    exact = both(alike.exact)
    if exact:
        findings.append(
            Finding(
                "leak",
                "error",
                f"TRAIN AND TEST OVERLAP: {of(len(validating(exact)), held)}{of_side} to validate "
                "with are among those to train on, byte by byte.",
                tuple(exact),
                advice=advice,
            )
        )
    digests = {looks[p].digest for g in exact for p in g}
    near = [
        g for g in both(alike.near) if any(looks[p].digest not in digests for p in validating([g]))
    ]
    if near:
        count = sum(looks[path].digest not in digests for path in validating(near))
        findings.append(
            Finding(
                "near leak",
                "error",
                f"TRAIN AND TEST OVERLAP: {of(count, held)}{of_side} to validate with look like "
                "some to train on: stored anew, resized, cropped a little or mirrored.",
                tuple(near),
                _mirror_reasons(alike, near),
                advice,
            )
        )
    return findings


def _on_both_sides(
    alike: Alike, where: Mapping[Path, Part], looks: Mapping[Path, Look], side: str
) -> list[Finding]:
    findings = []
    exact = [g for g in alike.exact if len({where[path].name for path in g}) > 1]
    if exact:
        findings.append(
            Finding(
                "both sides",
                "warning",
                f"{counted(len(exact), 'picture is', 'pictures are')} in more than one {side}, "
                "byte by byte.",
                tuple(exact),
                advice="Decide where each belongs: a picture that stands for both kinds teaches "
                "neither.",
            )
        )
    # The same scene in two domains is the best that can be had to validate with.
    trained = [tuple(p for p in g if where[p].split == "train") for g in alike.near]
    near = [
        g
        for g in trained
        if len({where[p].name for p in g}) > 1 and len({looks[p].digest for p in g}) > 1
    ]
    if near:
        findings.append(
            Finding(
                "both sides alike",
                "note",
                f"{counted(len(near), 'picture to train on looks', 'pictures to train on look')} "
                f"like some of another {side}.",
                tuple(near),
                advice="The same scenes in two states are fine; the same picture stored anew is "
                "not.",
            )
        )
    return findings


def _inside(
    alike: Alike,
    where: Mapping[Path, Part],
    looks: Mapping[Path, Look],
    of_side: str,
    has_validation: bool,
) -> list[Finding]:
    """What is there more than once in the same part."""
    held_out = (
        ""
        if has_validation
        else " A part of the pictures will be held out to validate with, and copies of those "
        "will be trained on."
    )

    def within(groups: Iterable[tuple[Path, ...]], key: Callable[[Path], object]) -> Groups:
        """The groups, cut into those of each part; only what is there under several keys."""
        cut = []
        for group in groups:
            parts: dict[tuple[str, str], list[Path]] = defaultdict(list)
            for path in group:  # a part itself is no key: it would be hashed with all its pictures
                parts[where[path].split, where[path].name].append(path)
            cut += [tuple(g) for g in parts.values() if len({key(path) for path in g}) > 1]
        return cut

    findings = []
    exact = within(alike.exact, lambda path: path)
    if exact:
        more = sum(len(group) - 1 for group in exact)
        findings.append(
            Finding(
                "duplicates",
                "warning",
                f"{of(more, len(where))}{of_side} are exact copies of others of the same kind.",
                tuple(exact),
                advice="Keep one of each, unless it shall count for more." + held_out,
            )
        )
    near = within(alike.near, lambda path: looks[path].digest)
    if near:
        named = {path: group for group in alike.near for path in group}
        findings.append(
            Finding(
                "near duplicates",
                "note",
                f"{sum(map(len, near))} pictures{of_side} look like others of the same kind "
                f"({counted(len(near), 'group', 'groups')}).",
                tuple(near),
                tuple("some mirrored" * (named[g[0]] in alike.mirrored) for g in near),
                advice="Frames of one film, or copies stored anew: they count for more." + held_out,
            )
        )
    return findings


def _same_partners(survey: Survey, looks: Mapping[Path, Look]) -> list[Finding]:
    same = [
        (pair.a, pair.b)
        for _, pairs in survey.pairs
        for pair in pairs
        if pair.b in looks
        and pair.b is not None
        and pair.a in looks
        and looks[pair.a].digest == looks[pair.b].digest
    ]
    if not same:
        return []
    return [
        Finding(
            "same partners",
            "warning",
            f"{len(same)} pairs consist of twice the same file.",
            tuple(same),
            advice="Put the right partner there: such a pair teaches to change nothing.",
        )
    ]


def _mirror_reasons(alike: Alike, groups: Groups) -> tuple[str, ...]:
    return tuple("some mirrored" * (group in alike.mirrored) for group in groups)
