import inspect
import tomllib
from pathlib import Path

import pytest

from i2i.config import network_section, read_options
from i2i.config.recipes import (
    load_options,
    merge,
    parse_setting,
    read_recipe,
    recipes,
    settings_layer,
    shipped,
)
from i2i.errors import OptionsError
from i2i.networks import DISCRIMINATORS, GENERATORS


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_valid_and_says_everything_again(name: str) -> None:
    options = load_options(name)
    assert options.summary
    assert read_options(tomllib.loads(options.to_toml())) == options


def test_there_are_recipes() -> None:
    assert "pix2pix" in recipes()


def test_published_values_of_pix2pix() -> None:
    options = load_options("pix2pix")
    assert (options.data.load_size, options.data.crop_size) == (286, 256)
    assert options.generator.network == "unet"
    assert options.generator.model_dump()["downs"] == 8
    assert options.generator.init_gain == 0.02
    assert options.objective["l1"] == 100
    assert options.objective["real"] == options.objective["fake"] == 0.5
    assert options.optimizer.learning_rate == 2e-4
    assert options.optimizer.betas == (0.5, 0.999)
    assert (options.train.epochs, options.train.batch_size) == (200, 1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("objectve.l1=3", "objectve is no option. Did you mean 'objective'?"),
        ("metric=3", "metric is no option. Did you mean 'train.metrics'?"),
        ("generator.widht=3", "generator.widht is no option. Did you mean 'width'?"),
        ("data.augment.rotaton=3", "data.augment.rotaton is no option. Did you mean 'rotation'?"),
        (
            "generator.network=reset",
            "unet. Did you mean 'resnet'?",
        ),
        ("generator.blocks=3", "generator.blocks is no option"),
        ("train.precision=bf61", r"train.precision (='bf61'): input should be 'fp32', 'bf16'"),
        ("optimizer.learning_rate=-1", "optimizer.learning_rate (=-1)"),
        ("data.load_size=4", "load_size (=4) must be at least crop_size (=256)"),
        (
            "train.gradient_accumulation=2",
            "batch_size (=1) must be divisible by gradient_accumulation (=2)",
        ),
        ("objective.l1=nan", "objective.l1"),
    ],
)
def test_mistakes_are_named_with_their_path_and_value(setting: str, message: str) -> None:
    with pytest.raises(OptionsError) as error:
        load_options("pix2pix", setting)
    assert message in str(error.value)


def test_all_mistakes_are_listed_at_once() -> None:
    with pytest.raises(OptionsError) as error:
        load_options("pix2pix", "train.seed=-1", "train.keep_checkpoints=0")
    assert len(str(error.value).splitlines()) == 2


def test_missing_keys_are_named() -> None:
    with pytest.raises(OptionsError, match=r"optimizer\.learning_rate is missing"):
        read_options(merge(read_recipe("pix2pix"), {"optimizer": 0}) | {"optimizer": {}})


def test_unknown_recipe_gets_a_suggestion() -> None:
    with pytest.raises(OptionsError, match="Did you mean 'pix2pix'"):
        load_options("pix2pixx")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=50", {"a": {"b": 50}}),
        ("a.b=2e-4", {"a": {"b": 2e-4}}),
        ("a.b=true", {"a": {"b": True}}),
        ("a.b=bf16", {"a": {"b": "bf16"}}),
        ("a.b=shorter side", {"a": {"b": "shorter side"}}),
        ('a="x=y"', {"a": "x=y"}),
        ("a.b=[1, 2]", {"a": {"b": [1, 2]}}),
    ],
)
def test_settings_are_read_as_toml_and_else_as_text(text: str, value: object) -> None:
    assert parse_setting(text) == value


@pytest.mark.parametrize("text", ["a.b", "=3", "a..b=3"])
def test_settings_without_key_or_value_are_refused(text: str) -> None:
    with pytest.raises(OptionsError, match="must look like"):
        parse_setting(text)


def test_another_network_takes_the_keys_of_the_former_with_it() -> None:
    options = load_options("pix2pix", "generator.network=resnet", "generator.blocks=3")
    shape = options.generator.model_dump()
    assert shape["blocks"] == 3
    assert shape["width"] == 64
    assert "downs" not in shape


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_the_keys_of_a_network_are_its_keywords_with_the_same_defaults(role: str) -> None:
    registry = GENERATORS if role == "generator" else DISCRIMINATORS
    assert {"stargan", "dcgan", "mlp", "sagan", "progan"} <= set(registry)
    for name, network in registry.items():
        fields = dict(network_section(network).model_fields)
        for of_all in ("network", "init", "init_gain"):
            del fields[of_all]
        known = inspect.signature(network).parameters
        assert fields, name
        for key, field in fields.items():
            assert known[key].default == field.default, (name, key)
            assert field.description, (name, key)


