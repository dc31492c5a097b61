import pytest
import torch

from i2i.core.model import Clock, Objective, objectives
from i2i.errors import OptionsError

TERMS = {"generator": ("adversarial", "l1"), "discriminator": ("real", "fake")}


def test_clock_names_the_last_of_every_n_steps() -> None:
    assert [step for step in range(12) if Clock(step).every(5)] == [4, 9]
    assert all(Clock(step).every(1) for step in range(3))


def test_total_is_the_weighted_sum_and_terms_are_not_weighted() -> None:
    loss = Objective({"a": 2.0, "b": -0.5})(
        a=lambda: torch.tensor(3.0), b=lambda: torch.tensor(4.0)
    )
    assert loss.total.item() == 2 * 3 - 0.5 * 4
    assert {name: value.item() for name, value in loss.terms.items()} == {"a": 3.0, "b": 4.0}


def test_a_weight_of_zero_means_that_the_term_is_not_computed() -> None:
    def never() -> torch.Tensor:
        raise AssertionError("computed")

    loss = Objective({"a": 1.0, "b": 0.0})(a=lambda: torch.tensor(1.0), b=never)
    assert list(loss.terms) == ["a"]
    nothing = Objective({"a": 0.0})(a=never)
    assert nothing.terms == {}
    assert nothing.total.item() == 0


def test_terms_do_not_hold_the_graph() -> None:
    weight = torch.ones((), requires_grad=True)
    loss = Objective({"a": 1.0})(a=lambda: weight * 2)
    assert loss.total.requires_grad
    assert not loss.terms["a"].requires_grad


def test_an_objective_knows_exactly_its_terms() -> None:
    with pytest.raises(AssertionError):
        Objective({"a": 1.0})(b=lambda: torch.zeros(()))


def test_weights_are_dealt_out_to_the_players() -> None:
    dealt = objectives(TERMS, {"l1": 100, "real": 0.5})
    assert dealt["generator"].weights == {"adversarial": 0.0, "l1": 100.0}
    assert dealt["discriminator"].weights == {"real": 0.5, "fake": 0.0}


def test_a_weight_that_names_nothing_is_an_error() -> None:
    with pytest.raises(OptionsError, match=r"objective\.l11 is no term.*Did you mean 'l1'"):
        objectives(TERMS, {"l11": 1.0})


def test_all_weights_zero_is_an_error() -> None:
    with pytest.raises(OptionsError, match="every weight"):
        objectives(TERMS, {"l1": 0.0})
