"""The same image twice: byte by byte, or stored anew, resized, brightened or mirrored."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from i2i.core.progress import progress
from i2i.core.text import counted, of
from i2i.data.images.probe import FINGERPRINT_BITS, ImageInfo, mirrored
from i2i.data.inspection.finding import Finding, Severity
from i2i.data.inspection.survey import Part, Survey
from i2i.data.kinds import find_kind
from i2i.system.cpu import cores

NEAR = 40
"""Bits of 256 that the fingerprints of near duplicates differ in at most.

Of 450 photos, facades and faces, copies at JPEG quality 30, of half the size, of 3/2 the size,
brightened by 15 % or mirrored differ in 25 bits at most, those with a margin of 2 % cut off in
29 to 40 in the median. The closest two different images differ in 52 bits among facades, in 58
among horses and zebras, in 65 among faces that are cropped alike.
"""

EXACT_UP_TO = 10_000
"""Fingerprints that are all compared with all; of more, those that agree in some bits."""

TABLES = 64
"""Choices of bits in which near fingerprints are sought."""

NEIGHBOURS = 32
"""Fingerprints of equal bits that each one is compared with, in each table."""

SECONDS = 120.0
"""Most time that the search for near copies takes, of all sides together."""

_BLOCK = 256  # rows that are compared at once: few enough to stay in the cache of a processor

Groups = list[tuple[Path, ...]]


@dataclass(frozen=True)
class Alike:
    """Groups of images that are the same.

    Attributes:
        exact: those with the same bytes.
        near: those that look the same, among them also those with the same bytes.
        mirrored: those of `near` in which some image is a mirrored one.
        complete: whether the time sufficed to look for all that are near.
    """

    exact: Groups
    near: Groups
    mirrored: frozenset[tuple[Path, ...]] = frozenset()
    complete: bool = True


def find_alike(
    looks: Mapping[Path, ImageInfo],
    *,
    near: bool = True,
    seconds: float = SECONDS,
) -> Alike:
    """Find the groups of two or more images that are the same.

    Images of one colour belong to no group: there is nothing to tell them apart by.

    Arguments:
        looks: what is known of the images.
        near: also those that are not the same byte by byte.
        seconds: after which the search for those ends, whatever was found by then.
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
    clusters, turned, complete = near_clusters(
        [looks[path].print for path in first], seconds=seconds
    )
    groups = {
        at: tuple(path for i in cluster for path in copies[first[i]])
        for at, cluster in enumerate(clusters)
    }
    seen = {path for group in groups.values() for path in group}
    rest = [group for group in exact if group[0] not in seen]
    flipped = frozenset(groups[at] for at in turned)
    return Alike(exact, [*(g for g in groups.values() if len(g) > 1), *rest], flipped, complete)


def near_clusters(
    prints: Sequence[str],
    threshold: int = NEAR,
    *,
    seconds: float = SECONDS,
) -> tuple[list[list[int]], set[int], bool]:
    """Put fingerprints together that differ in `threshold` bits at most, directly or via others.

    Up to `EXACT_UP_TO` all are compared with all, also mirrored. Of more, those are compared that
    agree in some bits, in each of `TABLES` choices of them (Indyk and Motwani, "Approximate nearest
    neighbors", STOC 1998): of two that differ in 25 bits, which copies hardly exceed, one pair in
    100,000 is missed; of two that differ in 40, one in 30.

    Arguments:
        prints, threshold: what is compared how.
        seconds: after which the search ends.

    Returns:
        the clusters, of one or more, as positions in `prints`; which of them hold an image that is
        mirrored; and whether the time sufficed.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, text in enumerate(prints):
        places[text].append(place)
    raw = np.frombuffer(bytes.fromhex("".join(places)), np.uint8).reshape(len(places), -1)
    assert raw.shape[1] * 8 == FINGERPRINT_BITS
    words, flipped = raw.view(np.uint64), mirrored(raw).view(np.uint64)
    label = np.arange(len(places))
    turned: set[int] = set()  # some member of each cluster that holds a mirrored image
    search = _all_pairs if len(places) <= EXACT_UP_TO else _likely_pairs
    end, complete = time.monotonic() + seconds, True
    with progress("looking for copies") as update:
        for done, total, mirror, i, j in search(words, flipped, threshold):
            if mirror:
                # A symmetric image is near its mirror image, and so are its copies.
                apart = ~_near(words[i], words[j], threshold)
                turned.update(i[apart].tolist())
            _join(label, i, j)
            update(done, total)
            if time.monotonic() > end and done < total:
                complete = False
                break
    clusters: dict[int, list[int]] = defaultdict(list)
    for name, equal in zip(label.tolist(), places.values(), strict=True):
        clusters[name] += equal
    number = {name: at for at, name in enumerate(clusters)}
    return list(clusters.values()), {number[int(label[at])] for at in turned}, complete


Pairs = tuple[int, int, bool, npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""How much is done, of how much; whether the second one is mirrored; and near pairs, i < j."""


