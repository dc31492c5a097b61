"""StarGAN against the trajectory of the authors' implementation, and what it is told."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from i2i.config.recipes import load_options
from i2i.core.batch import Labelled
from i2i.core.model import Clock
from i2i.errors import OptionsError
from i2i.models.build import build_model
from i2i.models.stargan import StarGAN
from i2i.training.build import build_trainer, learning_rate_schedule
from recorded import signed, weights_error, weights_of
from shrunk import shrunk

TRAJECTORY = Path(__file__).parent.parent / "reference" / "trajectory_stargan_softmax.safetensors"


def permutation(labels: Tensor, target: Tensor) -> Tensor:
    """The order in which the labels are the targets."""
    left = list(enumerate(labels.tolist()))
    order = []
    for wanted in target.tolist():
        found = next(pair for pair in left if pair[1] == wanted)
        left.remove(found)
        order.append(found[0])
    return torch.tensor(order)


NAMES = {
    "D_real": "discriminator/real",
    "D_fake": "discriminator/fake",
    "D_cls": "discriminator/real_classification",
    "D_gp": "discriminator/gradient_penalty",
    "G_fake": "generator/adversarial",
    "G_rec": "generator/reconstruction",
    "G_cls": "generator/classification",
}


class Replayed:
    """A trainer that begins with the recorded weights and is given the recorded draws."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
        self.recorded = load_file(TRAJECTORY)
        with safe_open(TRAJECTORY, "pt") as file:
            self.columns = json.loads(file.metadata()["columns"])
        options = load_options(
            "stargan",
            'data.domains=["a", "b", "c", "d", "e"]',
            *("generator.width=8", "generator.blocks=2"),
            *("discriminator.width=8", "discriminator.layers=4"),
            size=32,
        )
        self.model = build_model(options)
        for name, prefix in (("generator", "initial.G."), ("discriminator", "initial.D.")):
            self.model.get_submodule(name).load_state_dict(weights_of(self.recorded, prefix))
        self.trainer = build_trainer(options, self.model.to(dtype))
        self.dtype = dtype
        self.monkeypatch = monkeypatch

    def step(self, step: int) -> Tensor:
        """Play a step; its losses as the recording has them, NaN where there is none."""
        images, labels, target, alpha = (
            self.recorded[f"batches.{name}"][step] for name in ("image", "label", "target", "alpha")
        )
        order, alpha = permutation(labels, target), alpha.to(self.dtype)
        self.monkeypatch.setattr(torch, "randperm", lambda n, device: order)
        self.monkeypatch.setattr(torch, "rand", lambda n, device, dtype: alpha)
        of = F.one_hot(labels, 5).to(self.dtype)
        images = signed(images).to(self.dtype)
        losses = self.trainer.step(
            Labelled(images, of, torch.ones(len(images), 1, dtype=self.dtype))
        )
        assert ("generator/total" in losses) == (step % 5 == 4)
        nothing = torch.tensor(torch.nan)
        found = [losses.get(NAMES[column], nothing) for column in self.columns]
        return torch.stack(found).double()


@pytest.mark.usefixtures("in_float64")
def test_ten_published_steps_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = Replayed(monkeypatch, torch.float64)
    exact = load_file(TRAJECTORY.with_stem("trajectory_stargan_softmax_float64"))
    for step, expected in enumerate(exact["losses"]):
        torch.testing.assert_close(
            replayed.step(step), expected, rtol=1e-9, atol=0, equal_nan=True, msg=f"step {step}"
        )
    generator = replayed.model.get_submodule("generator")
    assert weights_error(generator, weights_of(exact, "final.G.")) <= 1e-9


