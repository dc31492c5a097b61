"""Parts from outside: a file of a user adds a model, a network and a loss."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import forks
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import i2i
from i2i.cli import cli
from i2i.core import plugins
from i2i.core.registry import LOSSES, MODELS, Registry
from i2i.errors import I2iError, OptionsError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SMALL = ("--size", "16", "--steps", "4", "--batch-size", "2", "--device", "cpu")


def run_i2i(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: what is registered here must not help there."""
    return forks.run("-m", "i2i", *arguments, cwd=cwd)


@pytest.fixture
def trained(tmp_path: Path, facades: Path) -> Path:
    for name in ("my_parts.py", "mine.toml"):
        shutil.copyfile(EXAMPLES / name, tmp_path / name)
    done = run_i2i(
        *("train", "--recipe", "mine.toml", "--dataroot", str(facades), "--name", "run"),
        *SMALL,
        *("--set", "train.save_every_steps=2"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path


@pytest.mark.slow
def test_a_run_of_a_plugin_is_trained_resumed_translated_and_exported(
    trained: Path, facades: Path
) -> None:
    (trained / "input").mkdir()
    shutil.copyfile(next((facades / "val").iterdir()), trained / "input" / "one.png")
    kept = trained / "runs" / "run" / "plugins" / "my_parts.py"
    assert kept.read_bytes() == (trained / "my_parts.py").read_bytes()

    for command in (
        ["train", "--resume", "runs/run", "--steps", "6"],
        ["translate", "input", "out", "--device", "cpu"],
        ["info", "runs/run"],
        ["export", "runs/run", "exported.onnx"],
    ):
        refused = run_i2i(*command, cwd=trained)
        assert refused.returncode == 2, command
        assert "needs the plug-in my_parts.py" in refused.stderr
        assert "--trust-plugins" in refused.stderr
        for permission in (["--plugin", "my_parts.py"], ["--trust-plugins"]):
            if command[0] == "train" and permission == ["--trust-plugins"]:
                continue  # it has been resumed already
            done = run_i2i(*command, *permission, cwd=trained)
            assert done.returncode == 0, done.stdout + done.stderr
            for result in ("out", "exported.onnx"):
                path = trained / result
                if path.exists():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_models_of_a_plugin_are_listed_where_they_belong(tmp_path: Path) -> None:
    told = run_i2i("models", "--plugin", str(EXAMPLES / "my_parts.py"), cwd=tmp_path).stdout
    assert "regression" not in run_i2i("models", cwd=tmp_path).stdout
    of_pairs = told.split("From pairs")[1].split("\nFrom ")[0]
    assert "  regression " in of_pairs
    assert "without a discriminator" in of_pairs


def test_a_recipe_that_names_its_plugin_needs_no_flag(trained: Path, facades: Path) -> None:
    told = run_i2i("options", "game.", "--recipe", "mine.toml", cwd=trained)
    assert told.returncode == 0, told.stderr
    assert "game.every = 2" in told.stdout
    command = ["train", "--recipe", "mine.toml", "--dataroot", str(facades), *SMALL, "--dry-run"]
    done = run_i2i(*command, cwd=trained)  # which measures in a process of its own
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_plugins_that_lack_are_named_at_once() -> None:
    noted = [{"file": f"{name}.py", "sha256": "0"} for name in ("one", "two")]
    with pytest.raises(OptionsError, match=r"--plugin one\.py --plugin two\.py") as refused:
        plugins.require_plugins(noted)
    assert "--trust-plugins" not in str(refused.value)  # there is no run folder


def test_a_copy_that_was_changed_is_not_trusted(trained: Path) -> None:
    copy = trained / "runs" / "run" / "plugins" / "my_parts.py"
    copy.write_text(copy.read_text() + "\n")
    done = run_i2i("info", "runs/run", "--trust-plugins", cwd=trained)
    assert done.returncode == 2
    assert "is not the file that this run was made with" in done.stderr


def test_parts_from_outside_are_options_and_terms_like_all_others() -> None:
    plugins.load_plugin(EXAMPLES / "my_parts.py")
    options = i2i.load_options(str(EXAMPLES / "mine.toml"), "generator.depth=5", size=32)
    assert options.generator.model_dump()["depth"] == 5
    model = i2i.build_model(options)
    assert len([m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]) == 6
    assert model.objectives["generator"].weights == {"mirrored": 0.1, "l1": 1, "charbonnier": 10}
    with pytest.raises(OptionsError, match=r"generator\.depht is no option.*'depth'"):
        i2i.load_options(str(EXAMPLES / "mine.toml"), "generator.depht=5")
    # ... also in the models of the package.
    options = i2i.load_options("pix2pix", "objective.charbonnier=3", size=32)
    assert i2i.build_model(options).objectives["generator"].weights["charbonnier"] == 3
    options = i2i.load_options("cyclegan", "objective.charbonnier_cycle_A=3", size=32)
    weights = i2i.build_model(options).objectives["generators"].weights
    assert weights["charbonnier_cycle_A"] == 3


def test_the_loss_of_the_example_is_the_published_one() -> None:
    plugins.load_plugin(EXAMPLES / "my_parts.py")
    loss = LOSSES["charbonnier"](torch.tensor([0.5, 0.0]), torch.tensor([0.2, 0.0]))
    expected = ((0.3**2 + 1e-6) ** 0.5 + 1e-3) / 2 - 1e-3
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_this_name", "line 1 fails: ModuleNotFoundError"),
        ("def f(:", "fails: SyntaxError"),
        ("x = 1\nraise ValueError('no')", "line 2 fails: ValueError: no"),
        (
            "from i2i.core.registry import register_model\n"
            "@register_model('pix2pix')\nclass A: pass",
            "has the name of that of",
        ),
    ],
)
def test_a_broken_file_is_said_in_a_sentence(tmp_path: Path, code: str, message: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(code)
    MODELS.names()
    with pytest.raises(I2iError, match=message):
        plugins.load_plugin(file)
    result = CliRunner().invoke(cli, ["models", "--plugin", str(file)])
    assert isinstance(result.exception, I2iError)


def test_an_entry_point_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name, value = "mine", "mine.parts"

        def load(self) -> None:
            raise ImportError("no module named mine")

    monkeypatch.setattr("i2i.core.registry.entry_points", lambda group: [Broken()])
    registry: Registry[object] = Registry("model", "i2i.models", "i2i.models")
    with pytest.raises(OptionsError, match=r"mine = mine\.parts cannot be imported: ImportError"):
        registry.find("mine")


def test_every_option_has_a_default_or_is_required_and_the_listing_shows_it() -> None:
    result = CliRunner().invoke(cli, ["options", "game.n_critic"])
    assert result.exit_code == 0, result.output
    assert "integer >= 1" in result.output
    assert "turns of the discriminator for each one of the generator" in result.output
    result = CliRunner().invoke(cli, ["options", "generator.", "--recipe", "cyclegan"])
    assert "generator.blocks = 9" in result.output
    assert "downs" not in result.output


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder of images in a format of their own, and the table of its pairs."""
    root = tmp_path / "listed"
    root.mkdir()
    generator = np.random.default_rng(0)
    lines = ["split,a,b"]
    for number in range(8):
        values = generator.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        for name, pixels in ((f"{number}", values), (f"{number}-inverse", 255 - values)):
            (root / f"{name}.plain").write_bytes(b"PLAIN 20 20 3\n" + pixels.tobytes())
        lines.append(f"{'val' if number < 2 else 'train'},{number}.plain,{number}-inverse.plain")
    (root / "pairs.csv").write_text("\n".join(lines) + "\n")
    return root


def test_data_formats_trackers_and_metrics_of_a_plugin_in_a_run(
    tmp_path: Path, listed: Path
) -> None:
    for name in ("my_data.py", "listed.toml"):
        shutil.copyfile(EXAMPLES / name, tmp_path / name)
    small = ["generator.downs=2", "discriminator.layers=1", "train.save_every_steps=2"]
    settings = [part for each in small for part in ("--set", each)]
    begin = ["train", "--recipe", "listed.toml", "--dataroot", str(listed), "--name", "run"]
    done = run_i2i(*begin, *SMALL, *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 pairs to train on, 2 to validate with (their own split)" in done.stdout
    run = tmp_path / "runs" / "run"
    rows = [line.split(",") for line in (run / "scalars.csv").read_text().splitlines()]
    worst = [float(value) for step, name, value in rows if name == "validation/worst-pixel"]
    assert worst
    assert all(0 < each <= 2 for each in worst)

    (tmp_path / "input").mkdir()
    shutil.copyfile(listed / "0.plain", tmp_path / "input" / "one.plain")
    plugin = ["--plugin", "my_data.py"]
    for command in (
        ["train", "--resume", "runs/run", "--steps", "6"],
        ["translate", "input", "out", "--device", "cpu"],
        ["evaluate", "--run", "runs/run", "--device", "cpu"],
        ["export", "runs/run", "exported.onnx"],
        ["doctor", "listed", "--no-estimate"],
    ):
        done = run_i2i(*command, *plugin, cwd=tmp_path)
        assert done.returncode == 0, (command, done.stdout + done.stderr)
    assert "listed-pairs (pairs in pairs.csv)" in done.stdout
    with Image.open(tmp_path / "out" / "one.png") as result:
        assert result.size == (20, 20)
    rows = [line.split(",") for line in (run / "scalars.csv").read_text().splitlines()]
    assert max(int(step) for step, _, _ in rows) == 6


@pytest.mark.slow
def test_an_installed_distribution_is_found(tmp_path: Path, facades: Path) -> None:
    source = tmp_path / "distribution"
    shutil.copytree(EXAMPLES / "distribution", source)
    target = tmp_path / "target"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", str(target), str(source)),
        ],
        check=True,
        capture_output=True,
    )
    code = """
from i2i.core import registry
for doors, part in (
    (registry.MODELS, "example-pix2pix"),
    (registry.networks("generator"), "example-identity"),
    (registry.LOSSES, "example-huber"),
    (registry.ADVERSARIAL_LOSSES, "example-linear"),
    (registry.DATA_KINDS, "example-pairs"),
    (registry.IMAGE_FORMATS, "example-npy"),
    (registry.TRACKERS, "example-silent"),
    (registry.METRICS, "example-bias"),
):
    part = doors.find(part)
    print(doors.group)
"""
    path = os.pathsep.join([str(target), *filter(None, sys.path)])
    environment = os.environ | {"PYTHONPATH": path}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert found.returncode == 0, found.stderr
    groups = (source / "pyproject.toml").read_text()
    printed = found.stdout.split()
    assert len(printed) == len(set(printed)) == groups.count("[project.entry-points.")
    assert all(f'"{group}"' in groups for group in printed)
