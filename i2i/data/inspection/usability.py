"""What the images themselves are like, and which of it matters in training."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from i2i.core.batch import Labelled
from i2i.core.labels import alike, misspelt
from i2i.core.size import AnySize, Size
from i2i.core.text import counted, of
from i2i.data.images.check import CheckResult, mismatch
from i2i.data.images.probe import FLAT, ImageInfo
from i2i.data.images.read import counted_by_suffix, is_broken
from i2i.data.images.values import find_narrow
from i2i.data.inspection.bands import NOTHING_MEANT, Meant, plain_part
from i2i.data.inspection.classes import RARE as RARE_CLASS
from i2i.data.inspection.classes import Held, examine_labels
from i2i.data.inspection.finding import Finding, about
from i2i.data.inspection.survey import Survey
from i2i.data.kinds import find_kind
from i2i.data.kinds.folders import MARKER

EXTREME_ASPECT = 2.0
"""From this ratio of the longer to the shorter side on, a stretched image is called distorted."""

_SIDES = ("A", "B", "A.", "B.")

IMBALANCE = 4.0
"""From this ratio of the largest domain or class to the smallest, they are out of balance."""

RARE = 0.01
"""An attribute that holds for a smaller share of the images, or fails to, is hardly learnt."""


def usability_findings(
    survey: Survey, checked: CheckResult, meant: Meant = NOTHING_MEANT
) -> list[Finding]:
    """What training refuses: no layout, no partner or row, unreadable images, unequal ones."""
    findings = [Finding("layout", "error", problem) for problem in survey.problems]
    if survey.orphans:
        findings.append(
            about(
                "orphans",
                "error",
                f"{counted(len(survey.orphans), 'image has', 'images have')} no partner.",
                survey.orphans,
                "Add what is missing (partners have the same name), or train with --skip-bad.",
            )
        )
    if survey.unlisted:
        findings.append(
            about(
                "unlisted",
                "error",
                f"{counted(len(survey.unlisted), 'image has', 'images have')} no row in the "
                "table of attributes.",
                survey.unlisted,
                "Add their rows, or train with --skip-bad.",
            )
        )
    broken = {path: why for path, why in checked.bad.items() if is_broken(why)}
    if broken:
        findings.append(
            about(
                "unreadable",
                "error",
                f"{counted(len(broken), 'image', 'images')} cannot be read.",
                list(broken),
                "Fetch or save them again, or train with --skip-bad.",
                list(broken.values()),
            )
        )
    foreign = {path: why for path, why in checked.bad.items() if path not in broken}
    if foreign:
        findings.append(
            about(
                "not understood",
                "error",
                f"{counted(len(foreign), 'image', 'images')} cannot be used as they are.",
                list(foreign),
                "Convert them as said, or train with --skip-bad.",
                list(foreign.values()),
            )
        )
    plain = plain_part(survey, meant)
    findings += [each for each in narrow_findings(plain, checked) if each.severity == "error"]
    unequal = {
        pair: why
        for _, pairs in survey.pairs
        for pair in pairs
        if (why := mismatch(pair, checked, meant.ratios))
    }
    if unequal:
        findings.append(
            Finding(
                "mismatched",
                "error",
                f"{len(unequal)} pairs are of {'other' if meant.ratios else 'unequal'} size"
                f"{'s than the recipe wants' if meant.ratios else ''}.",
                tuple(pair.files for pair in unequal),
                tuple(unequal.values()),
                "Make those of a pair equally large, or train with --skip-bad.",
            )
        )
    findings += [Finding("not used", "warning", f"{note}.") for note in survey.notes]
    if survey.passed_over:
        findings.append(
            about(
                "passed over",
                "warning",
                f"{counted(len(survey.passed_over), 'file is', 'files are')} of kinds that are not "
                f"read: {counted_by_suffix(survey.passed_over)}.",
                survey.passed_over,
                "Convert them to PNG if they belong to the data.",
            )
        )
    if survey.results:
        findings.append(
            about(
                "results",
                "note",
                f"{counted(len(survey.results), 'folder holds', 'folders hold')} results of i2i "
                "and are left out.",
                survey.results,
                f"Remove the file {MARKER} in one that shall be data.",
            )
        )
    return findings


def narrow_findings(survey: Survey, checked: CheckResult) -> list[Finding]:
    """Values that fill a small part of the range: errors where training refuses them."""
    sides: dict[tuple[str, str], list[Path]] = {}
    for part in survey.parts:
        sides.setdefault((part.split, part.name), []).extend(part.images)
    found = [find_narrow(paths, checked.looks) for paths in sides.values()]
    return [
        about(
            "label maps" if each.labels else "range",
            "error" if each.refused else "warning",
            str(each),
            each.images,
            each.advice,
        )
        for each in found
        if each is not None
    ]


def held_labels(survey: Survey, checked: CheckResult) -> dict[str, Held]:
    """What the label maps of those sides hold whose images look like such: "A", "A.mask"."""
    found = {}
    for side in dict.fromkeys(part.name for part in survey.parts if part.name[:2] in _SIDES):
        paths = [path for part in survey.parts if part.name == side for path in part.images]
        held = examine_labels(paths, checked.looks)
        if held is not None:
            found[side] = held
    return found


def label_findings(labels: Mapping[str, Held]) -> list[Finding]:
    """What classes label maps hold, of each side: how often each is there, and what a recipe has
    to say of them."""
    findings = []
    for side, held in labels.items():
        table = f"data.{side.replace('.', '.parts.', 1)}"
        advice = f"To train on them as such: [{table}] {held.recipe}"
        text = f"side {side} holds label maps of {held}."
        findings.append(about("classes", "note", text, held.paths[:1], advice))
        if held.rare:
            findings.append(
                about(
                    "rare classes",
                    "warning",
                    f"side {side}: {', '.join(held.rare)} fill less than "
                    f"{RARE_CLASS:.1%} of the pixels each: little can be learnt of them.",
                    held.paths[:1],
                )
            )
    return findings


def balance_findings(survey: Survey) -> list[Finding]:
    """What is missing or much rarer than the rest."""
    findings = []
    if survey.has("train") and not survey.has("val") and not survey.problems:
        findings.append(
            Finding(
                "no validation",
                "note",
                "There are no images to validate with: some of those for training will be held "
                "out.",
            )
        )
    counts = {p.name: len(p.images) for p in survey.parts if p.split == "train"}
    kind = find_kind(survey.kind)
    if len(counts) > 1 and kind.balance_advice:
        most, least = (choose(counts, key=lambda n: counts[n]) for choose in (max, min))
        if counts[most] >= IMBALANCE * counts[least]:
            findings.append(
                Finding(
                    "balance",
                    kind.balance_severity,
                    f"Out of balance: {counted(counts[most], 'image', 'images')} of {most}, "
                    f"{counts[least]} of {least}.",
                    advice=kind.balance_advice,
                )
            )
    rare = {name: share for name, share in survey.shares if not RARE <= share <= 1 - RARE}
    if rare:
        each = ", ".join(f"{name} ({share:.1%})" for name, share in rare.items())
        findings.append(
            Finding(
                "rare attributes",
                "warning",
                f"Attributes that hold for almost all or almost no images: {each}.",
                advice="Choose others with --set data.attributes=[...], or add images.",
            )
        )
    return findings


def name_findings(survey: Survey) -> list[Finding]:
    """Domains, classes and attributes whose names will be in the way."""
    if find_kind(survey.kind).batch is not Labelled:
        return []
    parts = {part.name: len(part.images) for part in survey.parts if part.split == "train"}
    counts = (parts if len(parts) > 1 else {}) | dict.fromkeys(dict(survey.shares), 0)
    names = list(counts)
    found = []
    for group in alike(names):
        found.append(
            Finding(
                "names alike",
                "warning",
                f"{' and '.join(map(repr, group))} are nearly the same name.",
                advice="If they mean the same, join them: they are learnt as different things.",
            )
        )
    for rare, common in misspelt(counts):
        found.append(
            Finding(
                "misspelt name",
                "warning",
                f"{rare!r}{_so_many(counts[rare])} is a letter away from "
                f"{common!r}{_so_many(counts[common])}: is it a typing mistake?",
                advice="If they mean the same, join them: they are learnt as different things.",
            )
        )
    if odd := [name for name in names if any(c in name for c in ",|=")]:
        found.append(
            Finding(
                "odd names",
                "warning",
                f"{', '.join(map(repr, odd))}: in lists of names, commas, bars and = part one name "
                "from the next.",
                advice="Rename the folders or columns, without these.",
            )
        )
    return found


def _so_many(images: int) -> str:
    return f" ({counted(images, 'image', 'images')})" if images else ""


def _covered(crop: Size, sizes: list[tuple[int, int]]) -> Size:
    """The largest crop of the same proportions that all images cover."""
    share = min(min(width / crop.width, height / crop.height) for width, height in sizes)
    return Size(round(crop.width * share), round(crop.height * share))


def _distortion(size: tuple[int, int], wanted: Size) -> float:
    """How many times one side is stretched more than the other to get these proportions."""
    ratio = max(size[0], 1) * wanted.height / (max(size[1], 1) * wanted.width)
    return max(ratio, 1 / ratio)


def size_findings(
    survey: Survey, checked: CheckResult, crop_size: AnySize | None, resize: str | None
) -> list[Finding]:
    """Images that training would enlarge or distort.

    Arguments:
        survey, checked: the images.
        crop_size: that of the training; None if it is not known.
        resize: "stretch", "shorter side" or "none"; None if it is not known.
    """
    halved = 2 if survey.side_by_side else 1
    sizes = {path: (width // halved, height) for path, (width, height) in checked.sizes.items()}
    findings = []
    if crop_size is not None:
        crop = Size.of(crop_size)
        small = [
            path
            for path, (width, height) in sizes.items()
            if width < crop.width or height < crop.height
        ]
        if small:
            findings.append(
                about(
                    "small",
                    "warning",
                    f"{of(len(small), len(sizes))} are smaller than the crop of {crop} and "
                    "will be enlarged.",
                    small,
                    f"Train with a --size of at most {_covered(crop, [sizes[p] for p in small])}, "
                    "or take larger images: what is not there cannot be learnt.",
                    [_size(sizes[path]) for path in small],
                )
            )
    wanted = Size.of(crop_size or 1)
    aspects = {path: _distortion(size, wanted) for path, size in sizes.items()}
    long = [path for path, aspect in aspects.items() if aspect >= EXTREME_ASPECT]
    if long and resize in ("stretch", None):
        which = "will be" if resize else "would be"
        findings.append(
            about(
                "aspect",
                "warning" if resize else "note",
                f"{of(len(long), len(sizes))} are at least {EXTREME_ASPECT:g} times as long as "
                f"{'wide' if wanted.is_square else f'a crop of {wanted}'}, and {which} distorted "
                'by resize = "stretch".',
                long,
                'Train with --set "data.resize=shorter side".',
                [_size(sizes[path]) for path in long],
            )
        )
    if survey.side_by_side and 2 * len(long) > len(sizes):
        findings.append(
            about(
                "doubtful pairs",
                "warning",
                "Most images would be halves of strange proportions if they are two side by side.",
                long,
                "If they are whole images, say so with --kind unconditional.",
            )
        )
    return findings


def kind_findings(survey: Survey, looks: Mapping[Path, ImageInfo]) -> list[Finding]:
    """Conversions that training will do, and images that show nothing."""
    findings = _grey_findings(survey, looks)

    def each(
        kind: str,
        which: Callable[[ImageInfo], bool],
        text: str,
        advice: str = "",
        *,
        unless_all: bool = False,
        warn: bool = False,
    ) -> None:
        paths = [path for path, look in looks.items() if which(look)]
        if paths and not (unless_all and len(paths) == len(looks)):
            severity = "warning" if warn else "note"
            text = f"{of(len(paths), len(looks))} {text}"
            findings.append(about(kind, severity, text, paths, advice))  # type: ignore[arg-type]

    each(
        "flat",
        lambda look: look.flat,
        f"show next to nothing: their pixels differ by at most {FLAT} of 255.",
        "Remove them, unless that is what they shall show.",
        warn=True,
    )
    each(
        "16 bits",
        lambda look: look.bits > 8,
        f"have more than 8 bits: training reads 8 of them.{_deep_values(looks)}",
    )
    each(
        "geo",
        lambda look: look.geo,
        "say where on earth they are (GeoTIFF), which results will not.",
    )
    each(
        "transparent",
        lambda look: look.transparent,
        "are transparent in places: white will be put behind them.",
    )
    each(
        "cmyk",
        lambda look: look.mode == "CMYK",
        "are CMYK: they become RGB without a colour profile, so that colours may be off.",
        "Save them as RGB with a program that knows profiles.",
    )
    each(
        "rotated",
        lambda look: look.orientation != 1,
        "are turned or mirrored by their EXIF orientation, which is applied.",
    )
    each(
        "profile",
        lambda look: look.profile,
        "have a colour profile other than sRGB, which training does not look at.",
        "Convert them to sRGB if colours matter.",
    )
    each(
        "frames",
        lambda look: look.frames > 1,
        "have several frames, of which the first is taken.",
    )
    return findings


def _grey_findings(survey: Survey, looks: Mapping[Path, ImageInfo]) -> list[Finding]:
    """Grey images among coloured ones on the same side: two sides may well differ."""
    sides: dict[str, list[Path]] = {}
    for part in survey.parts:
        sides.setdefault(part.name, []).extend(path for path in part.images if path in looks)
    findings = []
    for name, paths in sides.items():
        grey = [path for path in paths if _is_grey(looks[path])]
        if not 0 < len(grey) < len(paths):
            continue
        mostly = 2 * len(grey) > len(paths)
        odd = [path for path in paths if not _is_grey(looks[path])] if mostly else grey
        of_side = f" of {name}" if name else ""
        findings.append(
            about(
                "grey",
                "note",
                f"{of(len(odd), len(paths))}{of_side} "
                + (
                    "have colours, the others are grey."
                    if mostly
                    else "are grey, the others have colours."
                ),
                odd,
                "A model will make some of its results grey; remove one kind if it shall not.",
            )
        )
    return findings


def _deep_values(looks: Mapping[Path, ImageInfo]) -> str:
    """What values the images of 16 bits hold."""
    deep = [look for look in looks.values() if look.bits > 8 and look.mode != "F" and look.complete]
    if not deep:
        return ""
    low, high = min(look.low for look in deep), max(look.high for look in deep)
    return f" They hold values within {low:g}..{high:g} of 65535."


def _is_grey(look: ImageInfo) -> bool:
    return look.mode in _GREY_MODES or (look.grey and not look.flat)


_GREY_MODES: Sequence[str] = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
