"""Every number that a log or an evaluation speaks of: its name, its meaning, which way is better.

This is the only table of them. What chooses the best checkpoint, what groups the curves of a report
and what explains a name to a person all ask it; a measure from outside is added by
`register_metric`, and with a function to compute it by `i2i.metrics.measures.register_measure`.
Nothing here needs torch.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from i2i.errors import OptionsError, did_you_mean

Group = Literal["result", "health", "training", "machine"]
"""How good results are; signs of a generator that fails; what players see and pay; speed."""

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric:
    """A kind of number.

    Arguments:
        name: as it stands in logs and tables, without what tells one such number from another: the
            player before it, the network in parentheses, the domain or direction behind it.
        higher_is_better: None where neither more nor less is.
        group: see `Group`.
        meaning: what it is, in words that fit behind "NAME:".
        unit: or range; "" where the meaning says it.
    """

    name: str
    higher_is_better: bool | None
    group: Group
    meaning: str
    unit: str = ""

    @property
    def better(self) -> Better:
        if self.higher_is_better is None:
            return "neither"
        return "higher" if self.higher_is_better else "lower"


@dataclass(frozen=True)
class Signal:
    """A number with a full name, such as "validation/kid(inception-v3-clean)_AtoB".

    Arguments:
        name: the full name.
        group: of numbers that it belongs to.
        base: what it measures: the name of its metric.
        metric: None where nobody has registered it.
        owner: the player or the network that it is of; "" for the whole run.
        by: what it was measured with, such as a network or a size; "" if there is no choice.
        side: "A", "B", "AtoB", "BtoA", or "" for all.
        held_out: whether it was measured on images that are not trained on.
        copying: whether it is what inputs that are handed on unchanged would have, a baseline.
    """

    name: str
    group: Group
    base: str
    metric: Metric | None
    owner: str = ""
    by: str = ""
    side: str = ""
    held_out: bool = False
    copying: bool = False


_METRICS: dict[tuple[Group, str], Metric] = {}

_NAME = re.compile(r"(?P<base>[^(]+?)(?:\((?P<by>[^()]*)\))?(?:_(?P<side>A|B|AtoB|BtoA))?")


def register_metric(metric: Metric) -> Metric:
    """Add a metric; a model or a tool from outside does this where it is imported.

    Raises:
        OptionsError: another one has this name.
    """
    former = _METRICS.setdefault((metric.group, metric.name), metric)
    if former != metric:
        raise OptionsError(
            f"the metric {metric.name!r} is registered already ({former.meaning}): give the other "
            "one another name."
        )
    return metric


def metrics(group: Group | None = None) -> Iterator[Metric]:
    """All metrics, or those of a group, in the order in which they were registered."""
    return (each for each in _METRICS.values() if group in (None, each.group))


def read_signal(name: str) -> Signal:
    """Take the name of a number apart; a name of a result alone is one, as in `train.monitor`."""
    held_out = name.startswith("validation/")
    path = name.removeprefix("validation/")
    copying = path.startswith("copying/")
    path = path.removeprefix("copying/")
    owner, _, term = path.rpartition("/")
    group: Group
    if owner == "health":
        group, owner, term = "health", "", path
    elif owner in ("speed", "memory"):
        group, owner, term = "machine", "", path
    elif owner == "learning_rate":
        group, owner, term = "machine", term, "learning_rate"
    else:
        group = "training" if owner else "result"
    found = _NAME.fullmatch(term)
    if found is None:
        metric = _METRICS.get((group, term))
        return Signal(name, group, term, metric, owner, "", "", held_out, copying)
    base, by, side = found["base"], found["by"] or "", found["side"] or ""
    metric = _METRICS.get((group, base))
    return Signal(name, group, base, metric, owner, by, side, held_out, copying)


def explain(name: str, sides: tuple[str, str] = ("A", "B")) -> str:
    """Say what a number is, in one line without a full stop; "" where nobody knows.

    Arguments:
        name: in full.
        sides: what the two domains are called.
    """
    signal = read_signal(name)
    if signal.metric is None:
        return ""
    metric = signal.metric
    notes = [metric.unit] if metric.unit else []
    notes += [] if metric.higher_is_better is None else [f"{metric.better} is better"]
    a, b = sides
    of = {"A": f", of {a}", "B": f", of {b}", "AtoB": f", {a} to {b}", "BtoA": f", {b} to {a}"}
    by = f", by {signal.by}" if signal.by else ""
    text = f"{metric.meaning}{by}{of.get(signal.side, '')}"
    if signal.copying:
        text = f"what handing on the input would give: {text}"
    return f"{text} ({'; '.join(notes)})" if notes else text


def side_names(root: str, root_b: object) -> tuple[str, str]:
    """What to call two domains: as their folders are called, where each has one; else A and B.

    Arguments:
        root, root_b: of the data set, `data.root` and `data.root_b`.
    """
    if not root or not root_b:
        return "A", "B"
    a, b = PurePath(root).name, PurePath(str(root_b)).name
    return (a, b) if a and b and a != b else ("A", "B")


def with_sides(text: str, sides: tuple[str, str]) -> str:
    """A text such as "A to B" with what the two domains are called: "Summer to Winter"."""
    names = dict(zip("AB", sides, strict=True))
    return re.sub(r"\b[AB]\b", lambda found: names[found[0]], text)


def with_named_sides(name: str, sides: tuple[str, str]) -> str:
    """The name of a number with what the two domains are called: "generators/cycle_A" becomes
    "generators/cycle_Summer", for people; logs and trackers keep the letters."""
    a, b = sides
    called = {"A": a, "B": b, "AtoB": f"{a}to{b}", "BtoA": f"{b}to{a}"}
    return re.sub(r"_(AtoB|BtoA|A|B)(?=/|$)", lambda found: f"_{called[found[1]]}", name)


def read_direction(text: str, sides: tuple[str, str] = ("A", "B")) -> str:
    """ "AtoB" or "BtoA" for a direction that is given with letters or with what the two domains are
    called: "AtoB", "WintertoSummer", "winter to summer".

    Arguments:
        text: as a person wrote it; case, spaces, hyphens and underscores do not matter.
        sides: what A and B are called.

    Raises:
        OptionsError: it is neither of the two directions.
    """

    def plain(words: str) -> str:
        return re.sub(r"[\s_-]", "", words).casefold()

    a, b = sides
    ways = {"AtoB": (a, b), "BtoA": (b, a)}
    for way, (source, target) in ways.items():
        if plain(text) in (plain(way), plain(f"{source}to{target}")):
            return way
    known = [*ways, *(f"{x}to{y}" for x, y in ways.values() if sides != ("A", "B"))]
    raise OptionsError(
        f"direction (={text!r}) must be one of {', '.join(known)}.{did_you_mean(text, known)}"
    )


def parse_monitor(measure: str, option: str = "train.monitor") -> tuple[str, Better] | None:
    """The measure that decides on the best checkpoint, and whether "lower" or "higher" is better.

    Arguments:
        measure: the value of the option: the name of a registered metric, or "NAME:lower" or
            "NAME:higher" for one that is not, or has no better direction by itself.
        option: where it was given.

    Returns:
        None if nothing decides ("none"), or nothing does yet ("auto").

    Raises:
        OptionsError: nobody knows which way is better.
    """
    if measure in ("auto", "none"):
        return None
    name, _, said = measure.rpartition(":")
    directions: dict[str, Better] = {"lower": "lower", "higher": "higher"}
    if name and said in directions:
        return name, directions[said]
    metric = read_signal(measure).metric
    if metric is None or metric.higher_is_better is None:
        known = [each.name for each in metrics() if each.higher_is_better is not None]
        why = "is no measure that i2i knows" if metric is None else "has no better direction"
        raise OptionsError(
            f"{option} (={measure!r}) {why}.{did_you_mean(measure, known)} Say which way is "
            f"better: '{measure}:lower' or '{measure}:higher'."
        )
    return measure, metric.better


HIGHER, LOWER, NEITHER = True, False, None

_TABLE: dict[Group, tuple[tuple[str, bool | None, str, str], ...]] = {
    "result": (
        ("l1", LOWER, "mean absolute difference from the truth", "0..2"),
        ("psnr", HIGHER, "closeness to the truth: peak signal-to-noise ratio", "dB"),
        ("ssim", HIGHER, "likeness to the truth: structural similarity", "at most 1"),
        ("ms-ssim", HIGHER, "structural similarity at several scales", "at most 1"),
        ("lpips", LOWER, "perceptual distance from the truth, as networks see it", ""),
        ("lpips-unweighted", LOWER, "LPIPS without the weights learnt from people", ""),
        (
            "fid",
            LOWER,
            "how far results are from real images, as a network sees them: Fréchet distance",
            "",
        ),
        (
            "kid",
            LOWER,
            "how far results are from real images, as a network sees them: kernel distance",
            "",
        ),
        ("precision", HIGHER, "share of the results that could be real", "0..1"),
        ("recall", HIGHER, "share of the real images that results cover", "0..1"),
        (
            "swd",
            LOWER,
            "how unlike real ones small patches are, tint left out: sliced Wasserstein distance",
            "",
        ),
        (
            "swd-reference",
            LOWER,
            "how unlike real ones small patches are, tint included: sliced Wasserstein distance",
            "",
        ),
        (
            "domain-accuracy",
            HIGHER,
            "share of the results that a classifier takes as asked",
            "0..1",
        ),
        (
            "domain_accuracy",
            HIGHER,
            "share of the results that a classifier takes as asked",
            "0..1",
        ),
        ("accuracy_real", HIGHER, "labels of real images that the discriminator knows", "0..1"),
        ("accuracy_translated", HIGHER, "labels asked for that the discriminator finds", "0..1"),
        ("agreement", HIGHER, "share of images whose category is the class", "0..1"),
        ("average-generated-error", NEITHER, "mean (D(x) - 1)^2 + mean D(G(z))^2", "0..2"),
        ("cycle", LOWER, "mean absolute difference after there and back", "0..2"),
        ("reconstruction", LOWER, "mean absolute difference after there and back", "0..2"),
    ),
    "health": (
        (
            "health/diversity",
            HIGHER,
            "difference of two outputs over that of two real images",
            "1 is as real",
        ),
        ("health/copy", HIGHER, "distance to the input over that of two inputs", "0 is a copy"),
        ("health/copy_truth", NEITHER, "the same of the truth", ""),
        ("health/colour", HIGHER, "correlation of colours with the original", "-1 is a negative"),
        ("health/colour_shift", LOWER, "difference of the mean colours", "0..2"),
        ("health/contrast", HIGHER, "contrast within an output over that of real images", ""),
        ("health/grid", LOWER, "how far a periodic pattern stands out", "1 is as real"),
        ("health/detail", HIGHER, "fine detail over that of real images", "1 is as real"),
        ("health/hue", HIGHER, "how much colours follow those of the original", "0 is by chance"),
        (
            "health/palette",
            LOWER,
            "how much further from the colours of real images than inputs are",
            "0 is as far",
        ),
        ("health/structure", HIGHER, "how much edges follow those of the input", "0 is by chance"),
        ("health/answers", HIGHER, "difference of two outputs for one input", "0 is one answer"),
        ("health/progress", NEITHER, "share of the run that is over", "0..1"),
        ("health/chance", NEITHER, "accuracy of a classifier that guesses", "0..1"),
    ),
    "training": (
        ("total", NEITHER, "what the player pays: the weighted sum of its terms", ""),
        ("adversarial", NEITHER, "what the generator pays for not being taken for real", ""),
        ("real", NEITHER, "what the discriminator pays for real images", ""),
        ("fake", NEITHER, "what the discriminator pays for generated images", ""),
        ("score_real", NEITHER, "mean score of real images", ""),
        ("score_fake", NEITHER, "mean score of generated images", ""),
        ("accuracy", NEITHER, "how well scores tell real from generated images", "0.5..1"),
        ("generated_error", NEITHER, "average generated error", "0..1"),
        ("gradient_norm", NEITHER, "norm of the gradient of the player", ""),
        ("l1", LOWER, "mean absolute difference from the truth", "0..2"),
        ("l2", LOWER, "mean squared difference from the truth", "0..4"),
        ("ssim", LOWER, "1 - structural similarity to the truth", "0..2"),
        ("cycle", LOWER, "mean absolute difference after there and back", "0..2"),
        ("reconstruction", LOWER, "mean absolute difference after there and back", "0..2"),
        ("identity", LOWER, "mean absolute change of what is right already", "0..2"),
        ("feature_matching", LOWER, "difference of the discriminator's features", ""),
        ("perceptual", LOWER, "difference of the features of a network that knows images", ""),
        ("kl", LOWER, "how far the styles of images are from the noise that stands for them", ""),
        ("classification", LOWER, "cross-entropy of the labels asked for", ""),
        ("real_classification", LOWER, "cross-entropy of the labels of real images", ""),
        ("categorical", LOWER, "cross-entropy of the categories found", ""),
        ("continuous", LOWER, "what it costs to find the continuous codes again", ""),
        ("style_reconstruction", LOWER, "mean absolute difference of a style found again", ""),
        ("diversity", NEITHER, "minus the distance of two outputs by other styles", "-2..0"),
        ("gradient_penalty", NEITHER, "how far the slope of the critic is from 1", ""),
        ("r1", NEITHER, "squared slope of the discriminator at real images", ""),
        ("r2", NEITHER, "squared slope of the discriminator at generated images", ""),
        ("path_length", NEITHER, "how unequal the generator's steps are for equal styles", ""),
        ("nce", LOWER, "how hard a patch is to tell from others of its image", ""),
        ("nce_identity", LOWER, "the same, of images that are right already", ""),
        ("hard_nce", LOWER, "the same as nce, with the hardest patches weighing most", ""),
        ("hard_nce_identity", LOWER, "the same, of images that are right already", ""),
        ("semantic_relation", LOWER, "how much likenesses between patches change", ""),
        ("drift", NEITHER, "mean squared score of real images", ""),
        ("historical_averaging", NEITHER, "distance of the player from its own past", ""),
        ("augment_probability", NEITHER, "how often what a discriminator sees is augmented", ""),
        ("real_sign", NEITHER, "mean sign of the scores of augmented real images", "-1..1"),
    ),
    "machine": (
        ("learning_rate", NEITHER, "learning rate of the player", ""),
        ("speed/images_per_second", HIGHER, "images trained on in a second", ""),
        ("speed/steps_per_second", HIGHER, "steps in a second", ""),
        ("speed/data_wait", LOWER, "share of the time that steps wait for images", "0..1"),
        ("memory/gradient_accumulation", NEITHER, "pieces that a batch is computed in", ""),
    ),
}
"""Of each group: name, whether more is better, meaning, unit or range."""

for _group, _rows in _TABLE.items():
    for _name, _higher, _meaning, _unit in _rows:
        register_metric(Metric(_name, _higher, _group, _meaning, _unit))
