"""A diagnosis for a person, and for a program."""

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from i2i.data.inspection.finding import SEVERITIES, Diagnosis, Finding

K = TypeVar("K", bound=Hashable)


def as_text(diagnosis: Diagnosis, examples: int = 5) -> str:
    """What a person reads; at most so many `examples` of each finding."""
    found = diagnosis.survey
    lines = [f"{found.root}: {found.kind} ({found.how})"]
    lines += [f"  {line}" for line in found.lines]
    if diagnosis.tables.sizes:
        lines += ["", *_tables(diagnosis)]
    for finding in diagnosis.findings:
        lines += ["", *as_lines(finding, found.root, examples)]
    lines += ["", _verdict(diagnosis)]
    return "\n".join(lines)


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """Everything, as plain dictionaries, lists, strings and numbers."""
    found, tables = diagnosis.survey, diagnosis.tables
    return {
        "root": str(found.root),
        "kind": found.kind,
        "how": found.how,
        "complete": diagnosis.complete,
        "parts": [
            {"split": part.split, "name": part.name, "images": len(part.images)}
            for part in found.parts
        ],
        "images": diagnosis.images,
        "bytes": diagnosis.bytes,
        "sizes": {f"{w}x{h}": count for (w, h), count in tables.sizes.most_common()},
        "formats": dict(tables.formats.most_common()),
        "modes": dict(tables.modes.most_common()),
        "bits": {str(bits): count for bits, count in tables.bits.most_common()},
        "orientations": {str(turn): count for turn, count in tables.orientations.most_common()},
        "attributes": dict(found.shares),
        "findings": [
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "text": finding.text,
                "advice": finding.advice,
                "groups": [[str(path) for path in group] for group in finding.groups],
                "reasons": list(finding.reasons),
            }
            for finding in diagnosis.findings
        ],
        "exit_code": diagnosis.exit_code,
    }


def _tables(diagnosis: Diagnosis) -> list[str]:
    tables = diagnosis.tables
    sides = sorted(min(size) for size in tables.sizes.elements())
    sizes = Counter({f"{w}x{h}": count for (w, h), count in tables.sizes.items()})
    shown = [
        ("images", f"{diagnosis.images}, {_bytes(diagnosis.bytes)}"),
        ("sizes", _counts(sizes)),
        ("shorter side", f"{sides[0]} to {sides[-1]}, median {sides[len(sides) // 2]}"),
        ("formats", _counts(tables.formats)),
        ("modes", _counts(tables.modes)),
        ("bits", _counts(tables.bits)),
        ("EXIF", _counts(tables.orientations)),
    ]
    return [f"  {name:13} {text}" for name, text in shown]


def _counts(table: Counter[K], most: int = 5) -> str:
    first = table.most_common(most)
    if len(table) == 1:
        return f"{first[0][0]}"
    more = len(table) - len(first)
    rest = f", {more} more" if more else ""
    return ", ".join(f"{key} ({count})" for key, count in first) + rest


def as_lines(finding: Finding, root: Path, examples: int = 5) -> list[str]:
    """One finding for a person; paths are given from `root`."""
    lines = [f"{finding.severity.upper()}: {finding.text}"]
    reasons: Sequence[str] = finding.reasons or ("",) * len(finding.groups)
    for group, why in list(zip(finding.groups, reasons, strict=True))[:examples]:
        names = " = ".join(_within(path, root) for path in group[:4])
        more = f" = {len(group) - 4} more" if len(group) > 4 else ""
        lines.append(f"    {names}{more}{f': {why}' if why else ''}")
    if len(finding.groups) > examples:
        lines.append(f"    ... and {len(finding.groups) - examples} more")
    return [*lines, f"  -> {finding.advice}"] if finding.advice else lines


def _within(path: Path, root: Path) -> str:
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _verdict(diagnosis: Diagnosis) -> str:
    counts = Counter(finding.severity for finding in diagnosis.findings)
    found = [
        f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}"
        for severity in SEVERITIES
        if counts[severity]
    ]
    depth = "" if diagnosis.complete else " (without decoding the images)"
    return f"{', '.join(found) or 'Nothing is wrong'}{depth}."


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
