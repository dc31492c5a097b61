"""Of processes that train together, one whose memory does not suffice takes the others with it into
smaller pieces; and nobody sees that a step was rehearsed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch
from limits import limited_trainer
from torch import nn
from torch.utils._pytree import tree_leaves, tree_structure

from i2i.distributed.gradients import GradientExchange, rehearsing
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import running
from i2i.training import session as train
from shrunk import shrunk


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return ranks.results(ranks.scarce, 2, tmp_path_factory.mktemp("scarce"))


def assert_same(found: Any, expected: Any, tolerance: float = 0.0) -> None:
    assert tree_structure(found) == tree_structure(expected)
    for one, other in zip(tree_leaves(found), tree_leaves(expected), strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
        else:
            assert one == other


@pytest.mark.parametrize("name", ranks.SCARCE)
def test_a_rehearsal_leaves_no_trace(name: str, done: list[Any]) -> None:
    """Bit for bit: weights, optimizers, averages, pools, random numbers, losses."""
    for each in done:
        assert_same(each[name]["enough"], each[name]["plain"])


@pytest.mark.parametrize("name", ranks.SCARCE)
def test_where_one_is_short_all_go_on_in_smaller_pieces(name: str, done: list[Any]) -> None:
    for each in done:
        assert_same(each[name]["one is short"], each[name]["in two"], 1e-9)


def test_the_one_that_is_shortest_decides(done: list[Any]) -> None:
    for each in done:
        assert_same(each["pix2pix"]["all are short"], each["pix2pix"]["in four"], 1e-9)


def test_each_shortage_is_said_once(done: list[Any]) -> None:
    for each in done:
        shortages = [(line, pieces) for line, pieces in each["said"] if "did not suffice" in line]
        assert [pieces for _, pieces in shortages] == [2, 4, 2, 2, 2]
        for line, pieces in shortages:
            assert f"with train.gradient_accumulation = {pieces}: " in line
            assert re.search(r"of process 1 did not suffice for step \d, so the run goes on", line)
        own, lone, synchronised = (line for line, _ in shortages[:3])
        assert "from 2 images instead of 4" in own
        assert "from 1 images instead of 4" in lone
        assert "from 4 images instead of 8" in synchronised  # of both processes


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """How two processes end of which one fails; all at once, since they mostly wait."""
    folder = tmp_path_factory.mktemp("failures")
    began = {
        how: ranks.start(
            2, ranks.__file__, ranks.fail_in_memory.__name__, folder, environment={"HOW": how}
        )
        for how in ("exception", "later")
    }
    return {how: ranks.finish(processes, timeout=180) for how, processes in began.items()}


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        ("exception", 1, "RuntimeError: this is a bug"),
        ("later", 2, "step 3: the memory does not suffice for a piece of 2 of the 2 images"),
    ],
)
def test_who_fails_takes_all_along(
    how: str, code: int, reason: str, failures: dict[str, list[tuple[int, str]]]
) -> None:
    (first_code, first), (last_code, last) = failures[how]
    assert (first_code, last_code) == (2, code)
    assert reason in last
    assert f"process 1 of 2 failed, so all have ended: {reason}" in first
    assert ("Traceback" in last) == (how == "exception")
    assert ("resume the run" in last) == (how == "later")


@pytest.mark.slow
def test_a_run_in_two_processes_remembers_the_pieces(
    unpaired: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In one process, whose 4 pieces the shares of two do not have.
    monkeypatch.setattr(running, "build_trainer", limited_trainer)
    options = shrunk("cyclegan", f"data.root={unpaired}", "train.steps=2", "train.batch_size=4")
    alone = train.start(options, tmp_path, "alone", device="cpu")
    assert "gradient_accumulation = 4" in (alone.folder / "options.toml").read_text()

    command = ranks.__file__, ranks.run_short.__name__, tmp_path
    ends = ranks.finish(ranks.start(2, *command, environment={"WHERE": str(tmp_path)}))
    assert [code for code, _ in ends] == [0, 0], ends
    said, silent = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert silent == ["resumed:"]
    notes = [line for line in said if "did not suffice" in line]
    assert len(notes) == 1
    assert (
        "of process 1 did not suffice for step 1, so the run goes on, "
        "with train.gradient_accumulation = 2" in notes[0]
    )
    assert said.index(notes[0]) < said.index("resumed:")
    run = Run(tmp_path / "short")
    assert "gradient_accumulation = 2" in (run.folder / "options.toml").read_text()
    rows = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [
        row["memory/gradient_accumulation"] for row in rows if "memory/gradient_accumulation" in row
    ] == [2]
    state = load_checkpoint(run.latest())
    assert (state["step"], state["options"]["train"]["gradient_accumulation"]) == (3, 2)
    assert load_checkpoint(Run(alone.folder).latest())["step"] == 3


def test_buckets_are_filled_and_not_sent_in_a_rehearsal() -> None:
    """There is no other process here, which would be an error."""
    parameters = [nn.Parameter(torch.ones(n)) for n in (3, 5)]
    exchange = GradientExchange(parameters, bucket=12)
    with rehearsing(nn.ParameterList(parameters), [exchange]), exchange.during_backward():
        torch.stack([p.square().sum() for p in parameters]).sum().backward()
        filled = [flat.tolist() for flat, _ in exchange._sent]
    assert filled == [[2.0] * 5, [2.0] * 3]
    assert [p.grad.tolist() for p in parameters if p.grad is not None] == [[2.0] * 3, [2.0] * 5]


def test_buckets_of_a_backward_pass_that_failed_are_let_go() -> None:
    """They are memory that the next try needs."""
    weight = nn.Parameter(torch.ones(3))
    exchange = GradientExchange([weight])

    def fail() -> None:
        with exchange.during_backward():
            weight.square().sum().backward()
            assert exchange._sent
            raise RuntimeError("short")

    with rehearsing(nn.ParameterList([weight]), [exchange]), pytest.raises(RuntimeError):
        fail()
    assert not exchange._sent
    assert not exchange._active
