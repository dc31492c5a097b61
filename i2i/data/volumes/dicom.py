"""DICOM series: the slices of one volume, a file each."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from i2i.data.volumes.volume import MOST, Values, Volume, Window, oriented, restored
from i2i.errors import DataError, how_to_install

SUFFIXES = (".dcm", ".dicom", ".ima")

UNEVEN = 0.01
"""Share of the distance of slices by which each may lie elsewhere."""

_KEPT = (
    "SOPClassUID",
    "Modality",
    "InstanceNumber",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "Rows",
    "Columns",
    "PatientPosition",
    "BodyPartExamined",
    "Laterality",
)
"""What is copied of a slice: what it shows, and where in space; nothing about whose it is."""


def library(path: Path) -> Any:
    """Return the module `pydicom`.

    Raises:
        DataError: it is not installed, or nibabel is not, which knows about directions.
    """
    try:
        import nibabel  # noqa: F401
        import pydicom
    except ImportError as error:
        raise DataError(
            f"'{path}' cannot be used: DICOM needs pydicom and nibabel: {how_to_install('medical')}"
        ) from error
    return pydicom


def is_dicom(path: Path) -> bool:
    """Say by its name, or without an ending by its first bytes, whether a file is DICOM."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if path.suffix and not path.suffix[1:].isdecimal():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_of(files: Iterable[Path]) -> tuple[list[list[Path]], dict[Path, str]]:
    """Sort DICOM files by folder and series, in the order of its number.

    Returns:
        the files of each, and what is wrong with those that cannot be read.

    Raises:
        DataError: the library is not there.
    """
    found: dict[tuple[str, int, str], list[Path]] = {}
    broken = {}
    for path in files:
        pydicom = library(path)
        try:
            with _quietly():
                head = pydicom.dcmread(
                    path,
                    specific_tags=["SeriesInstanceUID", "SeriesNumber"],
                    stop_before_pixels=True,
                )
                number = int(head.get("SeriesNumber") or 0)
                key = (str(path.parent), number, str(head.get("SeriesInstanceUID", "")))
        except Exception as error:  # noqa: BLE001 (broken files raise nearly anything)
            broken[path] = _in_short(error)
        else:
            found.setdefault(key, []).append(path)
    return [found[key] for key in sorted(found)], broken


