"""What files hold beside colours of 8 bits, side by side, and the lines of a recipe that use it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from i2i.config import Data
from i2i.config.sides import DataPart, DataSide
from i2i.data.images.check import CheckResult
from i2i.data.images.probe import ImageInfo
from i2i.data.inspection.finding import Finding, about
from i2i.data.inspection.histograms import spreads
from i2i.data.inspection.survey import Part, Survey

SATURATED = 0.05
"""Share of the values of a band at the end of its type from which on it is a warning."""


@dataclass(frozen=True)
class Meant:
    """What a recipe says of the images of sides ("A"), or of inputs of one ("A.depth").

    Attributes:
        as_filed: those whose values are used as they are.
        labels: those that are label maps.
        ratios: side -> how many times larger than the other it is meant to be.
    """

    as_filed: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    ratios: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Data | None) -> "Meant":
        if rules is None:
            return cls()
        held = dict(_parts(rules))
        return cls(
            frozenset(name for name, part in held.items() if part.as_filed),
            frozenset(name for name, part in held.items() if part.labels is not None),
            rules.ratios(rules.letters(both_ways=False)),
        )

    @property
    def own(self) -> frozenset[str]:
        """All that do not become 8 bits of grey or RGB."""
        return self.as_filed | self.labels

    def owns(self, side: str) -> bool:
        """Whether images of a side are among these; "" for files of both, and where there are no
        sides."""
        return side in self.own or (bool(self.own) and not side)


NOTHING_MEANT = Meant()


def _parts(rules: Data) -> Iterator[tuple[str, DataPart]]:
    for letter in "AB":
        side: DataSide = getattr(rules, letter)
        if not side.roots:
            yield letter, side
        for root in side.roots:
            yield f"{letter}.{root}", side.part(root)


def by_side(survey: Survey) -> dict[str, list[Path]]:
    """The images of each side or input; "" where files hold both, or there are no sides."""
    sides: dict[str, list[Path]] = {}
    for part in survey.parts:
        sides.setdefault(_side(part), []).extend(part.images)
    return sides


def _side(part: Part) -> str:
    known = part.name in ("A", "B") or part.name.startswith(("A.", "B."))
    return part.name if known else ""


def read_as_filed(survey: Survey, checked: CheckResult, meant: Meant) -> None:
    """Take over what is known of the images that are read with all their bands and bits."""
    for side, paths in by_side(survey).items():
        if meant.owns(side):
            checked.update_as_filed(paths)


def plain_part(survey: Survey, meant: Meant) -> Survey:
    """The images that become 8 bits of grey or RGB."""
    return replace(survey, parts=tuple(p for p in survey.parts if not meant.owns(_side(p))))


def band_findings(survey: Survey, checked: CheckResult, meant: Meant) -> list[Finding]:
    """Mixtures of kinds on a side, and sides whose bands or bits a training would not use.

    Arguments:
        survey, checked: the images.
        meant: what a recipe says of them.
    """
    findings = []
    looks = {**checked.looks, **checked.arrays}
    for side, paths in by_side(survey).items():
        if side in meant.labels:
            continue
        there = {path: looks[path] for path in paths if path in looks}
        kinds = Counter(_kind(look) for look in there.values())
        where = f"side {side}" if side else "the data set"
        ours = side in meant.as_filed if side else bool(meant.as_filed)
        if len(kinds) > 1 and (ours or any(look.unfit for look in there.values())):
            counts = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
            odd = [p for p, look in there.items() if _kind(look) != kinds.most_common(1)[0][0]]
            findings.append(
                about(
                    "mixture",
                    "error" if ours else "warning",
                    f"{where} holds images of several kinds: {counts}.",
                    odd,
                    "Convert them to one kind, or move the odd ones elsewhere.",
                )
            )
        deep = [path for path, look in there.items() if _is_deep(look)]
        if 2 * len(deep) > len(there) and not ours:
            findings.append(
                about(
                    "bands and bits",
                    "note",
                    f"{where} holds {_described(there, deep)}: no 8 bits of grey or RGB.",
                    deep,
                    f"To use them as they are: {_lines(side or 'A', there, deep)}",
                )
            )
    return findings


def value_findings(survey: Survey, checked: CheckResult, meant: Meant) -> list[Finding]:
    """How the values of each band spread, of sides that are more than colours of 8 bits."""
    findings = []
    looks = {**checked.looks, **checked.arrays}
    for side, paths in by_side(survey).items():
        deep = [path for path in paths if path in looks and _is_deep(looks[path])]
        if side in meant.labels or 2 * len(deep) <= len(paths):
            continue
        bands, files = spreads(deep)
        if not bands:
            continue
        where = f"side {side}" if side else "the data set"
        several = len(bands) > 1
        lines = [f"band {n}: {each}" if several else str(each) for n, each in enumerate(bands, 1)]
        text = f"{where}: how often its values are there, of {files} of {len(paths)} images:"
        found = Finding("values", "note", "\n  ".join([text, *lines]))
        if any(each.saturated >= SATURATED for each in bands):
            advice = "What is saturated cannot be told apart: mask it, or expose less."
            found = replace(found, severity="warning", advice=advice)
        findings.append(found)
    return findings


def _is_deep(look: ImageInfo) -> bool:
    return look.bits > 8 or bool(look.unfit)


def _kind(look: ImageInfo) -> str:
    if look.unfit:
        return look.mode
    colours = "grey" if look.grey or look.mode.startswith(("I", "F", "L", "1")) else "colours"
    return f"{colours} of {max(look.bits, 8)} bits"


def _described(looks: Mapping[Path, ImageInfo], deep: Sequence[Path]) -> str:
    low, high = min(looks[p].low for p in deep), max(looks[p].high for p in deep)
    saturated = sum(looks[p].high in (65535, 1.0) for p in deep if not looks[p].flat)
    kind = Counter(_kind(looks[p]) for p in deep).most_common(1)[0][0]
    text = f"{kind} within {low:g}..{high:g}"
    if saturated:
        text += f" ({saturated} of {len(deep)} reach the end of their type, as saturated ones do)"
    return text


def _lines(side: str, looks: Mapping[Path, ImageInfo], deep: Sequence[Path]) -> str:
    bands = next((looks[p].mode.split()[0] for p in deep if looks[p].unfit), "")
    table = f"data.{side.replace('.', '.parts.', 1)}"
    channels = f"--set {table}.channels={bands} " if bands else ""
    return f"{channels}--set {table}.range=auto."
