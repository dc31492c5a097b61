"""A video like another one, with other frames."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from i2i.data.images.file import AnyPixels
from i2i.data.video.files import CONTAINERS, library
from i2i.data.video.read import VideoFrame, VideoReader, accurate
from i2i.errors import DataError

_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"crf": "17"}),
    "hevc": ("libx265", {"crf": "19", "x265-params": "log-level=error"}),
    "vp9": ("libvpx-vp9", {"crf": "20", "b": "0", "row-mt": "1"}),
    "av1": ("libsvtav1", {"crf": "20"}),
    "ffv1": ("ffv1", {}),
    "prores": ("prores_ks", {}),
}
"""Codec -> what writes it, of a quality at which losses are hardly to be seen."""

_USUAL = {".webm": "vp9"}
"""What a video is written in whose own codec cannot be; H.264 if nothing is said here."""


class VideoWriter:
    """A video that is open for writing.

    It has the codec of its model where that can be written, and its bits, colour tags, rotation,
    pixel aspect and moments; sound and subtitles are copied as they are. As a context, it is
    completed at the end unless an error is on its way.

    Arguments:
        path: where to write, whatever its name ends in.
        suffix: that says the format.
        model: what it is made of.

    Raises:
        DataError: a format that cannot hold the sound of the model.
    """

    def __init__(self, path: Path, suffix: str, model: VideoReader) -> None:
        self.suffix = suffix
        self.model = model
        self._av = library(model.path)
        self.file = self._av.open(str(path), "w", format=CONTAINERS[suffix])
        os.environ.setdefault("SVT_LOG", "1")  # that encoder writes to stderr unless told not to
        self.copied: dict[Any, Any] = {}
        self.left_out: list[str] = []
        self._stream: Any = None
        self._tags: dict[str, int] = {}
        self._early: list[Any] = []  # packets from before the first frame
        self._durations: dict[int, int] = {}  # of frames that are being encoded
        try:
            self._choose(model.container.streams)
        except BaseException:
            self._drop()
            raise

    @property
    def beside(self) -> tuple[Any, ...]:
        """The streams of the model whose packets are copied."""
        return tuple(self.copied)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is not None:
            self._drop()
            return
        with self._in_words():
            if self._stream is not None:
                self._mux(None)
            self.file.close()

    def write(self, frame: VideoFrame) -> None:
        """Add a frame, (H, W, 1 or 3), upright as those of the model."""
        pixels = np.rot90(frame.pixels, -self.model.rotation // 90)
        with self._in_words():
            if self._stream is None:
                self._begin(pixels)
            made = self._converted(pixels)
            made.pts, made.time_base = frame.pts, self.model.time_base
            self._durations[frame.pts] = frame.duration
            self._mux(made)

    def copy(self, packet: Any) -> None:
        """Add a packet of sound, or of what else is copied."""
        if self._stream is None:
            self._early.append(packet)
            return
        with self._in_words():
            packet.stream = self.copied[packet.stream]
            self.file.mux(packet)

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            # Not every encoder hands on how long a frame is shown, which the last one is not told
            # by the next.
            packet.duration = self._durations.pop(packet.pts, 0) or packet.duration
            self.file.mux(packet)

    def _choose(self, streams: Sequence[Any]) -> None:
        """Prepare copies of what lies beside the images, as far as the format holds it."""
        holds = self.file.supported_codecs
        for stream in streams:
            if stream.type not in ("audio", "subtitle"):
                continue
            name = stream.codec_context.name if stream.codec_context else "of an unknown kind"
            codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
            if codec in holds:
                self.copied[stream] = None
            elif stream.type == "audio":
                raise DataError(
                    f"'{self.model.path}' cannot be used: a {self.suffix} file cannot hold its "
                    f"sound ({name}): write a .mkv."
                )
            else:
                self.left_out.append(f"subtitles ({name}), which a {self.suffix} file cannot hold")

    def _begin(self, pixels: AnyPixels) -> None:
        model, source = self.model, self.model.stream.codec_context
        height, width = pixels.shape[:2]
        codec, options = self._codec(source.codec.canonical_name)
        stream = self.file.add_stream(codec, rate=model.rate, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = self._pixel_format(stream.codec_context.codec, source.pix_fmt, pixels)
        context = stream.codec_context
        context.time_base = model.time_base
        if source.sample_aspect_ratio:
            context.sample_aspect_ratio = source.sample_aspect_ratio
        self._tags = model.tags | {"color_range": 2 if model.tags["color_range"] == 2 else 1}
        if not self._tags["colorspace"]:  # RGB, which is written as luma and chroma
            self._tags["colorspace"] = model.matrix
        for tag, value in self._tags.items():
            setattr(context, tag, value)
        if model.rotation:
            stream.set_display_rotation(model.rotation)
        self._stream = stream
        for each in self.copied:
            self.copied[each] = self.file.add_stream_from_template(each)
            self.copied[each].metadata.update(each.metadata)
        for packet in self._early:
            self.copy(packet)
        self._early.clear()

    def _codec(self, codec: str) -> tuple[str, dict[str, str]]:
        if codec not in _ENCODERS or codec not in self.file.supported_codecs:
            codec = _USUAL.get(self.suffix, "h264")
        return _ENCODERS[codec]

    def _pixel_format(self, codec: Any, source: str, pixels: AnyPixels) -> str:
        """That of the model if it can be written; else one of as many bits."""
        can = [each.name for each in codec.video_formats]
        deep = pixels.dtype == np.uint16
        even = not (pixels.shape[0] % 2 or pixels.shape[1] % 2)
        source = source.replace("yuvj", "yuv")
        if source in can and (even or ("420" not in source and "422" not in source)):
            return source
        subsampled = ["yuv420p10le", "yuv422p10le"] if deep else ["yuv420p"]
        whole = ["yuv444p10le"] if deep else ["yuv444p"]
        wanted = [*(subsampled if even else []), *whole, *subsampled]
        return next((each for each in wanted if each in can), can[0])

    def _converted(self, pixels: AnyPixels) -> Any:
        deep = pixels.dtype == np.uint16
        if pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
            form = "gray16le" if deep else "gray"
        else:
            form = "rgb48le" if deep else "rgb24"
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
        made = frame.reformat(
            format=self._stream.pix_fmt,
            src_color_range=2,
            dst_colorspace=self.model.matrix,
            dst_color_range=self._tags["color_range"],
            interpolation=accurate(self._av),
        )
        for tag, value in self._tags.items():
            setattr(made, tag, value)
        return made

    def _drop(self) -> None:
        """Close what shall not be completed."""
        with contextlib.suppress(Exception):
            self.file.close()

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except self._av.error.FFmpegError as error:
            raise DataError(
                f"the translation of '{self.model.path}' cannot be written as {self.suffix}: "
                f"{error.strerror or error}."
            ) from error
