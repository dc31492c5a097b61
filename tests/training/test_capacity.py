"""What fits into the memory."""

from hypothesis import given
from hypothesis import strategies as st

from i2i.training.capacity import Line, fitting


@given(
    constant=st.integers(0, 10**9),
    slope=st.integers(1, 10**7),
    free=st.integers(0, 10**10),
    most=st.integers(1, 5000),
)
def test_what_fits_is_what_a_search_finds(constant: int, slope: int, free: int, most: int) -> None:
    line = Line((2, 5), (constant + 2 * slope, constant + 5 * slope))
    assert line.per_image == slope
    powers = [n for n in range(1, most + 1) if n & (n - 1) == 0]
    # A line through two points rounds: what fits to the byte may be missed.
    near = [n for n in powers if constant + slope * n <= free + 1]
    exact = [n for n in powers if constant + slope * n <= free - 1]
    assert set(exact) <= set(fitting(line, free, most)) <= set(near)
