import numpy as np
import pytest
import torch
from torch import nn

from i2i.errors import OptionsError
from i2i.networks.blocks import (
    NORMS,
    UPSAMPLINGS,
    BatchNorm2d,
    InstanceNorm2d,
    has_bias,
    normalisation,
    upsampling,
)


def closed_form(x: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Instance normalisation of (N, C, H, W) and its gradient, from the definition."""
    pixels = (2, 3)
    deviation = x - x.mean(pixels, keepdims=True)
    scale = 1 / np.sqrt((deviation**2).mean(pixels, keepdims=True) + 1e-5)
    y = scale * deviation
    along = y * (gradient * y).mean(pixels, keepdims=True)
    return y, scale * (gradient - gradient.mean(pixels, keepdims=True) - along)


@pytest.mark.parametrize("gradient_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("format_", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("images", [1, 3])
def test_instance_norm_and_its_gradient_are_right_in_every_memory_format(
    images, format_, gradient_format
):
    x, gradient = torch.randn(2, images, 8, 6, 5, dtype=torch.float64)
    expected_y, expected_gradient = closed_form(x.numpy(), gradient.numpy())
    x = x.contiguous(memory_format=format_).requires_grad_()
    y = InstanceNorm2d(8)(x)
    (ours,) = torch.autograd.grad(y, x, gradient.contiguous(memory_format=gradient_format))
    np.testing.assert_allclose(y.detach(), expected_y, atol=1e-12)
    np.testing.assert_allclose(ours, expected_gradient, atol=1e-12)


def test_instance_norm_keeps_every_option_of_torch():
    x = torch.randn(2, 3, 5, 4)
    ours, theirs = (
        kind(3, affine=True, track_running_stats=True)
        for kind in (InstanceNorm2d, nn.InstanceNorm2d)
    )
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 2.0)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_batch_norm_per_image_is_the_closed_form_with_scale_and_shift():
    norm = BatchNorm2d(4).double().eval()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(3, 4, 6, 5, dtype=torch.float64)
    norm.per_image = True
    scale, shift = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    expected = scale * closed_form(x.numpy(), x.numpy())[0] + shift
    np.testing.assert_allclose(norm(x).detach(), expected, atol=1e-12)


def test_normalisations_have_the_published_parameters():
    assert [*normalisation("batch", 3).state_dict()] == [*nn.BatchNorm2d(3).state_dict()]
    assert not normalisation("instance", 3).state_dict()
    x = torch.randn(1, 3, 2, 2)
    assert torch.equal(normalisation("none", 3)(x), x)
    assert [has_bias(norm) for norm in NORMS] == [False, True, False]


@pytest.mark.parametrize("kernel_size", [3, 4])
@pytest.mark.parametrize("upsample", UPSAMPLINGS)
def test_upsampling_doubles_height_and_width(upsample, kernel_size):
    for size in [(1, 1), (3, 5)]:
        images = torch.randn(2, 4, *size)
        assert upsampling(upsample, 4, 6, kernel_size, bias=True)(images).shape == (
            *(2, 6),
            *(2 * side for side in size),
        )


def test_a_flat_area_shows_a_checkerboard_only_with_transposed_convolution():
    flat = torch.ones(1, 4, 6, 6)
    resized = upsampling("resize", 4, 1, 3, bias=True)(flat)
    assert resized.max() - resized.min() < 1e-6
    torch.manual_seed(0)
    transposed = upsampling("transposed", 4, 1, 3, bias=True)(flat)[..., 2:-2, 2:-2]
    assert transposed.max() - transposed.min() > 1e-2
    assert torch.allclose(transposed[..., ::2, ::2], transposed[..., :1, :1])


def test_unknown_names_are_quoted_with_what_was_meant():
    with pytest.raises(
        OptionsError, match=r"norm is 'instanc', .* batch, instance, none\. Did you"
    ):
        normalisation("instanc", 3)
    with pytest.raises(OptionsError, match=r"upsample is 'resise', .* Did you mean 'resize'\?"):
        upsampling("resise", 3, 3, 3, bias=True)