@pytest.mark.parametrize("network", ["sagan", "progan"])
def test_a_network_that_draws_its_own_weights_takes_no_scheme(network: str) -> None:
    with pytest.raises(OptionsError, match=r"discriminator\.init \(='normal'\).*'torch'"):
        load_options("pix2pix", f"discriminator.network={network}", "discriminator.init=normal")
    options = load_options(
        "pix2pix", f"discriminator.network={network}", "discriminator.init=torch"
    )
    assert options.discriminator.init == "torch"


def test_steps_replace_epochs_and_back() -> None:
    steps = load_options("pix2pix", "train.steps=5")
    assert (steps.train.steps, steps.train.epochs) == (5, None)
    back = load_options("pix2pix", "train.steps=5", "train.epochs=3")
    assert (back.train.steps, back.train.epochs) == (None, 3)


def test_both_lengths_in_one_layer_are_an_error() -> None:
    with pytest.raises(OptionsError, match="either epochs or steps"):
        read_options(merge(read_recipe("pix2pix"), {"train": {"steps": 1, "epochs": 1}}))


@pytest.mark.parametrize(("size", "downs"), [(256, 8), (128, 7), (64, 6), (512, 8), (100, 6)])
def test_size_keeps_the_proportion_of_the_crop_and_the_depth_possible(
    size: int, downs: int
) -> None:
    options = load_options("pix2pix", size=size)
    assert options.data.crop_size == size
    assert options.data.load_size == round(size * 286 / 256)
    assert options.generator.model_dump()["downs"] == downs


def test_a_recipe_of_ones_own_may_stand_on_another(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "pix2pix"\n[objective]\nl1 = 7\n')
    options = load_options(str(mine))
    assert options.objective["l1"] == 7
    assert options.objective["adversarial"] == 1
    on_top = tmp_path / "on_top.toml"
    on_top.write_text('base = "mine.toml"\n[train]\nseed = 3\n')
    assert load_options(str(on_top)).objective["l1"] == 7


@pytest.mark.parametrize("name", ["../../etc", "/tmp", "a/b", "a\\b", "..", "a\nb"])
def test_a_domain_must_be_able_to_be_a_folder(name: str) -> None:
    layer = merge(read_recipe("stargan"), {"data": {"domains": ["day", name]}})
    with pytest.raises(OptionsError, match="cannot be the name of a folder of results"):
        read_options(layer)


def test_a_recipe_that_stands_on_itself_is_an_error(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.toml").write_text(f'base = "{base}.toml"\n')
    with pytest.raises(OptionsError, match="stands on itself"):
        load_options(str(tmp_path / "a.toml"))


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 3")
    with pytest.raises(OptionsError, match=r"broken\.toml is not valid TOML"):
        load_options(str(broken))


def test_options_are_frozen() -> None:
    options = load_options("pix2pix")
    with pytest.raises(ValueError, match="frozen"):
        options.train.seed = 3  # type: ignore[misc]


def test_shipped_data_is_found() -> None:
    assert (shipped("options") / "pix2pix.toml").is_file()
    assert shipped("datasets").is_dir()


def test_settings_are_named_alike_however_they_are_written() -> None:
    expected = load_options("pix2pix", "train.steps=300", "objective.l1=50")
    assert load_options("pix2pix", {"train.steps": 300, "objective": {"l1": 50.0}}) == expected
    assert load_options("pix2pix", {"train": {"steps": 300}}, "objective.l1=50") == expected
    layer = settings_layer({"train.steps": 1, "train": {"seed": 2}}, "train.seed=3")
    assert layer == {"train": {"steps": 1, "seed": 3}}
    with pytest.raises(OptionsError, match=r"train\.sede is no option\. Did you mean 'seed'"):
        load_options("pix2pix", {"train.sede": 1})


def test_a_summary_says_the_true_size() -> None:
    assert load_options("pix2pix-quick", size=16).summary.startswith("pix2pix at 16 pixels: ")
    assert load_options("pix2pix", size=16).summary == load_options("pix2pix").summary
