"""Outputs that are plainly wrong: the signs of them in validations, and which of them veto a best.

The signals are those of `i2i.metrics.health`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from i2i.runs.series import Series, named, of_domain, unbroken_since
from i2i.runs.thresholds import COLLAPSED, FLAT, GRID, INVERTED, SHIFTED, VALIDATION_ROWS
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
    """

    kind: str
    signal: str
    bad: Callable[[float], bool]
    text: str
    advice: str

    @property
    def pattern(self) -> str:
        other = "(?!_shift)" if self.signal == "colour" else ""
        return rf"validation/health/{self.signal}{other}\w*"


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
)


PATTERNS: Mapping[str, str] = {sign.kind: sign.pattern for sign in _SIGNS}
"""Kind of verdict -> pattern of the scalars of the log that it is read from."""

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


def wrong_outputs(series: Series) -> Iterator[Verdict]:
    """Verdicts on outputs that are wrong in several validations in succession."""
    for sign in _SIGNS:
        for name, points in named(series, sign.pattern):
            since = unbroken_since(points, sign.bad, VALIDATION_ROWS)
            if since is not None:
                step, value = points[-1]
                ending = name.rpartition("/")[2].removeprefix(sign.signal)
                text = sign.text.format(value)
                yield Verdict(
                    sign.kind,
                    ending.removeprefix("_"),
                    since,
                    step,
                    f"in validation{of_domain(ending)}, {text}",
                    sign.advice,
                    {name: value},
                )
