"""What the pictures themselves are like, and which of it matters in training."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from i2i.data.check import Checked, mismatch
from i2i.data.look import Look
from i2i.doctor.finding import Finding, about
from i2i.doctor.survey import Survey
from i2i.doctor.words import counted, of

EXTREME_ASPECT = 2.0
"""From this ratio of the longer to the shorter side on, a stretched picture is called distorted."""

IMBALANCE = 4.0
"""From this ratio of the largest domain or class to the smallest, they are out of balance."""

RARE = 0.01
"""An attribute that holds for a smaller share of the pictures, or fails to, is hardly learnt."""


_BALANCE_ADVICE = {
    "domains": "Train with --set data.balance=true, which shows all equally often.",
    "unpaired": "An epoch has as many steps as the larger side has pictures; those of the smaller "
    "one are seen more often.",
    "pictures": "Rare classes are seen rarely and learnt less well; choose some with --set "
    "data.domains=[...], or add pictures.",
}


def usability_findings(survey: Survey, checked: Checked) -> list[Finding]:
    """What training refuses: no layout, no partner or row, unreadable pictures, unequal ones."""
    findings = [Finding("layout", "error", problem) for problem in survey.problems]
    if survey.orphans:
        findings.append(
            about(
                "orphans",
                "error",
                f"{counted(len(survey.orphans), 'picture has', 'pictures have')} no partner.",
                survey.orphans,
                "Add what is missing (partners have the same name), or train with --skip-bad.",
            )
        )
    if survey.unlisted:
        findings.append(
            about(
                "unlisted",
                "error",
                f"{counted(len(survey.unlisted), 'picture has', 'pictures have')} no row in the "
                "table of attributes.",
                survey.unlisted,
                "Add their rows, or train with --skip-bad.",
            )
        )
    if checked.bad:
        findings.append(
            about(
                "unreadable",
                "error",
                f"{counted(len(checked.bad), 'picture', 'pictures')} cannot be read.",
                list(checked.bad),
                "Fetch or save them again, or train with --skip-bad.",
                list(checked.bad.values()),
            )
        )
    unequal = {
        pair: why for _, pairs in survey.pairs for pair in pairs if (why := mismatch(pair, checked))
    }
    if unequal:
        findings.append(
            Finding(
                "mismatched",
                "error",
                f"{len(unequal)} pairs are of unequal size.",
                tuple((pair.a, pair.b) if pair.b else (pair.a,) for pair in unequal),
                tuple(unequal.values()),
                "Make the two of a pair equally large, or train with --skip-bad.",
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
                "There are no pictures to validate with: some of those for training will be held "
                "out.",
            )
        )
    counts = {p.name: len(p.pictures) for p in survey.parts if p.split == "train"}
    if len(counts) > 1 and survey.kind != "paired":
        most, least = (choose(counts, key=lambda n: counts[n]) for choose in (max, min))
        if counts[most] >= IMBALANCE * counts[least]:
            findings.append(
                Finding(
                    "balance",
                    "warning" if survey.kind == "domains" else "note",
                    f"Out of balance: {counted(counts[most], 'picture', 'pictures')} of {most}, "
                    f"{counts[least]} of {least}.",
                    advice=_BALANCE_ADVICE[survey.kind],
                )
            )
    rare = {name: share for name, share in survey.shares if not RARE <= share <= 1 - RARE}
    if rare:
        each = ", ".join(f"{name} ({share:.1%})" for name, share in rare.items())
        findings.append(
            Finding(
                "rare attributes",
                "warning",
                f"Attributes that hold for almost all or almost no pictures: {each}.",
                advice="Choose others with --set data.attributes=[...], or add pictures.",
            )
        )
    return findings


def size_findings(
    survey: Survey, checked: Checked, crop_size: int | None, resize: str | None
) -> list[Finding]:
    """Pictures that training would enlarge or distort.

    Arguments:
        survey, checked: the pictures.
        crop_size: that of the training; None if it is not known.
        resize: "stretch", "shorter side" or "none"; None if it is not known.
    """
    halved = 2 if survey.side_by_side else 1
    sizes = {path: (width // halved, height) for path, (width, height) in checked.sizes.items()}
    findings = []
    if crop_size is not None:
        small = [path for path, size in sizes.items() if min(size) < crop_size]
        if small:
            findings.append(
                about(
                    "small",
                    "warning",
                    f"{of(len(small), len(sizes))} are smaller than the crop of {crop_size} and "
                    "will be enlarged.",
                    small,
                    f"Train with a --size of at most {min(min(sizes[path]) for path in small)}, or "
                    "take larger pictures: what is not there cannot be learnt.",
                    [_size(sizes[path]) for path in small],
                )
            )
    aspects = {path: max(size) / max(min(size), 1) for path, size in sizes.items()}
    long = [path for path, aspect in aspects.items() if aspect >= EXTREME_ASPECT]
    if long and resize in ("stretch", None):
        which = "will be" if resize else "would be"
        findings.append(
            about(
                "aspect",
                "warning" if resize else "note",
                f"{of(len(long), len(sizes))} are at least {EXTREME_ASPECT:g} times as long as "
                f'wide, and {which} distorted by resize = "stretch".',
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
                "Most pictures would be halves of strange proportions if they are two side by "
                "side.",
                long,
                "If they are whole pictures, say so with --kind pictures.",
            )
        )
    return findings


def kind_findings(looks: Mapping[Path, Look]) -> list[Finding]:
    """Conversions that training will do, and pictures that show nothing."""
    findings = []

    def each(
        kind: str,
        which: Callable[[Look], bool],
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
        "show nothing: all of their pixels have the same colour.",
        "Remove them, unless that is what they shall show.",
        warn=True,
    )
    mostly_grey = 2 * sum(map(_is_grey, looks.values())) > len(looks)
    each(
        "grey",
        (lambda look: not _is_grey(look)) if mostly_grey else _is_grey,
        "have colours, the others are grey."
        if mostly_grey
        else "are grey, the others have colours.",
        "A model will make some of its results grey; remove one kind if it shall not.",
        unless_all=True,
    )
    each(
        "16 bits",
        lambda look: look.bits > 8,
        "have more than 8 bits: training reads 8 of them.",
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


def _is_grey(look: Look) -> bool:
    return look.mode in _GREY_MODES or (look.grey and not look.flat)


_GREY_MODES: Sequence[str] = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
