"""Logs that are whole, and what accidents and strangers make of them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i.errors import RunError
from i2i.runs.folder import Run
from i2i.runs.log import Log, read_log, read_row
from i2i.training.monitor import MetricLogger

ROWS: list[dict[str, Any]] = [
    {"step": 50, "generator/l1": 0.5, "generator/\u00e9": 2},
    {"step": 50, "validation/l1": None},
    {"step": 100, "generator/l1": -1e-9},
]
TEXT = "".join(json.dumps(row) + "\n" for row in ROWS)


def log_of(tmp_path: Path, content: str | bytes) -> Log:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_log(path)


def test_what_is_whole_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert log_of(tmp_path, TEXT) == Log(ROWS, 0, False)
    assert log_of(tmp_path, "") == Log([], 0, False)
    # A last line that lacks nothing but its end says all that it has to say.
    assert log_of(tmp_path, TEXT[:-1]) == Log(ROWS, 0, False)
    with pytest.raises(RunError, match=r"nothing\.jsonl' cannot be read: No such file"):
        read_log(tmp_path / "nothing.jsonl")


def test_a_line_that_is_torn_anywhere_costs_no_other(tmp_path: Path) -> None:
    *_, last = TEXT.splitlines()
    whole = TEXT.removesuffix(last + "\n")
    for length in range(1, len(last)):
        torn = whole + last[:length]
        assert log_of(tmp_path, torn) == Log(ROWS[:2], 1, True)
        # It was not noticed, and more was written behind it.
        assert log_of(tmp_path, f"{torn}\n{last}\n") == Log(ROWS, 1, False)
        assert log_of(tmp_path, f"{torn}{last}\n") == Log(ROWS[:2], 1, False)


@given(st.binary(max_size=30).filter(lambda junk: b"step" not in junk))
def test_junk_is_left_out(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    first, rest = TEXT.split("\n", 1)
    path = tmp_path_factory.mktemp("junk")
    log = log_of(path, first.encode() + b"\n" + junk + b"\n" + rest.encode())
    assert log.rows == ROWS
    assert log.broken >= 1
    assert not log.torn


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\0\0\0",
        "[1]",
        "7",
        "null",
        '{"generator/l1": 0.5}',
        '{"step": 1e3}',
        '{"step": "50"}',
        '{"step": true}',
        '{"step": null}',
        f'{{"step": {10**400}}}',
        f'{{"step": {"1" * 5000}}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_line_of_a_log(line: str) -> None:
    assert read_row(line) is None


def test_what_is_no_scalar_is_left_out_and_what_is_not_finite_is_none() -> None:
    line = f'{{"step": 1, "a": "x", "b": [2], "c": true, "d": {10**400}, "e": 0.5, "f": 3}}'
    assert read_row(line) == {"step": 1, "e": 0.5, "f": 3}
    strange = json.dumps({"step": 1, "a": math.nan, "b": math.inf, "c": -math.inf, "d": None})
    assert read_row(strange) == {"step": 1, "a": None, "b": None, "c": None, "d": None}


def test_lines_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    mixed = "".join(json.dumps(ROWS[number]) + "\n" for number in (2, 0, 1))
    assert log_of(tmp_path, mixed).rows == ROWS


def test_a_run_goes_on_after_half_a_line(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.samples.mkdir()
    run.log.write_bytes(TEXT.encode() + b'{"step": 150, "gen\xff')
    run.forget_after(50)
    journal = MetricLogger(run, 50)
    assert journal.rows == ROWS[:2]
    journal.scalars(75, {"x": 1.0})
    journal.close()
    assert read_log(run.log) == Log([*ROWS[:2], {"step": 75, "x": 1.0}], 0, False)


def test_half_a_line_does_not_end_a_run_that_begins_to_write(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log.write_text(TEXT + '{"step": 150, "gen')
    journal = MetricLogger(run, 100)
    journal.close()
    assert journal.rows == ROWS
