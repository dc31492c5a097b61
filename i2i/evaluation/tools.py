"""The networks that measures need, as far as they are to be had."""

from collections.abc import Callable, Iterable
from pathlib import Path

from i2i.data.catalogue.cache import cache_folder
from i2i.evaluation.measure import OWN_CLASSIFIER, Tools
from i2i.metrics.features import Features, find_features
from i2i.metrics.perceptual import Perceptual, find_perceptual
from i2i.system.device import pick_device

BY_FEATURES = {"fid", "kid", "precision-recall"}
"""The measures that compare features of a network."""


def find_tools(
    needed: Iterable[str],
    *,
    features: str = "auto",
    weights: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Tools:
    """Load what some measures need.

    Arguments:
        needed: of `i2i.evaluation.figures.MEASURES`.
        features: the network whose features are compared; "classifier" for one that is trained on
            the real images, "auto" for the best that is to be had.
        weights: a file with those of "inception".
        device: "auto", "cpu", "cuda", ...
        seed: of all that is drawn.
        say: told what is missing, and why.
        progress: told what is being done, and how much of how much is.
    """
    where = pick_device(device)
    why = "there is no network for it."

    def note(line: str) -> None:
        nonlocal why
        why = line
        say(line)

    network: Features | None = None
    perceptual: Perceptual | None = None
    own = features == OWN_CLASSIFIER
    if BY_FEATURES.intersection(needed) and not own:
        file = None if weights is None else Path(weights)
        network = find_features(features, weights=file, device=where, say=note)
    if "lpips" in needed:
        perceptual = find_perceptual(network, device=where, say=note)
    chosen = OWN_CLASSIFIER if own else network
    return Tools(cache_folder(), chosen, perceptual, why, seed, progress)
