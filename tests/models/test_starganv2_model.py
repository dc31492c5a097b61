"""StarGAN v2 against the recorded training of the authors' implementation, and what it is told."""

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Referenced
from i2i.core.model import Clock, Model
from i2i.errors import OptionsError
from i2i.models.build import build_model
from i2i.models.starganv2 import StarGANv2
from i2i.training.build import build_trainer
from recorded import weights_error
from shrunk import batch_for, shrunk
from vectors import Vectors, load

NAMES = {
    "real": "discriminator/real",
    "fake": "discriminator/fake",
    "reg": "discriminator/r1",
    "adv": "generator/adversarial",
    "sty": "generator/style_reconstruction",
    "ds": "generator/diversity",
    "cyc": "generator/cycle",
}


def recorded_options(config: dict[str, Any]) -> Options:
    """The recipe as it was recorded: small, with a weight of diversity that falls in four steps."""
    widths = [
        f"{role}.{key}={config[value]}"
        for role in ("generator", "style_encoder", "discriminator")
        for key, value in (("width", "nf"), ("max_width", "max_conv_dim"))
    ]
    return load_options(
        "stargan-v2",
        'data.domains=["a", "b", "c"]',
        *widths,
        f"mapping_network.hidden={config['hidden']}",
        f"game.latent_size={config['latent_dim']}",
        f"game.style_dim={config['style_dim']}",
        f"game.diversity_steps={config['ds_iter']}",
        f"objective.diversity={config['lambda_ds']}",
        size=config["img_size"],
    )


@pytest.mark.usefixtures("in_float64")
def test_eight_published_steps_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Vectors("trajectory_starganv2")
    model = build_model(recorded_options(record.config))
    for name, network in model.named_children():
        load(network, record.below(f"initial.{name}."))
    trainer = build_trainer(recorded_options(record.config), model)
    assert trainer.ema is not None
    trainer.ema.load_state_dict(
        {
            f"{name}.{key}": value
            for name in ("generator", "mapping_network", "style_encoder")
            for key, value in record.below(f"initial.{name}_ema.").items()
        }
    )
    columns = json.loads(record.metadata["columns"])
    for step, expected in enumerate(record["losses"]):
        batch = {name: each[step] for name, each in record.below("batches.").items()}
        noise = iter([batch["z_trg"], batch["z_trg2"]])
        monkeypatch.setattr(model, "noise", lambda count, device, noise=noise: next(noise))
        labels, targets = (F.one_hot(batch[y], 3).double() for y in ("y_src", "y_ref"))
        losses = trainer.step(
            Referenced(
                batch["x_src"],
                labels,
                torch.ones(len(labels), 1),
                batch["x_ref"],
                batch["x_ref2"],
                targets,
            )
        )
        row = dict(zip(columns, expected, strict=True))
        left = row.pop("lambda_ds") / record.config["lambda_ds"]
        for column, value in row.items():
            _, way, term = column.split("_")
            found = losses[NAMES[term] + ("" if way == "latent" else "_reference")]
            wanted = -left * value if term == "ds" else value
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-15, msg=f"{step} {column}")
    for name, network in model.named_children():
        assert weights_error(network, record.below(f"final.{name}.")) <= 1e-9, name
    with trainer.ema.in_place():
        for name in ("generator", "mapping_network", "style_encoder"):
            average = record.below(f"final.{name}_ema.")
            assert weights_error(model.get_submodule(name), average) <= 1e-9, name


def stargan(*settings: str) -> StarGANv2:
    model = build_model(shrunk("stargan-v2", *settings))
    assert isinstance(model, StarGANv2)
    return model


def test_one_turn_moves_three_networks_and_the_next_one_alone() -> None:
    trainer = build_trainer(shrunk("stargan-v2", "mapping_network.hidden=32"))
    model = trainer.model
    turns = model.play(signed_batch(model), Clock(0))
    seen = []
    for player, loss in turns:
        seen.append((player, loss.networks, sorted(loss.terms)))
    ours = ["adversarial", "cycle", "diversity", "style_reconstruction"]
    assert seen == [
        ("discriminator", (), ["fake", "r1", "real"]),
        ("discriminator", (), ["fake_reference", "r1_reference", "real_reference"]),
        ("generator", (), ours),
        ("generator", ("generator",), [f"{name}_reference" for name in ours]),
    ]
    batch = batch_for(model, count=4)
    trainer.step(batch)
    steps = {
        name: {
            int(trainer.optimizers[player].state[parameter]["step"])
            for parameter in model.get_submodule(name).parameters()
        }
        for player, names in model.players.items()
        for name in names
    }
    assert steps == {
        "discriminator": {2},
        "generator": {2},
        "mapping_network": {1},
        "style_encoder": {1},
    }


