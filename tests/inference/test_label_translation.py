"""What models of label maps make of them: tensors, files, folders, styles, tiles, ONNX."""

from pathlib import Path

import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image

from i2i.config import Options
from i2i.core.label_maps import LabelMaps
from i2i.errors import DataError, OptionsError
from i2i.inference.domain_sheet import Inputs, styles_overview
from i2i.inference.load import build_translator, load_model, load_translator
from i2i.inference.styler import PictureStyler
from i2i.inference.translator import Translator
from i2i.models.build import build_model
from i2i.runs.image_grid import rows_of
from i2i.runs.log import read_log
from i2i.training import session as train
from shrunk import shrunk

LABELS = ("data.A.kind=labels", "data.A.classes=3")
OBJECTS = (*LABELS, "data.A.instances=objects")


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    """Pairs: labels of 3 classes (A), pictures (B), and maps that number the objects."""
    chance = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for number in range(count):
            blocks = chance.integers(0, 3, (5, 5)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
            blocks[0, :3] = 0, 1, 2
            objects = np.arange(25, dtype=np.uint8).reshape(5, 5).repeat(4, 0).repeat(4, 1)
            picture = np.stack([blocks * 100, 255 - blocks * 90, blocks * 40], axis=2)
            for folder, values in (
                (f"{split}/A", blocks),
                (f"{split}/B", picture.astype(np.uint8)),
                ("objects", objects),
            ):
                (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(tmp_path / "data" / folder / f"{split}{number}.png")
    return tmp_path / "data"


def translator_of(options: Options) -> Translator:
    torch.manual_seed(0)
    return build_translator(options, build_model(options))


@pytest.mark.parametrize("recipe", ["pix2pixhd", "pix2pixhd-local", "spade", "pix2pix"])
def test_every_notation_of_a_label_map_gives_the_same_image(recipe: str, tmp_path: Path) -> None:
    translator = translator_of(shrunk(recipe, *LABELS))
    numbers = np.random.default_rng(0).integers(0, 3, (16, 24), np.uint8)
    Image.fromarray(numbers).save(tmp_path / "map.png")
    made = translator(torch.from_numpy(numbers)[None])
    assert made.shape == (3, 16, 24)
    assert made.dtype == torch.uint8
    wanted = made.permute(1, 2, 0).numpy()
    for given in (tmp_path / "map.png", Image.fromarray(numbers)):
        assert np.array_equal(np.array(translator(given)), wanted)
    assert np.array_equal(translator(numbers[:, :, None]), wanted)
    planes = torch.nn.functional.one_hot(torch.from_numpy(numbers).long(), 3).permute(2, 0, 1)
    exact = translator(planes.float())
    assert (exact.add(1).mul(127.5) - made).abs().max() < 0.51


def test_numbers_of_no_class_are_refused() -> None:
    translator = translator_of(shrunk("pix2pix", *LABELS))
    with pytest.raises(DataError, match=r"holds the number 9: expected 0\.\.2"):
        translator(torch.full((1, 1, 16, 16), 9, dtype=torch.uint8))
    with pytest.raises(DataError, match=r"holds numbers of none of the 3 classes: 9"):
        translator(Image.fromarray(np.full((16, 16), 9, np.uint8)))
    with pytest.raises(DataError, match="as this network takes 1 channels"):
        translator(np.zeros((16, 16, 3), np.uint8))


def test_a_label_map_that_is_made_has_numbers_and_colours(tmp_path: Path) -> None:
    options = shrunk(
        "pix2pix", "data.B.kind=labels", 'data.B.palette=["#ff0000", "#00ff00", "#0000ff"]'
    )
    translator = translator_of(options)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    made = translator(Image.fromarray(picture))
    assert made.mode == "P"
    planes = translator(torch.from_numpy(picture).permute(2, 0, 1) / 127.5 - 1)
    assert planes.shape == (3, 16, 16)
    assert np.array_equal(np.array(made), planes.argmax(dim=0).numpy())
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    assert np.array_equal(np.array(made.convert("RGB")), palette[np.array(made)])


PLUG_IN = """
from torch import nn
from i2i import register_network

@register_network("features", "{name}")
class Halves(nn.Module):
    def forward(self, images):
        half = nn.functional.avg_pool2d(images, 2)
        return [half, nn.functional.avg_pool2d(half, 2)]
"""


@pytest.mark.parametrize("recipe", ["pix2pixhd", "spade"])
def test_a_training_with_borders_of_objects_and_the_features_of_a_plug_in(
    recipe: str, streets: Path, tmp_path: Path
) -> None:
    plug_in, mine = tmp_path / "mine.py", tmp_path / "mine.toml"
    plug_in.write_text(PLUG_IN.format(name=f"halves-{recipe}"))
    mine.write_text(shrunk(recipe, *OBJECTS, "train.steps=2").to_toml())
    result = invoke(
        *("train", "--recipe", mine, "--dataroot", streets, "--name", "a", "--device", "cpu"),
        *("--runs-dir", tmp_path / "runs", "--plugin", plug_in),
        *("--set", f"game.perceptual_features=halves-{recipe}", "--set", "objective.perceptual=3"),
    )
    assert result.exit_code == 0, result.output
    rows = read_log(tmp_path / "runs/a/log.jsonl").rows
    assert any(row.get("generator/perceptual", 0) > 0 for row in rows)
    options, _, _ = load_model(tmp_path / "runs/a")
    assert options.data.input_channels == 3 + 1


@pytest.fixture
def run(streets: Path, tmp_path: Path) -> Path:
    options = shrunk("pix2pixhd", *OBJECTS, f"data.root={streets}", "train.steps=1")
    return train.start(options, tmp_path / "runs", "a", device="cpu").folder


def test_folders_of_label_maps_and_of_their_objects(
    run: Path, streets: Path, tmp_path: Path
) -> None:
    assert "--instances" in complaint(
        "translate", streets / "val/A", tmp_path / "out", "--checkpoint", run, "--device", "cpu"
    )
    result = invoke(
        *("translate", streets / "val/A", tmp_path / "out", "--checkpoint", run, "--device", "cpu"),
        *("--instances", streets / "objects"),
    )
    assert result.exit_code == 0, result.output
    translator = load_translator(run, device="cpu")
    assert translator.labels == (LabelMaps(3, edges=True), None)
    for path in sorted((streets / "val/A").iterdir()):
        numbers = np.array(Image.open(path))
        objects = np.array(Image.open(streets / "objects" / path.name))
        zeros = np.zeros_like(objects)
        wanted = translator(np.stack([numbers, objects, zeros, zeros], axis=2))
        assert np.array_equal(np.array(Image.open(tmp_path / "out" / path.name)), wanted)


def test_a_run_is_evaluated_and_exported(run: Path, streets: Path, tmp_path: Path) -> None:
    result = invoke(
        *("evaluate", "--checkpoint", run, "--device", "cpu", "--measures", "psnr,ssim"),
        *("--out", tmp_path / "report"),
    )
    assert result.exit_code == 0, result.output
    result = invoke("export", run, tmp_path / "a.onnx")
    assert result.exit_code == 0, result.output
    exported = load_translator(tmp_path / "a.onnx", device="cpu")
    assert exported.labels == (LabelMaps(3, edges=True), None)
    maps = torch.randint(0, 3, (1, 4, 16, 32), dtype=torch.uint8)
    ours = load_translator(run, device="cpu")(maps)
    assert (exported(maps).int() - ours.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("recipe", "shallow"),
    [
        ("pix2pixhd", "downs=1"),
        ("pix2pixhd-local", "downs=1"),
        ("spade", "upsampling=least"),
        ("spade-vae", "upsampling=least"),
    ],
)
def test_large_label_maps_are_translated_in_tiles(recipe: str, shallow: str) -> None:
    translator = translator_of(shrunk(recipe, *LABELS, f"generator.{shallow}"))
    maps = torch.randint(0, 3, (1, 1, 96, 160), dtype=torch.uint8)
    whole = translator(maps)
    translator.tile = 64
    assert (translator(maps).int() - whole.int()).abs().max() <= 1


@pytest.fixture
def styled() -> Translator:
    return translator_of(shrunk("spade-vae", *LABELS))


def test_a_seed_is_a_style_and_a_picture_is_one(styled: Translator, tmp_path: Path) -> None:
    styler = styled.conditioner
    assert isinstance(styler, PictureStyler)
    maps = torch.randint(0, 3, (2, 1, 16, 16), dtype=torch.uint8)
    first = styled(maps)
    styler.by_seed(0)
    assert torch.equal(styled(maps), first)
    noise = torch.randn(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(styler.style(), noise)
    styler.by_seed(7)
    assert not torch.equal(styled(maps), first)
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "style.png")
    styler.by_reference(tmp_path / "style.png")
    mean, _ = styler.style_encoder(styler.reference)
    assert torch.equal(styler.style(), mean[0])
    with pytest.raises(OptionsError, match="means nothing"):
        styled(maps, domain="night")


def test_as_many_styles_as_asked_for_each_in_its_folder(streets: Path, tmp_path: Path) -> None:
    options = shrunk("spade-vae", *LABELS, f"data.root={streets}", "train.steps=1")
    run = train.start(options, tmp_path / "runs", "a", device="cpu").folder
    common = ("translate", streets / "val/A", "--checkpoint", run, "--device", "cpu")
    result = invoke(common[0], common[1], tmp_path / "many", *common[2:], "--count", 2)
    assert result.exit_code == 0, result.output
    names = sorted(path.relative_to(tmp_path / "many").as_posix()
                   for path in (tmp_path / "many").rglob("*.png"))  # fmt: skip
    assert names == [f"{style}/val{number}.png" for style in (0, 1) for number in range(3)]
    result = invoke(
        *(common[0], common[1], tmp_path / "like", *common[2:]),
        *("--style", streets / "val/B/val0.png"),
    )
    assert result.exit_code == 0, result.output
    references = [str(streets / f"val/B/val{number}.png") for number in range(2)]
    image, failed = styles_overview(
        load_translator(run, device="cpu"),
        Inputs(streets / "val/A"),
        *(None, None, None, list(map(Path, references))),
    )
    assert failed == []
    assert len(rows_of(image)) == 1 + 3  # the references above
    result = invoke(
        *(common[0], common[1], tmp_path / "sheet", *common[2:], "--sheet"),
        *("--style", references[0], "--style", references[1]),
    )
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet/sheet.png") as written:
        assert np.array_equal(np.array(written), np.array(image))
    assert "styles" in complaint(
        common[0], common[1], tmp_path / "no", *common[2:], "--domain", "x"
    )
