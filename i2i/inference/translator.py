"""A trained generator that takes any image.

`Translator` is a generator with everything around it that a result depends on: its precision, the
mode of its normalisation, its dropout, the padding to the sizes that it can take. Images that are
too large for the memory are computed tile by tile, with the same result (`i2i.inference.tiles`).
"""

import contextlib
import io
import logging
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.core.batch import to_bytes, to_signed
from i2i.core.inputs import Inputs, packed
from i2i.core.label_maps import LabelMaps
from i2i.core.labels import Asked
from i2i.core.sides import Held, Sides
from i2i.data.images import file as image_file
from i2i.data.images import frames
from i2i.data.images import read as reading
from i2i.data.images.file import AnyArray, AnyPixels, LoadedImage
from i2i.data.images.labels import to_maps
from i2i.data.sides import SideReader, inputs_reader, label_reader
from i2i.data.volumes.volume import Cut
from i2i.errors import CheckpointError, DataError, OptionsError, ProcessError, did_you_mean
from i2i.inference.as_filed import Filing
from i2i.inference.conditioner import Conditioner
from i2i.inference.styler import PictureStyler
from i2i.inference.tiles import SMALLEST_TILE, Plan, Region, Step, UntileableError, trace
from i2i.networks.inference import drawing_from, inference_copy
from i2i.system.cpu import note_threads, require_threads
from i2i.system.memory import OUT_OF_MEMORY, free_memory, is_out_of_memory

_log = logging.getLogger(__name__)

SMALLEST = 8
"""Height and width that every network here can take, if they are multiples of its `multiple`."""

SMALL = 2**18
"""Images of up to this many pixels (512 x 512) are tried without estimating their memory."""

COMFORT = 0.6
"""Share of the free memory that an estimate may take; up to half as much again was measured."""

TILES = (1024, 512, 256, 128)
"""Sides of tiles that `auto` chooses from."""

TILES_ON_CPU = (256, 128)
"""There, tiles of 256 are as fast as the image at once, and larger ones slower: memory that large
is fetched from the system for every layer anew."""

OVERSHOOT = 0.25
"""How far floating point images may leave -1..1, as bicubic resizing lets them."""

