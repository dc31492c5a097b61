"""From options to objects: devices, sizes, players, directions."""

from pathlib import Path

import pytest
import torch

from i2i.config.recipes import load_options
from i2i.errors import CheckpointError, OptionsError
from i2i.inference.load import build_translator, load_translator
from i2i.models.build import build_model
from i2i.system.device import pick_device
from i2i.training import session as train
from i2i.training.build import build_trainer, make_optimizer, resolve_precision
from shrunk import batch_for, shrunk


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(OptionsError, match=r"'cud'\) must be auto.*Did you mean 'cuda'"):
        pick_device("cud")
    with pytest.raises(OptionsError, match="is not on this machine"):
        pick_device("cuda:99")


def test_a_crop_that_does_not_fit_the_generator_is_named_with_the_cure() -> None:
    with pytest.raises(OptionsError, match=r"crop_size \(=100\) must be a multiple of 256.*downs"):
        build_model(load_options("pix2pix", "data.crop_size=100"))
    with pytest.raises(OptionsError, match=r"multiple of 4 .*take 16"):
        build_model(shrunk("cyclegan", "data.crop_size=18", "data.load_size=18"))


def test_images_too_small_for_the_discriminator_are_named_before_anything_is_made() -> None:
    with pytest.raises(OptionsError, match=r"crop_size \(=16\) must be at least 24 .*layers = 3"):
        build_model(shrunk("pix2pix", "discriminator.layers=3"))
    assert load_options("pix2pix", size=16).discriminator.model_dump()["layers"] == 2
    build_model(load_options("pix2pix", size=16))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model=pix2pics", r"Did you mean 'pix2pix'"),
        ("objective.L1=3", r"objective\.L1 is no term of this model\. Did you mean 'l1'"),
        (
            "objective.l1_cycle_A=3",
            r"objective\.l1_cycle_A is no term .*Its terms are: adversarial",
        ),
        ("every.tv=3", r"every\.tv is no term"),
        ("anneal.objective.tv=3", r"anneal\.objective\.tv is no term"),
        ("optimizer.player_learning_rates.critic=1", r"rates\.critic names no player of pix2pix"),
        ("optimizer.networks.critic.learning_rate=1", r"networks\.critic is no network of pix2pix"),
    ],
)
def test_names_that_a_model_does_not_know_are_refused_with_the_options(
    setting: str, message: str
) -> None:
    """Before anything is built, wherever options come from, and all at once."""
    with pytest.raises(OptionsError, match=message):
        load_options("pix2pix", setting)
    with pytest.raises(OptionsError, match=message) as raised:
        load_options("pix2pix", setting, "objective.nonsense=1", "train.steps=-1")
    if "model" not in setting:
        assert "objective.nonsense is no term" in str(raised.value)
        assert "train.steps (=-1)" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("rmsprop", torch.optim.RMSprop), ("sgd", torch.optim.SGD)],
)
def test_optimizers_and_their_rates(name: str, kind: type) -> None:
    settings = [f"optimizer.name={name}", "optimizer.player_learning_rates.discriminator=0.5"]
    trainer = build_trainer(shrunk("pix2pix", *settings))
    assert {type(optimizer) for optimizer in trainer.optimizers.values()} == {kind}
    assert trainer.learning_rates(0) == {"discriminator": 0.5, "generator": 2e-4}


def test_a_network_may_have_settings_of_its_own() -> None:
    own = "optimizer.networks.mapping_network"
    settings = (f"{own}.learning_rate=0.25", f"{own}.betas=[0.5, 0.75]", "optimizer.weight_decay=2")
    trainer = build_trainer(
        shrunk("stargan-v2", *settings, "optimizer.networks.style_encoder.weight_decay=0"),
        rate=lambda step: 1 / (1 + step),
    )
    model, groups = trainer.model, trainer.optimizers["generator"].param_groups
    expected = {
        "generator": (1e-4, (0.0, 0.99), 2.0),
        "mapping_network": (0.25, (0.5, 0.75), 2.0),
        "style_encoder": (1e-4, (0.0, 0.99), 0.0),
    }
    for name, values in expected.items():
        [group] = [
            group
            for group in groups
            if any(p is q for p in group["params"] for q in model.get_submodule(name).parameters())
        ]
        assert len(group["params"]) == len(list(model.get_submodule(name).parameters()))
        assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == values
    assert sum(len(group["params"]) for group in groups) == len(trainer.parameters["generator"])
    trainer.step(batch_for(trainer.model))
    trainer.step(batch_for(trainer.model))
    assert sorted(group["lr"] for group in groups) == [5e-5, 5e-5, 0.125]


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_weight_decay_moves_what_no_gradient_does(name: str) -> None:
    settings = [f"optimizer.name={name}", "optimizer.weight_decay=0.5", "optimizer.betas=[0, 0.99]"]
    options = shrunk("pix2pix", *settings, "optimizer.learning_rate=0.25").optimizer
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimizer = make_optimizer(options, torch.device("cpu"), "generator", [weight])
    weight.grad = torch.zeros(1)
    optimizer.step()
    # The gradient is 0.5 * 3. Adam makes a whole step of its sign, RMSprop one of 1 / sqrt(0.01).
    step = {"adam": 0.25, "rmsprop": 2.5, "sgd": 0.25 * 1.5}[name]
    torch.testing.assert_close(weight.detach(), torch.tensor([3 - step]))


