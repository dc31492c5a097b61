"""Work that can be told with a pencil; and that none is missed in any recipe."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from i2i.core.batch import to_device
from i2i.losses import gradient_penalty
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from i2i.training.cost import period_of, random_batch
from i2i.training.flops import StepWork
from shrunk import batch_for, recipes, shrunk


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
    assert work.operations == product  # of the weight; nobody asks for that of the images


def test_a_transposed_convolution_and_its_gradients() -> None:
    # Each of the 8 x 8 places spreads 3 numbers over 4 x 4 places of 5 numbers.
    images = torch.ones(2, 3, 8, 8, requires_grad=True)
    weight = torch.ones(3, 5, 4, 4, requires_grad=True)
    product = 2 * (2 * 8 * 8) * 3 * 5 * (4 * 4)
    with StepWork() as work:
        out = F.conv_transpose2d(images, weight, stride=2, padding=1)
    assert work.parts == [(product, 4 * (2 * 3 * 64 + 3 * 5 * 16 + 2 * 5 * 256))]
    with StepWork() as work:
        out.sum().backward()
    assert work.operations == 2 * product
    # The slope of the sum is one number, repeated; both gradients are written.
    (convolution,) = (moved for operations, moved in work.parts if operations)
    assert convolution == 4 * (1 + 2 * (2 * 3 * 64 + 3 * 5 * 16))


def test_a_gradient_penalty() -> None:
    """Of a critic tanh(x v) w on vectors, (2, 6) by (6, 5) by (5, 1)."""
    critic = nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.Linear(5, 1, bias=False))
    real, fake = torch.rand(2, 6), torch.rand(2, 6)
    first, second = 2 * 2 * 6 * 5, 2 * 2 * 5 * 1
    with StepWork() as work:
        penalty = gradient_penalty(critic, real, fake)
    # h = x v and tanh(h) w, and back through both to x: the slope is (w' * tanh'(h)) v'.
    assert work.operations == 2 * (first + second)
    with StepWork() as work:
        penalty.backward(inputs=list(critic.parameters()))
    # Of the slope: by v and by what stands before it, of which by w, and by h, of which by v.
    assert work.operations == 3 * first + second
    # Each product reads two matrices and writes the third: by v three times, by w once, where the
    # slope of the scores is a single one, repeated.
    products = 3 * (6 * 5 + 2 * 6 + 2 * 5) + (5 + 1 + 2 * 5)
    assert sum(moved for operations, moved in work.parts if operations) == 4 * products


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
    assert work.operators == 2


def test_a_penalty_that_differentiates_twice_is_counted() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    w = torch.ones(3, 4, requires_grad=True)
    with StepWork() as work:
        (slope,) = torch.autograd.grad((x @ w).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    # x w; g w^T; and of that, by g and w, and on to w through g: five products of 2 * 2 * 3 * 4.
    assert work.operations >= 5 * 48
    assert work.operations % 48 == 0


def test_counting_takes_no_data() -> None:
    def counted(device: str) -> StepWork:
        with torch.device(device):
            layer = nn.Conv2d(2, 3, 3, padding=1)
            images = torch.zeros(1, 2, 16, 16, requires_grad=True)
        with StepWork() as work:
            layer(images).relu().view(-1).square().sum().backward()
        return work

    assert counted("meta").parts == counted("cpu").parts
    # 16 x 16 places, 2 to 3 channels, 3 x 3: forward, and back to two sides.
    assert counted("meta").operations == 3 * 2 * 16 * 16 * 3 * 2 * 9


class Asked(TorchFunctionMode):
    """What networks ask of torch, above autograd: products by their definition, and the bytes of
    what goes into them and comes out."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.bytes = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        match getattr(function, "__name__", ""):
            case "conv2d":  # each result is a sum over a window of all channels
                sums = math.prod(args[1].shape[1:])
                self._note(2 * result.numel() * sums, *args[:2], result)
            case "conv_transpose2d":  # each number given is spread over a window of all channels
                sums = math.prod(args[1].shape[1:])
                self._note(2 * args[0].numel() * sums, *args[:2], result)
            case "linear" | "matmul" | "__matmul__":
                self._note(2 * result.numel() * args[0].shape[-1], *args[:2], result)
        return result

    def _note(self, operations: int, *tensors: Tensor) -> None:
        self.operations += operations
        self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize("recipe", recipes())
def test_nothing_is_missed_in_any_recipe(recipe: str) -> None:
    """A step's forward passes by what the networks ask for; and backwards to each weight."""
    options = shrunk(recipe)
    model = build_model(options)
    trainer, batch = build_trainer(options, model), random_batch(options, model)
    period = period_of(options)
    with Asked() as asked, StepWork() as work:
        for _ in range(period):
            trainer.step(batch)
    assert asked.operations < work.operations
    assert asked.bytes < work.bytes
    # Forward and back to images and weights; a slope that is penalised once more, and back.
    sloping = ("gradient_penalty", "r1", "r2", "path_length")
    penalised = any(w and name.startswith(sloping) for name, w in options.objective.items())
    assert work.operations < (9 if penalised else 3) * asked.operations


@pytest.mark.parametrize("recipe", recipes())
def test_forward_passes_of_every_recipe(recipe: str) -> None:
    model: Any = build_model(shrunk(recipe))
    with torch.no_grad(), Asked() as asked, StepWork() as work:
        model.visualize(to_device(batch_for(model), torch.device("cpu")))
    assert work.operations == asked.operations > 0
    assert work.bytes > asked.bytes > 0
