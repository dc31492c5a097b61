"""Tensors and Pillow images through networks whose answer is known: identity, negative, dropout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from known import RNG, Recorder, layers, negative, noise, save, translator
from PIL import Image
from torch import nn

from i2i.errors import DataError, OptionsError
from i2i.networks.blocks import BatchNorm2d
from i2i.networks.resnet import ResNet
from i2i.networks.unet import UNet


def test_every_value_of_sixteen_bits_survives_the_identity() -> None:
    values = torch.arange(65536).to(torch.uint16).reshape(1, 1, 256, 256)
    seen = Recorder()
    result = translator(seen, channels=1)(values)
    assert result.dtype == torch.uint16
    assert torch.equal(result.int(), values.int())
    expected = values.double() / 65535 * 2 - 1
    assert (seen.inputs[0] - expected).abs().max() < 1e-6


def test_values_are_rounded_and_not_cut_off() -> None:
    ramp = torch.arange(0, 256, dtype=torch.uint8).reshape(1, 16, 16)
    for shift, expected in ((0.49, 0), (0.51, 1), (-0.49, 0), (-0.51, -1)):
        result = translator(Recorder(lambda x, s=shift: x + s / 127.5), channels=1)(ramp)
        assert torch.equal(result.int(), (ramp.int() + expected).clamp(0, 255))
        deep = translator(Recorder(lambda x, s=shift: x + s / 32767.5), channels=1)
        words = (ramp.int() * 257).to(torch.uint16)
        assert torch.equal(deep(words).int(), (words.int() + expected).clamp(0, 65535))


def test_every_byte_survives_the_identity() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(translator(Recorder(), channels=1)(values), values)


@settings(max_examples=60)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    multiple=st.sampled_from([1, 2, 4, 12, 32]),
    is_byte=st.booleans(),
)
def test_any_size_is_reflected_to_the_multiple_and_cropped_back(
    height: int, width: int, multiple: int, is_byte: bool
) -> None:
    network = Recorder(multiple=multiple)
    images = torch.from_numpy(RNG.integers(0, 256, (2, 3, height, width), dtype=np.uint8))
    if not is_byte:
        images = images / 127.5 - 1
    result = translator(network)(images)
    assert result.dtype == images.dtype
    assert torch.equal(result, images)

    seen = network.inputs[0]
    padding = [(0, 0), (0, 0)]
    for length, padded in zip((height, width), seen.shape[2:], strict=True):
        needed = max(length, 8)
        assert needed <= padded < needed + multiple
        padding.append(((padded - length) // 2, (padded - length + 1) // 2))
    expected = np.pad(images.numpy(), padding, mode="reflect")
    if is_byte:
        expected = expected / 127.5 - 1
    np.testing.assert_allclose(seen.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (9, 2)])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_real_generators_take_the_smallest_images(size: tuple[int, int], norm: str) -> None:
    for network in (
        ResNet(3, 3, width=2, blocks=1, norm=norm),
        UNet(3, 3, width=2, downs=2, norm=norm, upsample="resize"),
        UNet(3, 3, width=2, downs=5, norm=norm),
    ):
        result = translator(network)(torch.rand(2, 3, *size) * 2 - 1)
        assert result.shape == (2, 3, *size)
        assert result.isfinite().all()


def test_result_has_the_notation_of_the_input() -> None:
    to_grey = Recorder(lambda x: x.mean(1, keepdim=True))
    translate_one = translator(to_grey, output_channels=1)
    assert translate_one(torch.zeros(3, 8, 9)).shape == (1, 8, 9)
    assert translate_one(torch.zeros(2, 3, 8, 9)).shape == (2, 1, 8, 9)
    for dtype in (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert translate_one(torch.zeros(3, 8, 9, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 8, 8), (2, 1, 8, 8), (8, 8), (1, 1, 3, 8, 8)])
def test_wrong_shape_is_quoted(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError) as caught:
        negative()(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "(N, 3, H, W)" in str(caught.value)


def test_images_without_pixels_and_integers_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(0, 3, 8, 8\)"):
        negative()(torch.zeros(0, 3, 8, 8))
    with pytest.raises(DataError, match=r"torch\.int64"):
        negative()(torch.zeros(3, 8, 8, dtype=torch.int64))


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"'fp23'.*Did you mean 'fp32'"):
        negative(precision="fp23")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_half_precision_is_used_and_stays_inside(precision: str, dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []
    convolution = nn.Conv2d(3, 3, 1)
    convolution.register_forward_hook(lambda *called: seen.append(called[-1].dtype))
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    half = translator(layers(convolution), precision=precision)(images)
    assert seen == [dtype]
    assert half.dtype == torch.float32
    full = translator(layers(convolution))(images)
    assert seen == [dtype, torch.float32]
    assert 0 < (half - full).abs().max() < 0.02


def test_nothing_is_recorded_for_gradients() -> None:
    assert not translator(layers(nn.Conv2d(3, 3, 1)))(torch.zeros(3, 8, 8)).requires_grad


def test_dropout_is_repeatable_and_does_not_know_its_neighbours() -> None:
    images = (torch.rand(3, 3, 8, 8) + 1) / 2
    drop = translator(layers(nn.Dropout(0.5)), dropout=True, seed=7)
    together = drop(images)
    assert 0.2 < (together == 0).float().mean() < 0.8
    assert torch.equal(drop(images), together)
    for image, result in zip(images, together, strict=True):
        assert torch.equal(drop(image), result)
    assert torch.equal(drop(images.flip(0)).flip(0), together)

    other = translator(layers(nn.Dropout(0.5)), dropout=True, seed=8)
    assert not torch.equal(other(images), together)
    off = translator(layers(nn.Dropout(0.5)), dropout=False)
    assert torch.equal(off(images), images)


def test_dropout_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    translator(layers(nn.Dropout(0.5)), dropout=True)(torch.ones(3, 8, 8))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_dropout_on_cuda_is_repeatable_and_leaves_the_random_state_alone() -> None:
    images = torch.rand(2, 3, 8, 8)
    drop = translator(layers(nn.Dropout(0.5)), dropout=True, device="cuda")
    torch.manual_seed(3)
    expected = torch.rand(4, device="cuda")
    torch.manual_seed(3)
    result = drop(images)
    assert torch.equal(torch.rand(4, device="cuda"), expected)
    assert result.device.type == "cpu"
    assert torch.equal(drop(images[1]), result[1])


def test_normalisation_is_that_of_the_image_or_the_running_one() -> None:
    images = torch.stack([torch.rand(3, 8, 8), 0.3 * torch.rand(3, 8, 8) - 0.9])
    result = translator(layers(BatchNorm2d(3)), norm="instance")(images).numpy()
    pixels = images.double().numpy()
    mean, variance = pixels.mean((2, 3), keepdims=True), pixels.var((2, 3), keepdims=True)
    np.testing.assert_allclose(result, (pixels - mean) / np.sqrt(variance + 1e-5), atol=1e-4)

    running = BatchNorm2d(3)
    running.running_mean.fill_(2.0)
    running.running_var.fill_(4.0)
    result = translator(layers(running), norm="running")(images).numpy()
    np.testing.assert_allclose(result, (pixels - 2) / np.sqrt(4 + 1e-5), atol=1e-5)
    assert running.running_mean.eq(2).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_pillow_images_of_any_mode(mode: str) -> None:
    image = Image.fromarray(noise(7, 5)).convert(mode)
    result = negative()(image)
    assert (result.mode, result.size) == ("RGBA" if mode == "RGBA" else "RGB", (5, 7))
    result = negative(channels=1)(image)
    assert (result.mode, result.size) == ("LA" if mode == "RGBA" else "L", (5, 7))


def test_pillow_images_keep_their_alpha_depth_and_profile() -> None:
    pixels = noise(7, 5, 4)
    image = Image.fromarray(pixels)
    image.info["icc_profile"] = profile = bytes(16) + b"RGB " + bytes(108)
    result = negative()(image)
    np.testing.assert_array_equal(np.array(result)[..., :3], 255 - pixels[..., :3])
    np.testing.assert_array_equal(np.array(result)[..., 3], pixels[..., 3])
    assert result.info["icc_profile"] == profile

    words = RNG.integers(0, 65536, (6, 7), dtype=np.uint16)
    result = negative(channels=1)(Image.fromarray(words))
    assert result.mode == "I;16"
    np.testing.assert_array_equal(np.array(result), 65535 - words)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pillow_image_is_translated_pixel_by_pixel_and_upright(tmp_path: Path, suffix: str) -> None:
    pixels = noise(7, 5)
    np.testing.assert_array_equal(np.array(negative()(Image.fromarray(pixels))), 255 - pixels)

    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(pixels, tmp_path / f"turned.{suffix}", exif=exif)
    with Image.open(path) as image:
        result = negative()(image)
    # Orientation 6 is to be turned clockwise.
    np.testing.assert_array_equal(np.array(result), 255 - np.rot90(pixels, -1))


def test_results_that_are_no_image_are_refused_as_images_only() -> None:
    two = translator(Recorder(lambda x: x[:, :2]), output_channels=2)
    assert two(torch.zeros(3, 8, 8)).shape == (2, 8, 8)
    with pytest.raises(DataError, match="2 channels"):
        two(Image.new("RGB", (8, 8)))
