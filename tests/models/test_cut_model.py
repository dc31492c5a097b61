"""CUT and FastCUT against the trainings of the authors' implementation, and their switches."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Unpaired
from i2i.core.model import Clock, Model
from i2i.errors import OptionsError
from i2i.models import cut
from i2i.models.build import build_model
from i2i.networks.blocks import InstanceNorm2d
from i2i.training.build import build_trainer
from recordings import Recording, trajectories
from shrunk import shrunk


def recorded_options(config: dict[str, Any], recipe: str) -> Options:
    """The recipe with what the recording changes of it: widths, and the size of its images."""
    return load_options(
        recipe,
        f"generator.width={config['nf_generator']}",
        f"generator.norm={config['norm']}",
        f"discriminator.width={config['nf_discriminator']}",
        f"discriminator.norm={config['norm']}",
        f"discriminator.layers={config['layers']}",
        f"patch_sampler.width={config['nf_sampler']}",
        f"game.num_patches={config['num_patches']}",
        f"game.nce_layers={config['nce_layers']}",
        f"game.nce_temperature={config['nce_T']}",
        f"train.batch_size={config['batch']}",
        size=config["size"][0],
    )


class Draws:
    """The recorded random numbers, in the places of those of the model."""

    def __init__(self, record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
        self.record = record
        self.step = self.term = 0
        monkeypatch.setattr(cut, "draw_positions", self.positions)
        monkeypatch.setattr(cut, "draw_flip", self.flip)

    def begin(self, step: int) -> None:
        self.step, self.term = step, 0

    def positions(self, features: Sequence[Tensor], patches: int) -> list[Tensor]:
        layers = self.record.config["nce_layers"]
        drawn = [self.record.batch(f"patch_ids.{layer}", self.step)[self.term] for layer in layers]
        self.term += 1
        assert {len(each) for each in drawn} == {patches}
        return drawn

    def flip(self, device: torch.device) -> Tensor:
        return self.record.batch("flip", self.step) != 0


class FaultOfTorch:
    """What is wrong in the gradients of the recording of single images.

    Where the gradient of nn.InstanceNorm2d's output lies in memory as in channels_last, and the
    batch is one image, torch (2.14, on the CPU) reads it as if it did not. The authors' sampler
    lays it out so. Ours is right (tests/networks/test_cut.py), so the fault is put in here.
    """

    def __init__(self, generator: Any) -> None:
        self.happened = 0
        for module in generator.modules():
            if isinstance(module, InstanceNorm2d):
                module.register_forward_hook(self._watch)
        features = generator.features

        def laid_out(images: Tensor, layers: Sequence[int]) -> list[Tensor]:
            found: list[Tensor] = features(images, layers)
            for each in found:
                if each.requires_grad:
                    each.register_hook(
                        lambda gradient: gradient.contiguous(memory_format=torch.channels_last)
                    )
            return found

        generator.features = laid_out

    def _watch(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(self._misread)

    def _misread(self, gradient: Tensor) -> Tensor | None:
        like_images = gradient.is_contiguous(memory_format=torch.channels_last)
        if len(gradient) > 1 or gradient.is_contiguous() or not like_images:
            return None
        self.happened += 1
        return gradient.permute(0, 2, 3, 1).reshape(gradient.shape)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("path", trajectories("cut", "fastcut"), ids=lambda path: path.stem)
def test_ten_published_steps_in_double_precision(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Adam for generator and sampler is what the authors' two are.

    A step of theirs: one pass of G on A and B (CUT) or A alone (FastCUT), all mirrored if the coin
    falls so; the discriminator's turn on that fake, detached, and on B, which is never mirrored;
    then the generator's on the same fake, with NCE before NCE_Y: features of the translation,
    features of the unmirrored source, positions drawn on these, layer by layer. The pass by which
    the authors make the layers of the sampler, without a step, is not part of the recordings.
    """
    record = Recording(path)
    config = record.config
    options = recorded_options(config, record.metadata["model"])
    weight = options.objective
    assert options.game.flip_equivariance == config["flip_equivariance"]
    assert (weight["nce_identity"] > 0) == config["nce_idt"]
    assert weight["nce"] + weight["nce_identity"] == config["lambda_NCE"]
    assert options.optimizer.learning_rate == config["lr"]
    assert list(options.optimizer.betas) == config["betas"]
    model = build_model(options)
    networks = {
        name: record.start(name, model.get_submodule(ours))
        for name, ours in {"G": "generator", "D": "discriminator", "F": "patch_sampler"}.items()
    }
    fault = FaultOfTorch(model.generator)
    draws = Draws(record, monkeypatch)
    trainer = build_trainer(options, model, images=400)
    found = []
    for step in range(config["steps"]):
        draws.begin(step)
        losses = trainer.step(Unpaired(record.batch("A", step), record.batch("B", step)))
        names = ["discriminator/fake", "discriminator/real", "generator/adversarial"]
        nces = [n for n in ("nce", "nce_identity") if weight[n]]
        found.append(
            [losses[name] for name in names]
            + [config["lambda_NCE"] * losses[f"generator/{name}"] for name in nces]
            + [losses["generator/total"]]
        )
    assert (fault.happened > 0) == (config["norm"] == "instance" and config["batch"] == 1)
    record.check(found, **networks)


