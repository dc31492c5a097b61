"""Images that are too large for the memory, which here is made as short as need be."""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from known import Recorder, layers, translator
from torch import Tensor, nn

from i2i.errors import OptionsError
from i2i.inference import translator as module
from i2i.inference.translator import Translator
from i2i.networks import initialise
from i2i.networks.resnet import ResNet


def generator(**arguments: Any) -> Translator:
    """A translator with a small ResNet."""
    torch.manual_seed(0)
    network = ResNet(3, 3, width=4, blocks=1, norm="instance")
    initialise(network, "kaiming")
    return translator(network, **arguments)


def limit_memory(
    monkeypatch: pytest.MonkeyPatch, numbers: int, error: type[Exception] = torch.OutOfMemoryError
) -> list[int]:
    """Let convolutions fail that take more than so many numbers; returns what they took."""
    taken: list[int] = []
    convolve = F.conv2d

    def limited(tile: Tensor, *arguments: Any) -> Tensor:
        if tile.numel() > numbers:
            raise error(f"DefaultCPUAllocator: can't allocate memory: {tile.numel()} numbers")
        taken.append(tile.numel())
        return convolve(tile, *arguments)

    monkeypatch.setattr(F, "conv2d", limited)
    return taken


def test_a_number_asks_for_tiles_where_a_image_is_larger(said: list[str]) -> None:
    translate_tiled = generator(tile=64)
    translate_whole = generator(tile="off")
    for size in ((61, 47), (97, 150), (65, 20)):
        image = torch.rand(2, 3, *size) * 2 - 1
        difference = (translate_tiled(image) - translate_whole(image)).abs().max()
        assert difference < 1e-5
        assert (difference == 0) == (max(size) <= 64)
    assert said == []


@pytest.mark.parametrize("tile", [0, 15, -64, "on", 2.5, None])
def test_tiles_of_no_size_are_refused(tile: Any) -> None:
    with pytest.raises(OptionsError, match=re.escape(f"tile (={tile!r}) must be auto, off, or")):
        generator(tile=tile)
    translate_one = generator()
    with pytest.raises(OptionsError, match="at least 16"):
        translate_one.tile = tile


