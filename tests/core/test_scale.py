"""What goes in comes out: values of files, as networks see them, and back."""

import numpy as np
import pytest

from i2i.core.scale import Scale, signed
from i2i.errors import DataError


@pytest.mark.parametrize(
    ("dtype", "ranges", "travels"),
    [
        ("uint8", ((0, 255),), "uint8"),
        ("uint8", ((0, 4),), "uint16"),
        ("uint16", ((0, 65535),), "uint16"),
        ("uint16", ((0, 4095), (100, 900)), "uint16"),
        ("int16", ((-1024, 3071),), "uint16"),
        ("int32", ((0, 100_000),), "float32"),
        ("float32", ((0, 1),), "float32"),
    ],
)
def test_every_integer_of_the_range_comes_back(
    dtype: str, ranges: tuple[tuple[float, float], ...], travels: str
) -> None:
    scale = Scale(dtype, ranges)
    assert scale.travels == travels
    bands = []
    for low, high in ranges:
        band = np.linspace(low, high, 5000)
        if np.dtype(dtype).kind != "f":
            band = np.unique(np.arange(low, high + 1, 1))
        bands.append(np.resize(band, 100_001))
    values = np.stack(bands, axis=1).astype(dtype)
    encoded = scale.encode(values)
    assert encoded.dtype == travels
    seen = signed(encoded)
    assert seen.dtype == np.float32
    assert (seen.min(), seen.max()) == (-1, 1)
    back = scale.decode(seen)
    assert back.dtype == dtype
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(back, values, rtol=0, atol=2**-24)
    else:
        np.testing.assert_array_equal(back, values)


def test_what_is_beyond_becomes_the_end_of_the_range() -> None:
    scale = Scale("uint16", ((10, 20),))
    values = np.array([[0], [10], [15], [20], [65535]], np.uint16)
    np.testing.assert_allclose(signed(scale.encode(values))[:, 0], [-1, -1, 0, 1, 1], atol=2e-5)
    # A network that leaves -1..1 is not cut off, but by what the type can hold.
    assert scale.decode(np.array([[-4.0], [3.0]]))[:, 0].tolist() == [0, 30]


def test_not_a_number_is_said() -> None:
    values = np.array([[1.0], [np.nan], [np.inf]])
    with pytest.raises(DataError, match="2 of its 3 values are NaN or infinite"):
        Scale("float32", ((0, 1),)).encode(values)
