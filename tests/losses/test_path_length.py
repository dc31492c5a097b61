"""Path lengths of a generator whose derivative is known."""

import pytest
import torch

from i2i.losses import path_length_penalty, path_lengths


def test_the_lengths_of_a_linear_generator():
    torch.manual_seed(0)
    matrix = torch.randn(2, 3, 12, dtype=torch.float64)  # layers, styles, 3 * 2 * 2 pixels
    ws = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    images = torch.einsum("nls,lsp->np", ws, matrix).reshape(4, 3, 2, 2)
    slopes = torch.einsum("lsp,np->nls", matrix, noise.flatten(1)) / 2  # sqrt(2 * 2)
    expected = slopes.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(path_lengths(images, ws, noise), expected)


def test_the_average_moves_first_and_has_a_share_in_the_gradient():
    lengths = torch.tensor([1.0, 4.0], dtype=torch.float64, requires_grad=True)
    penalty, mean = path_length_penalty(lengths, torch.tensor(0.5, dtype=torch.float64), 0.1)
    assert mean.item() == pytest.approx(0.9 * 0.5 + 0.1 * 2.5)
    assert not mean.requires_grad
    assert penalty.item() == pytest.approx(((1 - 0.7) ** 2 + (4 - 0.7) ** 2) / 2)
    penalty.backward()
    # d/dl_j of mean (l_i - a)**2 with da/dl_j = 0.05 is (l_j - a) - 0.05 * sum (l_i - a).
    expected = torch.tensor([0.3 - 0.05 * 3.6, 3.3 - 0.05 * 3.6], dtype=torch.float64)
    torch.testing.assert_close(lengths.grad, expected)
