"""Small videos, made with PyAV itself, and what is in one."""

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt

TICK = Fraction(1, 12800)


def frames_of(count: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Smooth colours that move, (count, H, W, 3)."""
    i, y, x = np.mgrid[:count, :height, :width]
    return np.stack([x * 3 + i * 4, y * 4, i * 9 + 0 * x], -1).astype(np.uint8)


def make_clip(
    path: Path,
    *,
    frames: npt.NDArray[np.uint8] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = "aac",
    tags: tuple[int, int, int, int] = (1, 1, 1, 1),
    rotation: int = 0,
) -> None:
    """A video whose every third frame is shown twice as long, with a tone.

    Arguments:
        tags: range, primaries, transfer, matrix, as FFmpeg numbers them.
    """
    frames = frames_of(24, 64, 48) if frames is None else frames
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        context = stream.codec_context
        context.time_base = TICK
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = tags
        if rotation:
            stream.set_display_rotation(rotation)
        tone: Any = file.add_stream(sound, rate=48000) if sound else None
        time = 0
        for number, values in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(values, format="rgb24")
            frame = frame.reformat(format=pixels, dst_colorspace=tags[3], dst_color_range=tags[0])
            frame.pts, frame.time_base, frame.duration = time, TICK, 512 * (1 + (number % 3 == 0))
            time += frame.duration
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        if tone:
            wave = (np.sin(np.arange(int(48000 * time * TICK)) / 20) * 8000).astype(np.int16)
            for start in range(0, len(wave), 1024):
                part: Any = av.AudioFrame.from_ndarray(
                    wave[None, start : start + 1024], "s16", "mono"
                )
                part.sample_rate, part.pts, part.time_base = 48000, start, Fraction(1, 48000)
                file.mux(tone.encode(part))
            file.mux(tone.encode(None))


class Seen(NamedTuple):
    """What players make of a file."""

    codec: str
    size: tuple[int, int]
    tags: tuple[int, ...]
    rotation: int
    times: list[float]
    seconds: float
    sound: list[bytes]
    pixels: npt.NDArray[np.uint8]


def look(path: Path) -> Seen:
    with av.open(str(path)) as file:
        sound = [bytes(p) for p in file.demux(file.streams.audio) if p.size]
    with av.open(str(path)) as file:
        stream: Any = file.streams.video[0]
        context = stream.codec_context
        tags = context.color_range, context.color_primaries, context.color_trc, context.colorspace
        frames: list[Any] = list(file.decode(stream))
        seconds = (file.duration or 0) / av.time_base
    pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    return Seen(
        context.codec.canonical_name,
        (context.width, context.height),
        tags,
        frames[0].rotation,
        [frame.time for frame in frames],
        seconds,
        sound,
        pixels,
    )