PLANS = 64
"""Sizes of images whose plans are remembered."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Translator:
    """A generator in inference mode that takes images of any size, in any usual form.

    An image is padded by reflection to the next multiple of `network.multiple` on both sides, and
    the result is cropped back to the size of the input. With dropout on, each image is computed
    alone and from the same seed: its result neither changes from call to call nor depends on the
    images beside it.

    The network is copied: a model may be trained on while a translator made of it is used, and
    neither notices the other. No global state of the process is changed, random numbers included,
    so that any number of threads may share a translator; what a call returns is what it would
    return alone.

    Arguments:
        network: (N, input channels, H, W) -> (N, output channels, H, W), both in -1..1; its
            attribute `multiple` is the integer that H and W must be divisible by (1 without it),
            `upscale` how many times higher and wider results are (likewise).
            With a conditioner, it takes the planes of a condition behind the channels.
        norm: statistics that batch norm uses: "instance", the image's own, or "running" ones.
        dropout: whether dropout stays on, as published pix2pix has it.
        device: to compute on.
        precision: "fp32", or autocast to "bf16" or "fp16".
        seed: where dropout starts from, for every image anew.
        tile: side of the tiles in pixels that larger images are computed in; "off" for never; or
            "auto" for where the memory would not suffice otherwise, by an estimate or because it
            has run out. With dropout on, tiles of one size draw the same chances every time, but
            not those of the whole image.
        conditioner: what tells a network of many domains which of them is asked for, or a network
            of styles in which.
        labels: of what it takes and of what it makes, what label maps hold, or what several inputs
            are; None for images.
        trained_size: shorter side that images had in the training before they were cropped, in
            pixels; None where that is not known.
        paired: whether it was trained on pairs of images, which may lie side by side in one file.
        filing: how files become what the network takes and makes, where these are more than colours
            of 8 bits.
        show: the bands that people see of what it takes and of what it makes (`Sides.show`).
        checkpoint: the file that it was made of.
        description: which checkpoint that is and why, in words.

    That tiles are resorted to is logged, once for every size.

    `way` is the direction that it was made for, "AtoB" or "BtoA", of `ways` that the model has
    learnt; "" where it is not known.

    `tile` may be changed at any time, and so may `cut`: how medical volumes become
    images (`i2i.data.volumes.volume.Cut`).
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        input_channels: int,
        output_channels: int,
        norm: Literal["instance", "running"],
        dropout: bool,
        device: torch.device | str,
        precision: str = "fp32",
        seed: int = 0,
        tile: int | Literal["auto", "off"] = "auto",
        conditioner: Conditioner | PictureStyler | None = None,
        labels: tuple[Held | None, LabelMaps | None] = (None, None),
        trained_size: int | None = None,
        paired: bool = False,
        filing: Filing | None = None,
        show: tuple[tuple[int, ...], tuple[int, ...]] = ((), ()),
        checkpoint: Path | None = None,
        description: str = "",
    ) -> None:
        if precision not in _DTYPES:
            raise OptionsError(
                f"precision (={precision!r}) must be one of {', '.join(_DTYPES)}."
                f"{did_you_mean(precision, _DTYPES)}"
            )
        self.network = inference_copy(network, norm=norm, dropout=dropout).to(device)
        self.multiple = int(getattr(network, "multiple", 1))
        self.upscale = int(getattr(network, "upscale", 1))
        self.input_channels = input_channels
        self.output_channels = output_channels
        self.dropout = dropout
        self.device = torch.device(device)
        self.precision = precision
        self.seed = seed
        self.tile = tile
        self.conditioner = conditioner
        self.labels = labels
        self.trained_size = trained_size
        self.paired = paired
        self.cut = Cut()
        self.filing = filing
        self.show = show
        self.checkpoint = checkpoint
        self.description = description
        self.way = ""
        self.ways: tuple[str, ...] = ()
        self.strength_said = ""
        self._mixed = 1.0
        self._told: set[str] = set()
        self._lock = threading.Lock()  # of what is remembered about the network
        self._steps: list[Step] | UntileableError | None = None
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._process = os.getpid()
        note_threads()

    def set_strength(self, strength: float) -> None:
        """Translate only so far: 0 gives the input, 1 the whole translation.

        Of a model of many domains that recognises them, it is the label that lies between those of
        the input and what is asked for; of others each result is mixed with its input. Which of the
        two it is, `strength_said` tells.

        Raises:
            OptionsError: the strength is not within 0..1, or the results have other channels than
                the inputs, so that they cannot be mixed.
        """
        if not 0 <= strength <= 1:
            raise OptionsError(f"strength (={strength:g}) must be between 0 and 1.")
        self._mixed = 1.0
        self.strength_said = f"strength {strength:g}: of the labels that the generator is told"
        if isinstance(self.conditioner, Conditioner) and self.conditioner.has_strength:
            self.conditioner.strength = strength
            return
        if any(self.labels):
            raise OptionsError(
                f"strength (={strength:g}) mixes results with their inputs, and neither label maps "
                "nor several inputs can be mixed with images: leave it out."
            )
        if self.upscale > 1:
            raise OptionsError(
                f"strength (={strength:g}) mixes results with their inputs, which are "
                f"{self.upscale} times smaller: leave it out."
            )
        if self.input_channels != self.output_channels:
            raise OptionsError(
                f"strength (={strength:g}) mixes results with their inputs, which have "
                f"{self.input_channels} channels and not {self.output_channels}."
            )
        self._mixed = strength
        self.strength_said = f"strength {strength:g}: results are mixed with their inputs"

    def __iter__(self) -> Iterator[Any]:
        """Yield the translator and its description: `translator, which = load_translator(run)`,
        as version 0.1 had it."""
        return iter((self, self.description))

    def __reduce__(self) -> NoReturn:
        """It holds what belongs to its process."""
        raise ProcessError(
            "a translator cannot be sent to another process, nor copied or pickled: call "
            "i2i.load_translator there, once in each process."
        )

    @property
    def sides(self) -> Sides:
        """What the images are that it takes (0) and makes (1)."""
        filing = self.filing
        scales = (None, None) if filing is None else (filing.source, filing.target)
        return Sides(labels=self.labels, scales=scales, show=self.show)

    @property
    def tile(self) -> int | Literal["auto", "off"]:
        return self._tile

    @tile.setter
    def tile(self, tile: int | Literal["auto", "off"]) -> None:
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile >= SMALLEST_TILE):
            raise OptionsError(
                f"tile (={tile!r}) must be auto, off, or the side of the tiles in pixels, at least "
                f"{SMALLEST_TILE}."
            )
        self._tile = tile

    @overload
    def __call__(
        self, images: Tensor, domain: Asked = None, labels: Tensor | None = None
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        images: Image.Image | Path | str | bytes,
        domain: Asked = None,
        labels: Tensor | None = None,
    ) -> Image.Image: ...

    @overload
    def __call__(
        self, images: AnyArray, domain: Asked = None, labels: Tensor | None = None
    ) -> AnyArray: ...

    @overload
    def __call__(
        self, images: Sequence[Any], domain: Asked = None, labels: Tensor | None = None
    ) -> list[Any]: ...

    @torch.inference_mode()
    def __call__(self, images: Any, domain: Asked = None, labels: Tensor | None = None) -> Any:
        """Translate one image or several; a result has the form and the size of its input, or
        `upscale` times that.

        Arguments:
            images: one of
                a tensor, (N, C, H, W) or (C, H, W), uint8 in 0..255, uint16 in 0..65535 or floating
                point in -1..1, on any device;
                a NumPy array, (H, W, C) or (N, H, W, C), (H, W) for a network of one channel, with
                the same types and ranges;
                a Pillow image of any mode, which is turned upright as its EXIF orientation asks and
                converted to the channels needed (`image_file.from_image`);
                the path of an image file, or the bytes of one, for which a Pillow image is
                returned;
                of several inputs a mapping of their names to the paths of files, or a tensor of
                the bytes that they travel in (`i2i.core.inputs`);
                of label maps also a tensor (N, 1, H, W) or an array (H, W) or (N, H, W, 1) of the
                numbers of classes, uint8, with three bytes of the number of the object behind them
                for a network that sees objects; or their planes as floating point;
                or a list of these, of any sizes, for which a list is returned.
            domain: what to translate to, for models of many domains; or which attributes to change,
                and whether they shall hold. By default what the conditioner was made for.
            labels: what the images are like, (N, L); by default what the model's own classifier
                finds, where that matters.

        Returns:
            The same notation, dtype, device and size, with the output's channels; for a Pillow
            image, a path or bytes an image of mode "L" (one channel), "RGB" (three), "RGBA"
            (four) or "P" (label maps: the numbers of classes and their colours), with the alpha of
            the input if it has some, and "I;16" for one channel of 16 bits. Where the values of
            files are used as they are (`filing`), arrays are those values ((H, W, C) or
            (N, H, W, C), of the type that files have), a path is read so, and what comes back is an
            array of such values, or a Pillow image of 8-bit colours.

        Raises:
            DataError: this is no image, has another number of channels, or its values lie outside
                of their range.
            CheckpointError: the network returns values that are not finite.
            OptionsError: `tile` is a number, and this network cannot be computed in tiles; or the
                domain is none that it has learnt; or it is told labels and knows none.
            ProcessError: this process was forked from one that has used torch's threads or a GPU.
            torch.OutOfMemoryError: the memory does not suffice, nor for tiles unless they are off.
        """
        self._require_process()
        if callable(getattr(images, "read", None)):  # a file; or an upload of a web framework
            images = images.read()
        held = self.labels[0]
        if isinstance(images, Mapping) or (
            held is not None and not isinstance(images, Tensor | np.ndarray | list | tuple)
        ):
            maps = self._inputs(images) if isinstance(held, Inputs) else self._map(images)
            return self._of_maps(to_tensor([maps]), domain, labels)
        if isinstance(images, Tensor):
            return self._tensor(images, domain, labels)
        if (
            self.filing is not None
            and held is None
            and not isinstance(images, list | tuple | Image.Image)
        ):
            return self._filed(self.filing, images, domain, labels)
        if isinstance(images, np.ndarray):
            return self._array(images, domain, labels)
        if isinstance(images, list | tuple):
            if labels is not None and len(labels) != len(images):
                raise DataError(f"There are {len(images)} images, but {len(labels)} labels.")
            rows = [None] * len(images) if labels is None else labels.split(1)
            return [self(each, domain, row) for each, row in zip(images, rows, strict=True)]
        if isinstance(images, str | Path):  # which may have more than a Pillow image can hold
            frames.require_one(Path(images))
            image = image_file.read(Path(images), self.input_channels, keep_alpha=True)
        else:
            opened = _opened(images)
            image = image_file.from_image(opened, self.input_channels, keep_alpha=True)
        pixels = to_pixels(self._tensor(to_tensor([image.pixels]), domain, labels))[0]
        return image_file.to_image(self.result(image, pixels))

    def reader(self, instances: Path | None = None) -> SideReader:
        """What reads files as they travel to the network.

        Arguments:
            instances: the folder of maps of objects, for a network that sees their borders.

        Raises:
            OptionsError: such a folder is missing, or of no use.
        """
        held = self.labels[0]
        if isinstance(held, Inputs):
            return inputs_reader("input", held)
        scale = None if self.filing is None else self.filing.source
        plain = SideReader("input", self.input_channels, scale=scale)
        return label_reader(held, instances) or plain

    def of_pixels(
        self, pixels: list[AnyPixels], domain: Asked = None, labels: Tensor | None = None
    ) -> list[AnyPixels]:
        """Translate images (H, W, C) of one size, as they are read of files; `finished` makes of
        each result what a file of it holds.

        Raises:
            As a call.
        """
        given = to_tensor(pixels)
        if self.filing is not None and self.labels[0] is not None:
            given = self.planes(given)
        made = self(given, domain, labels)
        if self.filing is not None and self.labels[1] is not None:
            made = self.labels[1].decided(made)
        return to_pixels(made)

    def finished(self, image: LoadedImage, pixels: AnyPixels) -> LoadedImage:
        """What an image has become, of what `of_pixels` returned."""
        if self.filing is None or self.labels[1] is not None:
            return self.result(image, pixels)
        return image._replace(pixels=self.filing.decode(pixels))

    def _map(self, image: Any) -> AnyPixels:
        """A label map as it travels."""
        held = self.labels[0]
        if not isinstance(held, LabelMaps):
            raise DataError(
                f"A {type(image).__name__} cannot be translated by this network, which takes one "
                "image: expected a path, a file or its bytes, a Pillow image, a NumPy array, a "
                "tensor, or a list of these."
            )
        return to_maps(_opened(image), held)

    def _inputs(self, images: Any) -> AnyPixels:
        """Several inputs as they travel: of a mapping of their names to files."""
        held = self.labels[0]
        assert isinstance(held, Inputs)
        names = ", ".join(held.names)
        if not isinstance(images, Mapping) or set(images) != set(held.names):
            found = ", ".join(map(str, images)) if isinstance(images, Mapping) else ""
            raise DataError(
                f"This network takes several inputs of each scene: expected a mapping of the names "
                f"{names} to files{f', and found {found}' if found else ''}."
            )
        for name, path in images.items():
            if not isinstance(path, str | Path):
                raise DataError(
                    f"The input {name!r} is a {type(path).__name__}: expected the path of a file, "
                    "or a tensor of the bytes of all inputs in the place of the mapping."
                )
        paths = [Path(images[name]) for name in held.names]
        return packed(inputs_reader("input", held).read_all(paths))

    def _of_maps(self, maps: Tensor, domain: Asked, labels: Tensor | None) -> Any:
        """Translate one label map or several inputs (1, C, H, W) to what a file would hold, if its
        values are used as they are, or to a picture."""
        if self.filing is None:
            pixels = to_pixels(self._tensor(maps, domain, labels))[0]
            return image_file.to_image(self.result(LoadedImage(maps[0].numpy()), pixels))
        return self.filing.decode(to_pixels(self._tensor(self.planes(maps), domain, labels))[0])

    def result(self, image: LoadedImage, pixels: AnyPixels) -> LoadedImage:
        """What an image has become, with what belongs to it; of label maps with their colours."""
        if self.labels[1] is None:
            return image_file.of_size(image, *pixels.shape[:2])._replace(pixels=pixels)
        return LoadedImage(pixels, palette=(*self.labels[1].colours, (0, 0, 0)))

    def _filed(self, filing: Filing, images: Any, domain: Asked, labels: Tensor | None) -> Any:
        """Translate the values of files: an array of them, a path, or the bytes of a file."""
        if isinstance(images, str | Path):
            [image] = filing.read(Path(images))[:1]
            values = image.pixels
        elif isinstance(images, np.ndarray):
            values = filing.encode(images)
        else:
            raise DataError(
                f"A {type(images).__name__} cannot be translated by this network: expected a path, "
                "an array of the values of files, a tensor, or a list of these."
            )
        channels = self.input_channels
        if values.ndim not in (3, 4) or values.shape[-1] != channels or values.size == 0:
            raise DataError(
                f"The images are of shape {values.shape}: expected (H, W, {channels}) or "
                f"(N, H, W, {channels}), as this network takes {channels} channels."
            )
        tensor = torch.from_numpy(np.ascontiguousarray(values)).movedim(-1, -3)
        translated = self._tensor(tensor, domain, labels)
        if (held := self.labels[1]) is not None:
            several = translated if translated.ndim == 4 else translated[None]
            numbers = to_pixels(held.decided(several))
            if isinstance(images, np.ndarray):
                return np.stack(numbers) if translated.ndim == 4 else numbers[0]
            return image_file.to_image(self.result(image, numbers[0]))
        made = filing.decode(translated.movedim(-3, -1).numpy())
        if filing.target is not None or isinstance(images, np.ndarray):
            return made
        return image_file.to_image(LoadedImage(made))

    def _array(self, images: AnyArray, domain: Asked, labels: Tensor | None) -> AnyArray:
        channels = self._channels_of(images.dtype == np.uint8)
        native = images.dtype.newbyteorder("=")
        if native not in (np.uint8, np.uint16) and native.kind != "f":
            raise DataError(
                f"The images are {images.dtype}: expected uint8 (0..255), uint16 (0..65535) or "
                "floating point (-1..1)."
            )
        is_flat = images.ndim == 2 and channels == 1
        pixels = images[:, :, None] if is_flat else images
        if pixels.ndim not in (3, 4) or pixels.shape[-1] != channels or images.size == 0:
            raise DataError(
                f"The images are of shape {images.shape}: expected (H, W, {channels}) or "
                f"(N, H, W, {channels}){' or (H, W)' * (channels == 1)}, as this network takes "
                f"{channels} channels."
            )
        # A copy, since torch reads neither foreign byte orders nor what is mirrored.
        tensor = torch.from_numpy(np.array(pixels, dtype=native, order="C")).movedim(-1, -3)
        translated: AnyArray = self._tensor(tensor, domain, labels).movedim(-3, -1).numpy()
        translated = translated.astype(images.dtype, copy=False)
        return translated[:, :, 0] if is_flat and self.output_channels == 1 else translated

    def _tensor(self, images: Tensor, domain: Asked, labels: Tensor | None) -> Tensor:
        # Not only the network takes memory: so do conversions of what goes in and comes out.
        try:
            return self._translated(images, domain, labels)
        except OUT_OF_MEMORY as error:
            if isinstance(error, torch.OutOfMemoryError) or not is_out_of_memory(error):
                raise
        raise self._shortage(images)

    def _translated(self, images: Tensor, domain: Asked, labels: Tensor | None) -> Tensor:
        dtype = images.dtype
        if dtype not in (torch.uint8, torch.uint16) and not dtype.is_floating_point:
            raise DataError(
                f"The images are {dtype}: expected torch.uint8 (0..255), torch.uint16 (0..65535) "
                "or floating point (-1..1)."
            )
        channels = self._channels_of(dtype == torch.uint8)
        if images.ndim not in (3, 4) or images.shape[-3] != channels or images.numel() == 0:
            raise DataError(
                f"The images are of shape {tuple(images.shape)}: expected (N, {channels}, H, W) "
                f"or ({channels}, H, W), as this network takes {channels} channels."
            )
        if dtype.is_floating_point:
            _require_range(images)
        batch = images if images.ndim == 4 else images[None]
        if self.labels[0] is not None:
            batch = self.planes(batch)
        elif dtype == torch.uint16:  # which torch hardly computes with
            batch = batch.float() / 32767.5 - 1
        if self.conditioner is not None:
            with self.conditioner.telling(batch, domain, labels) as told:
                translated = self._translate(told)
        elif domain is not None:
            raise OptionsError(
                f"domain (={domain!r}) means nothing to this network, which is told of none."
            )
        elif labels is not None:
            raise OptionsError(
                f"labels of shape {tuple(labels.shape)} mean nothing to this network, which is "
                "told of none: leave them out."
            )
        else:
            translated = self._translate(batch)
        self._require_finite(translated)
        if self._mixed != 1:
            before = to_signed(batch).to(translated)
            translated = torch.lerp(before, translated, self._mixed)
        if self.labels[1] is not None and not dtype.is_floating_point:
            translated = self.labels[1].decided(translated)
        elif dtype == torch.uint8:
            translated = to_bytes(translated)
        elif dtype == torch.uint16:
            translated = _to_words(translated)
        translated = translated.to(images.device, dtype)
        return translated if images.ndim == 4 else translated[0]

    def _channels_of(self, in_bytes: bool) -> int:
        """Channels of what is given: of label maps those of the maps, or their planes."""
        labels = self.labels[0]
        return self.input_channels if labels is None or not in_bytes else labels.channels

    def planes(self, maps: Tensor) -> Tensor:
        """What the network sees of label maps or several inputs (N, C, H, W), on its device.

        Raises:
            DataError: there is a number of no class, or values of another type.
        """
        held = self.labels[0]
        assert held is not None
        if maps.is_floating_point():
            return maps
        if maps.dtype != torch.uint8:
            raise DataError(f"Label maps are {maps.dtype}: expected torch.uint8.")
        held.require_known(maps)
        return held.encoded(maps.to(self.device))

    def _require_process(self) -> None:
        """Raise a ProcessError where a fork has left behind what the network needs."""
        if self.device.type != "cpu" and os.getpid() != self._process:
            raise ProcessError(
                f"this process was forked from the one that loaded the network on {self.device}, "
                "which it cannot use: load it after the fork, or start processes by 'spawn'."
            )
        require_threads()
        note_threads()

    def _require_finite(self, translated: Tensor) -> None:
        if bool(translated.isfinite().all()):
            return
        wrong = int((~translated.isfinite()).sum())
        sick = [n for n, w in self.network.named_parameters() if not bool(w.isfinite().all())]
        if sick:
            why = f"its weights are not finite either ({sick[0]}): take an earlier checkpoint"
        elif self.precision != "fp32":
            why = f"its weights are finite: try the precision fp32 instead of {self.precision}"
        else:
            why = (
                "its weights are finite, but too large for this image: take an earlier checkpoint, "
                "its training seems to have failed"
            )
        raise CheckpointError(
            f"the network returns {wrong} of {translated.numel()} values as NaN or infinite; {why}."
        )

    def _translate(self, images: Tensor) -> Tensor:
        """Translate (N, C, H, W), uint8 or floating point; returns floating point in -1..1."""
        height, width = images.shape[-2:]
        tile = None
        if isinstance(self.tile, int):
            tile = self.tile if self.tile < max(height, width) else None
        elif self.tile == "auto" and (estimate := self._estimate(images)) > _room(self.device):
            if len(images) > 1:
                return torch.cat([self._translate(image) for image in images.split(1)])
            tile = self._largest_tile(images)
            self._tell(
                f"{width} x {height} pixels would take about {estimate / 2**30:.1f} GiB of memory "
                f"at once: they are computed in tiles of {tile} x {tile}."
            )
        if tile is None:
            translated = _unless_out_of_memory(lambda: self._at_once(images))
            if translated is not None:
                return translated
            if self.tile == "off":
                raise self._shortage(images)
            if len(images) > 1:
                return torch.cat([self._translate(image) for image in images.split(1)])
            tile = self._largest_tile(images)
            self._tell(
                f"Out of memory with {width} x {height} pixels at once: they are computed in tiles "
                f"of {tile} x {tile}."
            )
        return torch.cat([self._in_tiles(image, tile) for image in images.split(1)])

    def _estimate(self, images: Tensor) -> int:
        """Estimate what images take at once, in bytes; 0 for little or where nobody knows."""
        if len(images) * images.shape[-2] * images.shape[-1] <= SMALL:
            return 0
        try:
            memory = self._plan(images).memory_untiled(_DTYPES[self.precision].itemsize)
        except UntileableError:
            return 0
        return memory if self.dropout else memory * len(images)

    def _largest_tile(self, image: Tensor) -> int:
        """Return the largest tile that fits, which is less than an image that does not."""
        try:
            plan = self._plan(image)
        except UntileableError as error:
            raise self._shortage(image, f", and tiles are no help: {error}") from error
        half = max(image.shape[-2:]) // 2
        for tile in TILES_ON_CPU if self.device.type == "cpu" else TILES:
            on_device, on_host = plan.memory_tiled(tile, _DTYPES[self.precision].itemsize)
            room = _room(self.device)
            if self.device.type == "cpu" and on_host <= room:
                room -= on_host
            if on_device <= room:
                break
        return max(SMALLEST_TILE, min(tile, half))

    @torch.inference_mode()
    def stream(
        self,
        read: Callable[[slice, slice], AnyPixels],
        write: Callable[[slice, slice, AnyPixels], None],
        size: tuple[int, int],
        dtype: np.dtype[Any],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Translate an image part after part, of which neither input nor result is in memory whole.

        The result is that of the whole image, up to rounding: it is always computed in tiles. What
        has to be kept between their passes is in a temporary file (`TMPDIR` says where).

        Arguments:
            read: returns some rows and columns of the image, (H, W, input channels); of label maps
                as they travel, (H, W, channels) uint8.
            write: is given rows and columns of the result once each, (H, W, output channels); it is
                `upscale` times as high and wide.
            size: height and width of the whole image.
            dtype: of what is read, uint8 or uint16, and written, unless the values of files are
                used as they are (`filing`), which says how they are meant; label maps are uint8.
            progress: called with how many parts are computed and how many there are.

        Raises:
            DataError: the network is told what to translate to, which needs the image at once.
            OptionsError: this network cannot be computed in tiles.
            torch.OutOfMemoryError: a tile does not fit into the memory, or what is kept not onto
                the disk.
        """
        self._require_process()
        if self.conditioner is not None:
            raise DataError("models of many domains translate no image that is this large")
        height, width = size
        shape = torch.empty((1, self.input_channels, height, width), device="meta")
        try:
            plan = self._plan(shape)
        except UntileableError as error:
            raise OptionsError(f"this network cannot be computed in tiles: {error}.") from error
        tile = self.tile if isinstance(self.tile, int) else self._largest_tile(shape)
        _, on_disk = plan.memory_tiled(tile, _DTYPES[self.precision].itemsize)
        folder = tempfile.gettempdir()
        if on_disk > shutil.disk_usage(folder).free:
            raise torch.OutOfMemoryError(
                f"{width} x {height} pixels take {on_disk / 2**30:.0f} GiB in '{folder}' (see "
                "TMPDIR) between the steps, which are not free there"
            )
        times = self.upscale
        (top, down), (left, across) = (_reflection(n, self.multiple) for n in (height, width))

        held, target = self.labels
        margin = isinstance(held, LabelMaps) and held.edges  # a border is seen from its neighbour

        def padded(region: Region) -> Tensor:
            rows, columns = down[slice(*region.rows)], across[slice(*region.columns)]
            first, begin = (max(0, int(each.min()) - margin) for each in (rows, columns))
            last, end = (int(each.max()) + 1 + margin for each in (rows, columns))
            window = read(slice(first, min(last, height)), slice(begin, min(end, width)))
            if held is None and self.filing is not None:
                window = self.filing.encode(window)
            values = torch.from_numpy(window).permute(2, 0, 1)[None].to(self.device)
            if held is not None:
                values = self.planes(values)
            values = values.to(torch.int32) if values.dtype == torch.uint16 else values
            values = values[..., (rows - first).to(self.device), :]
            values = values[..., (columns - begin).to(self.device)].float()
            if held is not None or self.filing is not None:
                return values
            return values / (127.5 if dtype == np.uint8 else 32767.5) - 1

        def cropped(region: Region, values: Tensor) -> None:
            self._require_finite(values)
            rows, columns = (
                slice(max(a, times * first), min(b, times * (first + length)))
                for (a, b), first, length in zip(region, (top, left), (height, width), strict=True)
            )
            if rows.start < rows.stop and columns.start < columns.stop:
                a, b = region.rows[0], region.columns[0]
                values = values[
                    0, :, rows.start - a : rows.stop - a, columns.start - b : columns.stop - b
                ]
                if target is not None:
                    made = target.decided(values[None])[0].cpu().permute(1, 2, 0).numpy()
                elif self.filing is not None:
                    made = self.filing.decode(values.permute(1, 2, 0).float().cpu().numpy())
                else:
                    words = to_bytes(values) if dtype == np.uint8 else _to_words(values)
                    made = words.cpu().permute(1, 2, 0).numpy().astype(dtype)
                write(
                    slice(rows.start - times * top, rows.stop - times * top),
                    slice(columns.start - times * left, columns.stop - times * left),
                    made,
                )

        with self._arithmetic():
            plan.stream(padded, cropped, tile, self.device, progress)

    def _plan(self, images: Tensor) -> Plan:
        size = (images.shape[1], *self._padded_size(images))
        with self._lock:
            if self._steps is None:
                try:
                    self._steps = trace(self.network)
                except UntileableError as error:
                    self._steps = error
            if isinstance(self._steps, UntileableError):
                raise UntileableError(str(self._steps))
            if size not in self._plans:
                if len(self._plans) == PLANS:
                    self._plans.clear()
                self._plans[size] = Plan(self._steps, *size)
            return self._plans[size]

    def _in_tiles(self, image: Tensor, tile: int) -> Tensor:
        """Translate one image in tiles, smaller ones if they do not fit; returned on the CPU."""
        try:
            plan = self._plan(image)
        except UntileableError as error:
            raise OptionsError(
                f"tile (={tile}) must be off for this network, which cannot be computed in tiles: "
                f"{error}."
            ) from error
        _, on_host = plan.memory_tiled(tile, _DTYPES[self.precision].itemsize)
        in_file = on_host > _room(torch.device("cpu"))
        if in_file and on_host > shutil.disk_usage(tempfile.gettempdir()).free:
            raise self._shortage(image, f", nor into '{tempfile.gettempdir()}' (see TMPDIR)")

        def compute() -> Tensor:
            with self._arithmetic():
                return plan.run(padded, tile, self.device, in_file=in_file).float()

        padded = self._padded(image, torch.device("cpu"))
        while (translated := _unless_out_of_memory(compute)) is None:
            tile //= 2
            if tile < SMALLEST_TILE:
                raise self._shortage(image, ", not even in tiles")
            self._tell(f"Out of memory: the tiles are now {tile} x {tile} pixels.")
        return self._cropped(translated, image)

    def _at_once(self, images: Tensor) -> Tensor:
        padded = self._padded(images, self.device)
        # With dropout, each image starts from the same seed.
        parts = padded.split(1) if self.dropout else [padded]
        translated = []
        for part in parts:
            with self._arithmetic():
                translated.append(self.network(part))
            sides = [self.upscale * side for side in part.shape[-2:]]
            expected = (len(part), self.output_channels, *sides)
            assert translated[-1].shape == expected, f"{translated[-1].shape} is not {expected}"
        return self._cropped(torch.cat(translated), images)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        dtype = _DTYPES[self.precision]
        generator = torch.Generator(self.device).manual_seed(self.seed)
        reduced = torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)
        with reduced, drawing_from(generator):
            yield

    def _padded_size(self, images: Tensor) -> tuple[int, int]:
        multiple = self.multiple
        height, width = (len(_reflection(n, multiple)[1]) for n in images.shape[-2:])
        return height, width

    def _padded(self, images: Tensor, device: torch.device) -> Tensor:
        """Reflect images to a size that the network can take; floating point on `device`."""
        multiple = self.multiple
        _, rows = _reflection(images.shape[-2], multiple)
        _, columns = _reflection(images.shape[-1], multiple)
        images = images.to(device)[..., rows.to(device), :][..., columns.to(device)]
        return to_signed(images).float().contiguous()

    def _cropped(self, translated: Tensor, images: Tensor) -> Tensor:
        multiple = self.multiple
        height, width = images.shape[-2:]
        top, _ = _reflection(height, multiple)
        left, _ = _reflection(width, multiple)
        rows, columns = (
            slice(self.upscale * first, self.upscale * (first + length))
            for first, length in ((top, height), (left, width))
        )
        return translated[..., rows, columns]

    def _tell(self, text: str) -> None:
        with self._lock:
            if text in self._told:
                return
            self._told.add(text)
        _log.warning(text)

    def _shortage(self, images: Tensor, more: str = "") -> torch.OutOfMemoryError:
        height, width = images.shape[-2:]
        return torch.OutOfMemoryError(
            f"{width} x {height} pixels do not fit into the memory of {self.device}{more}"
        )


def _opened(image: Any) -> Image.Image:
    """A Pillow image, the file of a path, or the bytes of one, upright.

    Raises:
        DataError: it is none of these, or cannot be read.
    """
    if isinstance(image, Image.Image):
        image.load()
        return reading.upright(image)
    if isinstance(image, str | Path):
        frames.require_one(Path(image))
        return reading.open_image(Path(image))
    if isinstance(image, bytes | bytearray | memoryview):
        frames.require_one(io.BytesIO(image))
        return reading.open_image(io.BytesIO(image))
    raise DataError(
        f"A {type(image).__name__} cannot be translated: expected a path, a file or its bytes, a "
        "Pillow image, a NumPy array, a tensor, or a list of these."
    )


def _room(device: torch.device) -> float:
    """Return how many bytes an estimate may take."""
    free = free_memory(device)
    return math.inf if free is None else COMFORT * free


def _unless_out_of_memory(compute: Callable[[], Tensor]) -> Tensor | None:
    """Return the result; None if the memory did not suffice, which by then is free again."""
    try:
        return compute()
    except OUT_OF_MEMORY as error:
        if not is_out_of_memory(error):
            raise
    return None


def _reflection(length: int, multiple: int) -> tuple[int, Tensor]:
    """Return how to pad `length` pixels to a multiple of `multiple`, from `SMALLEST` on.

    The padding is shared between both ends and mirrors at the outermost pixels without repeating
    them, as often as it takes (padding in torch ends at `length - 1`). Returns the number of
    pixels put before the first, and which pixel to take for each position.
    """
    padded = -(-max(length, SMALLEST) // multiple) * multiple
    before = (padded - length) // 2
    period = max(2 * (length - 1), 1)
    phase = torch.arange(-before, padded - before) % period
    return before, length - 1 - (phase - (length - 1)).abs()


def _to_words(images: Tensor) -> Tensor:
    """Map -1..1 to 0..65535, clamped and rounded; floating point."""
    return images.float().add(1).mul(32767.5).round_().clamp_(0, 65535)


def _require_range(images: Tensor) -> None:
    low, high = (value.item() for value in images.aminmax())
    if not (low >= -1 - OVERSHOOT and high <= 1 + OVERSHOOT):  # not: NaN must be refused as well
        raise DataError(
            f"The images hold values of {low:.4g}..{high:.4g}: floating point is expected within "
            "-1..1 (x / 127.5 - 1 of 0..255); give uint8 for 0..255."
        )


def to_tensor(pixels: list[AnyPixels]) -> Tensor:
    """Stack images of one size to (N, C, H, W)."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def to_pixels(images: Tensor) -> list[AnyPixels]:
    return list(images.permute(0, 2, 3, 1).numpy())
