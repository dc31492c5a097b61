"""The arithmetic of scripts/expected_scaling.py, against cases that can be done in the head."""

import math
import sys
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2i.config.recipes import recipes
from i2i.core.batch import to_device
from i2i.models.build import build_model
from i2i.training.cost import random_batch, with_batch_size
from shrunk import shrunk

ROOT = Path(__file__).parent.parent.parent
PATH = ROOT / "scripts" / "expected_scaling.py"


def loaded() -> Any:
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader = SourceFileLoader("expected_scaling", str(PATH))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


scaling = loaded()

INFINITE = math.inf
MACHINE = scaling.Machine(
    1e9,
    INFINITE,
    0.0,
    inside=100.0,
    between=10.0,
    hop_inside=0.0,
    hop_between=0.0,
    gpus=4,
    jitter=0.0,
)
"""A billion operations, 100 bytes inside and 10 bytes outside, per second."""

SECOND = (10**9, 0)
"""An operator that takes a second."""


def turn(*buckets: tuple[int, int], seconds: int = 4, update: int = 0) -> Any:
    return scaling.Turn("a", [SECOND] * seconds, buckets, update)


def test_rings() -> None:
    assert scaling.adding_up(100.0, 1, MACHINE) == 0
    assert scaling.adding_up(100.0, 2, MACHINE) == pytest.approx(1.0)  # half there, half back
    assert scaling.adding_up(100.0, 4, MACHINE) == pytest.approx(1.5)
    # Two machines of four: each GPU sends a quarter to its partner.
    assert scaling.adding_up(100.0, 8, MACHINE) == pytest.approx(1.5 + 2.5)
    # Around a ring of four and back, up and down a tree of two machines.
    prompt = replace(MACHINE, hop_inside=1.0, hop_between=10.0)
    assert scaling.adding_up(0.0, 8, prompt) == pytest.approx(2 * 3 * 1.0 + 2 * 1 * 10.0)


def test_each_operator_waits_for_what_takes_longer() -> None:
    parts = [(10, 1), (1, 10)]
    machine = replace(MACHINE, flops=10.0, bandwidth=5.0)
    assert scaling.elapsed(parts, machine) == pytest.approx(1.0 + 2.0)
    assert scaling.elapsed(parts, replace(machine, start=2.0)) == pytest.approx(4.0)
    assert scaling.elapsed(parts, replace(machine, start=1.0)) == pytest.approx(3.0)
    assert scaling.alone([turn(update=50)], machine) == pytest.approx(4e8 + 10)


@pytest.mark.parametrize(
    ("buckets", "late"),
    [
        ([(100, 4)], 1.0),  # known when all is computed: nothing hides it
        ([(100, 3)], 0.0),  # sent while the last second is computed
        ([(300, 2)], 1.0),
        ([(100, 2), (100, 4)], 1.0),
        ([(200, 2), (100, 4)], 1.0),  # the first is there just when the second may go
        ([(300, 2), (100, 4)], 2.0),  # the second waits for the first
        ([(300, 2), (100, 3)], 2.0),
    ],
)
def test_what_the_backward_pass_hides(buckets: list[tuple[int, int]], late: float) -> None:
    assert scaling.waiting(turn(*buckets), 1, MACHINE) == 0
    assert scaling.waiting(turn(*buckets), 2, MACHINE) == pytest.approx(late)
    # Into the bucket and out of it: read and written, twice.
    copied = 4 * sum(size for size, _ in buckets)
    machine = replace(MACHINE, bandwidth=1000.0)
    assert scaling.waiting(turn(*buckets), 2, machine) == pytest.approx(late + copied / 1000)


def test_efficiency() -> None:
    small = turn((100, 1), seconds=1)
    assert scaling.efficiency([small], 1, MACHINE) == 1.0
    assert scaling.efficiency([small], 2, MACHINE) == pytest.approx(0.5)
    assert scaling.efficiency([turn((100, 3), seconds=3)], 2, MACHINE) == pytest.approx(0.75)
    assert scaling.efficiency([small, turn(seconds=2)], 2, MACHINE) == pytest.approx(0.75)
    assert scaling.worth_it([turn((100, 3), seconds=3)], MACHINE, 0.7) == 2
    assert scaling.worth_it([turn((100, 3), seconds=3)], MACHINE, 0.8) == 1


