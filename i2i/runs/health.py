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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import gt, lt
from statistics import fmean, median, pstdev
from typing import Any

from i2i.runs.beginnings import dead_generators, runaway_losses
from i2i.runs.comparisons import (
    NO_BETTER,
    is_late,
    no_better_than_input,
    not_recognised,
    progress_of,
)
from i2i.runs.outputs import LATE_KINDS, PATTERNS, wrong_outputs
from i2i.runs.series import (
    SMOOTHING,
    Point,
    Series,
    ending_of,
    named,
    of_domain,
    of_named_sides,
    read_series,
    smooth,
    together,
    unbroken_since,
)
from i2i.runs.thresholds import (
    BROKEN_ROWS,
    COPIED,
    COPIED_OF_TRUTH,
    DEAD_ROWS,
    EXPLODED,
    EXPLODING_REFERENCE,
    IMPROVEMENT,
    OVERFITTED,
    RUNAWAY_ROWS,
    STALLED_SHARE,
    STALLED_VALIDATIONS,
    STARVED,
    TRAINING_ROWS,
    VALIDATION_ROWS,
    WARM_UP,
    WINNING_ACCURACY,
)
from i2i.runs.verdict import Verdict

KINDS: Mapping[str, str] = {
    "generator dead": r"[^/]+/gradient_norm\w*",
    "losses run away": r"[^/]+/total",
    "discriminator wins": r"[^/]+/fake\w*",
    "generator collapsed": PATTERNS["generator collapsed"],
    "outputs flat": PATTERNS["outputs flat"],
    "periodic pattern": PATTERNS["periodic pattern"],
    "output copies input": r"validation/health/copy(?!_truth)\w*",
    "colours inverted": PATTERNS["colours inverted"],
    "colours shifted": PATTERNS["colours shifted"],
    **{kind: PATTERNS[kind] for kind in PATTERNS if kind in LATE_KINDS},
    NO_BETTER: r"validation/copying/[^/]+",
    "not recognised": r"validation/domain_accuracy",
    "not finite": r"(?!.*\bpsnr$).+",  # which is infinite for equal images; l1 would tell, too
    "exploding gradients": r"[^/]+/gradient_norm\w*",
    "no progress": r"validation/[^/]+",
    "discriminator over-fits": r"validation/[^/]+/score_real\w*",
}
"""Kind of verdict -> pattern of the signals that it is read from."""

_TRAINED = f"{TRAINING_ROWS} rows of training after step {WARM_UP}"
_VALIDATED = f"{VALIDATION_ROWS} validations after step {WARM_UP}"
_LATE = f"{VALIDATION_ROWS} validations after a third of the run"

NEEDS: Mapping[str, str] = {
    "generator dead": f"{DEAD_ROWS} rows with its gradient",
    "losses run away": f"{RUNAWAY_ROWS} rows of training",
    "discriminator wins": f"{_TRAINED}, with losses of a discriminator",
    "generator collapsed": f"{_VALIDATED}, of three different images on each side",
    "outputs flat": _VALIDATED,
    "periodic pattern": f"{_VALIDATED}, of images of 32 pixels or more",
    "output copies input": f"{_VALIDATED}, of two different inputs",
    "colours inverted": f"{_VALIDATED}, of images with an input or a truth",
    "colours shifted": _VALIDATED,
    "outputs blurred": f"{_LATE}, of images of 32 pixels or more",
    "colours changed": f"{_LATE}, of two different images of three channels with an input",
    "identity lost": f"{_LATE}, of two different inputs without a truth",
    "one answer": f"{_LATE}, of two different inputs and a model of several answers",
    NO_BETTER: f"{_LATE} or the last one, a measure that decides, inputs with as many channels",
    "not recognised": f"{_LATE}, and a classifier of the domains",
    "not finite": "rows",
    "exploding gradients": f"{_TRAINED}, with gradients",
    "no progress": f"{STALLED_VALIDATIONS} validations by a measure that decides",
    "discriminator over-fits": f"{_VALIDATED}, with scores of a discriminator",
}
"""Kind of verdict -> what it is judged by; without it, it is not judged."""

IMMEDIATE = ("not finite", "generator dead", "losses run away")
"""What takes no time to be seen."""

Decisive = tuple[str, str] | None