def test_the_first_published_step_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later ones are chaotic: Adam makes whole steps of gradients that are only rounding."""
    replayed = Replayed(monkeypatch, torch.float32)
    expected = replayed.recorded["losses"][0]
    torch.testing.assert_close(replayed.step(0), expected, rtol=1e-5, atol=0, equal_nan=True)


def stargan(*settings: str) -> StarGAN:
    model = build_model(shrunk("stargan", *settings))
    assert isinstance(model, StarGAN)
    return model


TWO_SETS = (
    'data.attributes=["dark", "fair", "old"]',
    'data.groups=[["dark", "fair"]]',
    "data.domains=[]",
    'data.more=[{root="x", domains=["sad", "glad"]}]',
)


@pytest.fixture
def batch() -> Labelled:
    torch.manual_seed(0)
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    return Labelled(images, torch.eye(3)[[0, 1, 2, 0]], torch.ones(4, 1))


@pytest.fixture
def mixed() -> Labelled:
    """Two images of a data set with attributes, and two of one with domains."""
    torch.manual_seed(0)
    labels = [[1.0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    mask = torch.eye(2)[[0, 0, 1, 1]]
    return Labelled(torch.rand(4, 3, 16, 16) * 2 - 1, torch.tensor(labels), mask)


def test_five_turns_of_the_critic_for_one_of_the_generator(batch: Labelled) -> None:
    trainer = build_trainer(shrunk("stargan"))
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    for step in range(10):
        losses = trainer.step(batch)
        expected = {"discriminator", "generator"} if step % 5 == 4 else {"discriminator"}
        assert {name.split("/")[0] for name in losses} == expected
        moved = {
            name.split(".")[0]
            for name, value in trainer.model.named_parameters()
            if not torch.equal(value, before[name])
        }
        assert moved == ({"discriminator", "generator"} if step >= 4 else {"discriminator"})


def test_targets_are_the_labels_of_others_with_their_masks(
    mixed: Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stargan(*TWO_SETS)
    seen: list[Tensor] = []
    translate = model.translate
    monkeypatch.setattr(
        model, "translate", lambda images, told: seen.append(told) or translate(images, told)
    )
    for _, loss in model.play(mixed, Clock(4)):
        assert loss.terms
    own = torch.cat([mixed.labels, mixed.mask], dim=1)
    for wanted in seen[:2]:
        assert sorted(wanted.tolist()) == sorted(own.tolist())
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], own)
    assert len(seen) == 3


def test_only_known_labels_are_classified(mixed: Labelled) -> None:
    model = stargan(*TWO_SETS)
    logits = torch.randn(4, 5, requires_grad=True)
    loss = model.classification(logits, mixed.labels, mixed.mask)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[:2, 3:] == 0).all()
    assert (logits.grad[2:, :3] == 0).all()
    expected = (
        F.binary_cross_entropy_with_logits(logits[:2, :3], mixed.labels[:2, :3], reduction="sum")
        + F.cross_entropy(logits[2:, 3:], torch.tensor([0, 1]), reduction="sum")
    ) / 4
    torch.testing.assert_close(loss, expected)


def test_attributes_are_judged_as_published(batch: Labelled) -> None:
    """The authors' code: the sum of the binary cross-entropies, divided by the batch size."""
    model = stargan("data.domains=[]", 'data.attributes=["a", "b", "c"]')
    logits = torch.randn(4, 3)
    found = model.classification(logits, batch.labels, batch.mask)
    published = F.binary_cross_entropy_with_logits(logits, batch.labels, reduction="sum") / 4
    torch.testing.assert_close(found, published)


def test_the_sheet_has_a_column_for_every_target(batch: Labelled, mixed: Labelled) -> None:
    columns = stargan().visualize(batch)
    assert list(columns) == ["input", "red", "green", "blue"]
    model = stargan(*TWO_SETS)
    told: list[Tensor] = []
    model.translate = lambda images, condition: told.append(condition) or images  # type: ignore[method-assign]
    assert list(model.visualize(mixed)) == ["input", "dark", "fair", "old-reversed", "sad", "glad"]
    dark, fair, old, sad, glad = told
    assert dark[0].tolist() == [1, 0, 1, 0, 0, 1, 0]
    assert fair[0].tolist() == [0, 1, 1, 0, 0, 1, 0]
    assert old[:2].tolist() == [[1, 0, 0, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1, 0]]
    assert sad.tolist() == [[0, 0, 0, 1, 0, 0, 1]] * 4
    assert glad.tolist() == [[0, 0, 0, 0, 1, 0, 1]] * 4


