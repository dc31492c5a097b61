"""CycleGAN against the trajectory of the authors' implementation, and its switches."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Unpaired
from i2i.core.model import Clock, Model
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from recorded import signed, weights_error, weights_of
from shrunk import shrunk

TRAJECTORY = Path(__file__).parent.parent / "reference" / "trajectory_cyclegan.safetensors"

OURS = {
    "G_A": "generator_AtoB",
    "G_B": "generator_BtoA",
    "D_A": "discriminator_B",  # the published discriminator A judges domain B
    "D_B": "discriminator_A",
}


def recorded_model() -> tuple[dict[str, Tensor], Options, Model]:
    """The recording, the options of its training, and a model with its first weights."""
    recorded = load_file(TRAJECTORY)
    options = load_options("cyclegan", "generator.width=6", "discriminator.width=8", size=64)
    assert options.generator.model_dump()["blocks"] == 6
    model = build_model(options)
    for published, name in OURS.items():
        model.get_submodule(name).load_state_dict(weights_of(recorded, f"initial.{published}."))
    return recorded, options, model


def columns(losses: dict[str, Tensor], weight: dict[str, float]) -> Tensor:
    """The losses of a step as the recording has them."""
    terms = {name.split("/")[1]: value for name, value in losses.items()}
    found = [
        (terms["real_B"] + terms["fake_B"]) * 0.5,
        terms["adversarial_B"],
        terms["cycle_A"] * weight["cycle_A"],
        terms["identity_B"] * weight["identity_B"],
        (terms["real_A"] + terms["fake_A"]) * 0.5,
        terms["adversarial_A"],
        terms["cycle_B"] * weight["cycle_B"],
        terms["identity_A"] * weight["identity_A"],
    ]
    return torch.stack(found).double()


@pytest.mark.usefixtures("in_float64")
def test_six_published_steps_in_double_precision() -> None:
    recorded, options, model = recorded_model()
    exact = load_file(TRAJECTORY.with_stem("trajectory_cyclegan_float64"))
    trainer = build_trainer(options, model.double(), images=400)
    for a, b, expected in zip(
        recorded["batches.A"], recorded["batches.B"], exact["losses"], strict=True
    ):
        losses = trainer.step(Unpaired(signed(a), signed(b)))
        found = columns(losses, options.objective)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    for published in ("G_A", "G_B"):
        generator = model.get_submodule(OURS[published])
        assert weights_error(generator, weights_of(exact, f"final.{published}.")) <= 1e-9


def test_the_first_published_step_in_single_precision() -> None:
    """Later ones are chaotic: Adam makes whole steps of gradients that are only rounding."""
    recorded, options, model = recorded_model()
    a, b = recorded["batches.A"][0], recorded["batches.B"][0]
    losses = build_trainer(options, model, images=400).step(Unpaired(a, b))
    found = columns(losses, options.objective)
    torch.testing.assert_close(found, recorded["losses"][0], rtol=1e-5, atol=0)


@pytest.fixture
def batch() -> Unpaired:
    torch.manual_seed(0)
    return Unpaired(torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1)


def test_both_generators_move_in_one_turn_and_both_discriminators_in_one(batch: Unpaired) -> None:
    trainer = build_trainer(shrunk("cyclegan"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    losses = trainer.step(batch)
    assert {name.split("/")[0] for name in losses} == {"generators", "discriminators"}
    moved = {
        name.split(".")[0]
        for name, value in trainer.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == set(OURS.values())


def test_terms_of_perfect_generators_vanish(batch: Unpaired) -> None:
    model = build_model(shrunk("cyclegan"))
    model.generator_AtoB = nn.Identity()
    model.generator_BtoA = nn.Identity()
    name, loss = next(model.play(batch, Clock(0)))
    assert name == "generators"
    for term in ("cycle_A", "cycle_B", "identity_A", "identity_B"):
        assert loss.terms[term].item() == 0
    assert model.validation_step(batch)["cycle_A"].tolist() == [0, 0]


def test_which_side_a_term_looks_at() -> None:
    """With white images in A, black ones in B, and generators that return grey."""
    model = build_model(shrunk("cyclegan"))

    class Grey(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * 0 + 0.5

    model.generator_AtoB = Grey()
    model.generator_BtoA = Grey()
    white, black = torch.ones(1, 3, 16, 16), -torch.ones(1, 3, 16, 16)
    _, loss = next(model.play(Unpaired(white, black), Clock(0)))
    assert {k: round(v.item(), 4) for k, v in loss.terms.items() if "adv" not in k} == {
        "cycle_A": 0.5,
        "identity_A": 0.5,
        "cycle_B": 1.5,
        "identity_B": 1.5,
    }


def test_different_channels_turn_the_identity_off_with_a_notice() -> None:
    options = shrunk("cyclegan", "data.output_channels=1")
    trainer = build_trainer(options)
    assert "identity terms are off" in trainer.model.notices[0]
    assert build_model(shrunk("cyclegan")).notices == ()
    batch = Unpaired(torch.zeros(2, 3, 16, 16), torch.zeros(2, 1, 16, 16))
    losses = trainer.step(batch)
    assert not any("identity" in name for name in losses)
    shown = trainer.model.visualize(batch)
    assert shown["A to B"].shape[1] == 1
    assert shown["B to A"].shape[1] == 3
    assert "identity A" not in shown


def test_grids_show_input_translation_reconstruction_and_identity(batch: Unpaired) -> None:
    columns = build_model(shrunk("cyclegan")).visualize(batch)
    assert list(columns) == [
        *("A", "A to B", "A to B to A"),
        *("B", "B to A", "B to A to B"),
        *("identity A", "identity B"),
    ]


@pytest.mark.parametrize("loss", ["vanilla", "least-squares", "wasserstein", "hinge"])
@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1"])
def test_any_adversarial_loss_and_penalty_works(batch: Unpaired, loss: str, penalty: str) -> None:
    options = shrunk(
        "cyclegan",
        f"adversarial.loss={loss}",
        f"objective.{penalty}_A=10",
        f"objective.{penalty}_B=10",
        "discriminator.norm=none",
        "discriminator.init_gain=0.2",
    )
    losses = build_trainer(options).step(batch)
    assert losses[f"discriminators/{penalty}_A"].item() > 0
    assert losses[f"discriminators/{penalty}_B"].item() > 0
    assert all(value.isfinite() for value in losses.values())


def test_the_pools_are_part_of_the_state_and_fill(batch: Unpaired) -> None:
    trainer = build_trainer(shrunk("cyclegan", "game.image_pool=3"))
    trainer.step(batch)
    state = trainer.model.state_dict()
    assert state["pool_A.filled"].item() == state["pool_B.filled"].item() == 2
    assert state["pool_A.images"][:2].abs().sum() > 0
    assert state["pool_A.images"][2].abs().sum() == 0
