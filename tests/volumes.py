"""Small medical volumes, made with nibabel and pydicom themselves."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

AIR, WINDOW = -1024, (-1024.0, 1000.0)


def scene(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.int16]:
    """Hounsfield units within `WINDOW`, of both ends."""
    values = np.random.default_rng(seed).integers(AIR, 1001, shape).astype(np.int16)
    values[0, 0, 0], values[-1, -1, -1] = AIR, 1000
    return values


def save_nifti(path: Path, values: Any, affine: Any = None, dtype: Any = None) -> None:
    affine = np.diag([1.0, 2.0, 3.0, 1.0]) if affine is None else affine
    image = nibabel.Nifti1Image(values, affine)
    image.header["descrip"] = b"Jane Doe, 1.4.1970"
    if dtype is not None:
        image.set_data_dtype(dtype)
    nibabel.save(image, path)


def save_series(
    folder: Path,
    values: npt.NDArray[Any],
    *,
    uid: str = "1.2.3",
    patient: str = "4711",
    along: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    intercept: float = -1024,
    skip: int | None = None,
) -> list[Path]:
    """Write (slices, rows, columns) of Hounsfield units, a file each, in an order of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(along[:3], along[3:])
    paths = []
    for number, part in enumerate(values):
        if number == skip:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{uid}.{number + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{(number * 7) % 100:02}.dcm"
        data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, f"{uid}.{number + 1}"
        data.SeriesInstanceUID, data.StudyInstanceUID = uid, f"{uid}.9"
        data.FrameOfReferenceUID, data.SeriesNumber = f"{uid}.8", 3
        data.Modality, data.InstanceNumber = "CT", number + 1
        data.PatientName, data.PatientID = "Doe^Jane", patient
        data.PatientBirthDate, data.InstitutionName = "19700401", "Some Hospital"
        data.ImageOrientationPatient = list(along)
        data.ImagePositionPatient = [
            float(x) for x in np.array([5, -7, 11]) + 2.5 * number * normal
        ]
        data.PixelSpacing, data.SliceThickness = [0.5, 0.75], 2.5
        data.Rows, data.Columns = part.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.RescaleSlope, data.RescaleIntercept = 1, intercept
        data.PixelData = (part - intercept).astype(np.uint16).tobytes()
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