def signed_batch(model: Model) -> Referenced:
    batch = batch_for(model, count=4)
    images = [each.float() / 127.5 - 1 if each.ndim == 4 else each for each in batch]
    return Referenced(*images)


def test_diversity_fades_and_then_costs_nothing() -> None:
    model = stargan("mapping_network.hidden=32", "game.diversity_steps=4")
    found = []
    for step in range(6):
        model.on_step_start(Clock(step))
        torch.manual_seed(0)
        *_, (_, loss), _ = model.play(signed_batch(model), Clock(step))
        found.append(loss.terms["diversity"])
    torch.testing.assert_close(
        torch.stack(found), found[0] * torch.tensor([1, 0.75, 0.5, 0.25, 0, 0])
    )
    assert found[0] < 0
    still = stargan("game.diversity_steps=0")
    still.on_step_start(Clock(10**6))
    assert still.diversity_left == 1


def test_the_sheet_has_references_above_their_columns() -> None:
    model = stargan("mapping_network.hidden=32")
    batch = signed_batch(model)
    with torch.no_grad():
        columns = model.visualize(batch)
    names = [f"like this {name}" for name in ("red", "green", "blue")]
    assert list(columns) == ["input", "red", "green", "blue", *names]
    assert all(images.shape == (5, 3, 16, 16) for images in columns.values())
    assert torch.equal(columns["input"][1:], batch.images)
    for number, name in enumerate(names):
        reference = batch.images[number : number + 1]
        assert torch.equal(columns[name][:1], reference)
        with torch.no_grad():
            style = model.style_encoder(reference, torch.tensor([number]))
            expected = model.translate(batch.images, style.expand(4, -1))
        torch.testing.assert_close(columns[name][1:], expected)


def test_what_is_judged_has_the_domain_of_the_next_image() -> None:
    model = stargan()
    batch = signed_batch(model)
    with torch.no_grad():
        made, measured = model.generate(batch), model.validation_step(batch)
    assert list(made) == ["noise", "reference"]
    for each in made.values():
        assert each.labels is not None
        assert torch.equal(each.labels, batch.labels.roll(-1, 0))
        assert torch.equal(each.references, batch.images.roll(-1, 0))
    assert all(values.shape == (4,) for values in measured.values())


def test_another_answer_is_by_other_noise_and_draws_no_more_of_it() -> None:
    model = stargan()
    batch = signed_batch(model)
    noise = torch.randn(
        4, model.noise(1, torch.device("cpu")).shape[1], generator=torch.Generator().manual_seed(0)
    )
    drawn = []

    def draw(count: int, device: torch.device) -> torch.Tensor:
        drawn.append(count)
        return noise[:count]

    model.noise = draw  # type: ignore[method-assign]
    targets = batch.labels.roll(-1, 0).argmax(dim=1)
    with torch.no_grad():
        made = model.generate(batch)
        style = model.mapping_network(noise[[3, 0, 1, 2]], targets)
        expected = model.translate(batch.images, style)
        alone = model.generate(type(batch)(*(each[:1] for each in batch)))
    assert drawn == [4, 1]
    assert made["noise"].again is not None
    torch.testing.assert_close(made["noise"].again, expected)
    assert made["reference"].again is None  # its style is that of the reference
    assert alone["noise"].again is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (['data.domains=["only"]'], "must name two at least"),
        (['data.more=[{root="x", domains=["sad", "glad"]}]'], "domains of one data set"),
        (["data.references=0"], "must be 2 for stargan-v2"),
        (["data.output_channels=1"], "translates its own results back"),
        (["data.load_size=24", "data.crop_size=24"], "24"),
    ],
)
def test_what_it_cannot_learn_is_said(settings: list[str], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        stargan(*settings)
