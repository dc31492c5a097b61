"""The published protocol of StarGAN v2 on generators whose figures are known."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import invoke
from torch import Tensor, nn

from i2i.config import Options
from i2i.data.sources import Source, open_source, resolve_options
from i2i.errors import OptionsError
from i2i.evaluation.measure import Tools
from i2i.evaluation.styles import evaluate_styles, styles_table
from i2i.models.build import build_model
from i2i.models.starganv2 import StarGANv2
from i2i.training import session as train
from shrunk import shrunk


class MeanColours:
    """Features of an image: its mean colours."""

    name, dimension = "mean-colours", 3

    def __call__(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


class MeanDistance:
    name = "mean-distance"

    def __call__(self, images: Tensor, truth: Tensor) -> Tensor:
        return (images.float() - truth.float()).abs().mean(dim=(1, 2, 3))


class Painter(nn.Module):
    """Paints an image in the colour that the style is."""

    multiple = 1

    def forward(self, images: Tensor, style: Tensor) -> Tensor:
        return style[:, :3, None, None].expand_as(images)


class Colours(nn.Module):
    """The mean colour of an image, whatever the domain; of noise: of all three the first number."""

    latent = 3

    def forward(self, given: Tensor, domains: Tensor) -> Tensor:
        colours = given.mean(dim=(2, 3)) if given.ndim == 4 else given[:, :1].expand(-1, 3)
        return torch.cat([colours, colours[:, :1]], dim=1)


def run_on(root: Path, recipe: str = "stargan-v2") -> tuple[Any, Options, Source]:
    options = resolve_options(shrunk(recipe, f"data.root={root}", "data.domains=[]"), "domains")
    return build_model(options), options, open_source(options, "domains")


def painting(model: StarGANv2, mapping: nn.Module) -> StarGANv2:
    model.generator, model.mapping_network, model.style_encoder = Painter(), mapping, Colours()
    return model


def test_references_give_their_colours_and_noise_what_it_says(domains: Path) -> None:
    model, options, source = run_on(domains)
    painting(model, Colours())
    found = evaluate_styles(model, options, source, MeanColours(), MeanDistance(), outputs=10)
    assert [(each.by, each.source, each.target) for each in found[:2]] == [
        ("noise", "blue", "green"),
        ("noise", "blue", "red"),
    ]
    assert len(found) == 12
    assert {each.images for each in found} == {2}
    assert {each.target: each.references for each in found} == {"red": 6, "green": 5, "blue": 4}
    by_reference = [each for each in found if each.by == "reference"]
    # A painter of the reference's colour is near its domain; one of grey noise is far away.
    assert all(each.fid < 100 for each in by_reference)
    assert all(each.fid > 1000 for each in found if each.by == "noise")
    # Two references, drawn for each of ten outputs: some of the 45 pairs are of the same one.
    assert all(each.lpips is not None and 0 < each.lpips < 5 for each in by_reference)
    # Expected: E|x - y| of normal numbers that are clamped as bytes are.
    spread = [each.lpips for each in found if each.by == "noise" and each.lpips is not None]
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    expected = (noise[:, 0] - noise[:, 1]).abs().mean().item() * 127.5
    assert sum(spread) / len(spread) == pytest.approx(expected, rel=0.15)
    text = styles_table(found, MeanColours(), MeanDistance())
    mean = sum(each.fid for each in by_reference) / 6
    assert text.splitlines()[-3].split()[:5] == ["mean", "of", "all", "pairs", f"{mean:.2f}"]
    again = evaluate_styles(model, options, source, MeanColours(), MeanDistance(), outputs=10)
    assert again == found
    assert evaluate_styles(model, options, source, MeanColours(), None, seed=1)[0] != found[0]


def test_what_has_no_styles_is_refused(domains: Path) -> None:
    model, options, source = run_on(domains, "stargan")
    with pytest.raises(OptionsError, match="models of styles, which stargan is not"):
        evaluate_styles(model, options, source, MeanColours(), None)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("a", "b", "--protocol", "stargan-v2"), "--protocol goes with --checkpoint"),
        (
            ("--checkpoint", "run", "--protocol", "stargan-v2", "--measures", "fid"),
            "--measures does not go with --protocol",
        ),
        (("--checkpoint", "run", "--protocol", "stargan"), "not 'stargan-v2'"),
    ],
)
def test_what_does_not_go_with_the_protocol(flags: tuple[str, ...], words: str) -> None:
    result = invoke("evaluate", *flags)
    assert result.exit_code == 2
    assert words in result.output


def test_the_protocol_on_the_command_line(
    domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = shrunk(
        "stargan-v2", f"data.root={domains}", "train.steps=1", "train.save_every_steps=1"
    )
    run = train.start(options, tmp_path, "run", device="cpu").folder
    tools = Tools(tmp_path, MeanColours(), MeanDistance())
    monkeypatch.setattr("i2i.evaluation.tools.find_tools", lambda *arguments, **more: tools)
    file = tmp_path / "figures.json"
    flags = ("--protocol", "stargan-v2", "--device", "cpu", "--json", file)
    result = invoke("evaluate", "--checkpoint", run, *flags)
    assert result.exit_code == 0, result.output
    for words in ("styles from noise", "styles from reference", "red -> blue", "fid(mean-colours)"):
        assert words in result.output
    written = json.loads(file.read_text())
    assert written["features"] == "mean-colours"
    assert len(written["pairs"]) == 12
