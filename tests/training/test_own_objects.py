"""Runs that are made from objects of a program: networks, data, losses, metrics, rates, callbacks.

Every one goes on bit for bit when the same objects are given again, and says what is missing."""

import copy
import logging
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, ReduceLROnPlateau
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

import i2i
from i2i.cli import cli
from i2i.core.progress import audible
from i2i.core.registry import networks
from i2i.data.own import own_source
from i2i.models.build import build_model
from i2i.networks.progan import ProGANDiscriminator, ProGANGenerator
from i2i.runs.checkpoint import load_checkpoint
from i2i.runs.folder import Run
from i2i.runs.log import read_log
from i2i.training.own import OwnParts
from shrunk import shrunk

SMALL: dict[str, Any] = {
    "batch_size": 2,
    "device": "cpu",
    "generator": {"width": 2},
    "discriminator": {"width": 2, "layers": 1},
    "train": {
        "log_every_steps": 1,
        "validate_every_steps": 2,
        "save_every_steps": 2,
        "validation_share": 1.0,
        "trackers": [],
    },
}


class Plain(nn.Module):
    """A generator that halves the size, and says nothing of it."""

    def __init__(self, in_channels: int = 3, out_channels: int = 3) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_channels, 4, 4, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.up = nn.ConvTranspose2d(4, out_channels, 4, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.up(self.drop(self.norm(self.down(images)).relu())).tanh()
        return made


class Judge(nn.Module):
    """A discriminator of patches."""

    def __init__(self, in_channels: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, 4, 4, 2), nn.ReLU(), nn.Conv2d(4, 1, 3))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layers(images)
        return scores


def pairs(count: int = 5, size: int = 16) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    return TensorDataset(source, 255 - source)


class Noisy(Dataset[Any]):
    """Draws from all three global generators, as augmentations do."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        source = torch.rand(3, 16, 16) * 0.4 + 0.1 * index
        source += 0.1 * random.random() + 0.1 * np.random.rand()  # noqa: NPY002
        return {"source": source - 0.9, "target": 0.9 - source}


def edges(output: Tensor, target: Tensor) -> Tensor:
    """A loss of horizontal differences."""
    return (output.diff(dim=-1) - target.diff(dim=-1)).abs().mean()


def darkness(outputs: Tensor, references: Tensor) -> Tensor:
    return -outputs.mean(dim=(1, 2, 3))


class Counting(i2i.Callback):
    """Counts steps, and keeps the count."""

    def __init__(self) -> None:
        self.count = 0

    def on_step(self, training: i2i.Training, losses: Mapping[str, Tensor]) -> None:
        self.count += 1
        if training.logged:
            training.log({"mine/count": self.count})

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]


def objects(**other: Any) -> dict[str, Any]:
    return {
        "data": Noisy(),
        "validation": pairs(2),
        "networks": {"generator": Plain, "discriminator": Judge},
        "losses": [i2i.Term("edges", edges, 5.0)],
        "metrics": [darkness],
        "callbacks": [Counting()],
        "schedule": lambda step: 1 / (step + 1),
    } | other


def same(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights, averages, optimizers and states."""
    first, second = (load_checkpoint(Run(run).latest()) for run in (one, other))
    assert first["step"] == second["step"]
    parts = ("model", "average", "optimizers", "callbacks", "rates")
    return all(equal(first.get(part), second.get(part)) for part in parts)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def train(folder: Path, name: str, **given: Any) -> Path:
    given = {**objects(), **given}
    # Tables of options are those of other networks.
    small = {key: value for key, value in SMALL.items() if key not in given["networks"]}
    return i2i.train("pix2pix", runs_dir=folder, name=name, **{**small, **given}).folder


