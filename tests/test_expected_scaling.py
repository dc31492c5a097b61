"""The arithmetic of scripts/expected_scaling, against cases that can be done in the head."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
import torch

from i2i.batch import Pair
from i2i.builder import build_model
from shrunk import shrunk

PATH = Path(__file__).parent.parent / "scripts" / "expected_scaling"


@pytest.fixture(scope="module")
def scaling() -> Any:
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader = SourceFileLoader("expected_scaling", str(PATH))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


@pytest.fixture
def machine(scaling: Any) -> Any:
    """A billion operations, 100 bytes inside and 10 bytes outside, per second."""
    return scaling.Machine(1e9, 0.0, 100.0, 10.0, 0.0, 0.0, gpus=4, jitter=0.0)


def test_rings(scaling: Any, machine: Any) -> None:
    assert scaling.adding_up(100.0, 1, machine) == 0
    assert scaling.adding_up(100.0, 2, machine) == pytest.approx(1.0)  # half there, half back
    assert scaling.adding_up(100.0, 4, machine) == pytest.approx(1.5)
    # Two machines of four: each GPU sends a quarter to its partner.
    assert scaling.adding_up(100.0, 8, machine) == pytest.approx(1.5 + 2.5)


def test_what_the_backward_pass_hides(scaling: Any, machine: Any) -> None:
    assert scaling.computing(scaling.Turn("a", 25, 10**9, 7), 3, machine) == 3.0
    small = scaling.Turn("a", 25, 10**9, 7)  # 100 bytes in one bucket: nothing hides it
    assert scaling.waiting(small, 1, 2, machine) == pytest.approx(1.0)
    assert scaling.efficiency([small], 1, 2, machine) == pytest.approx(0.5)
    assert scaling.efficiency([small], 3, 2, machine) == pytest.approx(0.75)
    assert scaling.efficiency([small], 1, 1, machine) == 1.0
    assert scaling.worth_it([small], 3, machine, 0.7) == 2


def test_counted_parameters_are_all_of_a_player(scaling: Any) -> None:
    with torch.device("meta"):
        model = build_model(shrunk("pix2pix"))
        batch = Pair(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
        turns = scaling.count(model, batch, 0)
    assert [turn.player for turn in turns] == ["discriminator", "generator"]
    for turn in turns:
        network = model.get_submodule(turn.player)
        assert turn.parameters == sum(p.numel() for p in network.parameters())