def test_measures_of_a_perfect_game(mixed: Labelled) -> None:
    """Images that carry their labels, a generator that writes and a critic that reads them."""
    model = stargan(*TWO_SETS)

    def written(images: Tensor, labels: Tensor) -> Tensor:
        images = images.clone()
        images[:, 0, 0, :5] = labels
        return images

    images = written(mixed.images, mixed.labels)
    model.translate = lambda images, told: written(images, told[:, :5])  # type: ignore[method-assign]
    model.discriminator.forward = lambda images: (images, images[:, 0, 0, :5] - 0.5)
    perfect = model.validation_step(mixed._replace(images=images))
    assert perfect["accuracy_real"].tolist() == [1] * 4
    assert perfect["accuracy_translated"].tolist() == [1] * 4
    assert perfect["reconstruction"].tolist() == [0] * 4
    model.discriminator.forward = lambda images: (images, torch.tensor([[1.0, 1, 1, 2, 1]] * 4))
    lazy = model.validation_step(mixed._replace(images=images))
    assert lazy["accuracy_real"].tolist() == pytest.approx([2 / 3, 0, 1, 0])
    assert lazy["accuracy_translated"].tolist() == pytest.approx([0, 1, 0, 2 / 3])


@pytest.mark.parametrize("loss", ["vanilla", "least-squares", "hinge"])
def test_any_adversarial_loss_and_penalty_works(mixed: Labelled, loss: str) -> None:
    options = shrunk("stargan", *TWO_SETS, f"adversarial.loss={loss}", "objective.r1=10")
    trainer = build_trainer(options)
    for _ in range(5):
        losses = trainer.step(mixed)
    assert losses["discriminator/r1"].item() > 0
    readings = ("score_real", "score_fake", "accuracy", "generated_error")
    assert len([name for name in losses if not name.endswith(readings)]) == 3 + 5 + 2
    assert all(value.isfinite() for value in losses.values())


def test_a_batch_in_pieces_and_other_precisions(batch: Labelled) -> None:
    for setting in (
        "train.gradient_accumulation=2",
        "train.precision=bf16",
        "data.augment.rotation=10",
    ):
        trainer = build_trainer(shrunk("stargan", "train.batch_size=4", setting))
        for _ in range(5):
            losses = trainer.step(batch)
        assert losses["generator/total"].isfinite()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.domains=[]", r"data\.domains \(=\[\]\) must name two domains"),
        ('data.domains=["a"]', r"data\.domains \(=\['a'\]\) must name two"),
        ("data.output_channels=1", r"data\.output_channels \(=1\) must be"),
        ("discriminator.network=patchgan", r"network \(='patchgan'\) does not go with this model"),
        ("discriminator.layers=5", r"size \(=16\) must be a multiple of 32"),
        ("game.image_pool=5", r"game\.image_pool is no option"),
    ],
)
def test_what_does_not_go_together(setting: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        stargan(setting)


def test_a_critic_that_classifies_does_not_go_with_pix2pix() -> None:
    with pytest.raises(OptionsError, match=r"network \(='stargan'\) does not go with this model"):
        build_model(
            load_options("pix2pix", "discriminator.network=stargan", "discriminator.layers=3")
        )


def test_other_generators_can_be_told_labels_too(batch: Labelled) -> None:
    options = shrunk("stargan", "generator.network=resnet", "generator.norm=instance")
    trainer = build_trainer(options)
    for _ in range(5):
        losses = trainer.step(batch)
    assert losses["generator/reconstruction"].isfinite()


def test_published_values() -> None:
    options = load_options("stargan")
    assert (options.data.load_size, options.data.crop_size) == (128, 128)
    assert options.generator.model_dump()["blocks"] == 6
    assert (options.generator.width, options.discriminator.width) == (64, 64)
    assert options.discriminator.model_dump()["layers"] == 6
    assert options.game.n_critic == 5
    weights = {"classification": 1, "reconstruction": 10, "gradient_penalty": 10}
    assert {name: options.objective[name] for name in weights} == weights
    assert options.optimizer.learning_rate == 1e-4
    assert (options.train.steps, options.train.batch_size) == (200_000, 16)
    rate = learning_rate_schedule(options, 1000)
    assert [rate(step) for step in (0, 99_999)] == [1, 1]
    assert rate(150_000) == pytest.approx(0.5, abs=1e-4)
    assert rate(199_999) == pytest.approx(0, abs=1e-4)
    published = learning_rate_schedule(load_options("stargan", "schedule.name=constant"), 1000)
    assert published(199_999) == 1


@pytest.mark.parametrize(("size", "layers"), [(128, 6), (256, 6), (64, 6), (32, 5), (96, 5)])
def test_size_decides_how_deep_the_critic_can_be(size: int, layers: int) -> None:
    options = load_options("stargan", 'data.domains=["a", "b"]', size=size)
    assert options.discriminator.model_dump()["layers"] == layers
    build_model(options)
