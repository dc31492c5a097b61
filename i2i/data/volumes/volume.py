"""A volume in one orientation, whatever that of its file, and its slices as images.

Slices are oriented as radiologists look at them: of axial ones the front of the patient is at the
top, of coronal and sagittal ones the head; the right side of the patient, or in sagittal slices the
front, is at the left. Values outside of a window are black or white.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from i2i.errors import DataError

Axis = Literal["sagittal", "coronal", "axial"]
Window = tuple[float, float]
Values = npt.NDArray[np.float32]
Slices = npt.NDArray[np.uint16]

AXES: tuple[Axis, ...] = ("sagittal", "coronal", "axial")
"""By the number of the axis that they are cut across, in `Volume.values`."""

QUANTILES = (0.005, 0.995)
"""Of the values of a volume: what becomes black and white where no window is said."""

MOST = 65535


class Cut(NamedTuple):
    """How volumes become images, and images volumes.

    Attributes:
        axis: that slices are cut across.
        window: of what is read: what becomes black and white; None for `QUANTILES` of each volume.
        made: of what is made; None for that of what was read.
    """

    axis: Axis = "axial"
    window: Window | None = None
    made: Window | None = None


class Volume(NamedTuple):
    """Values in space.

    Attributes:
        values: (left, back, down): of the patient, from the right to the left, from the front to
            the back, and from the head to the feet.
        back: how to turn them to the orientation of the file, as nibabel writes it: for each axis,
            which one it becomes and 1 or -1.
    """

    values: Values
    back: npt.NDArray[np.float64]


def oriented(values: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> Volume:
    """Turn a volume to the common orientation.

    Arguments:
        values: (I, J, K).
        affine: (4, 4), from their indices to millimetres to the right, to the front and upwards
            (RAS+).

    Raises:
        DataError: the affine is none.
    """
    from nibabel import orientations

    try:
        here = orientations.io_orientation(affine)
        wanted = orientations.axcodes2ornt(("L", "P", "I"))
        turned = orientations.apply_orientation(values, orientations.ornt_transform(here, wanted))
        back = orientations.ornt_transform(wanted, here)
    except Exception as error:  # of singular matrices, LinAlgError and others
        raise DataError("its axes have no direction in space") from error
    return Volume(np.ascontiguousarray(turned, np.float32), back)


def restored(values: Values, back: npt.NDArray[np.float64]) -> Values:
    """Turn values in the common orientation to that of the file (`Volume.back`)."""
    from nibabel import orientations

    turned: Values = np.ascontiguousarray(orientations.apply_orientation(values, back))
    return turned


def window_of(values: Values, window: Window | None) -> Window:
    """Return the window, by default the quantiles of a volume.

    Raises:
        DataError: nothing lies between them, or values are not finite.
    """
    if window is None:
        if not np.isfinite(values).all():
            raise DataError("it has values that are not finite: say a window (data.window)")
        low, high = (float(each) for each in np.quantile(values, QUANTILES))
        if low == high:  # mostly air
            low, high = float(values.min()), float(values.max())
        if low == high:
            raise DataError(f"all of its values are {low:g}")
        return low, high
    return window


def to_slices(values: Values, axis: Axis, window: Window) -> Slices:
    """Cut a volume in the common orientation into slices, (N, H, W), 0..65535 in the window."""
    low, high = window
    with np.errstate(invalid="ignore"):
        scaled = (np.nan_to_num(values, nan=low) - low) * (MOST / (high - low))
    words: Slices = np.rint(scaled.clip(0, MOST)).astype(np.uint16)
    return np.moveaxis(words, AXES.index(axis), 0).swapaxes(1, 2)


def from_slices(slices: Slices, axis: Axis, window: Window) -> Values:
    """Put slices together again: the inverse of `to_slices`, but for what the window cut off."""
    low, high = window
    words = slices.swapaxes(1, 2)
    values: Values = (words * ((high - low) / MOST) + low).astype(np.float32)
    return np.moveaxis(values, 0, AXES.index(axis))
