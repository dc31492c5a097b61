"""What may change in a run that is resumed."""

import pytest

from i2i import train
from i2i.cli.train import _FOR_RESUME
from i2i.errors import OptionsError
from i2i.training.changes import refuse_changes


def test_the_length_and_the_way_to_the_data_may_change() -> None:
    refuse_changes({})
    refuse_changes({"train": {"steps": 9, "stop_after": 3}, "data": {"root": "x", "workers": 0}})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"objective": {"l1": 7.0}}, r"^objective\.l1 cannot change"),
        ({"train": {"steps": 9, "seed": 4}}, r"^train\.seed cannot change"),
        ({"optimizer": {"learning_rate": 1.0, "name": "sgd"}}, r"learning_rate, optimizer\.name"),
        ({"model": "cyclegan"}, r"^model cannot change"),
    ],
)
def test_anything_else_is_refused_before_a_run_is_looked_for(changes: dict, named: str) -> None:
    with pytest.raises(OptionsError, match=named):
        refuse_changes(changes)
    with pytest.raises(OptionsError, match=named):
        train.resume("no such run", changes)


def test_the_command_has_the_same_rule() -> None:
    assert {*_FOR_RESUME} == {
        *("dataroot", "dataroot_b", "workers", "keep", "steps", "epochs", "skip_bad", "stop_after")
    }
