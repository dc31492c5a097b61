"""The examination of a data set, at length and in brief."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from i2i.config import Data
from i2i.core.progress import progress
from i2i.core.size import AnySize
from i2i.data.images.check import CheckResult, check_images
from i2i.data.images.probe import ImageInfo, look_at
from i2i.data.inspection.bands import (
    NOTHING_MEANT,
    Meant,
    band_findings,
    plain_part,
    read_as_filed,
    value_findings,
)
from i2i.data.inspection.classes import Held
from i2i.data.inspection.duplicates import duplicate_findings
from i2i.data.inspection.finding import Diagnosis, Finding, Tables, worst_first
from i2i.data.inspection.stored import check_stored
from i2i.data.inspection.survey import Survey, survey
from i2i.data.inspection.usability import (
    balance_findings,
    held_labels,
    kind_findings,
    label_findings,
    name_findings,
    narrow_findings,
    size_findings,
    usability_findings,
)
from i2i.data.kinds.image_set import FoundImages

BRIEF_LINES = 3


def examine(
    root: Path,
    kind: str | None = None,
    *,
    crop_size: AnySize | None = None,
    resize: str | None = None,
    root_b: Path | None = None,
    table: Path | None = None,
    domains: Sequence[str] = (),
    attributes: Sequence[str] = (),
    named: FoundImages | None = None,
    rules: Data | None = None,
    split: str | None = None,
    fast: bool = False,
    copies: bool = True,
    cache: Path | None = None,
    workers: int | None = None,
) -> Diagnosis:
    """Say what is in a data set and what is wrong with it.

    Arguments:
        root: its folder.
        kind: the name of one of `i2i.data.kinds`; None to go by what is there.
        crop_size: of the training, to find images that are smaller; None if not known.
        resize: "stretch", "shorter side" or "none" as in `[data]`; None if not known.
        root_b, table, domains, attributes, named, rules: as for `survey`.
        split: "train", "val" or "test", to look at that alone.
        fast: do not decode pixels. Files that end early, images of one colour and copies that are
            not exact are then not found.
        copies: whether to look for images that are there more than once.
        cache: a folder to remember good images in, which training shares.
        workers: how many threads decode.

    Raises:
        DataError: `root` is no folder.
    """
    found = survey(
        root,
        kind,
        root_b=root_b,
        table=table,
        domains=domains,
        attributes=attributes,
        named=named,
        rules=rules,
    )
    if split is not None:
        found = found.only(split)
    if found.stored:
        checked = check_stored(found)
    elif fast:
        checked = _glance(found.files, workers)
    else:
        checked = check_images(found.files, cache, workers)
    return diagnose(
        found,
        checked,
        rules=rules,
        crop_size=crop_size,
        resize=resize,
        complete=not fast,
        copies=copies,
    )


def diagnose(
    found: Survey,
    checked: CheckResult,
    *,
    rules: Data | None = None,
    crop_size: AnySize | None = None,
    resize: str | None = None,
    complete: bool = True,
    copies: bool = True,
) -> Diagnosis:
    """Draw the conclusions from what was seen; for the arguments see `examine`."""
    meant = Meant.of(rules)
    read_as_filed(found, checked, meant)
    looks = checked.looks
    labels = {} if found.stored else held_labels(found, checked)
    findings = [
        *usability_findings(found, checked, meant),
        *band_findings(found, checked, meant),
        *(value_findings(found, checked, meant) if complete and not found.stored else ()),
        *(duplicate_findings(found, looks, near=complete) if copies else ()),
        *_quality_findings(found, checked, crop_size, resize, meant, labels),
    ]
    return Diagnosis(
        found,
        _tables(looks),
        images=len(found.images),
        bytes=sum(look.bytes for look in looks.values()),
        complete=complete,
        findings=worst_first(findings),
        labels=labels,
    )


def brief(
    root: Path,
    kind: str,
    checked: CheckResult,
    *,
    crop_size: AnySize | None = None,
    resize: str | None = None,
    root_b: Path | None = None,
    table: Path | None = None,
    domains: Sequence[str] = (),
    attributes: Sequence[str] = (),
    rules: Data | None = None,
    copies: bool = True,
) -> list[str]:
    """What a person should know before a training, in a few lines; nothing if all is well.

    For the time after the check of all images, which has found `checked` and has refused what
    cannot be used. For the other arguments see `examine`.
    """
    found = survey(
        root,
        kind,
        root_b=root_b,
        table=table,
        domains=domains,
        attributes=attributes,
        rules=rules,
    )
    looks = {path: checked.looks[path] for path in found.files if path in checked.looks}
    sizes = {path: (look.width, look.height) for path, look in looks.items()}
    seen = CheckResult(sizes, {}, looks)
    found_there = [
        *(duplicate_findings(found, looks, near=True) if copies else ()),
        *_quality_findings(
            found, seen, crop_size, resize, labels={} if found.stored else held_labels(found, seen)
        ),
    ]
    bad = [finding for finding in worst_first(found_there) if finding.severity != "note"]
    # Nothing is refused any more, so that none of it is an error.
    lines = [f"warning: {finding.text}" for finding in bad[:BRIEF_LINES]]
    if bad:
        lines.append(f"`i2i doctor {shlex.quote(str(root))}` says more.")
    return lines


def _quality_findings(
    found: Survey,
    checked: CheckResult,
    crop_size: AnySize | None,
    resize: str | None,
    meant: Meant = NOTHING_MEANT,
    labels: Mapping[str, Held] = MappingProxyType({}),
) -> list[Finding]:
    """What training accepts, though it may be a mistake, beside copies."""
    plain = plain_part(found, meant)
    own = {path for part in found.parts for path in part.images}
    own -= {path for part in plain.parts for path in part.images}
    colours = {path: look for path, look in checked.looks.items() if path not in own}
    return [
        *balance_findings(found),
        *name_findings(found),
        *size_findings(found, checked, crop_size, resize),
        *kind_findings(found, colours),
        *label_findings(labels),
        *(each for each in narrow_findings(plain, checked) if each.severity != "error"),
    ]


def _glance(paths: Sequence[Path], workers: int | None) -> CheckResult:
    """What the heads of the files say."""
    looks: dict[Path, ImageInfo] = {}
    bad: dict[Path, str] = {}
    pool = ThreadPoolExecutor(workers)
    try:
        seen = pool.map(lambda path: look_at(path, decode=False), paths)
        with progress("looking at images") as update:
            for done, (path, look) in enumerate(zip(paths, seen, strict=True), 1):
                if isinstance(look, ImageInfo):
                    looks[path] = look
                else:
                    bad[path] = look
                update(done, len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    return CheckResult(
        {path: (look.width, look.height) for path, look in looks.items()}, bad, looks
    )


def _tables(looks: Mapping[Path, ImageInfo]) -> Tables:
    seen = list(looks.values())
    return Tables(
        sizes=Counter((look.width, look.height) for look in seen),
        formats=Counter(look.format for look in seen),
        modes=Counter(look.mode for look in seen),
        bits=Counter(look.bits for look in seen),
        orientations=Counter(look.orientation for look in seen),
    )
