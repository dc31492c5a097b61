"""pix2pix against the trajectory of the authors' implementation, and its switches."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Pair
from i2i.core.model import Model
from i2i.models.build import build_model
from i2i.training.build import build_trainer
from recorded import signed, weights_error, weights_of
from shrunk import shrunk

TRAJECTORY = Path(__file__).parent.parent / "reference" / "trajectory_pix2pix.safetensors"


FORMATS = pytest.mark.parametrize("channels_last", [False, True], ids=["whole", "channels_last"])


def recorded_model(channels_last: bool) -> tuple[dict[str, Tensor], Options, Model]:
    """The recording, the options of its training, and a model with its first weights."""
    recorded = load_file(TRAJECTORY)
    options = load_options(
        "pix2pix",
        "generator.width=4",
        "generator.dropout=false",
        "discriminator.width=8",
        "train.batch_size=2",
        f"train.channels_last={str(channels_last).lower()}",
        size=128,
    )
    model = build_model(options)
    model.get_submodule("generator").load_state_dict(weights_of(recorded, "initial.G."))
    model.get_submodule("discriminator").load_state_dict(weights_of(recorded, "initial.D."))
    return recorded, options, model


def columns(losses: dict[str, Tensor], weight: dict[str, float]) -> Tensor:
    """The losses of a step as the recording has them."""
    found = [
        losses["generator/adversarial"],
        losses["generator/l1"] * weight["l1"],
        losses["discriminator/real"],
        losses["discriminator/fake"],
    ]
    return torch.stack(found).double()


@FORMATS
@pytest.mark.usefixtures("in_float64")
def test_six_published_steps_in_double_precision(channels_last: bool) -> None:
    recorded, options, model = recorded_model(channels_last)
    exact = load_file(TRAJECTORY.with_stem("trajectory_pix2pix_float64"))
    trainer = build_trainer(options, model.double(), images=400)
    for a, b, expected in zip(
        recorded["batches.A"], recorded["batches.B"], exact["losses"], strict=True
    ):
        found = columns(trainer.step(Pair(signed(a), signed(b))), options.objective)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    generator = model.get_submodule("generator")
    assert weights_error(generator, weights_of(exact, "final.G.")) <= 1e-9


@FORMATS
def test_the_first_published_step_in_single_precision(channels_last: bool) -> None:
    """Later ones are chaotic: Adam makes whole steps of gradients that are only rounding."""
    recorded, options, model = recorded_model(channels_last)
    batch = Pair(recorded["batches.A"][0], recorded["batches.B"][0])
    found = columns(build_trainer(options, model, images=400).step(batch), options.objective)
    torch.testing.assert_close(found, recorded["losses"][0], rtol=1e-5, atol=0)


@pytest.fixture
def batch() -> Pair:
    torch.manual_seed(0)
    return Pair(torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1)


@pytest.mark.parametrize("loss", ["vanilla", "least-squares", "wasserstein", "hinge"])
@pytest.mark.parametrize("penalty", ["gradient_penalty", "r1"])
def test_a_penalty_is_computed_and_changes_the_critic(batch: Pair, loss: str, penalty: str) -> None:
    common = (f"adversarial.loss={loss}", "discriminator.norm=none", "discriminator.init_gain=0.2")
    plain, penalised = (
        build_trainer(shrunk("pix2pix", *common, f"objective.{penalty}={weight}"))
        for weight in (0, 10)
    )
    assert f"discriminator/{penalty}" not in plain.step(batch)
    value = penalised.step(batch)[f"discriminator/{penalty}"].item()
    assert value > 0

    def gradient(trainer: object) -> Tensor:
        parameters = trainer.parameters["discriminator"]  # type: ignore[attr-defined]
        return torch.cat([p.grad.flatten() for p in parameters])

    difference = (gradient(plain) - gradient(penalised)).norm()
    assert difference > 1e-3 * gradient(plain).norm()


def test_without_adversarial_terms_the_discriminator_rests(batch: Pair) -> None:
    off = [f"objective.{term}=0" for term in ("adversarial", "real", "fake")]
    trainer = build_trainer(shrunk("pix2pix", *off))
    before = {
        k: v.clone() for k, v in trainer.model.get_submodule("discriminator").named_parameters()
    }
    assert set(trainer.step(batch)) == {"generator/l1", "generator/total"}
    for name, value in trainer.model.get_submodule("discriminator").named_parameters():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("term", ["l1", "l2", "ssim"])
def test_each_reconstruction_term_pulls_the_output_to_the_truth(batch: Pair, term: str) -> None:
    weights = {"adversarial": 0, "real": 0, "fake": 0, "l1": 0} | {term: 1}
    settings = [f"objective.{name}={weight}" for name, weight in weights.items()]
    settings += ["optimizer.learning_rate=0.01", "generator.dropout=false", "generator.width=8"]
    trainer = build_trainer(shrunk("pix2pix", *settings))
    values = [trainer.step(batch)[f"generator/{term}"].item() for _ in range(30)]
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (3, 1), (1, 1)])
def test_any_number_of_channels(inputs: int, outputs: int) -> None:
    options = shrunk("pix2pix", f"data.input_channels={inputs}", f"data.output_channels={outputs}")
    trainer = build_trainer(options)
    batch = Pair(torch.zeros(2, inputs, 16, 16), torch.ones(2, outputs, 16, 16))
    assert trainer.step(batch)["generator/l1"].item() > 0
    assert trainer.model.visualize(batch)["output"].shape == (2, outputs, 16, 16)


def test_measures_of_a_perfect_generator(batch: Pair) -> None:
    model = build_model(shrunk("pix2pix"))
    model.generator = torch.nn.Identity()
    measured = model.validation_step(Pair(batch.source, batch.source))
    scores = {"discriminator/score_real", "discriminator/score_fake"}
    assert set(measured) == {"l1", "psnr", "ssim"} | scores
    assert measured["l1"].tolist() == [0, 0]
    assert measured["ssim"].tolist() == pytest.approx([1, 1])
