"""Results of another size than their input: networks, data, games, and files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from torch import Tensor, nn

from i2i.config.recipes import load_options
from i2i.core.batch import Pair
from i2i.data.augment.device import DeviceAugment
from i2i.data.augment.geometry import (
    JointGeometry,
    ResizedCrop,
    evaluation_geometry,
    folded,
    unfolded,
)
from i2i.data.inspection.examine import examine
from i2i.data.loading.decoded_cache import in_memory
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError, OptionsError
from i2i.inference.folder import translate_folder
from i2i.inference.streams import tiff as large_tiffs
from i2i.inference.translator import Translator
from i2i.models.build import build_model
from i2i.networks.blocks import Enlarging
from i2i.networks.resnet import ResNet
from i2i.networks.unet import UNet
from i2i.training.build import build_trainer
from i2i.training.cost import random_batch
from shrunk import shrunk

RANDOM = np.random.default_rng(0)
RECIPE = "pix2pix-upscale-quick"


def places(height: int, width: int) -> Any:
    """An image whose values tell where a pixel is: rows in red, columns in green."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=2).astype(np.uint8)


@pytest.mark.parametrize("upscale", [2, 4])
@pytest.mark.parametrize("make", [ResNet, UNet])
def test_networks_make_images_of_another_size(make: Any, upscale: int) -> None:
    torch.manual_seed(0)
    shape: Mapping[str, int] = {"blocks": 1} if make is ResNet else {"downs": 3}
    network = make(2, 3, width=4, upscale=upscale, norm="instance", **shape)
    made = network(torch.randn(1, 2, 16, 24))
    assert made.shape == (1, 3, 16 * upscale, 24 * upscale)
    assert network.upscale == upscale
    made.sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_last_layer_sees_the_input_enlarged() -> None:
    last = Enlarging(2, 1, 3, 1, norm="none", upsample="resize", adds_input=False)
    convolution = last.image[1]
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.bias.zero_()  # type: ignore[union-attr]
        convolution.weight[0, 3, 3, 3] = 1  # the middle of the input alone
    images = torch.randn(1, 1, 4, 6)
    made = last(torch.randn(1, 3, 4, 6), images)
    repeated = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(made, repeated.tanh())
    last.adds_input = True
    assert torch.equal(last(torch.randn(1, 3, 4, 6), images), repeated + repeated.tanh())
    with pytest.raises(OptionsError, match="adds an input of 1 channels to a result of 3"):
        ResNet(1, 3, width=4, blocks=0, upscale=2, adds_input=True)
    with pytest.raises(OptionsError, match=r"goes with generator\.upscale"):
        UNet(3, 3, width=4, downs=2, adds_input=True)


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("make", [JointGeometry, ResizedCrop])
def test_the_truth_is_cut_at_the_same_place_and_mirrored_alike(make: Any, ratio: int) -> None:
    """Cut anywhere, each pixel of the input lies at the place of its block of the truth."""
    small, large = places(28, 30), places(28 * ratio, 30 * ratio)
    large = (large // ratio * (ratio > 2) + large * (ratio == 2)).astype(np.uint8)
    unit = 2 if ratio == 2 else 1  # what a step of the input is in the values of the truth
    cut = make(28, 16, "none", ratios={"B": ratio})
    starts, ways = set(), set()
    for position in range(16):
        a, b = cut(3, position, small, large)
        assert a.shape == (16, 16, 3)
        assert b.shape == (16 * ratio, 16 * ratio, 3)
        blocks = b.reshape(16, ratio, 16, ratio, 3).astype(float).mean(axis=(1, 3))
        inner = blocks[2:-2, 2:-2, :2] - (unit * a[2:-2, 2:-2, :2] + (unit - 1) / 2)
        assert np.abs(inner).max() <= (1.6 if make is ResizedCrop else 0.01) * unit
        starts.add((int(a[0, 0, 0]), int(a[0, :, 1].min())))
        ways.add(bool(a[0, 0, 1] < a[0, -1, 1]))
    assert len(starts) > 2
    assert ways == {True, False}


def test_blocks_of_pixels_become_channels_and_come_back() -> None:
    image = RANDOM.integers(0, 65536, (8, 12, 3), dtype=np.uint16)
    channels = folded(image, 2)
    assert channels.shape == (4, 6, 12)
    assert channels[1, 2].tolist() == image[2:4, 4:6].reshape(-1).tolist()
    assert np.array_equal(unfolded(channels, 2), image)


def test_validation_resizes_both_to_sizes_that_keep_the_ratio() -> None:
    fit = evaluation_geometry((32, 16), "stretch", ratios={"B": 2})
    a, b = fit(0, 0, places(20, 20), places(40, 40))
    assert (a.shape[:2], b.shape[:2]) == ((16, 32), (32, 64))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Images of noise, and their blocks of 2 x 2 in two colours."""
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            small = RANDOM.integers(0, 256, (24, 20, 3), dtype=np.uint8)
            for side, image in (("A", small), ("B", small.repeat(2, 0).repeat(2, 1))):
                (tmp_path / split / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(tmp_path / split / side / f"{number}.png")
    return tmp_path


def test_a_data_set_gives_the_truth_so_many_times_as_large(pairs: Path) -> None:
    options = shrunk(RECIPE, f'data.root="{pairs}"', "data.crop_size=16", "data.cache=off")
    train = open_source(options, "paired").train
    fresh = [train[position] for position in range(8)]
    for pair in fresh:
        assert pair.source.shape == (3, 16, 16)
        repeated = pair.source.repeat_interleave(2, 1).repeat_interleave(2, 2)
        assert torch.equal(pair.target, repeated)
    train.kept = in_memory(train.items, 2**20)
    for _ in range(2):
        assert all(torch.equal(train[at].target, fresh[at].target) for at in range(8))
    assert open_source(options, "paired").validation[0].target.shape == (3, 32, 32)


def test_the_other_way_round_side_a_is_the_larger_one(pairs: Path) -> None:
    for split in ("train", "val"):
        (pairs / split / "A").rename(pairs / split / "C")
        (pairs / split / "B").rename(pairs / split / "A")
        (pairs / split / "C").rename(pairs / split / "B")
    options = shrunk(RECIPE, f'data.root="{pairs}"', "data.crop_size=16", "data.direction=BtoA")
    pair = open_source(options, "paired").train[0]
    assert torch.equal(pair.target, pair.source.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_pairs_of_other_sizes_are_named_before_the_training(pairs: Path) -> None:
    Image.fromarray(places(24, 20)).save(pairs / "train/B/1.png")
    options = shrunk(RECIPE, f'data.root="{pairs}"', "data.crop_size=16")
    with pytest.raises(DataError, match=r"1.png is 20x24, .*1.png is 20x24 .*2 times as wide"):
        open_source(options, "paired")
    kept = shrunk(RECIPE, f'data.root="{pairs}"', "data.crop_size=16", "data.skip_bad=true")
    assert open_source(kept, "paired").images == 3
    found = examine(pairs, "paired", rules=options.data, copies=False).findings
    assert [len(each.groups) for each in found if each.kind == "mismatched"] == [1]
    plain = shrunk("pix2pix", f'data.root="{pairs}"')
    found = examine(pairs, "paired", rules=plain.data, copies=False).findings
    assert [len(each.groups) for each in found if each.kind == "mismatched"] == [5]


@pytest.mark.parametrize("model", ["cyclegan", "cut"])
def test_only_models_of_pairs_make_larger_images(model: str) -> None:
    chosen = ["generator.network=resnet", "generator.upscale=2"]
    if model == "cut":
        chosen = ["generator.upscale=2"]
    with pytest.raises(OptionsError, match="upscale"):
        build_model(load_options(model, *chosen))


def test_what_cannot_be_moved_alike_is_refused(pairs: Path) -> None:
    options = load_options(RECIPE, f'data.root="{pairs}"', 'data.transforms=[{name="Rotate"}]')
    with pytest.raises(OptionsError, match="images of two sizes"):
        resolve_options(options, "paired")
    with pytest.raises(OptionsError, match="upscale"):
        load_options(RECIPE, "generator.upscale=3")


def test_augmentation_on_the_device_moves_to_the_same_place() -> None:
    small = torch.zeros(2, 1, 32, 32)
    small[:, :, 8:20, 6:24] = 1
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.manual_seed(3)
    moved = DeviceAugment(rotation=30, translation=0.1, scale=0.2)(Pair(small, large))
    again = torch.nn.functional.avg_pool2d(moved.target, 2)
    assert (again - moved.source).abs().mean() < 0.02
    assert (moved.source - small).abs().mean() > 0.05


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        (RECIPE, ()),
        ("pix2pixhd-quick", ("generator.network=resnet", "generator.upscale=2")),
    ],
)
def test_a_game_of_two_sizes_is_played_and_goes_on_bit_for_bit(
    recipe: str, settings: tuple[str, ...], pairs: Path
) -> None:
    options = shrunk(recipe, f'data.root="{pairs}"', "data.crop_size=16", *settings)
    trainer = build_trainer(options)
    batches = [random_batch(options, trainer.model, seed) for seed in range(4)]
    source, target = batches[0]
    assert [2 * side for side in source.shape[2:]] == list(target.shape[2:])
    seen: list[Tensor] = []
    for layer in trainer.model.get_submodule("discriminator").modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 6:
            layer.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    for batch in batches:
        trainer.step(batch)
    wanted = (source.float() / 127.5 - 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    of_full_size = next(images for images in seen if images.shape[3] == wanted.shape[3])
    assert torch.allclose(of_full_size[:, :3], wanted)
    first, second = build_trainer(options), build_trainer(options)
    for batch in batches[:2]:
        first.step(batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[2:]:
        second.step(batch)
    ours, theirs = trainer.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    with pytest.raises(DataError, match="the target 2 times as high and wide"):
        trainer.step(Pair(source, source))


class Repeated(nn.Module):
    """Repeats each pixel."""

    multiple = 4
    upscale = 2

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(images, scale_factor=2, mode="nearest")


def repeating(channels: int = 3) -> Translator:
    return Translator(
        Repeated(),
        input_channels=channels,
        output_channels=channels,
        norm="instance",
        dropout=False,
        device="cpu",
    )


@pytest.mark.parametrize("tile", ["off", 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_translations_are_cut_where_the_input_was_padded(tile: Any, dtype: Any) -> None:
    translator = repeating()
    translator.tile = tile
    image = RANDOM.integers(0, np.iinfo(dtype).max + 1, (37, 51, 3), dtype=dtype)
    made = translator(image)
    assert np.array_equal(made, image.repeat(2, 0).repeat(2, 1))
    with pytest.raises(OptionsError, match="2 times smaller"):
        translator.set_strength(0.5)


def test_files_keep_their_place_on_earth_and_their_transparency(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    values = RANDOM.integers(0, 256, (10, 14, 3), dtype=np.uint8)
    scale = [(33550, 12, 3, (10.0, 10.0, 0.0), True), (34735, 3, 4, (1, 1, 0, 0), True)]
    tifffile.imwrite(tmp_path / "in/a.tif", values, photometric="rgb", extratags=scale)
    alpha = np.full((10, 14, 1), 255, np.uint8)
    alpha[:, :7] = 0
    Image.fromarray(np.concatenate([values, alpha], axis=2)).save(tmp_path / "in/b.png")
    report = translate_folder(repeating(), tmp_path / "in", tmp_path / "out")
    assert (report.translated, report.failed) == (2, ())
    with tifffile.TiffFile(tmp_path / "out/a.tif") as file:
        page: Any = file.pages[0]
        assert np.array_equal(page.asarray(), values.repeat(2, 0).repeat(2, 1))
        assert page.tags[33550].value == (5.0, 5.0, 0.0)
    back = np.asarray(Image.open(tmp_path / "out/b.png"))
    assert back.shape == (20, 28, 4)
    assert (back[:, :12, 3] == 0).all()
    assert (back[:, 16:, 3] == 255).all()


def test_what_is_larger_than_the_memory_is_enlarged_part_after_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_tiffs, "LARGE", 1000)
    values = RANDOM.integers(0, 65536, (45, 70, 3), dtype=np.uint16)
    (tmp_path / "in").mkdir()
    scale = [(33550, 12, 3, (10.0, 10.0, 0.0), True)]
    tifffile.imwrite(
        tmp_path / "in/a.tif", values, photometric="rgb", tile=(16, 16), extratags=scale
    )
    translator = repeating()
    translator.tile = 16
    report = translate_folder(translator, tmp_path / "in", tmp_path / "out")
    assert report.failed == ()
    assert "part after part" in report.streamed[0]
    with tifffile.TiffFile(tmp_path / "out/a.tif") as file:
        page: Any = file.pages[0]
        assert np.array_equal(page.asarray(), values.repeat(2, 0).repeat(2, 1))
        assert page.tags[33550].value == (5.0, 5.0, 0.0)
