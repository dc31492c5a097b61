"""A small classifier that i2i trains itself on real images, to ask what generated ones show.

It answers two questions. Is an image that was translated to a domain recognised as one of it?
And, by the layer before its answer, how far are generated images from real ones, where a network
trained on photos has little to say (digits, drawings)? How good it is on real images that it
has not learnt from belongs beside every such figure.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.core.draws import draws_apart
from i2i.core.progress import progress
from i2i.errors import CheckpointError, DataError
from i2i.metrics.features import fitted
from i2i.system import gate
from i2i.system.atomic import replacing

_log = logging.getLogger(__name__)

LARGEST = 64
"""Images are shrunk to this size; domains can be told apart at it."""

HELD_OUT = 0.1
"""Share of the images that accuracy is measured on, where none are given for that."""

CHUNK = 256
_VERSION = 1


class Network(nn.Module):
    """A wide first convolution that shrinks the image to half (from 33 pixels on to a quarter),
    then narrow ones, each followed by halving, down to 7 pixels or less; then two linear layers.

    Arguments:
        channels: of the images.
        size: their height and width.
        classes: how many there are to tell apart.
    """

    dimension = 128

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        stride, width = 2 if size <= 32 else 4, 32
        layers: list[nn.Module] = [
            nn.Conv2d(channels, width, 2 * stride + 1, stride, padding=stride, bias=False),
            *(nn.BatchNorm2d(width), nn.ReLU()),
        ]
        size = -(-size // stride)
        while size > 7:
            wider = min(2 * width, self.dimension)
            layers += [
                nn.Conv2d(width, wider, 3, padding=1, bias=False),
                *(nn.BatchNorm2d(wider), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)),
            ]
            size, width = -(-size // 2), wider
        layers += [
            nn.Conv2d(width, self.dimension, 3, padding=1, bias=False),
            *(nn.BatchNorm2d(self.dimension), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(self.dimension * size**2, self.dimension)),
        ]
        self.trunk = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.head = nn.Linear(self.dimension, classes)

    def features(self, images: Tensor) -> Tensor:
        """(N, channels, size, size) in -1..1 -> (N, `dimension`)."""
        images = images.contiguous(memory_format=torch.channels_last)
        features: Tensor = F.relu(self.trunk(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


@dataclass(frozen=True)
class Classifier:
    """A trained network, what it tells apart, and how well.

    `accuracy` is the share, 0..1, of `held_out` real images that it recognises and has not learnt
    from. Its methods take images (N, C, H, W) uint8 of any size, C being 1 or 3.
    """

    network: Network
    names: tuple[str, ...]
    channels: int
    size: int
    accuracy: float
    held_out: int

    @property
    def digest(self) -> str:
        """Eight digits that tell classifiers apart by their weights."""
        state = self.network.state_dict()
        return _digest(*(each.cpu().float() for each in state.values()))[:8]

    def logits(self, images: Tensor) -> Tensor:
        """(N, number of names) float32, on the CPU."""
        return self._by(self.network.forward, images)

    def features(self, images: Tensor) -> Tensor:
        """(N, 128) float32, on the CPU: the layer before the logits."""
        return self._by(self.network.features, images)

    def recognised(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether each image is taken for what its label (N,) says: (N,) bool."""
        return self.logits(images).argmax(dim=1) == labels

    @torch.inference_mode()
    def _by(self, compute: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        parts = [
            compute(_signed(brought(part, self.channels, self.size).to(device))).float().cpu()
            for part in images.split(CHUNK)
        ]
        return torch.cat(parts)


class ClassifierFeatures:
    """The layer before the answer of a classifier, as `i2i.metrics.features.Features`."""

    dimension = Network.dimension

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.name = f"classifier-{classifier.digest}"

    def __call__(self, images: Tensor) -> Tensor:
        return self.classifier.features(images)


def train_classifier(
    images: Tensor,
    labels: Tensor,
    names: Sequence[str],
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    steps: int = 2000,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    flip: bool = True,
    seed: int = 0,
    device: torch.device | str = "cpu",
    without: str = "",
) -> Classifier:
    """Train a classifier on real images.

    AdamW with a learning rate that rises and falls once (Smith, Topin: Super-Convergence, 2018);
    images are shifted by up to a sixteenth, mirrored if that is allowed, and every label is shown
    equally often. The same arguments give the same classifier on the same machine.

    Arguments:
        images: (N, C, H, W) uint8, C = 1 or 3; squares, or they are stretched to be.
        labels: (N,) integers from 0 on.
        names: of the labels.
        held_out: images and labels to measure the accuracy on; by default a tenth of `images`,
            which is then not learnt from.
        steps: of training.
        batch_size: images in a step.
        learning_rate: at its highest.
        flip: whether a mirrored image is one of the same kind; not so for digits.
        seed: of everything random.
        device: to compute on.
        without: how to go without it, for who is told that it takes a while.

    Raises:
        DataError: there are no two labels, or one of them has fewer than two images.
    """
    counts = torch.bincount(labels, minlength=len(names))
    assert len(counts) == len(names), f"labels up to {len(counts) - 1} for {len(names)} names"
    assert len(images) == len(labels), (len(images), len(labels))
    for name, count in zip(names, counts.tolist(), strict=True):
        if count < 2 or len(names) < 2:
            raise DataError(
                "A classifier needs at least two kinds of images and two images of each; there "
                f"are {len(names)} kinds, and {count} images of {name!r}."
            )
    generator = torch.Generator().manual_seed(seed)
    size = min(LARGEST, max(images.shape[-2:]))
    channels = images.shape[1]
    images = brought(images, channels, size)
    if held_out is None:
        held = _held_out(labels, len(names), generator)
        held_out = images[held], labels[held]
        images, labels = images[~held], labels[~held]
    with draws_apart(seed):
        network = Network(channels, size, len(names)).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.25
    )
    _log.info(
        f"a classifier of {len(names)} kinds learns from {len(images):,} images, {steps:,} steps; "
        f"this may take minutes{without and f' ({without})'}"
    )
    cells = [torch.nonzero(labels == label)[:, 0] for label in range(len(names))]
    with progress("training a classifier") as update:
        for step in range(steps):
            chosen = _balanced(cells, batch_size, generator)
            batch = _signed(_varied(images[chosen], flip, generator).to(device))
            loss = F.cross_entropy(network(batch), labels[chosen].to(device), label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            update(step + 1, steps)
    network.eval().requires_grad_(False)
    classifier = Classifier(network, tuple(names), channels, size, 0.0, len(held_out[0]))
    accuracy = classifier.recognised(*held_out).float().mean().item()
    return Classifier(network, tuple(names), channels, size, accuracy, len(held_out[0]))


def cached_classifier(
    images: Tensor,
    labels: Tensor,
    names: Sequence[str],
    cache: Path,
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    device: torch.device | str = "cpu",
    without: str = "",
    **settings: Any,
) -> Classifier:
    """The classifier of `train_classifier`, from the cache if it was trained on the same before.

    Arguments:
        cache: a folder; it is made where it is missing.
        without: how to go without it.
        settings: of `train_classifier`.
    """
    more = () if held_out is None else held_out
    about = repr((_VERSION, tuple(names), sorted(settings.items())))
    path = cache / f"classifier-{_digest(images, labels, *more, about=about)[:24]}.pt"
    if path.is_file():
        try:
            return load_classifier(path, device)
        except CheckpointError:
            path.unlink()  # not written to its end
    classifier = train_classifier(
        images, labels, names, held_out=held_out, device=device, without=without, **settings
    )
    save_classifier(classifier, path)
    return classifier


def save_classifier(classifier: Classifier, path: Path) -> None:
    """Write a classifier to a file, which appears under its name only when it is complete."""
    state = {
        "i2i classifier": _VERSION,
        "names": list(classifier.names),
        "channels": classifier.channels,
        "size": classifier.size,
        "accuracy": classifier.accuracy,
        "held_out": classifier.held_out,
        "weights": {key: value.cpu() for key, value in classifier.network.state_dict().items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        torch.save(state, partial)


def load_classifier(path: Path, device: torch.device | str = "cpu") -> Classifier:
    """Read a classifier from a file.

    Raises:
        CheckpointError: the file is missing, or something else.
    """
    try:
        _require_fit(gate.outline(path))
        state = gate.load_tensors(path)
        network = Network(state["channels"], state["size"], len(state["names"]))
        network.load_state_dict(state["weights"])
    except Exception as error:  # broken and foreign files raise nearly anything
        why = error.strerror if isinstance(error, OSError) else "it is something else, or broken"
        raise CheckpointError(f"'{path}' cannot be read as a classifier: {why}.") from error
    return Classifier(
        network.to(device).eval().requires_grad_(False),
        tuple(state["names"]),
        state["channels"],
        state["size"],
        state["accuracy"],
        state["held_out"],
    )


def _require_fit(outline: Any) -> None:
    """Raise an error unless a file holds a classifier and the weights of its network."""
    assert outline["i2i classifier"] == _VERSION
    names, accuracy = outline["names"], outline["accuracy"]
    assert isinstance(names, list)
    assert all(isinstance(name, str) for name in names)
    assert isinstance(accuracy, float)
    assert isinstance(outline["held_out"], int)
    assert outline["channels"] in (1, 3)
    assert outline["size"] in range(1, LARGEST + 1)
    with torch.device("meta"):
        network = Network(outline["channels"], outline["size"], len(names))
    assert not gate.misfits(network.state_dict(), outline["weights"])


def brought(images: Tensor, channels: int, size: int) -> Tensor:
    """Bring images (N, 1 or 3, H, W) uint8 to other channels and to a square of `size`."""
    images = fitted(images, size, size)
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    luma = images.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)  # as Pillow has it
    grey = (images.float() * luma[:, None, None]).sum(dim=1, keepdim=True)
    return grey.round().to(torch.uint8)


def _signed(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def _held_out(labels: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """Which images are held out, (N,) bool: a share of each label, at least one."""
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(classes):
        cell = torch.nonzero(labels == label)[:, 0]
        count = max(1, round(HELD_OUT * len(cell)))
        held[cell[torch.randperm(len(cell), generator=generator)[:count]]] = True
    return held


def _balanced(cells: Sequence[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` images: a label first, then one of its images."""
    label = torch.randint(len(cells), (count,), generator=generator)
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    sizes = torch.tensor([len(cell) for cell in cells])
    starts = sizes.cumsum(0) - sizes
    return torch.cat(list(cells))[starts[label] + (share * sizes[label]).long()]


def _varied(images: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to a sixteenth in both directions, and mirror half of them."""
    count, _, height, width = images.shape
    most = max(height // 16, 1)
    padded = F.pad(images, (most, most, most, most), mode="replicate")
    top, left = torch.randint(2 * most + 1, (2, count, 1), generator=generator)
    rows = (top + torch.arange(height))[:, None, :, None]
    columns = left + torch.arange(width)
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    number = torch.arange(count)[:, None, None, None]
    channel = torch.arange(images.shape[1])[None, :, None, None]
    return padded[number, channel, rows, columns[:, None, None, :]]


def _digest(*tensors: Tensor, about: str = "") -> str:
    found = hashlib.sha256(about.encode())
    for each in tensors:
        found.update(repr((each.dtype, tuple(each.shape))).encode())
        found.update(each.contiguous().numpy().data)
    return found.hexdigest()
