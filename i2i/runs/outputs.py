"""Outputs that are plainly wrong: the signs of them in validations, and which of them veto a best.

The signals are those of `i2i.metrics.health`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from i2i.runs.comparisons import late, progress_of
from i2i.runs.series import Series, named, of_domain, unbroken_since
from i2i.runs.thresholds import (
    BLURRED,
    COLLAPSED,
    FLAT,
    GRID,
    INVERTED,
    LATE,
    ONE_ANSWER,
    RECOLOURED,
    SHIFTED,
    UNLIKE_INPUT,
    UNLIKE_TARGET,
    VALIDATION_ROWS,
)
from i2i.runs.verdict import Verdict


@dataclass(frozen=True)
class _Sign:
    """A signal of the outputs, and when it is bad.

    Arguments:
        kind: of the verdict.
        signal: its name below validation/health/; the domain may stand behind it.
        bad: says so of a value.
        text: what is seen; {0} is the value.
        advice: what to try.
        late: whether a beginner has it by nature, so that it counts after a third of the run only.
    """

    kind: str
    signal: str
    bad: Callable[[float], bool]
    text: str
    advice: str
    late: bool = False

    @property
    def pattern(self) -> str:
        other = "(?!_shift)" if self.signal == "colour" else ""
        return rf"validation/health/{self.signal}{other}\w*"

    def domain(self, name: str) -> str:
        """What a scalar of this sign is about: "AtoB" in "validation/health/grid_AtoB"."""
        return name.rpartition("/")[2].removeprefix(self.signal).removeprefix("_")


_SIGNS = (
    _Sign(
        "generator collapsed",
        "diversity",
        lambda value: value < COLLAPSED,
        "the outputs for different inputs have only {0:.2g} of the diversity of real images.",
        "Try a lower learning rate, a penalty for the discriminator, another seed, or an older "
        "checkpoint; in translation more weight on the term that ties an output to its "
        "input (objective.l1, the cycle terms, or reconstruction), from noise another loss "
        "(adversarial.loss=wasserstein with objective.gradient_penalty=10).",
    ),
    _Sign(
        "outputs flat",
        "contrast",
        lambda value: value < FLAT,
        "the pixels within an output differ only {0:.2g} times as much as in real images: each "
        "is of one colour.",
        "The generator has died or never begun: go on from an older checkpoint with a lower "
        "learning rate, or begin anew with another seed.",
    ),
    _Sign(
        "periodic pattern",
        "grid",
        lambda value: value > GRID,
        "outputs are covered by a pattern that repeats every 2, 4 or 8 pixels (it stands out "
        "{0:.0f} times as far as in real images).",
        "Try generator.upsample=resize where the network has it, a longer training, a lower "
        "learning rate of the discriminator, or less of its layers.",
    ),
    _Sign(
        "colours inverted",
        "colour",
        lambda value: value < INVERTED,
        "outputs are dark where they should be bright (correlation {0:.2f}).",
        "Check data.direction and the images themselves (masks or depth may be stored as "
        "negatives). Without pairs, turn the identity terms on or try another seed: a cycle is as "
        "consistent with negatives. If one domain is the negative of the other, all is well.",
    ),
    _Sign(
        "colours shifted",
        "colour_shift",
        lambda value: value > SHIFTED,
        "the mean colour of the outputs is {0:.2g} (of 2) from that of real images.",
        "Try the identity terms (without pairs) or more weight on objective.l1, "
        "inference.norm=instance, and see that training and validation images are alike.",
    ),
    _Sign(
        "outputs blurred",
        "detail",
        lambda value: value < BLURRED,
        "outputs have only {0:.2g} of the fine detail of real images: they are blurred or smeared.",
        "Train longer; try more weight on the adversarial terms or less on those that compare "
        "pixels (objective.l1), a wider generator, and see that pairs fit upon each other: what "
        "the input does not tell, a mean of all that may be stands for.",
        late=True,
    ),
    _Sign(
        "colours changed",
        "hue",
        lambda value: value < RECOLOURED,
        "colours come out as others: where the original is blue, say, outputs are yellow "
        "(they follow it by {0:.2f}; 0 would be chance).",
        "Try the identity terms or more weight on reconstruction or cycle, and look at the images: "
        "the channels of some may be in another order. If that change is wanted, all is well.",
        late=True,
    ),
    _Sign(
        "colours changed",
        "palette",
        lambda value: value > UNLIKE_TARGET,
        "the colours of outputs are {0:.2g} (of 2) further from those of real images of the target "
        "than the colours of the untouched inputs are.",
        "Try the identity terms, a longer training, and look at the images: those to learn from "
        "and those held out should have the same colours.",
        late=True,
    ),
    _Sign(
        "identity lost",
        "structure",
        lambda value: value < UNLIKE_INPUT,
        "edges of outputs are hardly where those of their own inputs are, rather than those of any "
        "other ({0:.2f}; 0 is chance): what is in an input gets lost.",
        "Try more weight on what ties an output to its input (the cycle terms, reconstruction, "
        "nce), less on the adversarial ones, or a lower learning rate.",
        late=True,
    ),
    _Sign(
        "one answer",
        "answers",
        lambda value: value < ONE_ANSWER,
        "outputs for the same input by other noise differ only {0:.2g} times as much as those for "
        "other inputs: all seeds give the same.",
        "Try more weight on objective.diversity and objective.style_reconstruction (objective.kl "
        "less), a longer game.diversity_steps, or a higher learning rate of the mapping network.",
        late=True,
    ),
)


PATTERNS: Mapping[str, str] = {
    kind: "|".join(sign.pattern for sign in _SIGNS if sign.kind == kind)
    for kind in dict.fromkeys(sign.kind for sign in _SIGNS)
}
"""Kind of verdict -> pattern of the scalars of the log that it is read from."""

LATE_KINDS = frozenset(sign.kind for sign in _SIGNS if sign.late)
"""Kinds of verdicts that only validations after the beginning of the run tell."""

VETO = ("generator collapsed", "outputs flat", "periodic pattern")
"""What a person sees at once and a distance between sets may even prefer: dots and stripes have the
contrast that blurred outputs lack. A change of colours is not among them, since it may be what the
data asks for."""


COMPARING = ("l1", "psnr", "ssim")
"""Measures that compare outputs with their truths: they see every flaw for themselves."""


def flaws(measured: Mapping[str, float | None], monitor: str) -> list[str]:
    """The kinds of `VETO` that a single validation shows.

    Arguments:
        measured: its scalars, by their names in the log (`validation/...`).
        monitor: the measure that decides which checkpoint is the best.
    """
    if monitor in COMPARING:
        return []
    return [
        sign.kind
        for sign in _SIGNS
        if sign.kind in VETO
        and any(
            value is not None and sign.bad(value)
            for name, value in measured.items()
            if re.fullmatch(sign.pattern, name)
        )
    ]


def signs(measured: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
    """The kind and the domain ("" where there is but one) of all that a single validation shows.

    Arguments:
        measured: its scalars, by their names in the log (`validation/...`).
    """
    early = progress_of(measured) < LATE
    for sign in _SIGNS:
        for name, value in measured.items():
            bad = value is not None and re.fullmatch(sign.pattern, name) and sign.bad(value)
            if bad and not (sign.late and early):
                yield sign.kind, sign.domain(name)


def wrong_outputs(series: Series) -> Iterator[Verdict]:
    """Verdicts on outputs that are wrong in several validations in succession."""
    for sign in _SIGNS:
        for name, all_points in named(series, sign.pattern):
            points = late(all_points, series) if sign.late else all_points
            since = unbroken_since(points, sign.bad, VALIDATION_ROWS)
            if since is not None:
                step, value = points[-1]
                domain = sign.domain(name)
                yield Verdict(
                    sign.kind,
                    domain,
                    since,
                    step,
                    f"in validation{of_domain(domain)}, {sign.text.format(value)}",
                    sign.advice,
                    {name: value},
                )
