"""Files too large to be in memory whole, translated as a stream: part after part.

A kind of such files is an object of `KINDS`; `translate_folder` asks them for each file before it
takes it for an image. A DICOM series, of many files, is one thing too.
"""

from pathlib import Path

from i2i.inference.streams.stream import Stream, StreamOptions, suffix_of
from i2i.inference.streams.tiff import LargeTiffs
from i2i.inference.streams.video import Videos
from i2i.inference.streams.volume import DicomSeries, NiftiVolumes

__all__ = ["DICOM", "KINDS", "TIFFS", "Stream", "StreamOptions", "stream_of", "suffix_of"]
__all__ += ["written_by_streams"]

DICOM = DicomSeries()

TIFFS = LargeTiffs()

KINDS: tuple[Stream, ...] = (Videos(), NiftiVolumes(), TIFFS, DICOM)


def stream_of(path: Path) -> Stream | None:
    """Return who translates a file as a stream; None for one that is an image at most."""
    return next((kind for kind in KINDS if kind.accepts(path)), None)


def written_by_streams() -> frozenset[str]:
    """What the names of files may end in that are written as streams."""
    return frozenset(suffix for kind in KINDS for suffix in kind.written)
