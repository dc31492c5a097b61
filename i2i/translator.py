"""A trained generator that takes any picture.

`Translator` is a generator with everything around it that a result depends on: its precision, the
mode of its normalisation, its dropout, the padding to the sizes that it can take.
"""

import contextlib
from collections.abc import Iterator
from typing import Literal, cast, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.batch import to_bytes, to_signed
from i2i.data import reading
from i2i.data.reading import Pixels
from i2i.errors import DataError, OptionsError, did_you_mean
from i2i.networks.inference import set_inference

SMALLEST = 8
"""Height and width that every network here can take, if they are multiples of its `multiple`."""

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
            `device` and set to inference mode.
        norm: statistics that batch norm uses: the "picture"'s own or the "running" ones.
        dropout: whether dropout stays on, as published pix2pix has it.
        precision: "fp32", or autocast to "bf16" or "fp16".
        seed: where dropout starts from, for every picture anew.
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

    @overload
    def __call__(self, images: Tensor) -> Tensor: ...

    @overload
    def __call__(self, images: Image.Image) -> Image.Image: ...

    @torch.inference_mode()
    def __call__(self, images: Tensor | Image.Image) -> Tensor | Image.Image:
        """Translate one picture or a batch of them; the result has the size of the input.

        Arguments:
            images: (N, C, H, W) or (C, H, W), uint8 in 0..255 or floating point in -1..1, on any
                device; or a Pillow image of any mode, which is turned upright as its EXIF
                orientation asks and converted to the channels needed (`reading.to_channels`).

        Returns:
            The same notation, dtype, device and size, with the output's channels; for a Pillow
            image one of mode "L" (one channel), "RGB" (three) or "RGBA" (four).

        Raises:
            DataError: the tensor is not a picture, or has another number of channels.
        """
        if isinstance(images, Image.Image):
            images.load()
            pixels = reading.to_pixels(reading.upright(images), self.input_channels)
            return to_image(to_pixels(self(to_tensor([pixels])))[0])
        if images.dtype != torch.uint8 and not images.is_floating_point():
            raise DataError(
                f"The pictures are {images.dtype}: expected torch.uint8 (0..255) or floating point "
                "(-1..1)."
            )
        channels = self.input_channels
        if images.ndim not in (3, 4) or images.shape[-3] != channels or images.numel() == 0:
            raise DataError(
                f"The pictures are of shape {tuple(images.shape)}: expected (N, {channels}, H, W) "
                f"or ({channels}, H, W), as this network takes {channels} channels."
            )
        batch = images if images.ndim == 4 else images[None]
        translated = self._translate(batch.to(self.device))
        if images.dtype == torch.uint8:
            translated = to_bytes(translated)
        translated = translated.to(images.device, images.dtype)
        return translated if images.ndim == 4 else translated[0]

    def _translate(self, images: Tensor) -> Tensor:
        """Pad, compute and crop (N, C, H, W) on the device; returns floating point in -1..1."""
        height, width = images.shape[-2:]
        multiple = cast(int, self.network.multiple)
        top, rows = _reflection(height, multiple)
        left, columns = _reflection(width, multiple)
        images = images[..., rows.to(self.device), :][..., columns.to(self.device)]
        images = to_signed(images).float().contiguous()

        if self.dropout:
            translated = torch.cat([self._forward(image) for image in images.split(1)])
        else:
            translated = self._forward(images)
        return translated[..., top : top + height, left : left + width]

    def _forward(self, images: Tensor) -> Tensor:
        dtype = _DTYPES[self.precision]
        seeded = _seeded(self.device, self.seed) if self.dropout else contextlib.nullcontext()
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32), seeded:
            translated: Tensor = self.network(images)
        expected = (len(images), self.output_channels, *images.shape[-2:])
        assert translated.shape == expected, f"{tuple(translated.shape)} is not {expected}"
        return translated


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


def to_tensor(pictures: list[Pixels]) -> Tensor:
    """Stack pictures of one size to (N, C, H, W)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def to_pixels(images: Tensor) -> list[Pixels]:
    return list(images.permute(0, 2, 3, 1).numpy())


def to_image(pixels: Pixels) -> Image.Image:
    channels = pixels.shape[2]
    if channels not in (1, 3, 4):
        raise DataError(f"A result of {channels} channels is no picture, which has 1, 3 or 4.")
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