def test_large_images_are_estimated_before(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(module, "SMALL", 100 * 100)
    monkeypatch.setattr(module, "free_memory", lambda device: 3_000_000)
    translate_one = generator()
    translate_whole = generator(tile="off")
    taken = limit_memory(monkeypatch, 10**6)
    small, large = torch.rand(3, 100, 100), torch.rand(3, 301, 402)
    assert torch.equal(translate_one(small), translate_whole(small))
    assert said == []
    taken.clear()
    tiled = translate_one(large)
    assert max(taken) < 4 * 200 * 200
    [text] = said
    assert re.fullmatch(
        r"402 x 301 pixels would take about 0\.\d GiB of memory at once: "
        r"they are computed in tiles of 128 x 128\.",
        text,
    )
    torch.testing.assert_close(tiled, translate_whole(large), atol=1e-5, rtol=0)


def test_a_batch_that_is_too_large_together_is_computed_one_by_one(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    translate_one = generator()
    one = translate_one._estimate(torch.zeros(1, 3, 100, 100))
    monkeypatch.setattr(module, "free_memory", lambda device: 2 * one)
    images = torch.rand(4, 3, 100, 100)
    taken = limit_memory(monkeypatch, 10**9)
    result = translate_one(images)
    assert taken[0] == 3 * 106 * 106
    assert said == []
    torch.testing.assert_close(result, generator(tile="off")(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_short_memory_leads_to_smaller_and_smaller_tiles(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], said: list[str]
) -> None:
    image = torch.rand(3, 150, 200)
    expected = generator(tile="off")(image)
    limit_memory(monkeypatch, 4 * 60 * 60, error)
    translate_one = generator()
    torch.testing.assert_close(translate_one(image), expected, atol=1e-5, rtol=0)
    assert said == [
        "Out of memory with 200 x 150 pixels at once: they are computed in tiles of 100 x 100.",
        "Out of memory: the tiles are now 50 x 50 pixels.",
    ]
    translate_one(image)
    assert len(said) == 2  # which is known by now
    translate_one.tile = 120
    said.clear()
    torch.testing.assert_close(translate_one(image), expected, atol=1e-5, rtol=0)
    assert said == ["Out of memory: the tiles are now 60 x 60 pixels."]

    translate_one.tile = "off"
    with pytest.raises(torch.OutOfMemoryError, match="200 x 150 pixels do not fit into the memory"):
        translate_one(image)


def test_a_batch_is_divided_before_its_images_are(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    images = torch.rand(4, 3, 40, 40)
    expected = generator(tile="off")(images)
    limit_memory(monkeypatch, 4 * 50 * 50)
    translate_one = generator()
    torch.testing.assert_close(translate_one(images), expected, atol=1e-5, rtol=0)
    assert said == []


def test_memory_that_is_short_for_everything_is_an_error(
    monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    limit_memory(monkeypatch, 10)
    translate_one = generator()
    with pytest.raises(torch.OutOfMemoryError, match=r"100 x 90 pixels .* not even in tiles"):
        translate_one(torch.rand(3, 90, 100))
    assert len(said) == 2


def test_other_errors_are_not_taken_for_short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the tensors do not match")

    with pytest.raises(RuntimeError, match="do not match"):
        translator(Recorder(broken))(torch.zeros(3, 8, 8))


def test_networks_that_cannot_be_tiled_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = layers(nn.AvgPool2d(1))
    image = torch.rand(3, 30, 40)
    assert torch.equal(translator(pool)(image), image)
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "free_memory", lambda device: 1)
    assert torch.equal(translator(pool)(image), image)
    with pytest.raises(OptionsError, match=r"tile \(=16\) must be off .*AvgPool2d"):
        translator(pool, tile=16)(image)

    def short(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError, match=r"40 x 30 pixels .*tiles are no help: it"):
        translator(Recorder(short))(image)


def test_kept_values_go_to_a_file_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.rand(3, 150, 200)
    expected = generator(tile="off")(image)
    monkeypatch.setattr(module, "free_memory", lambda device: 100_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files = 0
    map_file = torch.from_file

    def counted(*arguments: Any, **more: Any) -> Tensor:
        nonlocal files
        files += 1
        return map_file(*arguments, **more)

    monkeypatch.setattr(torch, "from_file", counted)
    torch.testing.assert_close(generator(tile=64)(image), expected, atol=1e-5, rtol=0)
    assert files > 2
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(torch.OutOfMemoryError, match=re.escape(str(tmp_path))):
        generator(tile=64)(image)


def test_dropout_in_tiles_is_repeatable_and_leaves_the_random_state_alone() -> None:
    drop = translator(layers(nn.Conv2d(3, 3, 3, padding=1), nn.Dropout()), dropout=True, tile=16)
    image = torch.rand(3, 40, 50)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = drop(image)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(drop(image), first)
    assert 0.4 < (first == 0).float().mean() < 0.6


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_in_tiles(precision: str) -> None:
    image = torch.rand(3, 100, 120)
    exact = generator()(image)
    half = generator(precision=precision, tile=64)
    difference = (half(image) - exact).abs()
    assert half(image).dtype == torch.float32
    assert 0 < difference.mean() < 0.02


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tiles_on_cuda() -> None:
    image = torch.rand(3, 150, 200)
    expected = generator(tile="off")(image)
    translate_one = generator(tile=64, device="cuda")
    torch.testing.assert_close(translate_one(image), expected, atol=1e-3, rtol=0)
    translate_one.tile = "auto"
    torch.testing.assert_close(translate_one(image), expected, atol=1e-3, rtol=0)
