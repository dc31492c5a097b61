"""Training in several processes: equal to one process, whatever the game."""

from typing import Any

import numpy as np
import pytest
import ranks
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from i2i.distributed.gradients import _buckets, apart, batch_share, restore_own_state
from i2i.distributed.processes import ALONE, Processes
from i2i.errors import OptionsError
from i2i.networks import ImagePool
from i2i.networks.blocks import BatchNorm2d


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What two and four processes bring home."""
    return ranks.results(ranks.everything, request.param, tmp_path_factory.mktemp("ranks"))


def assert_close(found: Any, expected: Any, of: tuple[str, ...]) -> None:
    for key in of:
        pairs = (
            zip(found[key], expected[key], strict=True)
            if isinstance(found[key], list)
            else [(found[key], expected[key])]
        )
        for one, other in pairs:
            assert one.keys() == other.keys()
            for name, value in one.items():
                if "/accuracy" not in name:  # that of a share has a threshold of its own
                    torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ranks.RANDOM)
def test_processes_are_pieces_of_the_batch_of_one(name: str, done: list[Any]) -> None:
    """Also where a game draws random numbers, and where batch norm looks at a piece alone."""
    settings = ranks.RANDOM[name]
    pieces = len(done) * (2 if name == "pix2pix in pieces" else 1)
    expected = ranks.play(name, settings, ALONE, f"train.gradient_accumulation={pieces}")
    for each in done:
        assert_close(each["random"][name], expected, ("losses", "weights"))


@pytest.mark.parametrize("name", ranks.CERTAIN)
def test_processes_make_the_step_of_the_whole_batch(name: str, done: list[Any]) -> None:
    expected = ranks.play(name, ranks.CERTAIN[name], ALONE)
    assert bool(expected["statistics"]) == ("synchronised" in name)
    for each in done:
        assert_close(each["certain"][name], expected, ("losses", "weights", "statistics"))


def test_running_statistics_are_averaged(done: list[Any]) -> None:
    one, *others = (each["random"]["pix2pix"]["statistics"] for each in done)
    assert one
    for other in others:
        for name, value in one.items():
            assert torch.equal(value, other[name])


def test_gradients_are_averaged_whoever_takes_part(done: list[Any]) -> None:
    world = len(done)
    mean = sum((rank + 1) ** 2 for rank in range(world)) / world
    for parameters, (some, every, alone) in (each["exchange"] for each in done):
        seldom = {1, 3}
        for number, p in enumerate(parameters):
            if number in seldom:
                assert some[number] is None
            else:
                torch.testing.assert_close(some[number], 2 * mean * p)
            torch.testing.assert_close(every[number], 2 * mean * p)
            torch.testing.assert_close(alone[number], 2 * p)


def test_each_process_gets_its_own_pool_back(done: list[Any]) -> None:
    world = len(done)
    assert [each["pools"] for each in done] == [
        (world - 1 if rank == 0 else 0, [rank + 1.0] * 2, None) for rank in range(world)
    ]


def test_all_stop_after_the_same_step_within_two(done: list[Any]) -> None:
    (stopped,) = {each["stop"] for each in done}
    assert stopped[0] in (4, 5)
    assert stopped[1] == 143


def test_the_first_goes_first(done: list[Any]) -> None:
    times = done[0]["turns"]
    assert times[0] < min(times[1:])
    assert [each["first"] for each in done] == [list(range(len(done)))] + [[]] * (len(done) - 1)


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(8, 200))
def test_buckets_hold_every_parameter_once_from_the_last_to_the_first(
    sizes: list[int], limit: int
) -> None:
    parameters = [nn.Parameter(torch.zeros(size)) for size in sizes]
    buckets = list(_buckets(parameters, limit))
    flat = [parameter for bucket in buckets for parameter in bucket]
    assert [id(p) for p in flat] == [id(p) for p in reversed(parameters)]
    for bucket in buckets:
        assert len(bucket) == 1 or sum(p.nbytes for p in bucket) <= limit


def test_a_batch_that_cannot_be_shared_is_an_error() -> None:
    four = Processes(1, 4, 1, 4)
    assert batch_share(8, 1, four) == 2
    assert batch_share(8, 2, four) == 2
    assert batch_share(3, 3, ALONE) == 3
    with pytest.raises(OptionsError, match=r"batch_size \(=1\).* 4 processes.*--batch-size 4\."):
        batch_share(1, 1, four)
    with pytest.raises(OptionsError, match=r"gradient_accumulation \(=2\): take --batch-size 16\."):
        batch_share(12, 2, four)


def test_pools_are_dealt_out_to_another_number_of_processes() -> None:
    def model() -> nn.Module:
        return nn.ModuleDict({"pool": ImagePool(1, (1, 1, 1))})

    first = model()
    state = {
        "model": first.state_dict() | {"pool.images": torch.full((1, 1, 1, 1), 10.0)},
        "ranks": [{"pool.images": torch.full((1, 1, 1, 1), 11.0), "pool.filled": torch.tensor(1)}],
    }
    for world, expected in ((1, [10]), (2, [10, 11]), (5, [10, 11, 10, 11, 10])):
        found = []
        for rank in range(world):
            one = model()
            one.load_state_dict(state["model"])
            notice = restore_own_state(one, state, Processes(rank, world))
            assert (notice is None) == (world == 2)
            assert notice is None or f"of 2 processes, and now there are {world}" in notice
            found.append(one.state_dict()["pool.images"].item())
        assert found == expected
    assert restore_own_state(nn.Linear(1, 1), {}, Processes(1, 2)) is None


def test_one_process_can_use_a_model_apart() -> None:
    def never(values: torch.Tensor) -> torch.Tensor:
        raise AssertionError

    norm = BatchNorm2d(2)
    norm.mean_of_all = never
    with apart(nn.Sequential(norm, nn.ReLU())):
        norm(torch.randn(2, 2, 4, 4))
    assert norm.mean_of_all is never


@pytest.mark.parametrize("affine", [True, False])
def test_synchronised_batch_norm_alone_is_batch_norm(affine: bool) -> None:
    """And keeps its digits where the mean is a thousand times the deviation."""
    generator = np.random.default_rng(0)
    ours, theirs = BatchNorm2d(3, affine=affine), nn.BatchNorm2d(3, affine=affine)
    ours.mean_of_all = lambda values: values
    for _ in range(3):
        images = torch.from_numpy(generator.normal(1000, 1, (4, 3, 8, 8))).float()
        found = ours(images)
        theirs(images)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-4, atol=0)
    exact = images.double()
    mean, variance = exact.mean((0, 2, 3)), exact.var((0, 2, 3), correction=0)
    expected = (exact - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)
    assert ours.num_batches_tracked == 3
