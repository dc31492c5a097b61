import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from i2i.errors import DataError, OptionsError
from i2i.networks import NORMS, UPSAMPLINGS, UNet


def test_the_published_network_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = UNet(3, 3, width=64, downs=8, norm="batch", dropout=True)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(54.414e6, abs=500)


@settings(max_examples=25)
@given(
    downs=st.integers(2, 6),
    height=st.integers(1, 2),
    width=st.integers(1, 2),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    norm=st.sampled_from(NORMS),
    upsample=st.sampled_from(UPSAMPLINGS),
)
def test_any_depth_and_any_multiple_down_to_one_pixel_inside(
    downs, height, width, channels, norm, upsample
):
    network = UNet(*channels, width=2, downs=downs, norm=norm, upsample=upsample)
    assert network.multiple == 2**downs
    size = (height * network.multiple, width * network.multiple)
    images = torch.randn(1, channels[0], *size)
    translated = network(images)
    assert translated.shape == (1, channels[1], *size)
    assert translated.abs().max() <= 1


def test_every_level_halves_and_its_channels_double_up_to_eight_times_the_width():
    network = UNet(3, 1, width=2, downs=6, norm="batch")
    seen = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    network(torch.randn(1, 3, 64, 64))
    assert seen == [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 1, 1)]


@pytest.mark.parametrize("downs", range(2, 10))
def test_dropout_stands_behind_the_inner_levels_of_full_width(downs):
    with torch.device("meta"):
        network = UNet(3, 3, width=1, downs=downs, norm="batch", dropout=True)
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Dropout)]
    levels = sorted(name.count("model") - 2 for name in names)  # one "model" more per level
    assert levels == list(range(4, downs - 1))
    with torch.device("meta"):
        without = UNet(3, 3, width=1, downs=downs, norm="batch")
    assert not any(isinstance(module, nn.Dropout) for module in without.modules())
    assert network.state_dict().keys() == without.state_dict().keys()


def test_the_weights_have_the_published_names_and_biases():
    def names(norm: str) -> list[str]:
        state = UNet(3, 3, width=1, downs=3, norm=norm).state_dict()
        return [name for name in state if name.endswith(("weight", "bias"))]

    middle, inner = "model.model.1.model.", "model.model.1.model.3.model."
    batch = [
        "model.model.0.weight",
        *(middle + rest for rest in ("1.weight", "2.weight", "2.bias")),
        *(inner + rest for rest in ("1.weight", "3.weight", "4.weight", "4.bias")),
        *(middle + rest for rest in ("5.weight", "6.weight", "6.bias")),
        "model.model.3.weight",
        "model.model.3.bias",
    ]
    assert names("batch") == batch
    layers = [
        f"{level}{index}"
        for level, index in (
            ("model.model.", 0),
            (middle, 1),
            (inner, 1),
            (inner, 3),
            (middle, 5),
            ("model.model.", 3),
        )
    ]
    assert names("instance") == [f"{layer}.{p}" for layer in layers for p in ("weight", "bias")]
    assert names("none") == [*(f"{layer}.weight" for layer in layers), "model.model.3.bias"]


def test_the_image_given_is_not_changed():
    image = torch.randn(1, 3, 16, 16)
    before = image.clone()
    UNet(3, 3, width=2, downs=2, norm="none")(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("size", [(48, 32), (32, 33), (16, 16), (0, 32)])
def test_a_size_that_does_not_halve_is_an_error_that_quotes_both(size):
    network = UNet(3, 3, width=1, downs=5, norm="none")
    height, width = size
    with pytest.raises(DataError, match=rf"{height}x{width} .* multiples of 32"):
        network(torch.zeros(1, 3, *size))


def test_numbers_that_are_too_small_are_errors():
    with pytest.raises(OptionsError, match="downs is 1, but must be at least 2"):
        UNet(3, 3, width=1, downs=1, norm="none")
    with pytest.raises(OptionsError, match="width is 0, but must be at least 1"):
        UNet(3, 3, width=0, downs=2, norm="none")
    with pytest.raises(OptionsError, match=r"Did you mean 'batch'\?"):
        UNet(3, 3, width=1, downs=2, norm="bach")


@pytest.mark.parametrize(
    ("size", "asked", "downs"),
    [
        *((256, 8, 8), (64, 5, 5), (64, 8, 6), (48, 5, 4)),
        *((40, 5, 3), (96, 8, 5), (100, 5, 5), (4, 8, 2)),
    ],
)
def test_depth_follows_the_size(size: int, asked: int, downs: int) -> None:
    """Halved without a remainder; 100 is left as it is, to be refused with what to take."""
    assert {"downs": asked} | UNet.fit_to(size, {"downs": asked}) == {"downs": downs}
