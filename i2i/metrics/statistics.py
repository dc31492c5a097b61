"""Features of sets of images, remembered by what the images are."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from i2i.metrics.features import Features
from i2i.system import gate
from i2i.system.atomic import replacing

_VERSION = 1


def extract(
    features: Features,
    batches: Iterable[Tensor],
    progress: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """Describe images: (N, D) float32.

    Arguments:
        features: what describes them.
        batches: (n, C, H, W) uint8 each; the size may change from batch to batch.
        progress: told how many images are done.
    """
    found = []
    for images in batches:
        found.append(features(images))
        progress(sum(map(len, found)))
    assert found, "no image"
    return torch.cat(found)


def remembered(
    features: Features,
    content: str,
    compute: Callable[[], Tensor],
    cache: Path,
) -> Tensor:
    """Features from the cache, or else computed and put there.

    Arguments:
        features: what describes the images; its name is part of the key.
        content: a hash of the images and of what was done to them.
        compute: returns the features (N, D).
        cache: a folder; it is made where it is missing. If it cannot be written, nothing is
            remembered; a broken file in it is replaced.
    """
    key = hashlib.sha256(f"{_VERSION} {features.name} {content}".encode()).hexdigest()[:32]
    path = cache / f"features-{key}.pt"
    try:
        found = gate.load_tensors(path)
        assert found["features"].shape[1] == features.dimension
        assert found["name"] == features.name
        kept: Tensor = found["features"]
        return kept
    except Exception:  # noqa: BLE001 (broken files raise nearly anything, and are made again)
        pass
    computed = compute()
    _keep({"name": features.name, "features": computed}, path)
    return computed


def _keep(state: dict[str, object], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            torch.save(state, partial)
    except (OSError, RuntimeError):  # torch makes the latter of a full disk
        return
