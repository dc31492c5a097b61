"""Whole runs: what they leave behind, and that a resumed run is the same run."""

import io
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from i2i.config import Options
from i2i.config.recipes import load_options, recipes
from i2i.core.console import Console
from i2i.core.registry import LOSSES
from i2i.errors import CheckpointError, DataError, OptionsError, RunError, TrainingError
from i2i.inference.about import describe_checkpoint
from i2i.inference.load import load_sampler, load_translator
from i2i.losses import l1
from i2i.models import find_model
from i2i.runs.checkpoint import load_checkpoint, save_checkpoint
from i2i.runs.folder import Run
from i2i.training import checkpoints as keeper
from i2i.training import session as train
from i2i.training.validation import Validation
from shrunk import shrunk


def on(root: Path, recipe: str = "pix2pix", *settings: str) -> Options:
    return shrunk(recipe, f"data.root={root}", *settings)


def assert_same_state(one: object, other: object, path: str = "") -> None:
    """Bit for bit, whatever the nesting."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same_state(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        assert len(one) == len(other), path
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same_state(*pair, path=f"{path}[{index}]")
    elif isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other), path
    else:
        assert one == other, path


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_trains_resumes_bit_for_bit_and_is_of_use(
    recipe: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind = find_model(load_options(recipe).model).data
    fixtures = {"paired": "facades", "unconditional": "domains"}
    root = request.getfixturevalue(fixtures.get(kind, kind))
    upscale = load_options(recipe).upscale
    if upscale > 1:
        root = larger(root, tmp_path / "larger", upscale)
    # Networks that grow are in the middle of fading something in after the third step.
    steps = 6 if load_options(recipe).growth else 3
    options = on(
        root, recipe, f"train.steps={steps}", "train.save_every_steps=1", "train.keep_checkpoints=9"
    )
    outcome = train.start(options, tmp_path / "runs", "a", device="cpu")
    assert (outcome.steps, outcome.exit_code) == (steps, 0)
    run = Run(outcome.folder)
    whole = load_checkpoint(run.latest())
    for path in run.checkpoints()[steps // 2 :]:
        path.unlink()
    assert train.resume(outcome.folder, device="cpu").steps == steps
    assert_same_state(whole, load_checkpoint(run.latest()))
    if kind == "unconditional":
        sampler, why = load_sampler(outcome.folder, device="cpu")
        assert f"step-0000000{steps}.pt" in why
        channels = options.data.output_channels
        assert sampler(range(3)).shape == (3, channels, 16, 16)
        return
    space = options.data.labels
    domain = space.targets[-1] if space.names else None
    translator, why = load_translator(outcome.folder, domain=domain, device="cpu")
    assert f"step-0000000{steps}.pt" in why
    image = torch.randint(0, 256, (3, 19, 23), dtype=torch.uint8)
    assert translator(image).shape == (3, 19 * upscale, 23 * upscale)


def larger(root: Path, folder: Path, times: int) -> Path:
    """Pairs side by side, as pairs of which B is so many times as large."""
    for path in root.rglob("*.png"):
        with Image.open(path) as image:
            middle = image.width // 2
            a = image.crop((0, 0, middle, image.height))
            b = image.crop((middle, 0, image.width, image.height))
        for side, half in (("A", a), ("B", b.resize((times * b.width, times * b.height)))):
            target = folder / path.parent.name / side / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            half.save(target)
    return folder


@pytest.mark.parametrize(
    ("settings", "cut"),
    [
        ((), 3),  # 7 images in batches of 2: in the middle of the first epoch
        ((), 5),  # and of the second
        (("train.ema_decay=0.9", "data.augment.rotation=10", "data.flip=true"), 3),
        (("train.precision=fp16", "schedule.name=constant"), 4),
        (("train.precision=bf16", "optimizer.name=rmsprop", "train.gradient_accumulation=2"), 3),
    ],
)
def test_resumed_run_is_the_same_run(
    settings: tuple[str, ...], cut: int, facades: Path, tmp_path: Path
) -> None:
    options = on(
        facades, "pix2pix", "train.steps=8", "train.save_every_steps=1", "train.keep_checkpoints=9"
    )
    options = load_options_again(options, *settings)
    whole = train.start(options, tmp_path, "whole", device="cpu")
    # A crash after `cut` steps: what came later never happened, half a line of the log is left.
    crashed = Run(tmp_path / "crashed")
    shutil.copytree(whole.folder, crashed.folder)
    for path in crashed.checkpoints():
        if path > crashed.checkpoint(cut):
            path.unlink()
    with crashed.log.open("a") as log:
        log.write('{"step": 9, "gen')
    train.resume(crashed.folder, device="cpu")
    one, other = (load_checkpoint(Run(f).latest()) for f in (whole.folder, crashed.folder))
    assert_same_state(one, other)
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if not k.startswith("speed/")}
            for line in Run(folder).log.read_text().splitlines()
        ]
        for folder in (whole.folder, crashed.folder)
    ]
    assert logs[0] == logs[1]


TRICKS = (
    "train.historical_averaging=0.01",
    "train.ema_decay=0.9",
    "adversarial.label_smoothing=0.1",
    "adversarial.fake_label_smoothing=0.05",
    "adversarial.label_noise=0.1",
    "adversarial.instance_noise=0.2",
    "adversarial.instance_noise_until=0.8",
    "game.mixed_batch=true",
    "adversarial.clip=0.5",
    "objective.feature_matching=1",
)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        ("dcgan", ["game.n_critic=2", "game.n_generator=2"]),
        ("infogan", ["game.resample_latents=true"]),
        ("pix2pix", ["game.n_critic=2"]),
    ],
)
def test_what_keeps_a_game_in_balance_is_resumed_too(
    recipe: str, more: list[str], pieces: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = request.getfixturevalue("facades" if recipe == "pix2pix" else "domains")
    settings = [*TRICKS, *more, f"train.gradient_accumulation={pieces}", "train.batch_size=4"]
    settings += ["train.steps=6", "train.save_every_steps=3", "train.keep_checkpoints=9"]
    outcome = train.start(on(root, recipe, *settings), tmp_path, "a", device="cpu")
    run = Run(outcome.folder)
    whole = load_checkpoint(run.latest())
    assert whole["histories"].keys() == whole["optimizers"].keys()
    run.latest().unlink()
    assert train.resume(outcome.folder, device="cpu").steps == 6
    assert_same_state(whole, load_checkpoint(run.latest()))


def test_a_run_that_ends_before_the_networks_have_grown_says_so(
    domains: Path, tmp_path: Path, said: list[str]
) -> None:
    options = on(domains, "progan", "train.steps=3")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    (note,) = [line for line in said if "note: the networks grow" in line]
    assert "over 6 steps, the run ends after 3, at 8 pixels" in note
    about = describe_checkpoint(Run(outcome.folder).latest())
    assert "3 steps (7 images, grown to 8 pixels)" in about
    assert "images:   16 pixels, from 3 numbers of normal noise" in about


def test_a_description_says_what_is_drawn_from_what(domains: Path, tmp_path: Path) -> None:
    outcome = train.start(on(domains, "infogan"), tmp_path, "a", device="cpu")
    about = describe_checkpoint(Run(outcome.folder).latest())
    assert "uniform noise and the codes category, continuous1, continuous2\n" in about
    assert "classes:    red, green, blue" in about
    assert "batch norm by running statistics" in about
    outcome = train.start(on(domains, "cgan"), tmp_path, "b", device="cpu")
    assert "uniform noise, told the class\n" in describe_checkpoint(Run(outcome.folder).latest())


def load_options_again(options: Options, *settings: str) -> Options:
    from i2i.config import read_options
    from i2i.config.recipes import merge, parse_setting

    layer = options.to_dict()
    for setting in settings:
        layer = merge(layer, parse_setting(setting))
    return read_options(layer)


def test_n_steps_and_an_extension_equal_2n_steps(facades: Path, tmp_path: Path) -> None:
    constant = on(facades, "pix2pix", "schedule.name=constant", "train.steps=6")
    whole = train.start(constant, tmp_path, "whole", device="cpu")
    half = on(facades, "pix2pix", "schedule.name=constant", "train.steps=3")
    first = train.start(half, tmp_path, "half", device="cpu")
    train.resume(first.folder, {"train": {"steps": 6}}, device="cpu")
    one, other = (load_checkpoint(Run(f).latest()) for f in (whole.folder, first.folder))
    assert_same_state(one["model"], other["model"])
    assert_same_state(one["optimizers"], other["optimizers"])


def test_workers_change_nothing(facades: Path, tmp_path: Path) -> None:
    states = [
        load_checkpoint(
            Run(
                train.start(
                    on(facades, "pix2pix", f"data.workers={workers}"),
                    tmp_path,
                    f"w{workers}",
                    device="cpu",
                ).folder
            ).latest()
        )
        for workers in (0, 2)
    ]
    assert_same_state(states[0]["model"], states[1]["model"])


def test_the_run_folder_holds_everything(facades: Path, tmp_path: Path, said: list[str]) -> None:
    options = on(
        facades, "pix2pix", "train.steps=6", "train.keep_checkpoints=2", "train.monitor=l1"
    )
    outcome = train.start(options, tmp_path, "a", device="cpu")
    run = Run(outcome.folder)
    assert [p.name for p in run.checkpoints()] == ["step-00000004.pt", "step-00000006.pt"]
    assert run.best.exists()
    settled = load_options(options, f"train.threads={torch.get_num_threads()}")
    assert load_options(str(run.folder / "options.toml")) == settled
    assert json.loads((run.folder / "environment.json").read_text())["device"] == "cpu"
    assert [p.name for p in sorted(run.samples.iterdir())] == [
        f"step-0000000{step}.png" for step in (0, 2, 4, 6)
    ]
    rows = [json.loads(line) for line in run.log.read_text().splitlines()]
    validated = [row["validation/l1"] for row in rows if "validation/l1" in row]
    assert len(validated) == 3
    assert load_checkpoint(run.best)["best"] == pytest.approx(min(validated))
    assert any("7 pairs to train on, 3 to validate" in line for line in said)
    assert any("tensorboard --logdir" in line for line in said)
    about = describe_checkpoint(run.latest())
    assert "model:      pix2pix" in about
    assert "trained:    6 steps of 2" in about


def test_without_a_validation_split_some_is_held_out(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    shutil.rmtree(facades / "val")
    train.start(on(facades), tmp_path, "a", device="cpu")
    assert any(
        "6 pairs to train on, 1 to validate with (held out from the 7" in line for line in said
    )


def test_a_single_pair_is_trained_on_without_validation(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    shutil.rmtree(facades / "val")
    for path in sorted((facades / "train").iterdir())[1:]:
        path.unlink()
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    assert outcome.steps == 4
    assert any("no image left to validate with" in line for line in said)
    assert not Run(outcome.folder).best.exists()


def test_what_cannot_start_leaves_no_folder(facades: Path, tmp_path: Path, said: list[str]) -> None:
    runs = tmp_path / "runs"
    (facades / "train" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3\.png"):
        train.start(on(facades), runs, "a", device="cpu")
    bad = on(facades, "pix2pix", "data.skip_bad=true", 'train.freeze=["nobody"]')
    with pytest.raises(OptionsError, match=r"train\.freeze"):
        train.start(bad, runs, "a", device="cpu")
    assert not runs.exists()
    said.clear()
    good = on(facades, "pix2pix", "data.skip_bad=true")
    train.start(good, runs, "a", device="cpu")
    (left_out,) = (line for line in said if line.startswith("left out"))
    assert left_out.startswith("left out 1 of 7 that cannot be used (--skip-bad):\n")
    assert "3.png" in left_out


def test_what_cannot_be_resumed(facades: Path, tmp_path: Path) -> None:
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    with pytest.raises(RunError, match="exists already"):
        train.start(on(facades), tmp_path, "a", device="cpu")
    with pytest.raises(RunError, match=r"has done 4 steps and is to be 3 long.*extend"):
        train.resume(outcome.folder, {"train": {"steps": 3}}, device="cpu")
    older = Run(outcome.folder).checkpoint(2)
    with pytest.raises(RunError, match=r"newer checkpoints.*step-00000004\.pt"):
        train.resume(older, {"train": {"steps": 9}}, device="cpu")
    with pytest.raises(CheckpointError, match="neither a run folder"):
        train.resume(tmp_path / "b", device="cpu")


def test_changed_images_and_a_replanned_schedule_are_said(
    facades: Path, tmp_path: Path, said: list[str]
) -> None:
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    shutil.copy(facades / "train" / "1.png", facades / "train" / "new.png")
    train.resume(outcome.folder, {"train": {"steps": 5}}, device="cpu")
    assert any("not those that the run began with" in line for line in said)
    assert any("linear learning rate is now planned over 5 steps" in line for line in said)


def test_a_loss_that_explodes_ends_the_run_and_saves_nothing_more(
    facades: Path, tmp_path: Path
) -> None:
    explosive = on(facades, "pix2pix", "optimizer.learning_rate=1e30", "train.steps=8")
    with pytest.raises(
        TrainingError, match=r"step \d+: .* is (nan|inf|-inf).*last good checkpoint"
    ):
        train.start(explosive, tmp_path, "a", device="cpu")
    for path in Run(tmp_path / "a").checkpoints():
        weights = load_checkpoint(path)["model"].values()
        assert all(w.isfinite().all() for w in weights if w.is_floating_point())


class Poisoned(torch.autograd.Function):
    """The identity, with a gradient that is not finite: the loss shows nothing of it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient * float("nan")


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gradient of L1 not be finite."""
    find = LOSSES.find

    def found(name: str) -> Any:
        return (lambda a, b: l1(Poisoned.apply(a), b)) if name == "l1" else find(name)

    monkeypatch.setattr(LOSSES, "find", found)


def test_weights_that_are_not_finite_are_never_saved(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch)
    options = on(
        facades,
        "pix2pix",
        "train.keep_checkpoints=1",
        "train.save_every_steps=1",
        "train.log_every_steps=1",
    )
    with pytest.raises(
        TrainingError, match=r"step 1: \d+ weights are no longer finite \(generator"
    ):
        train.start(options, tmp_path, "a", device="cpu")
    assert Run(tmp_path / "a").checkpoints() == []
    assert not Run(tmp_path / "a").best.exists()


def test_a_full_disk_does_not_end_a_run_before_its_end(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    written: list[str] = []

    def moody(path: Path, state: dict[str, Any]) -> None:
        written.append(path.name)
        if len(written) <= 2:
            raise CheckpointError(f"{path} could not be written: No space left on device.")
        save_checkpoint(path, state)

    monkeypatch.setattr(keeper, "save_checkpoint", moody)
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    assert outcome.exit_code == 0
    # Before a validation and, with what it found, after it.
    each = ["step-0000000{}.pt", "best.pt", "step-0000000{}.pt"]
    assert written == [name.format(step) for step in (2, 4) for name in each]
    assert sum("No space left" in line for line in said) == 2
    assert load_checkpoint(Run(outcome.folder).best)["step"] == 4


def test_a_listener_that_goes_away_does_not_end_a_run(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with Console():
        assert train.start(on(facades), tmp_path, "a", device="cpu").exit_code == 0


def test_a_signal_in_the_last_step_is_no_reason_to_resume(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    show = Validation.show

    def interrupted(self: Validation, trainer: Any) -> Any:
        if trainer.steps_done == 4:
            signal.raise_signal(signal.SIGTERM)
        return show(self, trainer)

    monkeypatch.setattr(Validation, "show", interrupted)
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    assert (outcome.steps, outcome.exit_code) == (4, 0)
    assert said[-1].startswith("done: 4 steps")


def test_the_last_good_checkpoint_of_a_resumed_run_is_the_one_it_came_from(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = train.start(on(facades), tmp_path, "a", device="cpu")
    changes = {"train": {"steps": 9, "save_every_steps": 9}}
    poison(monkeypatch)
    with pytest.raises(TrainingError, match=r"last good checkpoint: .*step-00000004\.pt"):
        train.resume(outcome.folder, changes, device="cpu")


def test_a_run_can_be_resumed_from_elsewhere(
    facades: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(facades.parent)
    options = on(Path(facades.name), "pix2pix")
    outcome = train.start(options, tmp_path / "runs", "a", device="cpu")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train.resume(outcome.folder, {"train": {"steps": 5}}).steps == 5
    monkeypatch.chdir(outcome.folder / "checkpoints")
    here = Path("step-00000005.pt")
    assert train.resume(here, {"train": {"steps": 6}}, device="cpu").steps == 6


def test_the_moving_average_is_what_travels(facades: Path, tmp_path: Path) -> None:
    options = on(facades, "pix2pix", "train.ema_decay=0.5", "generator.dropout=false")
    outcome = train.start(options, tmp_path, "a", device="cpu")
    state = load_checkpoint(Run(outcome.folder).latest())
    averaged, _ = load_translator(outcome.folder, device="cpu")
    raw, _ = load_translator(outcome.folder, device="cpu", average=False)
    name, mean = next(iter(state["average"].items()))
    key = name.removeprefix("generator.")
    assert torch.equal(averaged.network.state_dict()[key], mean)
    assert torch.equal(raw.network.state_dict()[key], state["model"][name])
    assert not torch.equal(mean, state["model"][name])
    plain = train.start(on(facades), tmp_path, "b", device="cpu")
    with pytest.raises(CheckpointError, match="no moving average"):
        load_translator(plain.folder, device="cpu", average=True)


def test_cyclegan_with_a_single_image_on_a_side(unpaired: Path, tmp_path: Path) -> None:
    for side in "AB":
        shutil.rmtree(unpaired / f"test{side}")
    for path in sorted((unpaired / "trainA").iterdir())[1:]:
        path.unlink()
    outcome = train.start(on(unpaired, "cyclegan"), tmp_path, "a", device="cpu")
    assert outcome.steps == 4
    assert len(list(Run(outcome.folder).samples.iterdir())) == 3
