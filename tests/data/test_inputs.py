"""Several inputs of each scene: found by name, cut alike, each as it is, one behind the other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from i2i.config import Options, read_options
from i2i.core.batch import Pair, to_device
from i2i.core.inputs import Input, Inputs, packed
from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale
from i2i.core.sides import Sides
from i2i.data.augment.device import DeviceAugment
from i2i.data.inspection.examine import examine
from i2i.data.kinds import find_kind
from i2i.data.loading.decoded_cache import in_memory
from i2i.data.sides import sides_of
from i2i.data.sources import open_source, resolve_options
from i2i.errors import DataError, OptionsError
from i2i.training.build import build_trainer
from shrunk import shrunk

RANDOM = np.random.default_rng(0)
SMALL = ("data.crop_size=16", "data.load_size=16", "data.flip=false", "data.cache=off")
ROOTS = 'data.A.roots=["rgb", "depth", "heat", "mask"]'
PARTS = (
    'data.A.parts.depth={range="auto"}',
    "data.A.parts.heat={channels=2, range=[-10, 30]}",
    'data.A.parts.mask={kind="labels", classes=4, ignore=[255], ignore_plane=true}',
)

INPUTS = Inputs(
    (
        Input("rgb"),
        Input("depth", 1, scale=Scale("uint16", ((100, 4100),))),
        Input("heat", 2, scale=Scale("float32", ((-10, 30),)), show=(2,)),
        Input("mask", labels=LabelMaps(4, ignored=(255,), ignore_plane=True)),
    )
)


def scene(folder: Path, name: str, size: tuple[int, int] = (16, 16)) -> dict[str, Any]:
    """Write the inputs of a scene and what it becomes; returns their values."""
    depth = RANDOM.integers(100, 4101, size, dtype=np.uint16)
    depth[0, 0], depth[0, 1] = 100, 4100
    values = {
        "A/rgb": RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8),
        "A/depth": depth,
        "A/heat": RANDOM.uniform(-10, 30, (*size, 2)).astype(np.float32),
        "A/mask": RANDOM.choice([0, 1, 2, 3, 255], size).astype(np.uint8),
        "B": RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8),
    }
    for place in values:
        (folder / place).mkdir(parents=True, exist_ok=True)
    for place in ("A/rgb", "A/mask", "B"):
        Image.fromarray(values[place]).save(folder / place / f"{name}.png")
    tifffile.imwrite(folder / "A/depth" / f"{name}.tif", depth)
    np.save(folder / "A/heat" / f"{name}.npy", values["A/heat"])
    return values


@pytest.fixture
def scenes(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    root = tmp_path / "scenes"
    values = {name: scene(root / "train", name) for name in ("1", "2", "10")}
    scene(root / "val", "3")
    return root, values


def resolved(root: Path, *settings: str) -> Options:
    options = shrunk("pix2pix", *SMALL, ROOTS, *PARTS, f'data.root="{root}"', *settings)
    return resolve_options(options, "paired")


def expected(values: dict[str, Any]) -> torch.Tensor:
    """What networks are to see of a scene, in double precision, by the definition."""
    mask = values["A/mask"]
    planes = [
        *(values["A/rgb"].transpose(2, 0, 1) / 127.5 - 1),
        (values["A/depth"] - 100.0) / 2000 - 1,
        *((values["A/heat"].transpose(2, 0, 1) + 10.0) / 20 - 1),
        *(mask == number for number in (0, 1, 2, 3, 255)),
    ]
    return torch.from_numpy(np.stack(planes).astype(np.float64))


def on_device(sample: Pair, options: Options) -> Pair:
    batch = Pair(sample.source[None], sample.target[None])
    return to_device(batch, torch.device("cpu"), sides=sides_of(options))


def test_networks_see_every_input_in_its_own_range_in_the_declared_order(
    scenes: tuple[Path, dict[str, Any]],
) -> None:
    root, values = scenes
    options = resolved(root)
    assert options.data.input_channels == 3 + 1 + 2 + 5
    part = options.data.A.parts["depth"]
    assert (part.channels, part.dtype, part.range) == (1, "uint16", (100, 4100))
    assert read_options(options.to_dict()) == options
    source = open_source(options, "paired")
    for position in range(3):
        sample = source.train[position]
        name = source.train.describe(position)
        assert sample.source.dtype == torch.uint8
        seen = on_device(sample, options)
        assert torch.allclose(seen.source[0].double(), expected(values[name]), atol=1e-4)
        assert torch.equal(sample.target, torch.from_numpy(values[name]["B"]).permute(2, 0, 1))


def test_bytes_on_the_way_lose_nothing() -> None:
    depth = torch.arange(65536).reshape(1, 256, 256)
    words = depth.numpy().astype(np.uint16).transpose(1, 2, 0)
    heat = RANDOM.uniform(-1, 1, (256, 256, 2)).astype(np.float32)
    rgb = np.arange(256, dtype=np.uint8).repeat(768).reshape(256, 256, 3)
    mask = RANDOM.integers(0, 5, (256, 256, 1), dtype=np.uint8)
    bytes_of = packed([rgb, words, heat, mask])
    assert bytes_of.shape == (256, 256, INPUTS.channels)
    assert INPUTS.channels == 3 + 2 + 8 + 1
    planes = INPUTS.encoded(torch.from_numpy(bytes_of).permute(2, 0, 1)[None])[0]
    assert torch.equal(((planes[3] + 1) * 32767.5).round().int(), depth[0])
    assert torch.equal(planes[4:6], torch.from_numpy(heat).permute(2, 0, 1))
    assert torch.equal(planes[6:].argmax(0), torch.from_numpy(mask[:, :, 0]).long())
    assert torch.equal(INPUTS.encoded(planes[None])[0], planes)


@pytest.mark.parametrize("crop", ["random", "random resized"])
def test_all_inputs_are_cut_and_mirrored_alike(tmp_path: Path, crop: str) -> None:
    """Each input holds the same ramp, so that they must agree wherever they were cut."""
    ramp = np.arange(24 * 24).reshape(24, 24)
    for place in ("A/rgb", "A/depth", "A/mask", "B"):
        (tmp_path / "train" / place).mkdir(parents=True)
    eight = (ramp // 24 * 5 + ramp % 24 * 5).astype(np.uint8)  # 0..230
    Image.fromarray(np.stack([eight] * 3, 2)).save(tmp_path / "train/A/rgb/1.png")
    Image.fromarray(np.stack([eight] * 3, 2)).save(tmp_path / "train/B/1.png")
    tifffile.imwrite(tmp_path / "train/A/depth/1.tif", eight.astype(np.uint16) * 257)
    Image.fromarray(eight // 5).save(tmp_path / "train/A/mask/1.png")
    options = resolve_options(
        shrunk(
            "pix2pix", "data.load_size=20", "data.crop_size=16", "data.cache=off",
            f'data.crop="{crop}"', "data.val_share=0", f"data.root={tmp_path}",
            'data.A.roots=["rgb", "depth", "mask"]', "data.A.parts.depth.range=[0, 65535]",
            "data.A.parts.mask={kind='labels', classes=64}",
        ),
        "paired",
    )  # fmt: skip
    train = open_source(options, "paired").train
    seen, cuts = [on_device(train[position], options) for position in range(12)], set()
    for pair in seen:
        rgb, depth, mask = pair.source[0, 0], pair.source[0, 3], pair.source[0, 4:]
        assert (depth - rgb).abs().max() < 0.03
        assert torch.equal(pair.target[0, 0], rgb)
        assert (mask.argmax(0) * 5 / 127.5 - 1 - rgb).abs().max() < 0.12  # the nearest pixel
        cuts.add((rgb[0, 0].item(), rgb[0, -1].item()))
    assert len(cuts) > 3
    assert {first < last for first, last in cuts} == {True, False}


def test_decoded_images_are_kept_as_they_are(scenes: tuple[Path, dict[str, Any]]) -> None:
    options = resolved(scenes[0])
    train = open_source(options, "paired").train
    fresh = [train[position] for position in range(6)]
    train.kept = in_memory(train.items, 2**20)
    for _ in range(2):
        for position, wanted in enumerate(fresh):
            again = train[position]
            assert torch.equal(again.source, wanted.source)
            assert torch.equal(again.target, wanted.target)


def test_what_lacks_an_input_is_named_or_left_out(
    scenes: tuple[Path, dict[str, Any]], said: Any
) -> None:
    root = scenes[0]
    (root / "train/A/depth/2.tif").unlink()
    with pytest.raises(DataError, match="or among the inputs") as error:
        open_source(resolved(root, 'data.A.parts.depth={channels=1, range=[0, 1], dtype="uint16"}'),
                    "paired")  # fmt: skip
    for place in ("rgb/2.png", "heat/2.npy", "mask/2.png"):
        assert f"A/{place}" in str(error.value)
    options = resolved(root, "data.skip_bad=true")
    assert open_source(options, "paired").images == 2
    survey = examine(root, "paired", rules=options.data, copies=False)
    assert {path.name for path in survey.survey.orphans} >= {"2.png", "2.npy"}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("size", "is 16x16, .*depth.*1.tif is 8x8"),
        ("mask", "A.parts.mask hold numbers of no class: 77"),
        ("text", "Unreadable images"),
        ("folder", "There is no folder 'heat' in '.*A', which holds the inputs rgb, depth, heat"),
    ],
)
def test_what_is_wrong_with_an_input_is_said_before_the_training(
    scenes: tuple[Path, dict[str, Any]], damage: str, message: str
) -> None:
    root = scenes[0]
    options = resolved(root)
    if damage == "size":
        tifffile.imwrite(root / "train/A/depth/1.tif", np.zeros((8, 8), np.uint16))
    elif damage == "mask":
        Image.fromarray(np.full((16, 16), 77, np.uint8)).save(root / "train/A/mask/1.png")
    elif damage == "text":
        (root / "train/A/heat/1.npy").write_text("no array")
    else:
        (root / "train/A/heat").rename(root / "train/A/warmth")
    with pytest.raises(DataError, match=message):
        open_source(options, "paired")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (['data.A.roots=["rgb"]'], "must name several folders"),
        (['data.A.roots=["rgb", "rgb"]'], "must name several folders"),
        (['data.A.roots=["rgb", "../depth"]'], "should match pattern"),
        (['data.A.roots=["rgb", "depth"]', "data.A.channels=3"], "channels is of one image"),
        (['data.A.roots=["rgb", "depth"]', "data.A.parts.dept.range=auto"], "mean 'depth'"),
        (['data.A.parts.depth.range="auto"'], "is about none of the roots"),
        (['data.A.roots=["rgb", "depth"]', "data.A.parts.depth.rang=1"], "mean 'range'"),
        (['data.A.roots=["a", "b"]', "data.A.parts.b.kind=labels"], "classes is missing"),
    ],
)
def test_what_is_said_of_inputs_must_make_sense(settings: list[str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        shrunk("pix2pix", *settings)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("cyclegan", ['data.A.roots=["rgb", "depth"]']),
        ("dcgan", ['data.A.roots=["rgb", "depth"]']),
        ("pix2pix", ['data.B.roots=["rgb", "depth"]']),
    ],
)
def test_only_what_is_translated_of_pairs_may_be_several(
    model: str, settings: list[str], tmp_path: Path
) -> None:
    options = shrunk(model, *settings, f"data.root={tmp_path}")
    kind = {"cyclegan": "unpaired", "dcgan": "unconditional", "pix2pix": "paired"}[model]
    with pytest.raises(OptionsError, match="several inputs are for what is translated"):
        find_kind(kind).require_meaning(options)


def test_colours_change_in_images_alone_and_all_inputs_move_alike() -> None:
    numbers = torch.arange(256).reshape(1, 16, 16)
    mask = torch.nn.functional.one_hot(numbers % 5, 5).permute(0, 3, 1, 2).float()
    grey = (numbers / 127.5 - 1)[:, None].expand(1, 3, 16, 16)
    planes = torch.cat([grey, grey[:, :1], grey[:, :2], mask], dim=1)
    pair = Pair(planes, grey)
    torch.manual_seed(1)
    changed = DeviceAugment(brightness=0.9, hue=0.5, maps={"source": INPUTS})(pair).source
    assert torch.equal(changed[:, 6:], mask)
    assert not torch.equal(changed[:, :3], planes[:, :3])
    assert not torch.equal(changed[:, 3:4], planes[:, 3:4])
    moved = DeviceAugment(rotation=40, maps={"source": INPUTS})(pair)
    assert torch.allclose(moved.source[:, :1], moved.source[:, 3:4])
    assert torch.allclose(moved.source[:, :3], moved.target)
    assert set(moved.source[:, 6:].unique().tolist()) == {0, 1}
    assert not torch.equal(moved.source[:, 6:], mask)


def test_transforms_move_all_inputs_and_colour_those_that_are_named(
    scenes: tuple[Path, dict[str, Any]],
) -> None:
    root, values = scenes
    transforms = (
        'data.transforms=[{name="Rotate", limit=[90, 90], p=1.0}, '
        '{name="InvertImg", p=1.0, on="depth"}]'
    )
    options = resolved(root, transforms)
    train = open_source(options, "paired").train
    for position in range(3):
        wanted = expected(values[train.describe(position)]).rot90(1, (1, 2))
        wanted[3] = -wanted[3]
        seen = on_device(train[position], options).source[0].double()
        assert torch.allclose(seen, wanted, atol=1e-4)
    with pytest.raises(OptionsError, match="mean 'depth'"):
        open_source(resolved(root, 'data.transforms=[{name="InvertImg", on="dept"}]'), "paired")
    with pytest.raises(OptionsError, match=r"A.parts.mask has label maps"):
        open_source(resolved(root, 'data.transforms=[{name="InvertImg", on="mask"}]'), "paired")


def test_each_input_is_a_column_of_the_sheet() -> None:
    planes = torch.zeros(2, 11, 4, 4)
    planes[:, 3] = torch.linspace(-0.5, 0.25, 16).reshape(4, 4)
    planes[:, 8] = 1
    sides = Sides({"source": 0, "target": 1}, (INPUTS, None))
    found = sides.pictures({"input": planes, "output": planes[:, :3]}, lambda n: int(n != "input"))
    assert list(found) == [
        "input: rgb", "input: depth (2-98 %)", "input: heat (bands 2, 2-98 %)", "input: mask",
        "output",
    ]  # fmt: skip
    assert found["input: depth (2-98 %)"].aminmax() == (-1, 1)
    colour = INPUTS.parts[3].labels.colours[2]  # type: ignore[union-attr]
    assert ((found["input: mask"][0, :, 0, 0] + 1) * 127.5).round().tolist() == list(colour)


def test_a_training_goes_on_bit_for_bit(scenes: tuple[Path, dict[str, Any]]) -> None:
    options = resolved(scenes[0], "data.augment.rotation=10", "data.augment.brightness=0.3")
    train = open_source(options, "paired").train
    batches = [
        Pair(*(torch.stack(each) for each in zip(train[2 * n], train[2 * n + 1], strict=True)))
        for n in range(4)
    ]
    whole = build_trainer(options)
    for batch in batches:
        whole.step(batch)
    first = build_trainer(options)
    for batch in batches[:2]:
        first.step(batch)
    second = build_trainer(options)
    second.load_state_dict(first.state_dict())
    for batch in batches[2:]:
        second.step(batch)
    ours, theirs = whole.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_doctor_says_what_an_input_holds(scenes: tuple[Path, dict[str, Any]]) -> None:
    root = scenes[0]
    options = shrunk("pix2pix", 'data.A.roots=["rgb", "depth"]', f"data.root={root}")
    told = examine(root, "paired", rules=options.data, copies=False).findings
    advice = [each.advice for each in told if each.kind == "bands and bits"]
    assert advice == ["To use them as they are: --set data.A.parts.depth.range=auto."]
    assert not [each for each in examine(root, "paired", rules=resolved(root).data, copies=False)
                .findings if each.severity == "error"]  # fmt: skip
