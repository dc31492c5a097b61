"""A model that is none of the package's is used by its contract (`i2i.core.model.Model`) alone."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple, Self

import pytest
import torch
from torch import Tensor, nn

from i2i.core.model import Clock, Generated, Loss, Model, Play
from i2i.errors import DataError
from i2i.evaluation import runs
from i2i.inference.load import build_sampler
from i2i.models.build import build_model
from shrunk import shrunk


class Numbers(NamedTuple):
    values: Tensor


class Other(Model):
    """Makes images of noise; its generator has a name of its own, and it has no other attribute."""

    data = "unconditional"
    monitor = "distance"
    generators = ("maker",)
    players: ClassVar = {"maker": ("maker",)}
    terms: ClassVar = {"maker": ("real",)}

    def __init__(self, maker: nn.Module, readings: bool = True) -> None:
        super().__init__()
        self.maker = maker
        self.readings = readings

    @classmethod
    def assemble(cls, kit: Any) -> Self:
        raise AssertionError

    def play(self, batch: Numbers, clock: Clock) -> Play:
        loss = Loss(torch.zeros(()), {})
        yield "maker", loss
        errors = {"generated_error": batch.values.mean(), "generated_error_B": torch.ones(())}
        yield "maker", loss.noting(errors if self.readings else {})

    def visualize(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError

    def generate(self, batch: Any) -> dict[str, Generated]:
        raise AssertionError

    def validation_step(self, batch: Any) -> dict[str, Tensor]:
        raise AssertionError


@pytest.mark.parametrize("recipe", ["dcgan", "cgan"])
def test_it_is_sampled_from(recipe: str) -> None:
    options = shrunk(recipe)
    own = build_model(options)
    maker = own.get_submodule("generator")
    other, expected = build_sampler(options, Other(maker)), build_sampler(options, own)
    assert other.names == expected.names == (("red", "green", "blue") if recipe == "cgan" else ())
    label = {"label": "red"} if recipe == "cgan" else {}
    assert torch.equal(other([1, 2], **label), expected([1, 2], **label))


def test_its_generated_error_is_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [Numbers(torch.full((3, 1), 0.2)), Numbers(torch.full((1, 1), 0.6))]

    def given(count: int, batch_size: int) -> Iterator[Numbers]:
        return iter(batches)

    context: Any = SimpleNamespace(
        options=shrunk("dcgan"),
        state={"step": 1},
        source=SimpleNamespace(validation_batches=given),
        held_out=range(4),
        device=torch.device("cpu"),
    )
    monkeypatch.setattr(runs, "_whole_model", lambda context: Other(nn.Identity()))
    assert runs._generated_error(context, "") == pytest.approx((3 * 0.2 + 0.6) / 4)
    assert runs._generated_error(context, "_B") == 1
    monkeypatch.setattr(runs, "_whole_model", lambda context: Other(nn.Identity(), readings=False))
    with pytest.raises(DataError, match="no probabilities"):
        runs._generated_error(context, "")