class Dicom:
    """A series.

    Attributes:
        files: in the order of the slices.
        patient: what the files call him or her.

    Raises:
        DataError: the files are broken, or no volume.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        paths = list(files)
        self.folder = paths[0].parent
        pydicom = library(self.folder)
        slices = []
        for path in paths:
            try:
                with _quietly():
                    data = pydicom.dcmread(path)
                    slices.append((path, data, _values(data)))
            except Exception as error:  # broken files raise nearly anything
                raise DataError(f"'{path}' cannot be read: {_in_short(error)}.") from error
        try:
            with _quietly():
                self._arrange(slices)
        except DataError as error:
            raise DataError(f"'{self.folder}' cannot be used: {error}.") from error
        except Exception as error:  # tags that are no numbers
            raise DataError(
                f"'{self.folder}' cannot be used: its slices have no place in space "
                f"({_in_short(error)})."
            ) from error

    def _arrange(self, slices: list[tuple[Path, Any, npt.NDArray[np.float32]]]) -> None:
        first = slices[0][1]
        if len({values.shape for *_, values in slices}) > 1:
            raise DataError("its slices differ in size")
        along = np.array([float(x) for x in first.ImageOrientationPatient]).reshape(2, 3)
        for _, data, _ in slices:
            other = np.array([float(x) for x in data.ImageOrientationPatient]).reshape(2, 3)
            if not np.allclose(along, other, atol=1e-3):
                raise DataError("its slices are not parallel")
        normal = np.cross(*along)

        def place(item: tuple[Path, Any, Any]) -> float:
            position = [float(x) for x in item[1].ImagePositionPatient]
            return float(np.dot(normal, position))

        slices.sort(key=place)
        places = np.array([place(item) for item in slices])
        steps = np.diff(places)
        step = float(np.median(steps)) if len(steps) else float(first.get("SliceThickness") or 1)
        if step <= 0 or (len(steps) and np.abs(steps - step).max() > UNEVEN * step + 1e-3):
            raise DataError(
                "its slices are not equally far from each other: some are missing, or of another "
                "series"
            )
        down, across = (float(x) for x in first.PixelSpacing)
        origin = np.array([float(x) for x in slices[0][1].ImagePositionPatient])
        affine = np.eye(4)
        # Indices are (column, row, slice); DICOM counts to the left and to the back.
        affine[:3] = np.stack([along[0] * across, along[1] * down, normal * step, origin], axis=1)
        affine[:2] *= -1
        values = np.stack([values for *_, values in slices], axis=-1).swapaxes(0, 1)
        self.files = [path for path, *_ in slices]
        self._data = [data for _, data, _ in slices]
        self.volume: Volume = oriented(values, affine)
        self.patient = str(first.get("PatientID") or first.get("PatientName") or "")

    def write(
        self,
        values: Values,
        window: Window,
        *,
        same_units: bool,
        keep_words: bool,
        about: str,
    ) -> Iterator[tuple[Path, Any]]:
        """Yield for each file of the series the data set that holds other values.

        Arguments:
            values: in the common orientation.
            window: what they lie within.
            same_units: whether they are those of the input, so that its own scale fits; else they
                get one of 16 bits.
            keep_words: copy all tags, also those that say who it is.
            about: goes into the new names of the series, which are the same for equal input.

        Raises:
            DataError: tags of the input cannot be written again.
        """
        turned = restored(values, self.volume.back).swapaxes(0, 1)
        for number, (path, data) in enumerate(zip(self.files, self._data, strict=True)):
            try:
                with _quietly():
                    made = self._like(data, about, keep_words=keep_words)
                    _put(made, turned[:, :, number], window, data if same_units else None)
            except Exception as error:  # of damaged tags
                raise DataError(f"'{path}' cannot be used: {_in_short(error)}.") from error
            yield path, made

    def _like(self, data: Any, about: str, *, keep_words: bool) -> Any:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, generate_uid

        def renamed(what: str) -> Any:
            return generate_uid(entropy_srcs=[str(data.get(what, "")), what, about])

        made = Dataset()
        if keep_words:
            made.update(
                {tag: data[tag] for tag in list(data.keys()) if data[tag].keyword != "PixelData"}
            )
        else:
            for name in _KEPT:
                if name in data:
                    made[name] = data[name]
            made.StudyInstanceUID = renamed("StudyInstanceUID")
            made.FrameOfReferenceUID = renamed("FrameOfReferenceUID")
            made.PatientName, made.PatientID = "", ""
            made.PatientBirthDate, made.PatientSex = "", ""
            made.StudyDate, made.StudyTime, made.AccessionNumber = "", "", ""
            made.ReferringPhysicianName, made.StudyID = "", ""
            made.PatientIdentityRemoved = "YES"
            made.DeidentificationMethod = "only tags of the geometry are kept"
        made.SeriesInstanceUID = renamed("SeriesInstanceUID")
        made.SOPInstanceUID = renamed("SOPInstanceUID")
        made.SeriesNumber = data.get("SeriesNumber")
        made.ImageType = ["DERIVED", "SECONDARY"]
        made.SeriesDescription = "translated by i2i"
        made.file_meta = FileMetaDataset()
        made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", "")
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return made


def save(data: Any, path: Path) -> None:
    """Write a data set.

    Raises:
        DataError: a tag that was copied is damaged.
        OSError: the file cannot be written.
    """
    try:
        with _quietly():
            data.save_as(path, enforce_file_format=True)
    except OSError:
        raise
    except Exception as error:
        raise DataError(f"A tag cannot be written: {_in_short(error)}.") from error


def _put(made: Any, values: npt.NDArray[np.float32], window: Window, like: Any | None) -> None:
    """Put the values of a slice into a data set, in the scale of another one if there is one."""
    low, high = window
    slope, intercept = (high - low) / MOST, low
    signed, bits = False, 16
    if like is not None:
        slope, intercept = _scale(like)
        signed, bits = bool(like.PixelRepresentation), int(like.BitsStored)
    least = -(2 ** (bits - 1)) if signed else 0
    words = np.rint((values.astype(np.float64) - intercept) / slope)
    wide = 8 if bits <= 8 else 16
    kind = {8: (np.uint8, np.int8), 16: (np.uint16, np.int16)}[wide][signed]
    made.PixelData = words.clip(least, least + 2**bits - 1).astype(kind).tobytes()
    made.BitsAllocated, made.BitsStored, made.HighBit = wide, bits, bits - 1
    made.PixelRepresentation = int(signed)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.RescaleSlope, made.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
    made.WindowCenter, made.WindowWidth = f"{(low + high) / 2:.10g}", f"{high - low:.10g}"


def _scale(data: Any) -> tuple[float, float]:
    return float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))


def _values(data: Any) -> npt.NDArray[np.float32]:
    """The values of a slice, (rows, columns), in the units of the file."""
    if int(data.get("NumberOfFrames", 1) or 1) != 1:
        raise DataError("it holds several frames, where a file for each slice was expected")
    if int(data.get("SamplesPerPixel", 1)) != 1:
        raise DataError("it holds colours, where grey values were expected")
    stored = data.pixel_array.astype(np.float32)
    slope, intercept = _scale(data)
    values: npt.NDArray[np.float32] = stored * np.float32(slope) + np.float32(intercept)
    return values


@contextmanager
def _quietly() -> Iterator[None]:
    """What is odd about a file but does not matter is not said on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _in_short(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
