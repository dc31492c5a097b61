"""Work that can be told with a pencil."""

import pytest
import torch
from torch.nn import functional as F

from i2i.work import StepWork


def work_of(*parts: tuple[int, int]) -> StepWork:
    work = StepWork()
    work.parts = list(parts)
    return work


def test_a_matrix_product() -> None:
    one, other = torch.ones(3, 4), torch.ones(4, 5)
    with StepWork() as work:
        one @ other
    assert work.parts == [(2 * 3 * 4 * 5, 4 * (12 + 20 + 15))]


def test_a_convolution_and_its_gradients() -> None:
    images = torch.ones(2, 3, 8, 8)
    weight = torch.ones(5, 3, 3, 3, requires_grad=True)
    product = 2 * 2 * 5 * 8 * 8 * 3 * 9
    with StepWork() as work:
        out = F.conv2d(images, weight, padding=1)
    assert work.operations == product
    assert work.bytes == 4 * (images.numel() + weight.numel() + 2 * 5 * 64)
    with StepWork() as work:
        out.sum().backward()
    assert work.operations == product  # of the weight; nobody asks for that of the pictures


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_numbers_read_and_written(dtype: torch.dtype) -> None:
    a, b = (torch.ones(100, dtype=dtype) for _ in range(2))
    size = a.nbytes
    with StepWork() as work:
        c = a + b
        c.view(10, 10).t().flatten(0, 0)
        c.add_(b)
        torch.empty(50)
    # The sum reads two and writes one, and so does that in place.
    assert work.parts == [(0, 3 * size)] * 2


def test_what_is_repeated_is_read_once() -> None:
    with StepWork() as work:
        torch.ones(1, 1).expand(10, 10) * torch.ones(10, 10)
    assert work.parts[-1] == (0, 4 * (1 + 100 + 100))


def test_a_device_at_its_ceilings() -> None:
    # 100 operations and 10 bytes a second: 3 s of arithmetic, then 5 s of memory.
    work = work_of((300, 10), (100, 50))
    assert work.seconds(100, 10) == pytest.approx(3 + 5)
    assert work.operations == 400
    assert work.bytes == 60


def test_a_penalty_that_differentiates_twice_is_counted() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    w = torch.ones(3, 4, requires_grad=True)
    with StepWork() as work:
        (slope,) = torch.autograd.grad((x @ w).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    # x w; g w^T; and of that, by g and w, and on to w through g: five products of 2 * 2 * 3 * 4.
    assert work.operations >= 5 * 48
    assert work.operations % 48 == 0