def _all_pairs(
    words: npt.NDArray[np.uint64], flipped: npt.NDArray[np.uint64], threshold: int
) -> Iterator[Pairs]:
    """Compare all with all, in blocks."""

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

    blocks = [(at, mirror) for at in range(0, len(words), _BLOCK) for mirror in (False, True)]
    workers = cores()
    with ThreadPoolExecutor(workers) as pool:
        # A few at a time, since among frames of a film every block may hold nothing but neighbours.
        for at in range(0, len(blocks), workers):
            for mirror, i, j in pool.map(compare, blocks[at : at + workers]):
                yield min(at + workers, len(blocks)), len(blocks), mirror, i, j


def _likely_pairs(
    words: npt.NDArray[np.uint64], flipped: npt.NDArray[np.uint64], threshold: int
) -> Iterator[Pairs]:
    """Compare those that agree in as many bits as it takes to tell so many apart, table by table.

    The time is that of sorting, whatever the images are like: of many that agree, each is
    compared with the next `NEIGHBOURS`.
    """
    count = len(words)
    both = np.concatenate([words, flipped])
    bits = np.unpackbits(both.view(np.uint8), axis=1)
    chosen = int(np.ceil(np.log2(count)))
    place = np.arange(2 * count)
    for table in range(TABLES):
        random = np.random.default_rng(table)
        columns = random.choice(np.arange(1, FINGERPRINT_BITS), chosen, replace=False)
        keys = bits[:, columns].astype(np.int64) @ (1 << np.arange(chosen, dtype=np.int64))
        order = np.lexsort((random.permutation(2 * count), keys))
        keys, ranked = keys[order], place[order]
        found: list[npt.NDArray[np.intp]] = []
        for step in range(1, NEIGHBOURS + 1):
            equal = np.flatnonzero(keys[step:] == keys[:-step])
            if not len(equal):
                break
            a, b = ranked[equal], ranked[equal + step]
            # Two mirrored ones are as near as the two themselves.
            apart = (a % count != b % count) & ((a < count) | (b < count))
            a, b = a[apart], b[apart]
            close = _near(both[a], both[b], threshold)
            found.append(np.stack([a[close], b[close]]))
        a, b = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.intp)
        across = (a >= count) | (b >= count)
        i, j = np.minimum(a % count, b % count), np.maximum(a % count, b % count)
        yield table, TABLES, False, i[~across], j[~across]
        yield table + 1, TABLES, True, i[across], j[across]


def duplicate_findings(
    survey: Survey, looks: Mapping[Path, ImageInfo], *, near: bool
) -> list[Finding]:
    """Say which images are in a data set more than once, and where that matters.

    Raises nothing. Partners of a pair may look alike (grey and coloured, blurred and sharp), so the
    sides of paired data are looked at one by one.
    """
    kind = find_kind(survey.kind)
    sides: dict[str, list[Part]] = defaultdict(list)
    for part in survey.parts:
        sides[part.name if kind.has_truth else ""].append(part)
    findings = []
    complete = True
    for side, parts in sides.items():
        where = {path: part for part in parts for path in part.images if path in looks}
        alike = find_alike(
            {path: looks[path] for path in where},
            near=near,
            seconds=SECONDS / len(sides),
        )
        complete &= alike.complete
        of_side = f" of {side}" if side else ""
        findings += _leaks(alike, where, looks, of_side)
        if not kind.has_truth:
            findings += _on_both_sides(alike, where, looks, kind.part)
        findings += _inside(alike, where, looks, of_side, survey.has("val"))
    if not complete:
        findings.append(
            Finding(
                "copies",
                "note",
                f"Copies that were stored anew were looked for during {SECONDS:.0f} s, which did "
                "not suffice for all.",
            )
        )
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