@pytest.fixture
def batch() -> Unpaired:
    torch.manual_seed(0)
    return Unpaired(torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1)


class Copy(nn.Module):
    """A generator that changes nothing, and whose features are the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.translated = 0

    def forward(self, images: Tensor) -> Tensor:
        self.translated += len(images)
        return images

    def features(self, images: Tensor, layers: Iterable[int]) -> list[Tensor]:
        return [images for _ in layers]


def copying(*settings: str, recipe: str = "cut") -> Model:
    """A model that copies, and that sees three channels on every layer."""
    model = build_model(
        shrunk(recipe, "game.nce_layers=[0]", "patch_sampler.init=torch", *settings)
    )
    model.generator = Copy()
    return model


def generator_terms(model: Model, batch: Unpaired, clock: Clock | None = None) -> dict[str, float]:
    """The terms of the generator in a step."""
    clock = clock or Clock(0)
    torch.manual_seed(7)
    model.on_step_start(clock)
    *_, (player, loss) = model.play(batch, clock)
    assert player == "generator"
    return {name: value.item() for name, value in loss.terms.items()}


def tossed(monkeypatch: pytest.MonkeyPatch, heads: bool) -> None:
    """Let the coin fall on a side, and draw as many random numbers as it does."""
    draw: Callable[[torch.device], Tensor] = cut.draw_flip
    monkeypatch.setattr(cut, "draw_flip", lambda device: (draw(device) < 2) & torch.tensor(heads))


def test_a_mirrored_input_is_compared_with_its_mirrored_features(
    batch: Unpaired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a mirrored image is the image where its features are mirrored back."""
    found = []
    for heads in (False, True):
        with monkeypatch.context() as patched:
            tossed(patched, heads)
            model = copying("game.flip_equivariance=true", "objective.l1_identity=1")
            found.append(generator_terms(model, batch))
    for name in ("nce", "nce_identity", "l1_identity"):
        assert found[0][name] == pytest.approx(found[1][name], rel=1e-5), name
    assert found[0]["l1_identity"] == 0
    assert found[0]["adversarial"] != found[1]["adversarial"]  # of mirrored images indeed


def test_half_of_the_steps_are_mirrored(batch: Unpaired) -> None:
    model = copying(recipe="fastcut")
    white_left = torch.cat([torch.ones(1, 3, 16, 8), -torch.ones(1, 3, 16, 8)], dim=3)
    mirrored = 0
    for seed in range(64):
        torch.manual_seed(seed)
        seen: list[Tensor] = []
        model.generator.forward = lambda images, seen=seen: seen.append(images) or images
        next(model.play(Unpaired(white_left, white_left), Clock(0)))
        mirrored += int(seen[0][0, 0, 0, 0] < 0)
    assert 16 < mirrored < 48  # four deviations


def test_negatives_of_the_whole_batch_are_more(batch: Unpaired) -> None:
    of_image, of_batch = (
        generator_terms(copying(f"game.negatives={where}"), batch) for where in ("image", "batch")
    )
    for name in ("nce", "nce_identity"):
        assert of_batch[name] > of_image[name]
    one = Unpaired(batch.a[:1], batch.b[:1])
    assert generator_terms(copying("game.negatives=image"), one) == generator_terms(
        copying("game.negatives=batch"), one
    )


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ((), 4),
        (("objective.nce_identity=0",), 2),
        (("objective.nce_identity=0", "objective.l1_identity=1"), 4),
        (("objective.nce_identity=0", "objective.hard_nce_identity=1"), 4),
    ],
)
def test_images_of_the_target_are_translated_only_for_an_identity_term(
    batch: Unpaired, settings: tuple[str, ...], count: int
) -> None:
    model = copying(*settings)
    generator_terms(model, batch)
    assert model.generator.translated == count


