import pytest
import torch

from i2i.metrics.adversarial import average_generated_error


@pytest.mark.parametrize(
    ("real", "generated", "expected"),
    [(1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0), (0.0, 1.0, 2.0)],
)
def test_known_answers(real: float, generated: float, expected: float) -> None:
    error = average_generated_error(torch.full((3, 1), real), torch.full((2, 1, 4, 4), generated))
    assert error.item() == expected


def test_it_is_a_mean_over_all_values() -> None:
    error = average_generated_error(torch.tensor([1.0, 0.0]), torch.tensor([0.2, 0.4]))
    assert error.item() == pytest.approx(0.5 + 0.1)
