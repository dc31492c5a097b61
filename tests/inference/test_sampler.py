"""The sampler: an image follows from its seed alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from i2i.config.recipes import recipes
from i2i.core.batch import to_bytes
from i2i.core.latent import Latent
from i2i.errors import CheckpointError, OptionsError
from i2i.inference.load import build_sampler, build_translator, load_sampler, load_translator
from i2i.inference.sampler import Sampler
from i2i.models._noise import NoiseModel
from i2i.models.build import build_model
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.training import session as train
from shrunk import batch_for, shrunk

CLASSES = "data.domains=['shoe','bag','coat']"
FAMILY = [name for name in recipes() if shrunk(name).latent is not None]


WIDER = {
    "stylegan2": ["generator.channel_base=256", "generator.channel_max=16"],
    "r3gan": ["generator.width=[16]"],
}
"""Settings of networks that are not widened by `width`."""


def sampler_of(recipe: str, *settings: str) -> Sampler:
    """An untrained generator that has seen images: running statistics are no longer 0 and 1."""
    options = shrunk(recipe, CLASSES, *settings)
    model = build_model(options)
    assert isinstance(model, NoiseModel)
    for step in range(3):
        with torch.no_grad():
            torch.manual_seed(step)
            labels = torch.eye(3) if model.class_conditional else None
            model.generator(model.latent.draw(3), labels)
    return build_sampler(options, model)


class Plain(nn.Module):
    """A generator whose image is its vector; told a class, its labels too."""

    def forward(self, vectors: Tensor, labels: Tensor | None) -> Tensor:
        row = vectors if labels is None else torch.cat([vectors, labels], dim=1)
        return row[:, None, None, :].expand(-1, 1, row.shape[1], -1)


def plain(latent: Latent, *names: str) -> Sampler:
    return Sampler(Plain(), latent, names=names, size=latent.width + len(names))


@pytest.mark.parametrize("recipe", FAMILY)
def test_the_same_seed_gives_the_same_bytes(recipe: str) -> None:
    """In any batch, at any place of it, in any order, in any call."""
    sampler = sampler_of(
        recipe, *WIDER.get(shrunk(recipe).generator.network, ["generator.width=16"])
    )
    alone = torch.cat([sampler([seed]) for seed in range(12)])
    assert alone.dtype == torch.uint8
    assert alone.shape[2:] == (16, 16)
    assert torch.equal(sampler(range(12)), alone)
    torch.rand(3)
    assert torch.equal(sampler(range(11, -1, -1)).flip(0), alone)
    assert torch.equal(sampler([3, 3, 11, 3]), alone[[3, 3, 11, 3]])
    assert len({image.numpy().tobytes() for image in alone}) == 12


def test_bytes_are_those_of_the_generator_in_inference_mode() -> None:
    sampler = sampler_of("cgan")
    assert not sampler.generator.training
    seed = 5
    vector = sampler.latent.draw(1, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = sampler.generator(vector, torch.eye(3)[[seed % 3]])
    assert (sampler([seed]).int() - to_bytes(expected).int()).abs().max() <= 1


def test_seeds_go_through_the_classes_unless_one_is_wanted() -> None:
    sampler = plain(Latent(2), "shoe", "bag", "coat")
    assert torch.equal(sampler.labels(range(4)), torch.eye(3)[[0, 1, 2, 0]])
    for label in ("bag", "1"):
        assert torch.equal(sampler.labels(range(2), label), torch.eye(3)[[1, 1]])
    assert plain(Latent(2)).labels(range(4)) is None
    images = sampler([0, 1], label="coat")[:, 0, 0]
    assert images[:, 2:].tolist() == [[128, 128, 255]] * 2


def test_classes_that_are_not_there_are_an_error() -> None:
    sampler = plain(Latent(2), "shoe", "bag", "coat")
    with pytest.raises(OptionsError, match=r"'sheo'.*Did you mean 'shoe'\? They are: shoe, bag"):
        sampler([0], label="sheo")
    with pytest.raises(OptionsError, match=r"'3'.*0\.\.2"):
        sampler([0], label="3")
    with pytest.raises(OptionsError, match="told no classes"):
        plain(Latent(2))([0], label="shoe")


def test_codes_are_set_in_every_image_and_the_rest_follows_from_the_seed() -> None:
    sampler = plain(Latent(2, categorical=(3,), continuous=1))
    free = sampler([0, 1])[:, 0, 0]
    told = sampler([0, 1], codes={"category": 2, "continuous1": -1})[:, 0, 0]
    assert torch.equal(told[:, :2], free[:, :2])
    assert told[:, 2:].tolist() == [[128, 128, 255, 0]] * 2
    with pytest.raises(OptionsError, match="'categry' is no code"):
        sampler([0], codes={"categry": 1})


def test_a_code_is_varied_over_its_values() -> None:
    sampler = plain(Latent(2, categorical=(3,), continuous=1))
    varied = sampler.vary("category", [4, 5], codes={"continuous1": 1})
    assert list(varied) == [0, 1, 2]
    for value, images in varied.items():
        expected = sampler([4, 5], codes={"category": value, "continuous1": 1})
        assert torch.equal(images, expected)
    assert len(sampler.vary("continuous1", [4])) == 10
    with pytest.raises(OptionsError, match="'continuous2' is no code"):
        sampler.vary("continuous2", [4])


def test_truncation_goes_to_the_mean_image() -> None:
    sampler = sampler_of("dcgan", "latent.distribution=normal", "generator.init_gain=0.3")
    free = sampler(range(6))
    assert (sampler(range(6), truncation=30).int() - free.int()).abs().max() <= 1
    typical = sampler(range(6), truncation=1e-6)
    assert (typical == typical[:1]).all()
    assert torch.equal(typical[:1], sampler.make(torch.zeros(1, 3)))
    spread = [sampler(range(6), truncation=limit).float().std(0).mean() for limit in (0.1, 1, 9)]
    assert spread == sorted(spread)
    with pytest.raises(OptionsError, match="truncation"):
        sampler([0], truncation=0)


@pytest.mark.parametrize("recipe", ["dcgan", "infogan", "progan"])
@pytest.mark.parametrize("spherical", [False, True])
def test_the_way_begins_and_ends_with_the_images_of_its_seeds(recipe: str, spherical: bool) -> None:
    sampler = sampler_of(recipe)
    way = sampler.interpolate(3, 8, 11, spherical=spherical)
    assert len(way) == 11
    assert torch.equal(way[[0, -1]], sampler([3, 8]))
    assert torch.equal(sampler.interpolate(8, 3, 2), way[[-1, 0]])


def test_the_way_stays_with_one_class() -> None:
    sampler = plain(Latent(2), "shoe", "bag")
    assert sampler.interpolate(1, 2, 3)[:, 0, 0, 2:].tolist() == [[128, 255]] * 3
    assert sampler.interpolate(1, 2, 3, label="shoe")[:, 0, 0, 2:].tolist() == [[255, 128]] * 3


def test_images_of_a_generator_that_has_not_grown_up_are_enlarged() -> None:
    sampler = sampler_of("progan")
    sampler.generator.grow(1, 1.0)
    images = sampler([0, 1])
    assert images.shape[2:] == (16, 16)
    assert torch.equal(images[:, :, ::2, ::2], images[:, :, 1::2, 1::2])


def test_average_or_raw_weights(domains: Path, tmp_path: Path) -> None:
    settings = [f"data.root={domains}", "train.ema_decay=0.5", "train.steps=3"]
    options = shrunk("dcgan", *settings)
    outcome = train.start(options, tmp_path, "a", device="cpu")
    state = load_checkpoint(Run(outcome.folder).latest())
    name = "generator.main.0.weight"
    for average, key in ((None, "average"), (True, "average"), (False, "model")):
        sampler, _ = load_sampler(outcome.folder, device="cpu", average=average)
        weight = sampler.generator.state_dict()["main.0.weight"]
        assert torch.equal(weight, state[key][name])
        running = sampler.generator.state_dict()["main.1.running_mean"]
        assert torch.equal(running, state[key]["generator.main.1.running_mean"])
    assert not torch.equal(state["average"][name], state["model"][name])
    with pytest.raises(OptionsError, match="which makes images from noise: use `i2i sample`"):
        load_translator(outcome.folder, device="cpu")


def test_what_has_no_average_says_so(domains: Path, tmp_path: Path) -> None:
    options = shrunk("dcgan", f"data.root={domains}", "train.steps=1")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    with pytest.raises(CheckpointError, match="no moving average"):
        load_sampler(outcome.folder, device="cpu", average=True)


def test_models_of_the_other_kind_are_refused() -> None:
    options = shrunk("pix2pix")
    with pytest.raises(OptionsError, match=r"pix2pix translates images .*`i2i translate`"):
        build_sampler(options, build_model(options))
    options = shrunk("dcgan")
    with pytest.raises(OptionsError, match=r"gan makes images from noise .*`i2i sample`"):
        build_translator(options, build_model(options))


def test_half_precision_makes_about_the_same() -> None:
    options = shrunk("dcgan", "generator.init_gain=0.2")
    model: Any = build_model(options)
    model.generator(batch_for_noise(model), None)
    exact = build_sampler(options, model)(range(3)).float()
    rough = build_sampler(options, model, precision="bf16")(range(3)).float()
    assert 0 < (exact - rough).abs().max() < 16


def batch_for_noise(model: Any) -> Tensor:
    torch.manual_seed(0)
    vectors: Tensor = model.latent.draw(len(batch_for(model).images))
    return vectors


def styled(*settings: str) -> Sampler:
    sampler = sampler_of("stylegan2", *WIDER["stylegan2"], *settings)
    mapping = sampler.generator.mapping
    with torch.no_grad():
        mapping.w_avg.copy_(torch.linspace(-1, 1, len(mapping.w_avg)))
        for layer in sampler.generator.modules():
            if hasattr(layer, "noise_strength"):
                layer.noise_strength.fill_(0.3)
    return sampler


def test_truncation_moves_styles_towards_their_average() -> None:
    sampler = styled()
    seeds = range(3)
    whole = sampler.styles(sampler.vectors(seeds))
    half = sampler.styles(sampler.vectors(seeds), truncation=0.5)
    average = sampler.generator.mapping.w_avg
    torch.testing.assert_close(half, (whole + average) / 2)
    assert torch.equal(sampler(seeds, truncation=1.0), sampler(seeds))
    nearly = sampler(seeds, truncation=1e-9)
    assert torch.equal(nearly[0], nearly[2])
    assert not torch.equal(sampler(seeds)[0], sampler(seeds)[2])
    assert torch.equal(sampler.vectors(seeds), sampler.vectors(seeds))  # noise is left alone


def test_the_noise_of_layers_can_be_left_out() -> None:
    sampler = styled()
    plain = sampler([1], noise=False)
    assert not torch.equal(plain, sampler([1]))
    for layer in sampler.generator.modules():
        if hasattr(layer, "noise_strength"):
            layer.noise_strength.data.zero_()
    assert torch.equal(sampler([1]), plain)
    with pytest.raises(OptionsError, match="noise is about generators with styles"):
        sampler_of("dcgan")([1], noise=False)


def test_a_way_through_styles_is_straight_and_ends_where_it_should() -> None:
    sampler = styled()
    frames = sampler.interpolate(3, 8, 5)
    assert torch.equal(frames[[0, -1]], sampler([3, 8]))
    ws = sampler.styles(sampler.vectors([3, 8]))
    assert torch.equal(frames[2], sampler.synthesise(ws.mean(dim=0, keepdim=True))[0])
    assert not torch.equal(frames, sampler.interpolate(3, 8, 5, space="z"))
    assert torch.equal(
        sampler.interpolate(3, 8, 5, spherical=True),
        sampler.interpolate(3, 8, 5, spherical=True, space="z"),
    )
    with pytest.raises(OptionsError, match="straight ways only"):
        sampler.interpolate(3, 8, 5, spherical=True, space="w")
    with pytest.raises(OptionsError, match="DCGANGenerator has none"):
        sampler_of("dcgan").interpolate(3, 8, 5, space="w")


def test_mixing_takes_the_styles_of_the_column_in_some_layers() -> None:
    sampler = styled()
    grid = sampler.mix([1, 2], [5, 6, 7], range(2, 4))
    assert grid.shape == (3, 4, 3, 16, 16)
    assert grid[0, 0].max() == 0
    assert torch.equal(grid[1:, 0], sampler([1, 2]))
    assert torch.equal(grid[0, 1:], sampler([5, 6, 7]))
    ws = sampler.styles(sampler.vectors([2, 7]))
    ws[0, 2:4] = ws[1, 2:4]
    assert torch.equal(grid[2, 3], sampler.synthesise(ws[:1])[0])
    everything = sampler.mix([1, 2], [5, 6, 7], range(6))
    assert torch.equal(everything[1], everything[2].index_copy(0, torch.tensor([0]), grid[1, :1]))
    with pytest.raises(OptionsError, match=r"layers \(=4-6\) must be some of the 6 layers .*0-5"):
        sampler.mix([1], [2], range(4, 7))
    with pytest.raises(OptionsError, match="mix is about generators with styles"):
        sampler_of("dcgan").mix([1], [2])
