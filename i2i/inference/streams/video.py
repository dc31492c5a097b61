"""Videos: frame after frame, with their sound and their moments.

One thread decodes, the calling one computes, another one encodes, so that none waits for the
others; a bounded number of frames is in memory, however long the video is.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i.data.images import file as image_file
from i2i.data.images.file import AnyPixels, LoadedImage
from i2i.data.video.files import CONTAINERS, is_video, result_suffix
from i2i.data.video.read import VideoFrame, VideoReader
from i2i.data.video.write import VideoWriter
from i2i.errors import DataError
from i2i.inference.streams.flicker import Flicker
from i2i.inference.streams.stream import (
    BYTES_AHEAD,
    Behind,
    Stream,
    StreamOptions,
    ahead,
    grouped,
    two_threads,
)
from i2i.inference.translator import to_pixels, to_tensor

BYTES_PER_BATCH = 3 * 2**22
"""Frames are stacked up to this size, 4 million RGB pixels of 8 bits."""


class FrameTranslator(Protocol):
    """What is asked of a translator of frames; a `Translator` is one."""

    input_channels: int
    output_channels: int

    def __call__(self, images: Tensor, *, labels: Tensor | None = None) -> Tensor: ...


class Videos(Stream):
    """Films of the kinds that FFmpeg reads."""

    written = frozenset(CONTAINERS)

    def accepts(self, path: Path) -> bool:
        return is_video(path)

    def suffixes(self, path: Path) -> tuple[str, ...]:
        return tuple(dict.fromkeys([result_suffix(path), *CONTAINERS]))

    def translate(
        self,
        translator: FrameTranslator,
        source: Path,
        target: Path,
        suffix: str,
        how: StreamOptions,
    ) -> tuple[str, ...]:
        if translator.output_channels not in (1, 3):
            raise DataError(
                f"'{source}' cannot be used: the network makes {translator.output_channels} "
                "channels, and a video has 1 (grey) or 3 (RGB)."
            )
        flicker = Flicker()
        count = 0
        with (
            VideoReader(source) as reader,
            VideoWriter(target, suffix, reader) as writer,
            two_threads() as (decoder, encoder),
        ):
            size = reader.width * reader.height * translator.input_channels
            size *= 2 if reader.bits > 8 else 1
            batch = max(1, min(how.batch_size, BYTES_PER_BATCH // size))
            most = max(2, min(2 * batch, BYTES_AHEAD // size))
            behind = Behind(max(1, most // batch), encoder)

            def write(items: list[Any], made: list[AnyPixels]) -> None:
                results = iter(made)
                for item in items:
                    if isinstance(item, VideoFrame):
                        result = next(results)
                        flicker.add(item.pixels, result)
                        writer.write(item._replace(pixels=result))
                    else:
                        writer.copy(item)

            read = _prepared(reader, writer.beside, translator.input_channels, how)
            for group in grouped(ahead(read, most, decoder), batch, _is_frame):
                made = _translated(translator, [item for item in group if _is_frame(item)], how)
                behind.do(partial(write, group, made))
                count += len(made)
                how.progress(count, max(count, reader.count))
            behind.finish()
        return (
            flicker.line(source, count),
            *(f"{source}: no {what}" for what in writer.left_out),
        )


def _is_frame(item: Any) -> bool:
    return isinstance(item, VideoFrame)


def _prepared(
    reader: VideoReader, beside: tuple[Any, ...], channels: int, how: StreamOptions
) -> Iterator[Any]:
    for item in reader.read(channels, beside):
        if isinstance(item, VideoFrame):
            image = LoadedImage(item.pixels)
            if how.side is not None:
                image = image_file.half(image, how.side, reader.path)
            if how.size is not None:
                image = image_file.resize(image, how.size)
            item = item._replace(pixels=image.pixels)
        yield item


def _translated(
    translator: FrameTranslator, frames: list[VideoFrame], how: StreamOptions
) -> list[AnyPixels]:
    if not frames:
        return []
    told = None if how.labels is None else torch.stack([how.labels] * len(frames))
    return to_pixels(translator(to_tensor([frame.pixels for frame in frames]), labels=told))