OTHERS: dict[str, dict[str, Any]] = {
    "all": {},
    "a loader that shuffles": {"data": DataLoader(pairs(), batch_size=2, shuffle=True)},
    "a loader with a generator": {
        "data": DataLoader(
            pairs(), batch_size=2, shuffle=True, generator=torch.Generator().manual_seed(5)
        )
    },
    "a loader with a batch sampler": {
        "data": DataLoader(
            pairs(),
            batch_sampler=BatchSampler(
                RandomSampler(pairs(), generator=torch.Generator().manual_seed(5)), 2, True
            ),
        )
    },
    "a list of batches": {"data": [pairs(2)[:], i2i.Pair(*pairs(2)[:])]},
    "torch's schedule": {"schedule": partial(ExponentialLR, gamma=0.5)},
    "a schedule of momentum, too": {"schedule": partial(OneCycleLR, max_lr=0.01, total_steps=9)},
    "a schedule by a measure": {"schedule": partial(ReduceLROnPlateau, patience=0, threshold=9.0)},
    "modules with their weights": {"networks": {"generator": Plain(), "discriminator": Judge()}},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_goes_on_exactly_with_the_same_objects(name: str, tmp_path: Path) -> None:
    """Whatever the program draws meanwhile, and whatever it draws is its own."""
    state = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    whole = train(tmp_path, "whole", steps=4, **OTHERS[name])
    part = train(tmp_path, "part", steps=2, **OTHERS[name])
    now = torch.get_rng_state(), random.getstate(), str(np.random.get_state())  # noqa: NPY002
    assert equal(now, state)
    torch.rand(7), random.random()
    again = {**objects(), **OTHERS[name]}
    assert i2i.resume(part, "train.steps=4", device="cpu", **again).steps == 4
    assert same(whole, part)
    assert load_checkpoint(Run(part).latest())["callbacks"]["Counting"] == {"count": 4}


def test_a_network_of_ones_own_is_that_of_the_same_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(networks("generator")._parts, "plain", Plain)
    own = train(tmp_path, "own", steps=3, networks={"generator": Plain})
    plain = {"network": "plain"}
    registered = train(tmp_path, "registered", steps=3, networks={}, generator=plain)
    assert same(own, registered)


def test_a_module_comes_with_its_weights_and_stays_as_it_is(tmp_path: Path) -> None:
    """The run has a copy, which begins with those weights: a rate of nothing leaves them there."""
    module = Plain()
    before = copy.deepcopy(module.state_dict())
    run = train(tmp_path, "run", steps=2, networks={"generator": module}, schedule=lambda step: 0.0)
    assert equal(module.state_dict(), before)
    trained = load_checkpoint(Run(run).latest())["model"]
    for name, value in module.named_parameters():
        assert torch.equal(trained[f"generator.{name}"], value)


def test_the_multiple_is_found_or_said(tmp_path: Path) -> None:
    """The network halves once, and 18 is no multiple of 4; nobody needs the discriminator now."""
    given = {"data": pairs(4, 18), "validation": pairs(2, 18)}
    run = train(tmp_path, "run", steps=2, **given)
    translator = i2i.load_translator(run, networks={"generator": Plain()})
    assert translator.network.multiple == 2
    assert translator(torch.zeros(1, 3, 7, 9)).shape == (1, 3, 7, 9)

    class Said(Plain):
        multiple = 4

    with pytest.raises(i2i.I2iError, match=r"\(=18\) must be a multiple of 4 for this Said"):
        train(tmp_path, "said", steps=2, **given, networks={"generator": Said})


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    run = train(tmp_path, "run", steps=2)
    with pytest.raises(
        i2i.I2iError,
        match=r"networks={'generator': Plain, 'discriminator': Judge}, losses=\[edges\], "
        r"metrics=\[darkness\], schedule=<lambda>, data=Noisy\. Give the same ones again",
    ):
        i2i.resume(run, "train.steps=4", device="cpu")
    given = objects()
    del given["losses"]
    with pytest.raises(
        i2i.I2iError, match=r"losses=\[edges\]\. .*\(run, \.\.\., losses=\[edges\]\)"
    ):
        i2i.resume(run, "train.steps=4", device="cpu", **given)
    given = objects(callbacks=[])
    with pytest.raises(i2i.I2iError, match="has a state of Counting: give it again"):
        i2i.resume(run, "train.steps=4", device="cpu", **given)
    with pytest.raises(i2i.I2iError, match="weights that do not fit the generator or the discr"):
        i2i.load_translator(run, networks={"generator": Judge(3), "discriminator": Judge})
    assert Run(run).latest().name == "step-00000002.pt"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["train", "--resume", "RUN", "--steps", "4"], "data=Noisy. Give the same ones again, in"),
        (["translate", "IN", "OUT", "--checkpoint", "RUN"], "(='own:Plain') was an object of the"),
        (["info", "RUN"], "generator.network (='own:Plain') was an object of the Python program"),
    ],
)
def test_the_command_line_says_so_too(command: list[str], said: str, tmp_path: Path) -> None:
    run = train(tmp_path, "run", steps=2)
    (tmp_path / "IN").mkdir()
    places = {"RUN": str(run), "IN": str(tmp_path / "IN"), "OUT": str(tmp_path / "OUT")}
    result = CliRunner().invoke(cli, [places.get(word, word) for word in command])
    assert result.exit_code != 0
    assert said in f"{result.output}{result.exception}"