def verdicts(
    rows: Iterable[Mapping[str, Any]],
    *,
    monitor: Decisive = None,
    sides: tuple[str, str] = ("A", "B"),
) -> list[Verdict]:
    """Judge a run.

    Arguments:
        rows: lines of the log, oldest first: "step" and scalars, of which None, an infinity or NaN
            is a value that was not finite. What is missing cannot be judged (see `judged`).
        monitor: the measure that tells progress, and whether "lower" or "higher" is better.
        sides: what the two domains are called in sentences.
    """
    everything = read_series(rows)
    found = [*_not_finite(everything), *dead_generators(everything), *runaway_losses(everything)]
    series = {
        name: finite
        for name, points in everything.items()
        if (finite := [(s, v) for s, v in points if s >= WARM_UP and math.isfinite(v)])
    }
    for check in (
        _discriminator_wins,
        wrong_outputs,
        _copies,
        _exploding_gradients,
        _discriminator_overfits,
    ):
        found += check(series)
    found += not_recognised(series)
    if monitor is not None:
        found += no_better_than_input(series, *monitor)
        found += _no_progress(series, *monitor)
    return [replace(each, text=of_named_sides(each.text, sides)) for each in found]


TOO_EARLY = "too early to judge (see docs/health.md)"
"""What is said where nothing was found, and nothing that takes time could be looked for."""


def is_early(kinds: Iterable[str]) -> bool:
    """Say whether of what was `judged` there is nothing that takes time to be seen."""
    return {*kinds} <= {*IMMEDIATE}


def judged(rows: Iterable[Mapping[str, Any]], *, monitor: Decisive = None) -> list[str]:
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
    progress = counts[f"validation/{monitor[0]}"] if monitor is not None else 0
    found["no progress"] = progress >= STALLED_VALIDATIONS
    late = Counter(name for row in rows if is_late(row) for name in row)
    measure = "" if monitor is None else monitor[0]
    for kind in LATE_KINDS:
        found[kind] = any(
            count >= VALIDATION_ROWS and re.fullmatch(KINDS[kind], name)
            for name, count in late.items()
        )
    over = any(progress_of(row) >= 1 for row in rows)
    found[NO_BETTER] = late[f"validation/copying/{measure}"] >= (1 if over else VALIDATION_ROWS)
    found["not recognised"] = late["validation/health/chance"] >= VALIDATION_ROWS
    known = Counter(name for row in rows for name in row)
    for kind, least in (("generator dead", DEAD_ROWS), ("losses run away", RUNAWAY_ROWS)):
        found[kind] = any(
            count >= least and re.fullmatch(KINDS[kind], name) for name, count in known.items()
        )
    found["not finite"] = any(len(row) > 1 for row in rows)  # which takes no time to be seen
    return [kind for kind in KINDS if found[kind]]


def not_judged(rows: Iterable[Mapping[str, Any]], *, monitor: Decisive = None) -> dict[str, str]:
    """The other kinds of verdicts, with what they would need."""
    known = judged(rows, monitor=monitor)
    return {kind: NEEDS[kind] for kind in KINDS if kind not in known}


def _not_finite(series: Series) -> Iterator[Verdict]:
    for name, points in series.items():
        if re.fullmatch(KINDS["not finite"], name) is None:
            continue
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
            "for images that are empty or of one colour; go on from an older checkpoint.",
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
            f"{player} tells real from generated images{of_domain(ending)} almost without fail "
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


def _copies(series: Series) -> Iterator[Verdict]:
    for name, copies in named(series, KINDS["output copies input"]):
        truth = series.get(name.replace("/copy", "/copy_truth"))
        if truth is None:
            points, limit, than = copies, COPIED, "other images are"
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
                "sides of the data are not the same images. Without pairs, if so little is to "
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
            "If the images please, stop: best.pt holds the best. If not, try a lower learning "
            "rate towards the end (schedule.name=linear), a wider generator, more or more varied "
            "images (data.augment), or other weights of the objective.",
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
            f"{player} knows its training images{of_domain(ending)} by heart: its scores of "
            f"held-out real ones have gone {way:.0%} of the way to those of generated ones.",
            "Try more images, augment_discriminator.policy (docs/few-images.md), data.flip, a "
            "smaller discriminator, objective.r1, or stop earlier: best.pt holds the best.",
            {"overfitting": way, name: held_out[-1][1], own: real[-1][1]},
        )


def _ways(
    held_out: Sequence[Point], training: Sequence[tuple[int, tuple[float, ...]]]
) -> Iterator[Point]:
    """How far from real to fake the scores of held-out real images are, at each validation.

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
