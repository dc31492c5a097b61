"""Projection: what a generator has made is found again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from known import load
from PIL import Image
from torch import Tensor, nn

from i2i.cli import cli
from i2i.core.latent import Latent
from i2i.data.sides import RGB, SideReader
from i2i.errors import OptionsError
from i2i.inference.projecting import square
from i2i.inference.projection import Projector
from i2i.networks.stylegan2 import StyleGAN2Generator
from i2i.training import session as train
from shrunk import shrunk


def styled() -> Projector:
    torch.manual_seed(0)
    shape = {"channel_base": 256, "channel_max": 16, "style": 8, "mapping_layers": 2}
    return Projector(StyleGAN2Generator(6, 3, 16, **shape), Latent(6))


class Linear(nn.Module):
    """Each pixel is a sum of the latent's numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 64, generator=torch.Generator().manual_seed(1)))

    def forward(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        return (vectors @ self.weight).reshape(-1, 1, 8, 8)


def test_the_vector_of_a_linear_generator_is_the_least_squares_solution() -> None:
    generator = Linear()
    image = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(2))
    found = Projector(generator, Latent(4))(image, steps=300)
    solution = torch.linalg.lstsq(generator.weight.T, image.reshape(64, 1)).solution[:, 0]
    torch.testing.assert_close(found.latent, solution, rtol=0.01, atol=0.01)
    best = (solution @ generator.weight - image.flatten()).square().mean().item()
    assert found.error == pytest.approx(best, rel=0.01)


def test_styles_are_found_from_their_average() -> None:
    projector = styled()
    vector = projector.latent.draw(1, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        image = projector.generator.synthesis(projector.generator.styles(vector), "const")[0]
    average = projector(image, steps=1, rate=1e-9).error
    found = projector(image, steps=120)
    assert found.error < average / 20
    assert found.latent.shape == (6, 8)
    assert torch.equal(found.latent[0], found.latent[5])
    again = projector(image, steps=120)
    assert torch.equal(again.latent, found.latent)
    assert [step for step, _ in found.way] == [0, 20, 40, 60, 80, 100, 120]
    assert torch.equal(found.way[-1][1], found.image)
    apart = projector(image, steps=60, each_layer=True)
    assert not torch.equal(apart.latent[0], apart.latent[5])


def test_features_count_beside_pixels() -> None:
    """Of a generator whose pixels cannot be met, features choose the image."""
    generator = Linear()
    image = torch.zeros(1, 8, 8)
    image[0, 0, 0] = 4.0
    heavy = Projector(generator, Latent(4), lambda images: images[:, 0, 0, :1])
    plain = Projector(generator, Latent(4))(image, steps=200)
    weighed = heavy(image, steps=200, feature_weight=100.0)
    assert abs(weighed.image[0, 0, 0] - 4) < abs(plain.image[0, 0, 0] - 4) / 2


def test_what_makes_no_sense() -> None:
    projector = Projector(Linear(), Latent(4))
    with pytest.raises(OptionsError, match=r"steps \(=0\) must be at least 1"):
        projector(torch.zeros(1, 8, 8), steps=0)
    with pytest.raises(OptionsError, match="styles, and this Linear has none"):
        projector(torch.zeros(1, 8, 8), each_layer=True)


def test_the_middle_of_an_image(tmp_path: Path) -> None:
    pixels = np.zeros((8, 20, 3), np.uint8)
    pixels[:, 6:14] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert torch.equal(square(tmp_path / "wide.png", RGB, 8), torch.full((3, 8, 8), 200).byte())
    assert square(tmp_path / "wide.png", SideReader("image", 1), 16).shape == (1, 16, 16)


@pytest.mark.parametrize("recipe", ["stylegan2-quick", "cgan"])
def test_the_command_writes_what_it_found(recipe: str, domains: Path, tmp_path: Path) -> None:
    options = shrunk(recipe, f"data.root={domains}", "train.steps=2")
    run = train.start(options, tmp_path / "runs", "r", device="cpu").folder
    image = next((domains / "test" / "red").iterdir())

    def i2i(*more: str) -> tuple[int, str]:
        given = ["project", str(image), str(tmp_path / "out"), "--checkpoint", str(run)]
        done = CliRunner().invoke(cli, [*given, "--device", "cpu", "--steps", "4", *more])
        return done.exit_code, done.output + str(done.exception)

    code, said = i2i()
    assert code == 0, said
    assert "mean squared error" in said
    latent = np.load(tmp_path / "out" / "latent.npy")
    assert latent.shape == ((6, 4) if recipe == "stylegan2-quick" else (3,))
    for name in ("target.png", "projected.png"):
        assert load(tmp_path / "out" / name).shape == (16, 16, 3)
    assert load(tmp_path / "out" / "sheet.png").shape[1] > 600
    code, said = i2i()
    assert code != 0
    assert "exists already (4 of 4 files): pass --overwrite" in said
    code, said = i2i("--overwrite", "--label", "7")
    assert code != 0
    assert "label (='7')" in said