TURNS = st.builds(
    lambda parts, sizes, update: scaling.Turn(
        "a",
        parts,
        [(size, (i + 1) * len(parts) // len(sizes)) for i, size in enumerate(sizes)],
        update,
    ),
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**4)), min_size=1, max_size=9),
    st.lists(st.integers(1, 10**4), min_size=1, max_size=5),
    st.integers(0, 10**4),
)
REAL = scaling.Machine(1e9, 1e3, 0.01, 100.0, 10.0, 1e-3, 1e-2, gpus=8, jitter=0.01)


@given(TURNS, st.sampled_from([2, 4, 8, 16, 64, 512]))
def test_more_or_worse_connected_gpus_are_never_more_efficient(some: Any, gpus: int) -> None:
    here = scaling.efficiency([some], gpus, REAL)
    assert 0 < here < 1
    assert scaling.efficiency([some], 2 * gpus, REAL) <= here
    for worse in ({"inside": 50.0}, {"between": 5.0}, {"hop_between": 1.0}, {"jitter": 0.1}):
        assert scaling.efficiency([some], gpus, replace(REAL, **worse)) <= here


@given(TURNS, st.integers(2, 4096))
def test_an_infinite_network_leaves_the_slowest_to_wait_for(some: Any, gpus: int) -> None:
    network = replace(REAL, inside=INFINITE, between=INFINITE, hop_inside=0.0, hop_between=0.0)
    assert scaling.efficiency([some], gpus, replace(network, jitter=0.0)) < 1  # copies
    # Where copying and updating cost nothing either, only that remains.
    ideal = replace(network, bandwidth=INFINITE)
    slowest = 0.01 * math.sqrt(2 * math.log(gpus))
    assert scaling.efficiency([some], gpus, ideal) == pytest.approx(1 / (1 + slowest))


def test_counted_gradients_are_those_of_all_parameters_of_a_player() -> None:
    options = shrunk("pix2pix")
    turns = scaling.turns_of(options, 1)
    model = build_model(options)
    assert [turn.player for turn in turns] == ["discriminator", "generator"]
    for turn in turns:
        parameters = sum(p.numel() for p in model.get_submodule(turn.player).parameters())
        assert turn.bytes == 4 * parameters
        assert turn.update == 4 * 7 * parameters  # Adam
        assert len(turn.buckets) == 1
        assert len(turn.parts) / 2 < turn.buckets[0][1] <= len(turn.parts)


def test_buckets_leave_in_the_order_of_the_backward_pass() -> None:
    options = shrunk("pix2pix", "generator.width=128", "generator.downs=4")
    generator = scaling.turns_of(options, 1)[1]
    assert len(generator.buckets) > 1
    ready = [at for _, at in generator.buckets]
    # The last layers, whose gradients are first, before the backward pass is over.
    assert ready[0] < ready[-1] <= len(generator.parts)


@pytest.mark.parametrize("recipe", ["cyclegan", "stargan", "wgan-gp", "sagan", "progan"])
def test_work_is_the_same_with_data_and_without(recipe: str) -> None:
    options = shrunk(recipe)
    model = build_model(options)
    begin = 0 if options.growth is None else options.train.steps
    steps = range(begin, begin + options.game.n_critic)
    batch = to_device(random_batch(with_batch_size(options, 2), model), torch.device("cpu"))
    there = scaling.count(model, batch, steps)
    without = scaling.turns_of(options, 2)
    assert [turn.player for turn in without] == [turn.player for turn in there]
    assert [turn.parts for turn in without] == [turn.parts for turn in there]
    assert [turn.buckets for turn in without] == [turn.buckets for turn in there]


def test_every_game_is_in_the_table() -> None:
    """Each recipe, or the one that it is a smaller kind of, at its published batch too."""
    for recipe in recipes():
        words = recipe.split("-")
        assert any("-".join(words[:n]) in scaling.MODELS for n in range(1, len(words) + 1)), recipe


def test_the_tables_in_the_documents_are_what_it_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(PATH), "--models", "pix2pix,gan,wgan-gp"])
    scaling.main()
    printed = capsys.readouterr().out.splitlines()
    written = (ROOT / "docs" / "distributed.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in printed if line.startswith("|")]
    assert len(tables) == 2 + 6 + 2 + 7
    assert set(tables) <= {*written}


def test_it_says_what_is_assumed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["--tflops", "60", "--between", "25", "--jitter", "0.02"]
    monkeypatch.setattr(sys, "argv", [str(PATH), "--models", "gan", *changes])
    scaling.main()
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("Assumed: 60 TFLOP/s, 3.6 TB/s of memory, 6 microseconds to start")
    assert "300 GB/s to those in its machine of 8 and 25 GB/s to others, 3 and 10 micro" in said
    assert said.endswith("varies by 0.02 of it.")
