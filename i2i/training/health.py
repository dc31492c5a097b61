"""Is the run healthy? Verdicts from the scalars of its log, each with what to try.

A verdict is about how things stand at the end of the rows that are given: a sign that went away is
none. But for numbers that are not finite, which never come back, it takes several rows in
succession, and none is passed on the first steps, in which nothing has been learnt yet. Every sign
is a ratio or has a scale of its own, so that the weights of the losses do not matter.

`docs/health.md` has all of this in a table. Nothing here needs torch.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import gt, lt
from statistics import fmean, median, pstdev
from typing import Any

from i2i.training.series import (
    SMOOTHING,
    Point,
    Series,
    ending_of,
    named,
    of_domain,
    read_series,
    smooth,
    together,
    unbroken_since,
)

WARM_UP = 200
"""Steps that are left out. Within them the generators still make about the same grey of everything,
and a discriminator that learns first is as it should be."""

TRAINING_ROWS = 10
"""Rows of training in succession that show a sign before it counts."""

VALIDATION_ROWS = 3
"""Validations in succession that show a sign before it counts. They are means over many pictures,
so three agree only if there is something."""

STARVED = 0.05
"""Discriminator wins: what it pays on the mean of real and fake, over what the generator pays for
the same scores. At equilibrium this is about 1 for the vanilla and the least-squares loss. Healthy
conditional discriminators, which have it easier, stay above 0.2; one that wins is soon at 0.001."""

WINNING_ACCURACY = 0.95
"""Discriminator wins: share of scores on the right side of the other kind's mean, at least. A
healthy discriminator reaches this as well, which is why it never is enough by itself."""

COLLAPSED = 0.15
"""Generator collapsed: diversity of the outputs over that of real pictures. Blurred outputs of a
healthy beginner still have half of it."""

COPIED = 0.1
"""Output copies the input, without pairs: distance of an output to its input over that of two
inputs. A tenth is a change that is hard to see."""

COPIED_OF_TRUTH = 0.4
"""The same with pairs: an output that changes less than this share of what the truth changes, while
a healthy one changes about as much. Data whose pairs are nearly alike must not be taken for a
generator that copies, and a small generator that copies is not exact."""

INVERTED = -0.5
"""Colours inverted: correlation of the output's layout of brightness and colour with that of the
original. A negative has -1, pictures that have nothing to do with each other 0."""

SHIFTED = 0.35
"""Colours shifted: difference of the mean colours, of 2. A sixth of the scale from black to white
is seen at once, and several times what a healthy run has after the first steps."""

EXPLODED = 100.0
"""Exploding gradients: the norm now over its median before. Healthy ones vary by a factor
of ten."""

EXPLODING_REFERENCE = 20
"""Rows before the sign, at least, that the former norm is the median of."""

BROKEN_ROWS = 3
"""Non-finite gradients among the last `TRAINING_ROWS` rows. The scaling of fp16 tries too large a
scale now and then and skips that step, which is no fault."""

STALLED_SHARE = 1 / 2
"""No progress: the share of the run so far, at least, in which the deciding measure has not been
better than its best."""

STALLED_VALIDATIONS = 10
"""The same in validations, at least."""

IMPROVEMENT = 0.005
"""What counts as better: by this share of the best value. Less is within the noise of a mean over a
hundred pictures."""

OVERFITTED = 0.5
"""Over-fitting of the discriminator: how far its scores of held-out real pictures have gone from
those of the real pictures that it learns from towards those of generated ones: r_v in equation 1 of
Karras et al., Training Generative Adversarial Networks with Limited Data, NeurIPS 2020, where
augmentation is regulated to about this value."""


@dataclass(frozen=True)
class Verdict:
    """Something that is wrong with a run.

    Arguments:
        kind: "discriminator wins", "generator collapsed", "output copies input",
            "colours inverted", "colours shifted", "not finite", "exploding gradients",
            "no progress" or "discriminator over-fits".
        player: whose: the player or the network as the log calls it, or "" for the whole run.
        since: the first step that shows it without a break.
        step: the last step that was looked at.
        text: one sentence that says what was seen.
        advice: what to try.
        evidence: the numbers, by the names of the signals.
    """

    kind: str
    player: str
    since: int
    step: int
    text: str
    advice: str
    evidence: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} since step {self.since}: {self.text} {self.advice}"


KINDS: Mapping[str, str] = {
    "discriminator wins": r"[^/]+/fake\w*",
    "generator collapsed": r"validation/health/diversity\w*",
    "output copies input": r"validation/health/copy(?!_truth)\w*",
    "colours inverted": r"validation/health/colour(?!_shift)\w*",
    "colours shifted": r"validation/health/colour_shift\w*",
    "not finite": r".+",
    "exploding gradients": r"[^/]+/gradient_norm\w*",
    "no progress": r"validation/[^/]+",
    "discriminator over-fits": r"validation/[^/]+/score_real\w*",
}
"""Kind of verdict -> pattern of the signals that it is read from."""

Decisive = tuple[str, str] | None


def verdicts(rows: Iterable[Mapping[str, Any]], *, decisive: Decisive = None) -> list[Verdict]:
    """Judge a run.

    Arguments:
        rows: lines of the log, oldest first: "step" and scalars, of which None, an infinity or NaN
            is a value that was not finite. What is missing cannot be judged (see `judged`).
        decisive: the measure that tells progress, and whether "lower" or "higher" is better.
    """
    everything = read_series(rows)
    found = list(_not_finite(everything))
    series = {
        name: finite
        for name, points in everything.items()
        if (finite := [(s, v) for s, v in points if s >= WARM_UP and math.isfinite(v)])
    }
    for check in (
        _discriminator_wins,
        _wrong_outputs,
        _copies,
        _exploding_gradients,
        _discriminator_overfits,
    ):
        found += check(series)
    if decisive is not None:
        found += _no_progress(series, *decisive)
    return found


TOO_EARLY = "too early to judge (see docs/health.md)"
"""What is said where nothing was found, and nothing that takes time could be looked for."""


def is_early(kinds: Iterable[str]) -> bool:
    """Say whether of what was `judged` there is nothing that takes time to be seen."""
    return {*kinds} <= {"not finite"}


def judged(rows: Iterable[Mapping[str, Any]], *, decisive: Decisive = None) -> list[str]:
    """The kinds of verdicts for which the log has a signal, and for long enough, in the order of
    `KINDS`."""
    rows = list(rows)
    counts = Counter(
        name for row in rows for name in row if name != "step" and (row["step"] or 0) >= WARM_UP
    )
    enough = [
        name
        for name, count in counts.items()
        if count >= (VALIDATION_ROWS if name.startswith("validation/") else TRAINING_ROWS)
    ]
    found = {
        kind: any(re.fullmatch(pattern, name) for name in enough) for kind, pattern in KINDS.items()
    }
    progress = counts[f"validation/{decisive[0]}"] if decisive is not None else 0
    found["no progress"] = progress >= STALLED_VALIDATIONS
    found["not finite"] = any(len(row) > 1 for row in rows)  # which takes no time to be seen
    return [kind for kind in KINDS if found[kind]]


def _not_finite(series: Series) -> Iterator[Verdict]:
    for name, points in series.items():
        broken = [step for step, value in points if not math.isfinite(value)]
        gradient = re.fullmatch(KINDS["exploding gradients"], name) is not None
        recent = [s for s, _ in points[-TRAINING_ROWS:]] if gradient else [s for s, _ in points]
        broken = [step for step in broken if step in set(recent)]
        if len(broken) < (BROKEN_ROWS if gradient else 1):
            continue
        yield Verdict(
            "not finite",
            name.rpartition("/")[0],
            broken[0],
            points[-1][0],
            f"{name} was infinite or not a number in {len(broken)} of {len(recent)} rows.",
            "Try a lower learning rate, train.precision=fp32 (or bf16 in place of fp16), and look "
            "for pictures that are empty or of one colour; go on from an older checkpoint.",
            {name: float(len(broken))},
        )


def _discriminator_wins(series: Series) -> Iterator[Verdict]:
    for name, fake in named(series, KINDS["discriminator wins"]):
        player, ending = name.rpartition("/")[0], ending_of(name)
        real = series.get(name.replace("/fake", "/real"))
        fool = _of_the_same(ending, series, r"[^/]+/adversarial\w*")
        if real is None or not fool:
            continue
        # Only a Wasserstein critic pays less than nothing for anything; its scores have no zero,
        # and that they differ is no end of learning.
        shares = [
            (step, (r + f) / 2 / g if min(r, f) >= 0 and g > 0 else math.inf)
            for step, (f, r, g) in together(fake, real, fool[0])
        ]
        right = _of_the_same(ending, series, r"[^/]+/accuracy\w*")
        accuracy = smooth(right[0])[-1][1] if right else 1.0
        since = unbroken_since(smooth(shares), lambda share: share < STARVED, TRAINING_ROWS)
        if since is None or accuracy < WINNING_ACCURACY:
            continue
        share = smooth(shares)[-1][1]
        yield Verdict(
            "discriminator wins",
            player,
            since,
            shares[-1][0],
            f"{player} tells real from generated pictures{of_domain(ending)} almost without fail "
            f"and pays only {share:.2g} of what the generator pays, which learns little from it.",
            "Try a lower learning rate for it (optimizer.player_learning_rates), "
            "adversarial.label_smoothing=0.1, adversarial.loss=least-squares, a smaller "
            "discriminator, or a penalty (objective.r1 or objective.gradient_penalty).",
            {"share": share, "accuracy": accuracy},
        )


def _of_the_same(ending: str, series: Series, pattern: str) -> list[Sequence[Point]]:
    """The series of a domain, or of all domains where none tells them apart."""
    found = [(ending_of(name), points) for name, points in named(series, pattern)]
    own = [points for other, points in found if other == ending]
    return own or [points for other, points in found if not other]


@dataclass(frozen=True)
class _Sign:
    """A signal of the outputs, and when it is bad."""

    kind: str
    signal: str
    bad: Callable[[float], bool]
    text: str
    advice: str


_SIGNS = (
    _Sign(
        "generator collapsed",
        "diversity",
        lambda value: value < COLLAPSED,
        "the outputs for different inputs have only {0:.2g} of the diversity of real pictures.",
        "Try a lower learning rate, a penalty for the discriminator, another seed, or an older "
        "checkpoint; in translation more weight on the term that ties an output to its "
        "input (objective.l1, the cycle terms, or reconstruction), from noise another loss "
        "(adversarial.loss=wasserstein with objective.gradient_penalty=10).",
    ),
    _Sign(
        "colours inverted",
        "colour",
        lambda value: value < INVERTED,
        "outputs are dark where they should be bright (correlation {0:.2f}).",
        "Check data.direction and the pictures themselves (masks or depth may be stored as "
        "negatives). Without pairs, turn the identity terms on or try another seed: a cycle is as "
        "consistent with negatives. If one domain is the negative of the other, all is well.",
    ),
    _Sign(
        "colours shifted",
        "colour_shift",
        lambda value: value > SHIFTED,
        "the mean colour of the outputs is {0:.2g} (of 2) from that of real pictures.",
        "Try the identity terms (without pairs) or more weight on objective.l1, "
        "inference.norm=picture, and see that training and validation pictures are alike.",
    ),
)


def _wrong_outputs(series: Series) -> Iterator[Verdict]:
    for sign in _SIGNS:
        for name, points in named(series, KINDS[sign.kind]):
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


def _copies(series: Series) -> Iterator[Verdict]:
    for name, copies in named(series, KINDS["output copies input"]):
        truth = series.get(name.replace("/copy", "/copy_truth"))
        if truth is None:
            points, limit, than = copies, COPIED, "other pictures are"
        else:
            pairs = together(copies, truth)
            points = [(s, copy / true if true > 0 else math.inf) for s, (copy, true) in pairs]
            limit, than = COPIED_OF_TRUTH, "they should be"
        since = unbroken_since(points, partial(gt, limit), VALIDATION_ROWS)
        if since is not None:
            step, value = points[-1]
            ending = name.rpartition("/")[2].removeprefix("copy")
            yield Verdict(
                "output copies input",
                ending.removeprefix("_"),
                since,
                step,
                f"in validation{of_domain(ending)}, outputs are only {value:.2g} times as far from "
                f"their inputs as {than}.",
                "Try less weight on the terms that hold the input fast (the identity and cycle "
                "terms, or reconstruction) or more on the adversarial ones, and check that the two "
                "sides of the data are not the same pictures. Without pairs, if so little is to "
                "change, all is well.",
                {name: copies[-1][1], "share": value},
            )


def _exploding_gradients(series: Series) -> Iterator[Verdict]:
    for name, raw in named(series, KINDS["exploding gradients"]):
        points = smooth(raw)
        if len(points) < TRAINING_ROWS + EXPLODING_REFERENCE:
            continue
        before = median(value for _, value in raw[:-TRAINING_ROWS])
        if before == 0:  # a player that has not moved yet
            continue
        since = unbroken_since(points, partial(lt, EXPLODED * before), TRAINING_ROWS)
        if since is not None:
            player, now = name.rpartition("/")[0], points[-1][1]
            yield Verdict(
                "exploding gradients",
                player,
                since,
                points[-1][0],
                f"the gradient of {player} has a norm of {now:.3g}, {now / before:.0f} times what "
                "it was.",
                "Try a lower learning rate, a penalty for the discriminator (objective.r1 or "
                "objective.gradient_penalty), and norm layers in both networks; go on from an "
                "older checkpoint.",
                {name: now, "before": before},
            )


def _no_progress(series: Series, measure: str, better: str) -> Iterator[Verdict]:
    points = series.get(f"validation/{measure}", ())
    if not points:
        return
    sign = {"lower": -1, "higher": 1}[better]
    at, best = points[0]
    count = 0
    for step, value in points[1:]:
        count += 1
        if sign * (value - best) > IMPROVEMENT * abs(best):
            at, best, count = step, value, 0
    last = points[-1][0]
    if count >= STALLED_VALIDATIONS and last - at >= STALLED_SHARE * last:
        yield Verdict(
            "no progress",
            "",
            at,
            last,
            f"validation/{measure} has not been better than {best:.4g} in the last {count} "
            "validations.",
            "If the pictures please, stop: best.pt holds the best. If not, try a lower learning "
            "rate towards the end (schedule.name=linear), a wider generator, more or more varied "
            "pictures (data.augment), or other weights of the objective.",
            {f"validation/{measure}": points[-1][1], "best": best},
        )


def _discriminator_overfits(series: Series) -> Iterator[Verdict]:
    for name, held_out in named(series, KINDS["discriminator over-fits"]):
        own = name.removeprefix("validation/")
        real, fake = series.get(own), series.get(own.replace("score_real", "score_fake"))
        if real is None or fake is None:
            continue
        ways = smooth(list(_ways(held_out, together(real, fake))))
        since = unbroken_since(ways, lambda way: way > OVERFITTED, VALIDATION_ROWS)
        if since is None:
            continue
        player, ending = own.rpartition("/")[0], own.rpartition("score_real")[2]
        step, way = ways[-1]
        yield Verdict(
            "discriminator over-fits",
            player,
            since,
            step,
            f"{player} knows its training pictures{of_domain(ending)} by heart: its scores of "
            f"held-out real ones have gone {way:.0%} of the way to those of generated ones.",
            "Try more pictures, data.flip and data.augment (device augmentation reaches both "
            "kinds), a smaller discriminator, objective.r1, or stop earlier: best.pt holds the "
            "best.",
            {"overfitting": way, name: held_out[-1][1], own: real[-1][1]},
        )


def _ways(
    held_out: Sequence[Point], training: Sequence[tuple[int, tuple[float, ...]]]
) -> Iterator[Point]:
    """How far from real to fake the scores of held-out real pictures are, at each validation.

    The scores in training are those of the last rows before it. Where they differ no more than they
    vary, there is no way to measure, which counts as 0.
    """
    steps = [step for step, _ in training]
    for step, score in held_out:
        end = bisect_right(steps, step)
        rows = [values for _, values in training[max(0, end - TRAINING_ROWS) : end]]
        if len(rows) < SMOOTHING:
            continue
        reals, fakes = zip(*rows, strict=True)
        gap = fmean(reals) - fmean(fakes)
        measurable = gap > max(pstdev(reals), pstdev(fakes))
        yield step, (fmean(reals) - score) / gap if measurable else 0.0
