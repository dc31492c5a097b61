"""Styles of a seed and of a reference: what a translator makes of them, whole and in tiles."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import complaint, invoke
from PIL import Image
from torch import Tensor

from i2i.errors import OptionsError
from i2i.inference.load import build_translator
from i2i.inference.styler import Styler
from i2i.inference.translator import Translator
from i2i.models.build import build_model
from i2i.models.starganv2 import StarGANv2
from i2i.networks import initialise
from i2i.training import session as train
from shrunk import shrunk

NAMES = ("red", "green", "blue")

WIDE = "mapping_network.hidden=32"
"""Enough that not all numbers are negative somewhere, where ReLU makes all styles alike."""


@pytest.fixture
def made() -> tuple[StarGANv2, Translator, Styler]:
    options = shrunk("stargan-v2", WIDE)
    model = build_model(options)
    assert isinstance(model, StarGANv2)
    translator = build_translator(options, model)
    assert isinstance(translator.conditioner, Styler)
    return model, translator, translator.conditioner


def by_hand(model: StarGANv2, images: Tensor, style: Tensor) -> Tensor:
    with torch.no_grad():
        return model.translate(images, style.expand(len(images), -1))


def test_a_seed_and_a_domain_are_a_style(made: tuple[StarGANv2, Translator, Styler]) -> None:
    model, translator, styler = made
    images = torch.rand(3, 3, 16, 20) * 2 - 1
    found = {}
    for seed in (0, 7):
        styler.by_seed(seed)
        for number, name in enumerate(NAMES):
            noise = torch.randn(1, 3, generator=torch.Generator().manual_seed(seed))
            style = model.mapping_network(noise, torch.tensor([number]))
            torch.testing.assert_close(styler(images, name), style.expand(3, -1))
            expected = by_hand(model, images, style)
            found[seed, name] = translator(images, domain=name)
            torch.testing.assert_close(found[seed, name], expected, rtol=1e-4, atol=1e-5)
            alone = translator(images[1], domain=name)
            torch.testing.assert_close(alone, expected[1], rtol=1e-4, atol=1e-5)
    spread = torch.stack(list(found.values())).flatten(1)
    assert torch.cdist(spread, spread).add(torch.eye(6) * 9).min() > 1e-4  # all six differ
    styler.by_seed(0)
    assert torch.equal(translator(images, domain="red"), found[0, "red"])


def test_a_reference_has_a_style(made: tuple[StarGANv2, Translator, Styler]) -> None:
    model, translator, styler = made
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    reference = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    styler.by_reference(reference)
    style = model.style_encoder(reference[None].float() / 127.5 - 1, torch.tensor([2]))
    expected = by_hand(model, images, style)
    torch.testing.assert_close(translator(images, domain="blue"), expected, rtol=1e-4, atol=1e-5)


def test_threads_and_training_disturb_no_style(made: tuple[StarGANv2, Translator, Styler]) -> None:
    model, translator, _ = made
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    expected = {name: translator(images, domain=name) for name in NAMES}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    asked = [*NAMES] * 20
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: translator(images, domain=name), asked))
    for name, image in zip(asked, found, strict=True):
        assert torch.equal(image, expected[name])


@pytest.mark.parametrize("recipe", ["stargan-v2"])
def test_tiles_change_nothing(recipe: str) -> None:
    options = shrunk(recipe, "data.load_size=64", "data.crop_size=64", "generator.max_width=6")
    model = build_model(options)
    initialise(model.get_submodule("generator"), "kaiming")
    translator = build_translator(options, model, domain="green")
    image = torch.rand(3, 100, 132) * 2 - 1
    translator.tile = "off"
    whole = translator(image)
    translator.tile = 32
    torch.testing.assert_close(translator(image), whole, rtol=1e-3, atol=1e-4)


@pytest.fixture
def run(domains: Path, tmp_path: Path) -> Path:
    short = ("train.steps=1", "train.save_every_steps=1")
    options = shrunk("stargan-v2", f"data.root={domains}", WIDE, *short)
    return train.start(options, tmp_path, "run", device="cpu").folder


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def files(folder: Path) -> list[str]:
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("[!.]*") if p.is_file())
    return sorted(found)


def test_styles_on_the_command_line(run: Path, domains: Path, tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (18, 22, 3), np.uint8)).save(source)
    references = sorted((domains / "test" / "green").iterdir())
    of_run = ("--checkpoint", run, "--device", "cpu")

    def translated(*flags: object) -> Path:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        result = invoke("translate", source, out, *of_run, *flags)
        assert result.exit_code == 0, result.output
        return out

    three = translated("--domain", "green", "--seed", 3, "--count", 2, "--sheet")
    assert files(three) == ["3/photo.png", "4/photo.png", "sheet.png"]
    again = translated("--domain", "green", "--seed", 4)
    assert files(again) == ["photo.png"]
    fourth = pixels_of(again / "photo.png")
    np.testing.assert_array_equal(fourth, pixels_of(three / "4/photo.png"))
    assert (fourth != pixels_of(three / "3/photo.png")).any()

    two = [flag for path in references for flag in ("--reference", path)]
    like = translated("--domain", "green", "--sheet", *two)
    assert files(like) == ["0/photo.png", "1/photo.png", "sheet.png"]
    one = translated("--domain", "green", *two[:2])
    np.testing.assert_array_equal(pixels_of(one / "photo.png"), pixels_of(like / "0/photo.png"))
    every = translated("--domain", "all")
    assert files(every) == [f"{name}/photo.png" for name in sorted(NAMES)]
    glance = translated("--sheet")
    assert files(glance) == ["sheet.png"]

    for flags, words in (
        (("--domain", "green", "--seed", 1, *two), "either that of a --reference or made from"),
        (("--domain", "grün"), "none of the domains"),
        (("--domain", "green", *two[:2], *two[:2]), "two references are called"),
    ):
        assert words in complaint("translate", source, tmp_path / "no", *of_run, *flags)
        assert not (tmp_path / "no").exists()


def test_a_model_without_styles_says_so(domains: Path, tmp_path: Path) -> None:
    options = shrunk("stargan", f"data.root={domains}", "train.steps=1", "train.save_every_steps=1")
    run = train.start(options, tmp_path, "run", device="cpu").folder
    source = next((domains / "test" / "red").iterdir())
    flags = ("--domain", "green", "--seed", 1, "--device", "cpu")
    found = complaint("translate", source, tmp_path / "out", "--checkpoint", run, *flags)
    assert "this model has none" in found


def test_a_file_is_of_one_style(run: Path, domains: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported = tmp_path / "green.onnx"
    result = invoke("export", run, exported, "--domain", "green", "--seed", 5)
    assert result.exit_code == 0, result.output
    photos = domains / "test" / "red"
    flags = ("--device", "cpu")
    for checkpoint, more in ((exported, ()), (run, ("--domain", "green", "--seed", 5))):
        out = tmp_path / checkpoint.stem
        result = invoke("translate", photos, out / "o", "--checkpoint", checkpoint, *more, *flags)
        assert result.exit_code == 0, result.output
    made = [pixels_of(tmp_path / name / "o/0.png") for name in ("green", "run")]
    assert abs(made[0] - made[1]).max() <= 1
    assert "green by seed 5" in invoke("info", exported).output
    assert "name its domain" in complaint("export", run, tmp_path / "x.onnx")
    asking = ("--checkpoint", exported, "--domain", "red")
    assert "settled" in complaint("translate", photos, tmp_path / "no", *asking)


def test_an_unknown_domain_is_refused(made: tuple[StarGANv2, Translator, Styler]) -> None:
    _, translator, _ = made
    with pytest.raises(OptionsError, match="ask for one"):
        translator(torch.zeros(3, 16, 16))
    with pytest.raises(OptionsError, match=r"'rot'.*They are: red, green, blue"):
        translator(torch.zeros(3, 16, 16), domain="rot")
