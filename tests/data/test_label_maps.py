"""Label maps as data: read as numbers, cut without mixing them, planes on the device, pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i.config import read_options
from i2i.config.recipes import load_options
from i2i.core.batch import Pair, to_device
from i2i.core.label_maps import LabelMaps, distinct_colour
from i2i.core.sides import Sides
from i2i.data.augment.device import DeviceAugment
from i2i.data.augment.geometry import JointGeometry, ResizedCrop
from i2i.data.images.labels import UnknownLabelError, to_maps
from i2i.data.inspection.examine import examine
from i2i.data.inspection.finding import Finding
from i2i.data.kinds.paired import PairedImages
from i2i.data.sides import readers, sides_of
from i2i.data.sources import open_source
from i2i.errors import DataError, OptionsError
from shrunk import shrunk

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def grey(values: object, mode: str = "uint8") -> Image.Image:
    return Image.fromarray(np.array(values, dtype=mode))


def painted(colours: list[list[tuple[int, int, int]]]) -> Image.Image:
    return Image.fromarray(np.array(colours, np.uint8))


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Pairs: labels of 3 classes (A), pictures (B), and maps that number the objects."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            blocks = chance.integers(0, 3, (5, 5)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
            blocks[0, :3] = 0, 1, 2
            objects = np.arange(25, dtype=np.uint16).reshape(5, 5).repeat(4, 0).repeat(4, 1)
            picture = np.stack([blocks * 100, 255 - blocks * 90, blocks * 40], axis=2)
            for folder, image in (
                (f"{split}/A", grey(blocks)),
                (f"{split}/B", Image.fromarray(picture.astype(np.uint8))),
                ("objects", Image.fromarray(objects * 1000)),
            ):
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
                image.save(tmp_path / folder / f"{split}{number}.png")
    return tmp_path


LABELS = ("data.A.kind=labels", "data.A.classes=3")
OBJECTS = (*LABELS, "data.A.instances=objects")


def test_numbers_are_read_from_every_form_of_file() -> None:
    wanted = np.array([[0, 1], [2, 1]], np.uint8)
    labels = LabelMaps(3)
    with_palette = grey(wanted)
    with_palette.putpalette([*RED, *BLUE, *GREEN])
    forms = [
        grey(wanted),
        grey(wanted, "uint16"),
        with_palette,
        Image.fromarray(np.repeat(wanted[:, :, None], 3, axis=2)),
    ]
    for form in forms:
        assert np.array_equal(to_maps(form, labels)[:, :, 0], wanted), form.mode
    with pytest.raises(DataError, match="give their colours as the palette"):
        to_maps(painted([[RED, BLUE]]), labels)


def test_colours_stand_for_classes_exactly_or_the_nearest_one() -> None:
    image = painted([[BLUE, RED], [(0, 10, 240), RED]])
    with pytest.raises(UnknownLabelError, match=r"#000af0 \(1 pixels\)"):
        to_maps(image, LabelMaps(2, palette=(RED, BLUE)))
    near = to_maps(image, LabelMaps(2, palette=(RED, BLUE), nearest=True))
    assert near[:, :, 0].tolist() == [[1, 0], [1, 0]]


def test_what_is_ignored_is_nowhere_or_in_a_plane_of_its_own() -> None:
    image = grey([[0, 255], [1, 255]])
    labels = LabelMaps(2, ignored=(255,))
    maps = torch.from_numpy(to_maps(image, labels)).permute(2, 0, 1)[None]
    assert maps[0, 0].tolist() == [[0, 2], [1, 2]]
    assert labels.encoded(maps).sum(dim=1)[0].tolist() == [[1, 0], [1, 0]]
    own = LabelMaps(2, ignored=(255,), ignore_plane=True)
    assert own.planes == 3
    assert own.encoded(maps)[0, 2].tolist() == [[0, 1], [0, 1]]
    assert torch.equal(own.decided(own.encoded(maps)), maps)


def test_objects_of_large_numbers_have_borders() -> None:
    labels = LabelMaps(1, edges=True)
    objects = grey([[256, 256, 512, 512]] * 2, "uint16")  # equal but for the second byte
    maps = torch.from_numpy(to_maps(grey([[0] * 4] * 2), labels, objects)).permute(2, 0, 1)[None]
    assert labels.encoded(maps)[0, 1].tolist() == [[0, 1, 1, 0]] * 2
    with pytest.raises(DataError, match="they must be of one size"):
        to_maps(grey([[0]]), labels, objects)


def test_maps_become_planes_on_the_way_to_the_device() -> None:
    sides = Sides({"source": 0, "target": 1}, (LabelMaps(3), None))
    batch = Pair(torch.tensor([[[[0, 2]]]], dtype=torch.uint8), torch.zeros(1, 3, 1, 2).byte())
    moved = to_device(batch, torch.device("cpu"), sides=sides)
    assert moved.source[0, :, 0].tolist() == [[1, 0], [0, 0], [0, 1]]
    assert moved.target.unique().tolist() == [-1.0]


def test_a_picture_shows_each_class_in_its_colour() -> None:
    labels = LabelMaps(2, palette=(RED, GREEN), ignored=(BLUE,))
    maps = torch.tensor([[[[0, 1, 2]]]], dtype=torch.uint8)
    wanted = [list(RED), list(GREEN), [0, 0, 0]]
    assert labels.pictured(maps)[0, :, 0].T.tolist() == wanted
    shown = labels.shown(labels.encoded(maps))[0, :, 0].T
    assert ((shown + 1) * 127.5).round().tolist() == wanted
    assert len({distinct_colour(number) for number in range(255)}) == 255


@pytest.mark.parametrize("geometry", [JointGeometry, ResizedCrop])
def test_geometry_takes_pixels_of_maps_and_moves_both_sides_alike(geometry: type) -> None:
    numbers = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    cut = geometry(30, 24, nearest="A")
    for position in range(6):
        maps, picture = cut(1, position, numbers, numbers.repeat(3, 2) * 3)
        assert set(maps.flat) <= set(range(64))
        # The picture is interpolated, so it is near the map, pixel by pixel.
        assert np.abs(picture[:, :, 0] - maps[:, :, 0] * 3.0).mean() < 12
    mixed = JointGeometry(30, 24)(1, 0, numbers * 3)[0]
    assert not set(mixed.flat) <= set((numbers * 3).flat)


def test_a_data_set_gives_maps_and_their_objects(streets: Path) -> None:
    options = shrunk("pix2pix", *OBJECTS, f"data.root={streets}")
    assert options.data.input_channels == 4
    source = open_source(options, "paired")
    sample = source.train[0]
    assert sample.source.shape == (4, 16, 16)
    assert sample.source.dtype == torch.uint8
    planes = to_device(
        Pair(sample.source[None], sample.target[None]), torch.device("cpu"), sides=sides_of(options)
    ).source
    assert planes.shape == (1, 4, 16, 16)
    assert torch.equal(planes[:, :3].sum(dim=1), torch.ones(1, 16, 16))
    assert 0 < planes[:, 3].mean() < 1
    assert read_options(options.to_dict()) == options


def test_labels_may_be_half_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    left = np.full((8, 8, 3), 77, np.uint8)
    right = np.array([RED, BLUE] * 4, np.uint8)[None].repeat(8, 0)
    Image.fromarray(np.concatenate([left, right], axis=1)).save(tmp_path / "train/1.png")
    options = shrunk(
        "pix2pix", "data.B.kind=labels", 'data.B.palette=["#ff0000", "#0000ff"]',
        f"data.root={tmp_path}", "data.direction=BtoA",
    )  # fmt: skip
    found = readers(options.data, tmp_path, "BA")
    both = PairedImages(
        open_source(options, "paired").train.pairs,
        JointGeometry(16, 16, "none", flip=False, nearest="B"),
        direction="BtoA",
        readers=(found["A"], found["B"]),
    )
    assert both[0].target.unique().tolist() == [77]
    assert both[0].source.unique().tolist() == [0, 1]


def test_unknown_classes_are_named_before_a_training(streets: Path) -> None:
    options = shrunk("pix2pix", "data.A.kind=labels", "data.A.classes=2", f"data.root={streets}")
    with pytest.raises(DataError, match=r"of no class: 2 \([\d,]+ pixels of 4 files\)") as error:
        open_source(options, "paired")
    assert "data.A.ignore" in str(error.value)
    (streets / "objects/train0.png").unlink()
    with pytest.raises(DataError, match="no map of objects: expected one that is called 'train0'"):
        open_source(shrunk("pix2pix", *OBJECTS, f"data.root={streets}"), "paired")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.A.kind=labels"], "classes is missing"),
        (["data.A.classes=3"], "are of label maps"),
        ([*LABELS, 'data.A.names=["a"]'], "names has 1 entries, but there are 3"),
        ([*LABELS, "data.A.nearest=true"], "give the palette"),
        ([*LABELS, "data.A.ignore=[2]"], "is the number of one of the 3 classes"),
        ([*LABELS, 'data.A.ignore=["#000000"]'], "must be numbers"),
        ([*LABELS, "data.A.ignore_plane=true"], "ignore is missing"),
        (["data.A.kind=labels", 'data.A.palette=["#FF0000", "#ff0000"]'], "the same colour"),
        (["data.input_channels=5"], r"must be 1 \(grey\) or 3 \(RGB\)"),
    ],
)
def test_what_is_said_of_label_maps_must_make_sense(settings: list[str], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        load_options("pix2pix", *settings)


def test_data_of_one_side_has_no_label_maps(streets: Path) -> None:
    options = shrunk("dcgan", *LABELS, f"data.root={streets}")
    with pytest.raises(OptionsError, match="is for models of two sides"):
        open_source(options, "unconditional")


def test_colours_of_maps_are_never_changed_but_they_move_with_their_pictures(
    streets: Path,
) -> None:
    transforms = (
        'data.transforms=[{name="Rotate", limit=[90, 90], p=1.0, on="both"}, '
        '{name="InvertImg", p=1.0, on="B"}]'
    )
    settings = (*LABELS, f"data.root={streets}", "data.crop_size=20", "data.load_size=20")
    plain = open_source(shrunk("pix2pix", *settings, "data.flip=false"), "paired").train
    turned = open_source(
        shrunk("pix2pix", *settings, "data.flip=false", transforms), "paired"
    ).train
    for position in range(4):
        before, after = plain[position], turned[position]
        assert torch.equal(after.source, before.source.rot90(1, (1, 2)))
        assert torch.equal(after.target, 255 - before.target.rot90(1, (1, 2)))
    wrong = shrunk("pix2pix", *settings, 'data.transforms=[{name="InvertImg", on="A"}]')
    with pytest.raises(OptionsError, match="side A has label maps"):
        open_source(wrong, "paired")


def test_augmentation_on_the_device_moves_planes_whole() -> None:
    planes = torch.nn.functional.one_hot(torch.arange(256).reshape(1, 16, 16) % 5, 5)
    planes = planes.permute(0, 3, 1, 2).float()
    torch.manual_seed(0)
    moved = DeviceAugment(rotation=30, brightness=0.5, maps={"source": LabelMaps(5)})(
        Pair(planes, torch.zeros(1, 3, 16, 16))
    )
    assert moved.source.unique().tolist() == [0, 1]
    assert torch.equal(moved.source.sum(dim=1), torch.ones(1, 16, 16))
    assert not torch.equal(moved.source, planes)


def test_the_doctor_counts_classes_and_says_the_lines(streets: Path) -> None:
    def of_a(kind: str) -> Finding:
        findings = examine(streets, "paired", copies=False).findings
        return next(each for each in findings if each.kind == kind and "data.A" in each.advice)

    assert 'kind = "labels", classes = 3' in of_a("label maps").advice
    assert '[data.A] kind = "labels", classes = 3' in of_a("classes").advice
    assert of_a("classes").text.startswith("side A holds label maps of 3 numbers")
    for path in sorted(streets.glob("*/A/*.png")):
        numbers = np.array(Image.open(path))
        Image.fromarray(np.array([RED, GREEN, BLUE], np.uint8)[numbers]).save(path)
    assert 'palette = ["#0000ff", "#00ff00", "#ff0000"]' in of_a("classes").advice
    assert of_a("classes").text.count("%") == 3
