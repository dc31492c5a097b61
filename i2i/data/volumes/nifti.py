"""NIfTI files."""

from pathlib import Path
from typing import Any

import numpy as np

from i2i.data.volumes.volume import Values, Volume, oriented, restored
from i2i.errors import DataError, how_to_install

SUFFIXES = (".nii", ".nii.gz")

_WORDS = ("descrip", "aux_file", "db_name", "intent_name")
"""Fields of the head in which programs write what they like, also whose brain it is."""


class Nifti:
    """A NIfTI file.

    Raises:
        DataError: it cannot be read, or is no volume.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            import nibabel
            from nibabel.imageglobals import LoggingOutputSuppressor
        except ImportError as error:
            raise DataError(
                f"'{path}' cannot be used: NIfTI needs nibabel: {how_to_install('medical')}"
            ) from error
        try:
            with LoggingOutputSuppressor():
                self._image: Any = nibabel.load(path)
            shape = self._image.shape
            if len(shape) != 3 and not (len(shape) > 3 and set(shape[3:]) == {1}):
                raise DataError(
                    f"'{path}' cannot be used: it has {len(shape)} dimensions {shape}, where a "
                    "volume of 3 was expected: save one volume of it"
                )
            values = np.asanyarray(self._image.dataobj).reshape(shape[:3])
            if values.dtype.kind not in "iufb":
                raise DataError(f"'{path}' cannot be used: its values are {values.dtype}")
            self.volume: Volume = oriented(values, self._image.affine)
        except DataError as error:
            text = str(error)
            raise (
                error if text.startswith("'") else DataError(f"'{path}' cannot be used: {text}")
            ) from error
        except Exception as error:  # broken files raise nearly anything
            raise DataError(f"'{path}' cannot be read: {_in_short(error)}.") from error

    def write(
        self, values: Values, target: Path, suffix: str, *, same_units: bool, keep_words: bool
    ) -> None:
        """Write other values in the same place.

        Arguments:
            values: in the common orientation.
            target: where to, whatever its name ends in.
            suffix: one of `SUFFIXES`.
            same_units: whether they are those of the input, so that a type of integers without a
                scale is kept; else they are floating point.
            keep_words: copy also what may say who it is.
        """
        import nibabel

        header = self._image.header.copy()
        slope, intercept = header.get_slope_inter()
        stored = header.get_data_dtype()
        plain = same_units and slope in (None, 1.0) and intercept in (None, 0.0)
        turned = restored(values, self.volume.back)
        if plain and stored.kind in "iu":
            limits = np.iinfo(stored)
            data = np.rint(turned.astype(np.float64)).clip(limits.min, limits.max).astype(stored)
        else:
            data = turned
            header.set_data_dtype(np.float32)
        header.set_slope_inter(1, 0)
        if not keep_words:
            for field in _WORDS:
                header[field] = b""
            header.extensions.clear()
        image = type(self._image)(data.reshape(self._image.shape), self._image.affine, header)
        image.header.set_sform(self._image.affine, int(header["sform_code"]) or 2)
        named = target.with_name(target.name + suffix)  # nibabel goes by the name
        try:
            nibabel.save(image, named)
            named.replace(target)
        finally:
            named.unlink(missing_ok=True)


def _in_short(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
