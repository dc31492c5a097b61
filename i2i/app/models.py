"""The models that can be asked for: loaded when first used, dropped when room is short.

A name is looked up in a list; it is never a part of a path.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from i2i.app.batching import Batcher
from i2i.app.refusals import BusyError, NotFoundError
from i2i.config import Options, read_options
from i2i.config.recipes import read_toml
from i2i.core.labels import Asked
from i2i.data.images.file import AnyPixels
from i2i.data.kinds import find_kind
from i2i.errors import CheckpointError, I2iError, OptionsError, did_you_mean
from i2i.export.sources.zoo import from_zoo, read_zoo
from i2i.inference.load import load_exported, load_sampler, load_translator
from i2i.inference.onnx.description import is_exported
from i2i.inference.onnx.session import ExportedNetwork
from i2i.inference.sampler import Sampler
from i2i.inference.styler import Styler
from i2i.inference.translator import Translator, to_pixels, to_tensor
from i2i.models import find_model
from i2i.models.build import data_kind, latent
from i2i.runs.bundle import bundle_weights
from i2i.runs.checkpoint import read_outline
from i2i.runs.folder import Run, find_checkpoint, named_source, runs_in

TURN = 5.0
"""Seconds for which a model is refused for want of room before those in use make some."""

ASKED = 3.0
"""Seconds after which nobody asks any more for a model that was refused."""

LAST, BEST = "last", "best"
"""The words for two of the checkpoints of a run; others are called by their steps."""


@dataclass(frozen=True)
class Wanted:
    """What of a model is asked for.

    Attributes:
        name: of the model.
        checkpoint: of its run: "last", "best", or a step such as "1000".
        direction: "AtoB", "BtoA", or None for that of the training.
    """

    name: str
    checkpoint: str = LAST
    direction: str | None = None


@dataclass(frozen=True)
class Translation:
    """How images are translated: those alike in this are computed together.

    Attributes:
        shape, dtype: of the pixels.
        domain: a word, or attributes and whether they shall hold; None for none.
        seed: of the style, for models of styles.
        reference: pixels (H, W, C) that the style is taken of instead.
    """

    shape: tuple[int, ...]
    dtype: str
    domain: str | tuple[tuple[str, bool | None], ...] | None = None
    seed: int | None = None
    reference: bytes | None = None
    reference_shape: tuple[int, ...] = ()

    def __call__(self, translator: Translator, images: Sequence[AnyPixels]) -> list[AnyPixels]:
        return to_pixels(self.translate(translator, to_tensor(list(images))))

    def translate(self, translator: Translator, images: Tensor) -> Tensor:
        """Translate images that are a tensor already."""
        styler = translator.conditioner
        if isinstance(styler, Styler):
            if self.reference is not None:
                pixels = np.frombuffer(self.reference, np.uint8).reshape(self.reference_shape)
                styler.by_reference(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
            else:
                styler.by_seed(self.seed or 0)
        elif self.seed is not None or self.reference is not None:
            raise OptionsError("a seed or a reference chooses a style, and this model has none.")
        asked: Asked = dict(self.domain) if isinstance(self.domain, tuple) else self.domain
        return translator(images, domain=asked)


@dataclass(frozen=True)
class Sampling:
    """How images are made from noise; an item is the seeds of one request, its result their images
    (N, C, H, W), bytes."""

    label: str | None = None
    codes: tuple[tuple[str, float], ...] = ()
    truncation: float | None = None
    noise: bool = True

    def __call__(self, sampler: Sampler, requests: Sequence[Sequence[int]]) -> list[Tensor]:
        images = sampler(
            [seed for seeds in requests for seed in seeds],
            label=self.label,
            codes=dict(self.codes),
            truncation=self.truncation,
            noise=self.noise,
        )
        return list(images.split([len(seeds) for seeds in requests]))


@dataclass(frozen=True, eq=False)
class Alone:
    """Something else that is done with a model; the only item is of no account."""

    function: Callable[[Any], Any]

    def __call__(self, tool: Any, items: Sequence[Any]) -> list[Any]:
        return [self.function(tool)]


@dataclass(eq=False)
class Loaded:
    """A model in memory, with the thread that computes it."""

    wanted: Wanted
    stamp: tuple[Path, int]
    tool: Any
    batcher: Batcher
    nbytes: int
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    retired: bool = False

    @property
    def translator(self) -> Translator:
        """It, of a model that translates.

        Raises:
            OptionsError: it makes images from noise.
        """
        if not isinstance(self.tool, Translator):
            raise OptionsError(
                f"the model {self.wanted.name!r} makes images from noise and translates none: "
                "ask it for samples."
            )
        return self.tool

    @property
    def sampler(self) -> Sampler:
        """It, of a model that makes images from noise.

        Raises:
            OptionsError: it translates images.
        """
        if not isinstance(self.tool, Sampler):
            raise OptionsError(
                f"the model {self.wanted.name!r} translates images and makes none from noise: "
                "send it an image."
            )
        return self.tool


class Models:
    """Those that can be asked for.

    Arguments:
        named: name -> run folder, checkpoint or exported file.
        runs_dir: a folder whose runs are known by their names, too, also those yet to come.
        device: to compute on.
        precision: to compute in, see `load_translator`.
        memory: bytes that the weights of all loaded models may take.
        average: whether the moving average is used; by default where there is one.
        best: whether the best checkpoint is taken where none is asked for.
        batch: options of each model's `Batcher`.
    """

    def __init__(
        self,
        named: Mapping[str, Path],
        *,
        runs_dir: Path | None = None,
        device: str = "auto",
        precision: str = "fp32",
        memory: float = float("inf"),
        average: bool | None = None,
        best: bool = False,
        batch: Mapping[str, Any] | None = None,
    ) -> None:
        self._named = dict(named)
        self._runs_dir = runs_dir
        self._device, self._precision, self._average = device, precision, average
        self.default = BEST if best else LAST
        self._memory = memory
        self._batch = dict(batch or {})
        self._loaded: dict[Wanted, Loaded] = {}
        self._lock = threading.Lock()  # of what is loaded
        self._loading = threading.Lock()  # one at a time
        self._refused: dict[Wanted, tuple[float, float]] = {}  # when first, and when last
        self.loads = 0
        self.watch: Callable[[int], None] = lambda count: None
        """Is told how many requests were computed together, each time."""

    def names(self) -> dict[str, Path]:
        """Name -> place of every model."""
        runs = runs_in(self._runs_dir) if self._runs_dir and self._runs_dir.is_dir() else []
        return {path.name: path for path in reversed(runs)} | self._named

    def place(self, name: str) -> Path:
        """Where a model is.

        Raises:
            NotFoundError: there is none of this name.
        """
        known = self.names()
        if name not in known:
            raise NotFoundError(
                f"there is no model {name!r}.{did_you_mean(name, known)} /v1/models lists those "
                "that are there."
            )
        return known[name]

    def loaded(self) -> list[Loaded]:
        """Those in memory at present."""
        with self._lock:
            return list(self._loaded.values())

    @contextmanager
    def use(self, wanted: Wanted) -> Iterator[Loaded]:
        """A model, loaded if need be, which stays in memory as long as the block lasts.

        Raises:
            NotFoundError: there is no such model or checkpoint.
            BusyError: there is no room for it.
            CheckpointError, OptionsError: it cannot be loaded.
        """
        model = self._take(wanted)
        try:
            yield model
        finally:
            with self._lock:
                model.users -= 1
                model.used = time.monotonic()
                unused = model.retired and not model.users
            if unused:
                model.batcher.close()

    def close(self) -> None:
        """Finish what is begun, and forget all models."""
        with self._lock:
            models, self._loaded = list(self._loaded.values()), {}
        for model in models:
            model.batcher.close()

    def _take(self, wanted: Wanted) -> Loaded:
        stamp = self._stamp(wanted)
        if (model := self._known(wanted, stamp)) is not None:
            return model
        with self._loading:
            if (model := self._known(wanted, stamp)) is not None:
                return model
            tool = self._load(wanted, stamp[0])
            nbytes = weight_of(tool) or stamp[0].stat().st_size
            with self._lock:
                unused = self._make_room(wanted, nbytes)
            for each in unused:
                each.batcher.close()
            batcher = Batcher(lambda key, items: key(tool, items), watch=self.watch, **self._batch)
            model = Loaded(wanted, stamp, tool, batcher, nbytes, users=1)
            with self._lock:
                self._loaded[wanted] = model
                self.loads += 1
            return model

    def _known(self, wanted: Wanted, stamp: tuple[Path, int]) -> Loaded | None:
        with self._lock:
            model = self._loaded.get(wanted)
            if model is None or model.stamp != stamp:
                return None
            self._require_turn(wanted)
            model.users += 1
            return model

    def _require_turn(self, wanted: Wanted) -> None:
        """Raise BusyError where another model has waited for too long: with the requests that are
        in, the use of this one ends, and there is room for a while."""
        now = time.monotonic()
        for other, (first, last) in list(self._refused.items()):
            if now - last > ASKED:
                del self._refused[other]
            elif other != wanted and now - first > TURN:
                raise BusyError(
                    f"the model {wanted.name!r} makes room for {other.name!r}: try again in a "
                    "moment."
                )

    def _make_room(self, wanted: Wanted, nbytes: int) -> list[Loaded]:
        """Drop an older state of the model, and as many others as need be; return those of them
        that nobody uses.

        Raises:
            BusyError: what is in use leaves no room.
        """
        older = [self._loaded[wanted]] if wanted in self._loaded else []
        others = sorted(
            (each for each in self._loaded.values() if not each.users and each not in older),
            key=lambda each: each.used,
        )
        gone = list(older)
        total = nbytes + sum(each.nbytes for each in self._loaded.values() if each not in gone)
        while total > self._memory and others:
            gone.append(others.pop(0))
            total -= gone[-1].nbytes
        if total > self._memory:
            if nbytes <= self._memory:
                now = time.monotonic()
                self._refused[wanted] = (self._refused.get(wanted, (now, now))[0], now)
            raise BusyError(
                f"the model {wanted.name!r} takes {nbytes / 2**20:.0f} MiB, for which there is no "
                f"room at present ({self._memory / 2**20:.0f} MiB for all models): try again "
                "later, or allow more memory."
            )
        self._refused.pop(wanted, None)
        for each in gone:
            del self._loaded[each.wanted]
            each.retired = True
        return [each for each in gone if not each.users]

    def _stamp(self, wanted: Wanted) -> tuple[Path, int]:
        """The file that is meant and when it was written."""
        place = self.place(wanted.name)
        if not place.is_dir():
            if wanted.checkpoint not in (LAST, self.default):
                raise NotFoundError(
                    f"the model {wanted.name!r} is one file: it has no checkpoint "
                    f"{wanted.checkpoint!r} beside it."
                )
            path = place
        elif re.fullmatch(r"\d{1,12}", wanted.checkpoint):
            path = Run(place).checkpoint(int(wanted.checkpoint))
        elif wanted.checkpoint in (LAST, BEST):
            path, _ = find_checkpoint(place, Path(), best=wanted.checkpoint == BEST)
        else:
            raise NotFoundError(
                f"checkpoint (={wanted.checkpoint!r}) must be last, best, or a number of steps."
            )
        try:
            return path, path.stat().st_mtime_ns
        except OSError:
            raise NotFoundError(
                f"the model {wanted.name!r} has no checkpoint {wanted.checkpoint!r}."
            ) from None

    def _load(self, wanted: Wanted, path: Path) -> Any:
        if is_exported(path):
            return load_exported(path, direction=wanted.direction, device=self._device)
        options = options_of(path)
        if find_kind(data_kind(options)).translates:
            return load_translator(
                path,
                direction=wanted.direction,
                device=self._device,
                precision=self._precision,
                average=self._average,
            )
        return load_sampler(
            path, device=self._device, precision=self._precision, average=self._average
        )

    def describe(self, name: str) -> dict[str, Any]:
        """What can be asked of a model, for JSON; "error" where it cannot be used."""
        place = self.place(name)
        told: dict[str, Any] = {
            "name": name,
            "loaded": [
                each.wanted.checkpoint for each in self.loaded() if each.wanted.name == name
            ],
        }
        if place.is_dir() and bundle_weights(place) is None:
            run = Run(place)
            told["checkpoints"] = [
                int(path.stem.removeprefix("step-")) for path in run.checkpoints()
            ]
            told["best"] = run.best.exists()
        try:
            return told | about(options_of(place))
        except (I2iError, OSError) as error:
            return told | {"error": str(error)}


def options_of(place: Path) -> Options:
    """The options of a run folder, a checkpoint, a bundle or an exported file, without reading its
    weights.

    Raises:
        CheckpointError, OptionsError: they cannot be read.
    """
    if place.is_dir() and bundle_weights(place) is None:
        return read_options(read_toml(place / "options.toml"))
    return _options_of_file(place, place.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _options_of_file(place: Path, written: int) -> Options:
    if is_exported(place):
        return read_options(ExportedNetwork(place, "cpu").description.options)
    outline = read_outline(place)
    if "options" not in outline:
        raise CheckpointError(f"{place} has no options: it is damaged.")
    return read_options(outline["options"])


def about(options: Options) -> dict[str, Any]:
    """What images a model takes and what it can be told, for JSON."""
    model: Any = find_model(options.model)
    kind = find_kind(model.data)
    what = latent(options)
    labels = options.data.labels
    told: dict[str, Any] = {
        "model": options.model,
        "summary": options.summary,
        "makes": "translations" if kind.translates else "samples",
        "size": options.data.crop_size,
    }
    if kind.translates:
        told["directions"] = list(model.directions) or [options.data.direction]
        told["domains"] = list(labels.targets) if kind.has_domains else []
        told["attributes"] = [
            name for each in labels.sets if not each.exclusive for name in each.names
        ]
        told["styles"] = "mapping_network" in model.companions
    elif what is not None:
        told["labels"] = list(labels.names)
        told["codes"] = {name: list(what.values(name)) for name in what.names}
    return told


def weight_of(tool: Translator | Sampler) -> int:
    """Bytes of the weights of a model in memory."""
    if isinstance(tool, Sampler):
        networks: Iterable[Any] = [tool.generator]
    else:
        networks = [tool.network, *vars(tool.conditioner or object).values()]
    tensors = {
        tensor.data_ptr(): tensor.nbytes
        for network in networks
        if isinstance(network, nn.Module)
        for tensor in (*network.parameters(), *network.buffers())
    }
    return sum(tensors.values())


def named_models(words: Iterable[str]) -> dict[str, Path]:
    """Read NAME=PLACE, or PLACE alone, which is called by the name of its folder or file. A place
    is a path, or the name of weights, such as zoo:NAME, which are fetched now if need be.

    Raises:
        OptionsError: two have the same name, or there is nothing at a place.
        I2iError: weights cannot be had.
    """
    found: dict[str, Path] = {}
    for word in words:
        name, equals, place = word.partition("=")
        path = Path(place if equals else word)
        if (source := named_source(path)) is not None:
            path, name = source, name if equals else str(path).rpartition(":")[2].rpartition("/")[2]
        elif not equals:
            name = path.resolve().name if path.is_dir() else path.stem
        if not path.exists():
            raise OptionsError(f"there is no run, checkpoint or exported file at {str(path)!r}.")
        if name in found:
            raise OptionsError(f"two models are called {name!r}: say NAME={path} for one of them.")
        found[name] = path
    return found


def zoo_models() -> dict[str, Path]:
    """The weights that come with i2i, by their names: zoo:NAME."""
    own = (name for name, card in read_zoo().items() if card.download is None)
    return {f"zoo:{name}": from_zoo(name) for name in own}
