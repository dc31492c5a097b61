"""A trained generator that takes any picture.

`Translator` is a generator with everything around it that a result depends on: its precision, the
mode of its normalisation, its dropout, the padding to the sizes that it can take. Pictures that are
too large for the memory are computed tile by tile, with the same result (`i2i.tiles`).
"""

import contextlib
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, cast, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.batch import to_bytes, to_signed
from i2i.conditioner import Conditioner
from i2i.data import pictures, reading
from i2i.data.pictures import AnyPixels
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.labels import Asked, with_planes
from i2i.memory import OUT_OF_MEMORY, free_memory, is_out_of_memory
from i2i.networks.inference import set_inference
from i2i.tiles import SMALLEST_TILE, Plan, UntileableError

SMALLEST = 8
"""Height and width that every network here can take, if they are multiples of its `multiple`."""

SMALL = 2**18
"""Pictures of up to this many pixels (512 x 512) are tried without estimating their memory."""

COMFORT = 0.6
"""Share of the free memory that an estimate may take; up to half as much again was measured."""

TILES = (1024, 512, 256, 128)
"""Sides of tiles that `auto` chooses from."""

TILES_ON_CPU = (256, 128)
"""There, tiles of 256 are as fast as the picture at once, and larger ones slower: memory that large
is fetched from the system for every layer anew."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Translator:
    """A generator in inference mode that takes pictures of any size, as tensors or Pillow images.

    A picture is padded by reflection to the next multiple of `network.multiple` on both sides, and
    the result is cropped back to the size of the input. With dropout on, each picture is computed
    alone and from the same seed: its result neither changes from call to call nor depends on
    the pictures beside it, and the caller's random state is left as it was.

    Arguments:
        network: (N, input channels, H, W) -> (N, output channels, H, W), both in -1..1; its
            attribute `multiple` is the integer that H and W must be divisible by. It is moved to
            `device` and set to inference mode. With a conditioner, it takes the planes of a
            condition behind the channels.
        norm: statistics that batch norm uses: the "picture"'s own or the "running" ones.
        dropout: whether dropout stays on, as published pix2pix has it.
        precision: "fp32", or autocast to "bf16" or "fp16".
        seed: where dropout starts from, for every picture anew.
        tile: side of the tiles in pixels that larger pictures are computed in; "off" for never; or
            "auto" for where the memory would not suffice otherwise, by an estimate or because it
            has run out. With dropout on, tiles of one size draw the same chances every time, but
            not those of the whole picture.
        say: is told when tiles are resorted to, once for every size.
        conditioner: what tells a network of many domains which of them is asked for.

    `tile` and `say` may be changed at any time.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        input_channels: int,
        output_channels: int,
        norm: Literal["picture", "running"],
        dropout: bool,
        device: torch.device | str,
        precision: str = "fp32",
        seed: int = 0,
        tile: int | Literal["auto", "off"] = "auto",
        say: Callable[[str], None] = warnings.warn,
        conditioner: Conditioner | None = None,
    ) -> None:
        if precision not in _DTYPES:
            raise OptionsError(
                f"precision (={precision!r}) must be one of {', '.join(_DTYPES)}."
                f"{did_you_mean(precision, _DTYPES)}"
            )
        self.network = network.to(device)
        set_inference(self.network, norm=norm, dropout=dropout)
        self.input_channels = input_channels
        self.output_channels = output_channels
        self.dropout = dropout
        self.device = torch.device(device)
        self.precision = precision
        self.seed = seed
        self.tile = tile
        self.say = say
        self.conditioner = conditioner
        self._told: set[str] = set()

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
        self, images: Image.Image, domain: Asked = None, labels: Tensor | None = None
    ) -> Image.Image: ...

    @torch.inference_mode()
    def __call__(
        self, images: Tensor | Image.Image, domain: Asked = None, labels: Tensor | None = None
    ) -> Tensor | Image.Image:
        """Translate one picture or a batch of them; the result has the size of the input.

        Arguments:
            images: (N, C, H, W) or (C, H, W), uint8 in 0..255, uint16 in 0..65535 or floating point
                in -1..1, on any device; or a Pillow image of any mode, which is turned upright as
                its EXIF orientation asks and converted to the channels needed
                (`pictures.from_image`).
            domain: what to translate to, for models of many domains; or which attributes to change,
                and whether they shall hold. By default what the conditioner was made for.
            labels: what the pictures are like, (N, L); by default what the model's own classifier
                finds, where that matters.

        Returns:
            The same notation, dtype, device and size, with the output's channels; for a Pillow
            image one of mode "L" (one channel), "RGB" (three) or "RGBA" (four), with the alpha of
            the input ("LA", "RGBA") if it has some, and "I;16" for one channel of 16 bits.

        Raises:
            DataError: the tensor is not a picture, or has another number of channels.
            OptionsError: `tile` is a number, and this network cannot be computed in tiles; or the
                domain is none that it has learnt.
            torch.OutOfMemoryError: the memory does not suffice, nor for tiles unless they are off.
        """
        if isinstance(images, Image.Image):
            images.load()
            upright = reading.upright(images)
            picture = pictures.from_image(upright, self.input_channels, keep_alpha=True)
            pixels = to_pixels(self(to_tensor([picture.pixels]), domain, labels))[0]
            return pictures.to_image(picture._replace(pixels=pixels))
        dtype = images.dtype
        if dtype not in (torch.uint8, torch.uint16) and not dtype.is_floating_point:
            raise DataError(
                f"The pictures are {dtype}: expected torch.uint8 (0..255), torch.uint16 (0..65535) "
                "or floating point (-1..1)."
            )
        channels = self.input_channels
        if images.ndim not in (3, 4) or images.shape[-3] != channels or images.numel() == 0:
            raise DataError(
                f"The pictures are of shape {tuple(images.shape)}: expected (N, {channels}, H, W) "
                f"or ({channels}, H, W), as this network takes {channels} channels."
            )
        batch = images if images.ndim == 4 else images[None]
        if dtype == torch.uint16:  # which torch hardly computes with
            batch = batch.float() / 32767.5 - 1
        if self.conditioner is not None:
            condition = self.conditioner(batch, domain, labels)
            batch = with_planes(to_signed(batch).float(), condition)
        elif domain is not None:
            raise OptionsError(
                f"domain (={domain!r}) means nothing to this network, which is told of none."
            )
        translated = self._translate(batch)
        if dtype == torch.uint8:
            translated = to_bytes(translated)
        elif dtype == torch.uint16:
            translated = translated.float().add(1).mul(32767.5).round_().clamp_(0, 65535)
        translated = translated.to(images.device, dtype)
        return translated if images.ndim == 4 else translated[0]

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
        """Estimate what pictures take at once, in bytes; 0 for little or where nobody knows."""
        if len(images) * images.shape[-2] * images.shape[-1] <= SMALL:
            return 0
        try:
            memory = self._plan(images).memory_untiled(_DTYPES[self.precision].itemsize)
        except UntileableError:
            return 0
        return memory if self.dropout else memory * len(images)

    def _largest_tile(self, image: Tensor) -> int:
        """Return the largest tile that fits, which is less than a picture that does not."""
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

    def _plan(self, images: Tensor) -> Plan:
        return Plan(self.network, images.shape[1], *self._padded_size(images))

    def _in_tiles(self, image: Tensor, tile: int) -> Tensor:
        """Translate one picture in tiles, smaller ones if they do not fit; returned on the CPU."""
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
        # With dropout, each picture starts from the same seed.
        parts = padded.split(1) if self.dropout else [padded]
        translated = []
        for part in parts:
            with self._arithmetic():
                translated.append(self.network(part))
            expected = (len(part), self.output_channels, *part.shape[-2:])
            assert translated[-1].shape == expected, f"{translated[-1].shape} is not {expected}"
        return self._cropped(torch.cat(translated), images)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        dtype = _DTYPES[self.precision]
        seeded = _seeded(self.device, self.seed) if self.dropout else contextlib.nullcontext()
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32), seeded:
            yield

    def _padded_size(self, images: Tensor) -> tuple[int, int]:
        multiple = cast(int, self.network.multiple)
        height, width = (len(_reflection(n, multiple)[1]) for n in images.shape[-2:])
        return height, width

    def _padded(self, images: Tensor, device: torch.device) -> Tensor:
        """Reflect pictures to a size that the network can take; floating point on `device`."""
        multiple = cast(int, self.network.multiple)
        _, rows = _reflection(images.shape[-2], multiple)
        _, columns = _reflection(images.shape[-1], multiple)
        images = images.to(device)[..., rows.to(device), :][..., columns.to(device)]
        return to_signed(images).float().contiguous()

    def _cropped(self, translated: Tensor, images: Tensor) -> Tensor:
        multiple = cast(int, self.network.multiple)
        height, width = images.shape[-2:]
        top, _ = _reflection(height, multiple)
        left, _ = _reflection(width, multiple)
        return translated[..., top : top + height, left : left + width]

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.say(text)

    def _shortage(self, images: Tensor, more: str = "") -> torch.OutOfMemoryError:
        height, width = images.shape[-2:]
        return torch.OutOfMemoryError(
            f"{width} x {height} pixels do not fit into the memory of {self.device}{more}"
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


@contextlib.contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Start the random numbers of `device` from `seed`, and give them back as they were."""
    if device.type == "mps":  # which fork_rng does not know
        state = torch.mps.get_rng_state()
        torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            torch.mps.set_rng_state(state)
    elif device.type == "cuda":
        with torch.random.fork_rng(devices=[device]), torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
            yield
    else:
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would change the other devices as well.
            torch.default_generator.manual_seed(seed)
            yield


def to_tensor(pixels: list[AnyPixels]) -> Tensor:
    """Stack pictures of one size to (N, C, H, W)."""
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def to_pixels(images: Tensor) -> list[AnyPixels]:
    return list(images.permute(0, 2, 3, 1).numpy())