def test_the_hardness_of_negatives_changes_over_the_run(batch: Unpaired) -> None:
    falling = copying("game.hard_gamma=2", "game.hard_gamma_end=0.5", recipe="src")
    for share, gamma in ((0.0, 2.0), (0.5, 1.25), (1.0, 0.5)):
        constant = copying(f"game.hard_gamma={gamma}", f"game.hard_gamma_end={gamma}", recipe="src")
        now = generator_terms(falling, batch, Clock(3, share))
        assert now == pytest.approx(generator_terms(constant, batch))
    assert set(now) == {"adversarial", "hard_nce", "hard_nce_identity", "semantic_relation"}
    assert now["semantic_relation"] == pytest.approx(0, abs=1e-6)  # a copy is related alike


def test_both_networks_of_the_generators_turn_move_in_it(batch: Unpaired) -> None:
    trainer = build_trainer(shrunk("cut"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    losses = trainer.step(batch)
    assert {name.split("/")[0] for name in losses} == {"generator", "discriminator"}
    moved = {
        name.split(".")[0]
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {"generator", "discriminator", "patch_sampler"}


@pytest.mark.parametrize("recipe", ["cut", "fastcut", "src"])
def test_gradients_in_bf16_point_where_those_in_fp32_do(recipe: str, batch: Unpaired) -> None:
    """Keys are computed without gradient, which autocast must not take for the weights' own."""
    gradients = []
    for precision in ("fp32", "bf16"):
        options = shrunk(
            recipe,
            f"train.precision={precision}",
            "objective.adversarial=0",
            "generator.width=8",
            "generator.init=torch",
            "patch_sampler.width=32",
            "patch_sampler.init=torch",
            "game.num_patches=64",
        )
        trainer = build_trainer(options)
        trainer.step(batch)
        gradients.append(
            {
                name: torch.cat(
                    [p.grad.flatten() for p in trainer.model.get_submodule(name).parameters()]
                )
                for name in ("generator.model.1", "generator.model.4", "patch_sampler")
            }
        )
    exact, rough = gradients
    for name, gradient in exact.items():
        assert torch.cosine_similarity(gradient, rough[name], dim=0) > 0.9, name
        assert 0.8 < rough[name].norm() / gradient.norm() < 1.25, name


def test_more_turns_of_the_discriminator(batch: Unpaired) -> None:
    trainer = build_trainer(shrunk("cut", "game.n_critic=2"))
    players = [{name.split("/")[0] for name in trainer.step(batch)} for _ in range(4)]
    assert players == [{"discriminator"}, {"discriminator", "generator"}] * 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("data.output_channels=1",), "data.output_channels (=1) must be data.input_channels (=3)"),
        (("generator.network=unet",), "'antialiased-resnet'"),
        (("game.nce_layers=[0, 99]",), "ascending numbers from 0 to 23"),
        (("game.nce_layers=[4, 0]",), "ascending"),
        (("game.nce_layers=[]",), "game.nce_layers"),
        (("game.num_patches=1",), "game.num_patches"),
        (("game.nce_temperature=0",), "game.nce_temperature"),
        (("game.negatives=all",), "game.negatives"),
        (("objective.nce_idt=1",), "nce_identity"),
    ],
)
def test_what_cannot_be_is_said(settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(OptionsError) as error:
        build_model(shrunk("cut", *settings))
    assert said in str(error.value)


def test_any_registered_loss_can_be_an_identity_term(batch: Unpaired) -> None:
    terms = generator_terms(copying("objective.l1_identity=5", "objective.ssim_identity=1"), batch)
    assert terms["l1_identity"] == 0
    assert terms["ssim_identity"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_shown_produced_and_measured(channels: int) -> None:
    options = shrunk("cut", f"data.input_channels={channels}", f"data.output_channels={channels}")
    model = build_trainer(options).model
    white, black = torch.ones(2, channels, 16, 16), -torch.ones(2, channels, 16, 16)
    batch = Unpaired(white, black)
    shown = model.visualize(batch)
    assert list(shown) == ["input", "output", "target", "identity"]
    assert all(each.shape == white.shape for each in shown.values())
    assert torch.equal(shown["input"], white)
    assert torch.equal(shown["target"], black)
    produced = model.generate(batch)["output"]
    assert torch.equal(produced.references, black)
    assert not produced.paired
    model.generator = Copy()
    measured = model.validation_step(batch)
    assert measured["identity"].tolist() == [0, 0]
    assert measured["discriminator/score_real"].shape == (2,)
    # What was translated of white images is white: the scores are those of the other images.
    assert not torch.equal(
        measured["discriminator/score_real"], measured["discriminator/score_fake"]
    )
