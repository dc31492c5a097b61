"""The networks that measures need, as far as they are to be had."""

import logging
from collections.abc import Iterable
from pathlib import Path

from i2i.data.catalogue.cache import cache_folder
from i2i.evaluation.measure import OWN_CLASSIFIER, Tools
from i2i.metrics.features import Features, choose_features
from i2i.metrics.perceptual import Perceptual, choose_perceptual
from i2i.system.device import pick_device

_log = logging.getLogger(__name__)

BY_FEATURES = {"fid", "kid", "precision-recall"}
"""The measures that compare features of a network."""


def find_tools(
    needed: Iterable[str],
    *,
    features: str = "auto",
    weights: Path | str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Tools:
    """Load what some measures need.

    Arguments:
        needed: of `i2i.evaluation.figures.MEASURES`.
        features: the network whose features are compared; "classifier" for one that is trained on
            the real images, "auto" for the best that is to be had.
        weights: a file with those of "inception".
        device: "auto", "cpu", "cuda", ...
        seed: of all that is drawn.
    """
    where = pick_device(device)
    why = "there is no network for it."
    remarks: list[str] = []

    network: Features | None = None
    perceptual: Perceptual | None = None
    own = features == OWN_CLASSIFIER
    if BY_FEATURES.intersection(needed) and not own:
        file = None if weights is None else Path(weights)
        network, remark = choose_features(features, weights=file, device=where)
        remarks.append(remark)
    if "lpips" in needed:
        perceptual, remark = choose_perceptual(network, device=where)
        remarks.append(remark)
    for remark in filter(None, remarks):
        _log.warning(remark)
        why = remark
    chosen = OWN_CLASSIFIER if own else network
    return Tools(cache_folder(), chosen, perceptual, why, seed)