def test_callbacks_may_come_and_go_unless_they_keep_something(
    tmp_path: Path, said: list[str]
) -> None:
    class Silent(i2i.Callback):
        pass

    run = train(tmp_path, "run", steps=2, callbacks=[Silent()])
    whole = train(tmp_path, "whole", steps=4, callbacks=[])
    said.clear()
    i2i.resume(run, "train.steps=4", device="cpu", **objects(callbacks=[]))
    assert same(run, whole)
    (note,) = [line for line in said if line.startswith("note: the run goes on without")]
    assert "without Silent, which it had: give it again, by callbacks=[...]" in note


def test_what_is_measured_is_logged_and_can_decide(tmp_path: Path) -> None:
    """In closed form: a generator that makes one grey is as dark as it is."""

    class Grey(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.tensor(-0.5))

        def forward(self, images: Tensor) -> Tensor:
            return images * 0 + self.value

    run = train(
        tmp_path,
        "run",
        steps=2,
        networks={"generator": Grey(), "discriminator": Judge()},
        losses=[],
        metrics=[darkness, ("twice", lambda outputs, references: 2 * darkness(outputs, outputs))],
        schedule=lambda step: 0.0,
        train={**SMALL["train"], "monitor": "darkness:higher"},
    )
    (row,) = [row for row in read_log(Run(run).log).rows if "validation/l1" in row]
    assert row["validation/darkness"] == pytest.approx(0.5, abs=1 / 255)
    assert row["validation/twice"] == pytest.approx(1.0, abs=2 / 255)
    assert load_checkpoint(Run(run).best)["best"] == row["validation/darkness"]


def test_a_term_is_added_with_its_weight(tmp_path: Path) -> None:
    run = train(tmp_path, "run", steps=2, losses=[("edges", edges, 3.0)], objective={"l1": 0})
    for row in read_log(Run(run).log).rows:
        terms = {name: value for name, value in row.items() if name.startswith("generator/")}
        expected = terms["generator/adversarial"] + 3 * terms["generator/edges"]
        assert terms["generator/total"] == pytest.approx(expected, rel=1e-5)
        assert "generator/l1" not in terms


def test_a_network_of_ones_own_leaves_as_a_file_that_needs_it_no_more(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    given = {"generator": Plain}
    # Files have no dropout, so ours has none either.
    run = train(tmp_path, "run", steps=2, networks=given, inference={"dropout": False})
    with i2i.own_parts(networks=given):
        written = i2i.export_onnx(str(run), str(tmp_path / "mine.onnx"))
    image = pairs(1)[0][0]
    ours = i2i.load_translator(run, networks=given, device="cpu")(image)
    theirs = i2i.load_translator(written, device="cpu")(image)
    assert (ours.int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (lambda a, b: (a - b).abs(), r"Tensor of shape \(2, 3, 16, 16\)"),
        (lambda a, b: 3, "an? int"),
    ],
)
def test_a_term_gives_a_scalar(wrong: Any, shown: str, tmp_path: Path) -> None:
    with pytest.raises(i2i.I2iError, match=f"losses: 'each' gave .*{shown}: expected a scalar"):
        train(tmp_path, "run", steps=1, losses=[("each", wrong)])


def test_rates_follow_a_function_or_a_scheduler(tmp_path: Path) -> None:
    """Closed forms: 0.0002 / (step + 1), and 0.0002 * 0.5**step."""
    for name, schedule, factor in (
        ("function", lambda step: 1 / (step + 1), lambda step: 1 / (step + 1)),
        ("scheduler", partial(ExponentialLR, gamma=0.5), lambda step: 0.5**step),
    ):
        run = train(tmp_path, name, steps=4, schedule=schedule)
        for row in read_log(Run(run).log).rows:
            expected = 2e-4 * factor(row["step"] - 1)
            assert row["learning_rate/generator"] == pytest.approx(expected, rel=1e-6)


def in_a_graph() -> nn.Module:
    """A module whose weight comes of others, as after a pass with spectral normalisation."""
    made = nn.Conv2d(3, 3, 1)
    made.scaled = made.weight * 2  # type: ignore[assignment]
    return made