_USES = {"train": "to train on", "val": "to validate with", "test": "to test with"}

_OVERLAPS = (("val", "train"), ("test", "train"), ("test", "val"))
"""What is judged by, and what it must not share images with."""


def _leaks(
    alike: Alike, where: Mapping[Path, Part], looks: Mapping[Path, ImageInfo], of_side: str
) -> list[Finding]:
    """The loudest findings: what is to be judged by was trained on, or chose the best."""
    return [
        finding
        for held, other in _OVERLAPS
        for finding in _overlaps(alike, where, looks, of_side, held, other)
    ]


def _overlaps(
    alike: Alike,
    where: Mapping[Path, Part],
    looks: Mapping[Path, ImageInfo],
    of_side: str,
    held: str,
    other: str,
) -> Iterator[Finding]:
    count = sum(part.split == held for part in where.values())
    severity: Severity = "error" if other == "train" else "warning"
    what = "TRAIN AND TEST OVERLAP" if other == "train" else "VALIDATION AND TEST OVERLAP"
    among = f"{of_side} {_USES[held]}"

    def both(groups: Groups) -> Groups:
        return [g for g in groups if {where[path].split for path in g} >= {held, other}]

    def judging(groups: Groups) -> list[Path]:
        return [path for g in groups for path in g if where[path].split == held]

    advice = "Remove them from one of the two: " + (
        "measures on images that were trained on say nothing about new ones."
        if other == "train"
        else "images by which the best checkpoint was chosen flatter it."
    )
    exact = both(alike.exact)
    if exact:
        yield Finding(
            "leak",
            severity,
            f"{what}: {of(len(judging(exact)), count)}{among} are among those {_USES[other]}, byte "
            "by byte.",
            tuple(exact),
            advice=advice,
        )
    digests = {looks[p].digest for g in exact for p in g}
    near = [
        g for g in both(alike.near) if any(looks[p].digest not in digests for p in judging([g]))
    ]
    if near:
        new = sum(looks[path].digest not in digests for path in judging(near))
        yield Finding(
            "near leak",
            severity,
            f"{what}: {of(new, count)}{among} look like some {_USES[other]}: stored anew, resized, "
            "cropped a little or mirrored.",
            tuple(near),
            _mirror_reasons(alike, near),
            advice,
        )


def _on_both_sides(
    alike: Alike, where: Mapping[Path, Part], looks: Mapping[Path, ImageInfo], side: str
) -> list[Finding]:
    findings = []
    exact = [g for g in alike.exact if len({where[path].name for path in g}) > 1]
    if exact:
        findings.append(
            Finding(
                "both sides",
                "warning",
                f"{counted(len(exact), 'image is', 'images are')} in more than one {side}, "
                "byte by byte.",
                tuple(exact),
                advice="Decide where each belongs: an image that stands for both kinds teaches "
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
                f"{counted(len(near), 'image to train on looks', 'images to train on look')} "
                f"like some of another {side}.",
                tuple(near),
                advice="The same scenes in two states are fine; the same image stored anew is not.",
            )
        )
    return findings


def _inside(
    alike: Alike,
    where: Mapping[Path, Part],
    looks: Mapping[Path, ImageInfo],
    of_side: str,
    has_validation: bool,
) -> list[Finding]:
    """What is there more than once in the same part."""
    held_out = (
        ""
        if has_validation
        else " A part of the images will be held out to validate with, and copies of those "
        "will be trained on."
    )

    def within(groups: Iterable[tuple[Path, ...]], key: Callable[[Path], object]) -> Groups:
        """The groups, cut into those of each part; only what is there under several keys."""
        cut = []
        for group in groups:
            parts: dict[tuple[str, str], list[Path]] = defaultdict(list)
            for path in group:  # a part itself is no key: it would be hashed with all its images
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
                f"{sum(map(len, near))} images{of_side} look like others of the same kind "
                f"({counted(len(near), 'group', 'groups')}).",
                tuple(near),
                tuple("some mirrored" * (named[g[0]] in alike.mirrored) for g in near),
                advice="Frames of one film, or copies stored anew: they count for more." + held_out,
            )
        )
    return findings


def _same_partners(survey: Survey, looks: Mapping[Path, ImageInfo]) -> list[Finding]:
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
