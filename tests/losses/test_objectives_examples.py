"""The examples in the docstrings are true."""

import doctest

import pytest

from i2i.losses import adversarial, classification, penalty


@pytest.mark.parametrize(
    "module", [adversarial, classification, penalty], ids=lambda module: module.__name__
)
def test_examples(module):
    failures, examples = doctest.testmod(module)
    assert examples > 0
    assert failures == 0
