import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from i2i.errors import DataError, OptionsError
from i2i.networks import NORMS, PatchGAN, PixelGAN


@pytest.mark.parametrize(
    ("channels", "norm", "millions"), [(3, "instance", 2.765), (6, "batch", 2.769)]
)
def test_the_published_networks_have_the_published_number_of_parameters(channels, norm, millions):
    with torch.device("meta"):
        network = PatchGAN(channels, width=64, layers=3, norm=norm)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(millions * 1e6, abs=500)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70), (4, 142), (5, 286)])
def test_receptive_fields_are_those_of_the_paper(layers, field):
    with torch.device("meta"):
        assert PatchGAN(3, width=1, layers=layers, norm="none").receptive_field == field


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_receptive_field_is_what_a_score_really_sees(layers):
    network = PatchGAN(1, width=2, layers=layers, norm="none").double()
    size = 2 * network.receptive_field
    image = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    scores = network(image)
    middle = scores.shape[-1] // 2
    (gradient,) = torch.autograd.grad(scores[0, 0, middle, middle], image)
    for line in (gradient.abs().sum((0, 1, 2)), gradient.abs().sum((0, 1, 3))):
        seen = line.nonzero().flatten()
        assert seen[-1] - seen[0] + 1 == network.receptive_field


@settings(max_examples=25)
@given(
    layers=st.integers(1, 4),
    extra=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    channels=st.integers(1, 6),
    norm=st.sampled_from(NORMS),
)
def test_scores_form_a_map_of_the_documented_size(layers, extra, channels, norm):
    network = PatchGAN(channels, width=2, layers=layers, norm=norm)
    height, width = (network.minimum + more for more in extra)
    scores = network(torch.randn(1, channels, height, width))
    assert scores.shape == (1, 1, height // 2**layers - 2, width // 2**layers - 2)


def test_a_image_smaller_than_the_minimum_is_an_error_that_quotes_both():
    network = PatchGAN(3, width=1, layers=3, norm="none")
    assert network(torch.zeros(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(DataError, match=r"40x23 .* at least 24x24 pixels: "):
        network(torch.zeros(1, 3, 40, 23))


def test_channels_double_up_to_eight_times_the_width():
    network = PatchGAN(3, width=2, layers=5, norm="none")
    widths = [len(weight) for name, weight in network.state_dict().items() if "weight" in name]
    assert widths == [2, 4, 8, 16, 16, 16, 1]


def test_no_layers_is_an_error():
    with pytest.raises(OptionsError, match="layers is 0, but must be at least 1"):
        PatchGAN(3, width=1, layers=0, norm="none")


@pytest.mark.parametrize("norm", NORMS)
def test_pixelgan_scores_every_pixel_by_itself(norm):
    network = PixelGAN(2, width=3, norm=norm).eval()  # running statistics: no pixel sees another
    assert network.receptive_field == 1
    image = torch.randn(1, 2, 5, 7, requires_grad=True)
    scores = network(image)
    assert scores.shape == (1, 1, 5, 7)
    (gradient,) = torch.autograd.grad(scores[0, 0, 2, 3], image)
    if norm != "instance":
        assert gradient[0, :, 2, 3].abs().min() > 0
        gradient[0, :, 2, 3] = 0
        assert not gradient.any()


def test_pixelgan_has_a_bias_behind_the_scores_only_with_instance_norm():
    assert "net.5.bias" in PixelGAN(3, width=1, norm="instance").state_dict()
    assert "net.5.bias" not in PixelGAN(3, width=1, norm="batch").state_dict()