class NoArguments(nn.Module):
    """A network that takes no numbers of channels."""

    def forward(self, images: Tensor) -> Tensor:
        return images


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no module": (
        {"networks": {"generator": 3}},
        r"networks\['generator'\] \(=3\) must be a torch",
    ),
    "no role": ({"networks": {"critic": Judge}}, r"networks\['critic'\] is no network of pix2pix"),
    "other channels": (
        {"networks": {"generator": lambda: Plain()}},
        r"networks\['generator'\] \(=<lambda>\) is called with \(3, 3\) by this model",
    ),
    "keeps no size": (
        {"networks": {"generator": nn.Conv2d(3, 3, 3)}},
        "Conv2d maps no image of 3 channels",
    ),
    "no term": ({"losses": [edges]}, r"must be i2i\.Term\(name, function, weight\)"),
    "a known loss": ({"losses": [("l1", edges, 1.0)]}, "there is a loss 'l1' already"),
    "no metric": ({"metrics": [3]}, r"metrics: 3 must be a function of \(outputs, references\)"),
    "a failing metric": (
        {"metrics": [("fails", lambda outputs, references: 1 / 0)]},
        r"'fails'\) fails on images of \(1, 3, 16, 16\)",
    ),
    "a metric of each pixel": (
        {"metrics": [("pixels", lambda outputs, references: (outputs - references).abs())]},
        r"'pixels'\) fails on images of .*it gives \(1, 3, 16, 16\), expected is one number, or "
        r"one for each output, \(1,\): take the mean over all other",
    ),
    "a metric of each channel": (
        {"metrics": [("bands", lambda outputs, references: outputs.mean(dim=(0, 2, 3)))]},
        r"'bands'\) fails on .*it gives \(3,\)",
    ),
    "no callback": ({"callbacks": [Counting]}, r"must be an object of a subclass of i2i\.Callback"),
    "a schedule of nothing": ({"schedule": lambda step: None}, r"schedule\(0\) is None: expected"),
    "a scheduler's arguments": (
        {"schedule": lambda optimizer: ExponentialLR(optimizer, 0.5)},
        r"schedule fails for step 0 .* functools\.partial",
    ),
    "one-way data": ({"data": (batch for batch in [])}, "can be gone through only once"),
    "nothing": ({"data": []}, "list has no sample"),
    "no data": ({"data": 3}, "data is of the type int: expected a data set"),
    "other batches": (
        {"data": [torch.zeros(3, 16, 16)]},
        r"sample 0 of list is Tensor \(3, 16, 16\) torch\.float32: expected i2i\.Pair\(source, tar",
    ),
    "other keys": ({"data": [{"image": torch.zeros(3)}]}, r"a dict of \(image: Tensor \(3,\)"),
    "other values": (
        {"data": [(torch.full((3, 16, 16), 200.0), torch.zeros(3, 16, 16))]},
        r"source of the batch is torch\.float32 with values from 200 to 200: Pix2Pix learns from",
    ),
    "validation of other channels": (
        {"validation": [(torch.zeros(1, 16, 16), torch.zeros(3, 16, 16))]},
        r"source of the batch has the shape \(1, 1, 16, 16\): .*source \(N, 3, H, W\)",
    ),
    "a class without arguments": (
        {"networks": {"generator": NoArguments}},
        r"networks\['generator'\] \(=NoArguments\) is called with \(3, 3.* no __init__ of its own",
    ),
    "a module without weights": (
        {"networks": {"generator": nn.Identity()}},
        "the networks of the generator have no weights",
    ),
    "a function as a term": ({"losses": [edges]}, r"losses: edges must be i2i\.Term"),
    "a module that cannot be copied": (
        {"networks": {"generator": in_a_graph()}},
        r"networks\['generator'\] \(=Conv2d\) cannot be copied .*: give a class or function",
    ),
    "a measure the other way": (
        {"schedule": ReduceLROnPlateau, "train": SMALL["train"] | {"monitor": "psnr"}},
        r"the mode 'min', and of psnr higher is better: give .*mode='max'",
    ),
    "a scheduler without its arguments": (
        {"schedule": ExponentialLR},
        r"schedule \(=ExponentialLR\) cannot be made .*gamma.*partial\(ExponentialLR, ",
    ),
    "channels behind": (
        {"data": [(torch.zeros(16, 20, 3), torch.zeros(16, 20, 3))]},
        r"source of the first sample has the shape \(16, 20, 3\): expected \(C, H, W\)",
    ),
    "two kinds of data": ({"dataroot": "demo"}, "dataroot .* and data are both given"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_done(name: str, tmp_path: Path) -> None:
    given, message = REFUSED[name]
    with pytest.raises(i2i.I2iError, match=message):
        train(tmp_path / "runs", "run", steps=2, **given)
    assert not (tmp_path / "runs").exists()


def test_a_measure_without_images_to_validate_with_is_said(tmp_path: Path, said: list[str]) -> None:
    train(tmp_path, "run", steps=1, validation=None)
    assert any("no image grids, and darkness will not be measured." in line for line in said)


def test_who_sets_a_level_of_the_logger_decides_what_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("i2i")
    monkeypatch.setattr(logger, "propagate", False)
    for level, shown in ((logging.NOTSET, True), (logging.WARNING, False)):
        monkeypatch.setattr(logger, "level", level)
        with audible():
            logging.getLogger("i2i.any").info("something is done")
            logging.getLogger("i2i.any").warning("something is wrong")
        out, err = capsys.readouterr()
        assert ("something is done" in out) == shown
        assert "something is wrong" in err
        assert logger.level == level


def test_samples_of_several_sizes_are_refused(tmp_path: Path) -> None:
    samples = [(torch.zeros(3, size, size),) * 2 for size in (16, 16, 20)]
    with pytest.raises(i2i.I2iError, match=r"of list has the shapes .*: bring all to one size"):
        train(tmp_path, "run", steps=2, data=samples)


def test_a_scheduler_and_a_warm_up_are_not_both_taken(tmp_path: Path) -> None:
    """Most schedulers multiply the rate that they find, so that the first warm one would stay."""
    schedule = partial(ExponentialLR, gamma=0.5)
    with pytest.raises(i2i.I2iError, match=r"warmup_steps \(=3\) .*ExponentialLR sets them"):
        i2i.train(
            "pix2pix",
            "schedule.warmup_steps=3",
            runs_dir=tmp_path,
            **{**SMALL, **objects(schedule=schedule)},
        )


@pytest.mark.parametrize("in_a_list", [True, False])
def test_the_first_batch_tells_how_many_samples_are_in_one(in_a_list: bool, tmp_path: Path) -> None:
    """Speeds, the rule of r1 and pieces of a step go by it."""
    sampler = BatchSampler(RandomSampler(pairs(6)), 3, drop_last=True)
    data: Any = [pairs(3)[:]] * 2 if in_a_list else DataLoader(pairs(6), batch_sampler=sampler)
    run = train(tmp_path, "run", data=data, epochs=2)
    state = load_checkpoint(Run(run).latest())
    assert state["options"]["train"]["batch_size"] == 3
    assert state["step"] == 4
    row = read_log(Run(run).log).rows[-1]
    ratio = row["speed/images_per_second"] / row["speed/steps_per_second"]
    assert ratio == pytest.approx(3)


@pytest.mark.parametrize("persistent", [True, False])
def test_workers_that_outlive_an_epoch_are_spoken_of(persistent: bool, said: list[str]) -> None:
    loader = DataLoader(pairs(), 2, num_workers=1, persistent_workers=persistent)
    own_source(loader, None, kind="paired", seed=0)
    assert ("the workers of data (=DataLoader) outlive an epoch" in "".join(said)) == persistent


def test_the_size_is_that_of_what_is_translated(tmp_path: Path) -> None:
    samples = [(torch.rand(3, 16, 16), torch.rand(3, 32, 32)) for _ in range(2)]
    given = {"data": samples, "validation": samples, "networks": {"discriminator": Judge}}
    run = train(tmp_path, "run", steps=1, generator={"width": 2, "upscale": 2}, **given)
    assert load_checkpoint(Run(run).latest())["options"]["data"]["crop_size"] in (16, [16, 16])
    assert i2i.load_translator(run, device="cpu")(samples[0][0]).shape == (3, 32, 32)


class Grower(ProGANGenerator):
    def __init__(self, *numbers: int, **more: Any) -> None:
        super().__init__(*numbers, width=2, **more)


class GrowingJudge(ProGANDiscriminator):
    def __init__(self, *numbers: int, **more: Any) -> None:
        super().__init__(*numbers, width=2, **more)


def test_networks_of_ones_own_may_grow() -> None:
    options = shrunk("progan")
    grown = dict(build_model(options).named_parameters())
    own = OwnParts(networks={"generator": Grower, "discriminator": GrowingJudge})
    with own.given():
        mine = dict(build_model(i2i.load_options(options, own.layer(options))).named_parameters())
    assert mine.keys() == grown.keys()
    assert all(torch.equal(mine[name], value) for name, value in grown.items())
    own = OwnParts(networks={"discriminator": lambda channels, **more: nn.Conv2d(channels, 1, 1)})
    with own.given(), pytest.raises(i2i.I2iError, match=r"grow .*or a method grow\(stage, alpha\)"):
        build_model(i2i.load_options(options, own.layer(options)))
