"""The frames of a video, in the order in which they are shown, and the packets of its sound."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from i2i.data.images.file import AnyPixels
from i2i.data.video.files import library
from i2i.errors import DataError

HIGH_DEFINITION = 720
"""Lines from which on players take colours for those of BT.709 where nothing is said."""

ENDS_EARLY = 0.02
"""Share of the time that the head promises which may be missing at the end; half a second may."""

_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg"
"""What FFmpeg may take a file for. A list of other files (concat, HLS), whatever its name, would be
followed to whatever it names."""

_BT709, _BT601 = 1, 5  # as FFmpeg numbers the matrices; 2: nothing is said, 0: RGB
_TAGS = ("color_range", "color_primaries", "color_trc", "colorspace")
_PIXELS = {(1, False): "gray", (3, False): "rgb24", (1, True): "gray16le", (3, True): "rgb48le"}


class VideoFrame(NamedTuple):
    """A frame as it is to be seen.

    Attributes:
        pixels: (H, W, channels), upright; uint8, or uint16 where the video has more than 8 bits.
        pts: when it is shown, in units of the reader's `time_base`.
        duration: for how long, in the same units.
    """

    pixels: AnyPixels
    pts: int
    duration: int


class VideoReader:
    """A video that is open for reading; also a context that closes it.

    Attributes:
        container, stream: of PyAV.
        width, height: of the frames as they are stored.
        count: frames altogether, an estimate; 0 where nobody knows.
        seconds: how long the head says that all is; 0 where it does not.
        bits: of a channel.
        tags: of its colours: range, primaries, transfer and matrix, as FFmpeg numbers them.
        time_base: seconds of a unit of time.
        rotation: degrees that the stored frames are to be turned by counter-clockwise, known with
            the first frame: a multiple of 90.

    Raises:
        DataError: it cannot be read, or shows nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._av = library(path)
        self.rotation = 0
        with self._in_words():
            self.container = self._av.open(
                str(path),
                "r",
                options={"format_whitelist": _CONTAINERS},
                metadata_errors="replace",
            )
        try:
            self._open()
        except BaseException:
            self.container.close()
            raise

    def _open(self) -> None:
        cover = self._av.stream.Disposition.attached_pic
        streams = [each for each in self.container.streams.video if not each.disposition & cover]
        if not streams:
            raise DataError(f"'{self.path}' cannot be used: it has sound alone, and no images.")
        self.stream = streams[0]
        self.stream.thread_type = "AUTO"
        context = self.stream.codec_context
        if context is None or not context.pix_fmt or not context.width or not context.height:
            raise DataError(f"'{self.path}' cannot be used: its video is of an unknown kind.")
        self.width, self.height = int(context.width), int(context.height)
        self.bits = max(component.bits for component in context.format.components)
        self.tags = {tag: int(getattr(context, tag)) for tag in _TAGS}  # decoders may forget them
        self.time_base: Fraction = self.stream.time_base or Fraction(1, 90000)
        self.rate = self.stream.average_rate or self.stream.base_rate or Fraction(25)
        self.seconds = float(self.container.duration or 0) / self._av.time_base
        self.count = int(self.stream.frames or round(self.seconds * float(self.rate)))

    @property
    def matrix(self) -> int:
        """By which matrix colours become luma and chroma, as FFmpeg numbers them."""
        said = self.tags["colorspace"]
        if said in (0, 2):
            return _BT709 if self.height >= HIGH_DEFINITION else _BT601
        return said

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def frames(self, channels: int) -> Iterator[VideoFrame]:
        """Yield the frames, upright.

        Arguments:
            channels: 1 (grey, the luma) or 3 (RGB).

        Raises:
            DataError: the file is broken, ends before it should, or changes its size.
        """
        return (each for each in self.read(channels, beside=()) if isinstance(each, VideoFrame))

    def read(self, channels: int, beside: tuple[Any, ...]) -> Iterator[Any]:
        """As `frames`, with the packets of some other streams (of PyAV) where they lie between."""
        if channels not in (1, 3):
            raise DataError(
                f"'{self.path}' cannot be used: a network of {channels} channels translates no "
                "video, which has 1 (grey) or 3 (RGB)."
            )
        held: VideoFrame | None = None
        ends = 0.0
        with self._in_words():
            wanted = dict.fromkeys((self.stream, *self.container.streams.audio, *beside))
            for packet in self.container.demux(*wanted):
                if packet.pts is not None:
                    ends = max(
                        ends, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    )
                if packet.stream is not self.stream:
                    if packet.stream in beside and packet.dts is not None:
                        yield packet
                    continue
                for frame in packet.decode():
                    following = self._converted(frame, channels, held)
                    if held is not None:
                        yield held._replace(duration=following.pts - held.pts)
                    held = following
        if held is None:
            raise DataError(f"'{self.path}' cannot be used: it holds no frame.")
        self._require_end(ends - float(self.container.start_time or 0) / self._av.time_base)
        if self.stream.duration:
            left = int(self.stream.start_time or 0) + self.stream.duration - held.pts
            held = held._replace(duration=left) if left > 0 else held
        yield held

    def _require_end(self, reached: float) -> None:
        if self.seconds - reached > max(0.5, ENDS_EARLY * self.seconds):
            raise DataError(
                f"'{self.path}' cannot be used: it ends after {max(0.0, reached):.1f} of "
                f"{self.seconds:.1f} seconds; the file is not complete."
            )

    def _converted(self, frame: Any, channels: int, before: VideoFrame | None) -> VideoFrame:
        if (frame.width, frame.height) != (self.width, self.height):
            raise DataError(
                f"'{self.path}' cannot be used: its frames change from {self.width} x "
                f"{self.height} to {frame.width} x {frame.height} pixels."
            )
        if before is None:
            self.rotation = round(frame.rotation / 90) * 90 % 360
        duration = int(frame.duration or 0)
        pts = frame.pts
        if pts is None or (before and pts <= before.pts):  # as in damaged or very old files
            pts = before.pts + max(1, duration or round(1 / self._ticks)) if before else 0
        pixels = frame.reformat(
            format=_PIXELS[channels, self.bits > 8],
            src_colorspace=self.matrix,
            dst_color_range=2,  # full
            interpolation=accurate(self._av),
        ).to_ndarray()
        pixels = pixels.reshape(*pixels.shape[:2], channels)
        upright = np.rot90(pixels, self.rotation // 90)
        return VideoFrame(np.ascontiguousarray(upright), int(pts), duration)

    @property
    def _ticks(self) -> Fraction:
        """Frames in a unit of time."""
        return Fraction(self.rate * self.time_base)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except self._av.error.FFmpegError as error:
            raise DataError(
                f"'{self.path}' cannot be read: {error.strerror or type(error).__name__}."
            ) from error


def accurate(av: Any) -> int:
    """How FFmpeg converts colours without the shortcuts that cost a few values of 255."""
    how = av.video.reformatter.Interpolation
    return int(how.BICUBIC | how.ACCURATE_RND | how.FULL_CHR_H_INT | how.FULL_CHR_H_INP)