def test_weights_are_updated_in_one_pass_where_that_is_asked_for() -> None:
    for fused in (True, False):
        trainer = build_trainer(shrunk("pix2pix", f"optimizer.fused={str(fused).lower()}"))
        assert trainer.optimizers["generator"].defaults["fused"] is fused
    assert build_trainer(shrunk("pix2pix")).optimizers["generator"].defaults["fused"] is False
    with pytest.raises(OptionsError, match="not to be had with rmsprop"):
        build_trainer(shrunk("pix2pix", "optimizer.fused=true", "optimizer.name=rmsprop"))


def test_a_penalised_critic_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda network: compiled.append(type(network).__name__)
    )
    build_trainer(shrunk("pix2pix", "train.compile=true"))
    assert sorted(compiled) == ["PatchGAN", "UNet"]
    compiled.clear()
    build_trainer(shrunk("pix2pix", "train.compile=true", "objective.r1=1"))
    assert compiled == ["UNet"]


def test_each_direction_has_its_generator_and_channels() -> None:
    options = shrunk("cyclegan", "data.output_channels=1")
    model = build_model(options)
    there = build_translator(options, model)
    back = build_translator(options, model, direction="BtoA")
    for translator, name in ((there, "generator_AtoB"), (back, "generator_BtoA")):
        weights, own = model.get_submodule(name).state_dict(), translator.network.state_dict()
        assert own.keys() == weights.keys()
        assert all(torch.equal(own[key], weights[key]) for key in weights)
    assert there(torch.zeros(3, 9, 9)).shape == (1, 9, 9)
    assert back(torch.zeros(1, 9, 9)).shape == (3, 9, 9)
    by_default = build_translator(shrunk("cyclegan", "data.direction=BtoA"), model)
    own, expected = (each.network.state_dict() for each in (by_default, back))
    assert all(torch.equal(own[key], expected[key]) for key in expected)


def test_a_model_of_one_direction_refuses_the_other() -> None:
    options = shrunk("pix2pix", "data.direction=BtoA")
    model = build_model(options)
    assert build_translator(options, model, direction="BtoA")
    with pytest.raises(OptionsError, match=r"'AtoB'\) is not what this pix2pix has learnt.*BtoA"):
        build_translator(options, model, direction="AtoB")


def test_the_same_image_translates_alike_from_the_trainer_and_the_checkpoint(
    facades: Path, tmp_path: Path
) -> None:
    outcome = train.start(shrunk("pix2pix", f"data.root={facades}"), tmp_path, "a", device="cpu")
    translator, why = load_translator(outcome.folder, device="cpu")
    assert "the last of the run" in why
    newest, why = load_translator(runs_dir=tmp_path, device="cpu")
    assert "newest run" in why
    image = torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)
    assert torch.equal(translator(image), newest(image))
    with pytest.raises(CheckpointError, match="no run with a checkpoint"):
        load_translator(runs_dir=tmp_path / "nothing")


def test_auto_precision_is_settled_before_it_is_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cpu = torch.device("cpu")
    options = load_options("pix2pix")
    assert options.train.precision == "fp32"  # as published, unless somebody asks
    assert resolve_precision(options, cpu) == options
    asked = load_options("pix2pix", "train.precision=auto")
    for best in ("bf16", "fp32"):
        monkeypatch.setattr("i2i.system.device.best_precision", lambda device, best=best: best)
        settled = resolve_precision(asked, cpu)
        assert settled.train.precision == best
        assert settled == load_options("pix2pix", f"train.precision={best}")


def test_a_translator_knows_what_the_training_saw() -> None:
    for recipe, settings, size, paired in (
        ("pix2pix", ["data.root=x", "data.load_size=18"], 16, True),
        ("pix2pix", ["data.root=x", "data.load_size=64"], 64, True),
        ("cyclegan", ["data.root=x", "data.resize=none"], None, False),
        ("pix2pix", [], None, False),  # imported, or trained in a loop of one's own
    ):
        options = shrunk(recipe, *settings)
        translator = build_translator(options, build_model(options))
        assert (translator.trained_size, translator.paired) == (size, paired)
