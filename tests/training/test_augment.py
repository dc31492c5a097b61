"""Augmentation of what discriminators see: where it acts, what passes through it, how p moves."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from i2i.core.model import Clock, Model, Objective, Play
from i2i.errors import OptionsError
from i2i.losses import Adversarial, gradient_penalty, r1, real_scores
from i2i.networks.augment import AdaptiveProbability, DiffAugment, Sometimes, augmentation_of
from i2i.networks.augment.adaptive import count_signs
from i2i.networks.augment.draws import Draws
from i2i.networks.multiscale import MultiScalePatchGAN
from i2i.training.as_used import as_used
from i2i.training.augment import DiscriminatorAugmentation
from i2i.training.build import build_trainer
from i2i.training.noise import InstanceNoise
from i2i.training.trainer import Trainer
from shrunk import batch_for, shrunk

WORDS = 'augment_discriminator.policy="color,translation,cutout"'
PIPE = 'augment_discriminator.policy="bgc"'
ADAPTIVE = (
    PIPE,
    "augment_discriminator.adaptive=true",
    "augment_discriminator.probability=0.5",
    "augment_discriminator.interval=2",
    "augment_discriminator.kimg=0.02",
)


class Shift:
    """Moves each image to the left by the number drawn for it; zeros come in from the right. With
    colour it is brightened by 1, too. What was drawn is remembered."""

    def __init__(self, *shifts: int) -> None:
        self.shifts = iter(shifts)
        self.calls = 0

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        self.calls += 1
        return {"shift": torch.tensor([next(self.shifts) for _ in images])}

    def transform(self, images: Tensor, draws: Draws, *, colour: bool = True) -> Tensor:
        moved = [
            nn.functional.pad(image[..., int(shift) :], (0, int(shift)))
            for image, shift in zip(images, draws["shift"], strict=True)
        ]
        return torch.stack(moved) + (1 if colour else 0)


class Weighted(nn.Module):
    """The score of an image of one row is its scalar product with the weights."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))

    def forward(self, images: Tensor) -> Tensor:
        return (images * self.weights).flatten(1).sum(dim=1)


def augmented(network: nn.Module, shifts: tuple[int, ...], **more: Any) -> Any:
    return DiscriminatorAugmentation(Sometimes(Shift(*shifts)), [network], **more)


def test_gradients_reach_the_images_through_the_augmentation() -> None:
    network = Weighted(1, 2, 4)
    augmentation = augmented(network, (1, 0))
    images = torch.zeros(2, 1, 1, 3, requires_grad=True)
    with augmentation.playing():
        scores = network(images)
    assert scores.tolist() == [7, 7]
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    assert gradient[:, 0, 0].tolist() == [[0, 1, 2], [1, 2, 4]]
    assert torch.equal(network(images), torch.zeros(2))  # outside, nothing is augmented


def test_slopes_are_penalised_at_the_images_before_their_augmentation() -> None:
    """The slope at an image that is shifted by one is (0, 1, 2), of the others (1, 2, 4)."""
    network = Weighted(1, 2, 4)
    augmentation = augmented(network, (1, 0, 2, 0))
    images = torch.randn(2, 1, 1, 3)
    with augmentation.playing():
        penalty = r1(network, images)
        slopes = gradient_penalty(network, images, -images)
    assert penalty.item() == pytest.approx((5 + 21) / 2 / 2)
    expected = ((1 - 1) ** 2 + (21**0.5 - 1) ** 2) / 2  # of (0, 0, 1) and (1, 2, 4)
    assert slopes.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(penalty, network.weights)
    # d/dw of half the mean of w0^2 + w1^2 (shifted) and w0^2 + w1^2 + w2^2.
    assert gradient.tolist() == pytest.approx([1.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("condition", "front", "back"),
    [("image", [3, 4, 1], [6, 7, 1]), ("planes", [2, 3, 0], [6, 7, 1])],
)
def test_a_condition_moves_with_its_image(
    condition: Literal["image", "planes"], front: list[float], back: list[float]
) -> None:
    augmentation = augmented(nn.Identity(), (1,), condition=condition, judged=1)
    shown = torch.tensor([[[[1.0, 2, 3]], [[4, 5, 6]]]])
    result = augmentation.augment(shown)
    assert result[0, 0, 0].tolist() == front
    assert result[0, 1, 0].tolist() == back


@pytest.mark.parametrize("policy", [WORDS, PIPE])
@pytest.mark.parametrize("coloured", [True, False])
def test_pix2pix_shows_pairs_that_are_moved_alike(policy: str, coloured: bool) -> None:
    settings = [policy, "augment_discriminator.probability=1"]
    settings += [f"augment_discriminator.color_condition={str(coloured).lower()}"]
    augmentation = build_trainer(shrunk("pix2pix", *settings)).augmentation
    assert augmentation is not None
    torch.manual_seed(0)
    image = torch.rand(3, 3, 16, 16)
    shown = augmentation.augment(torch.cat([image, image], dim=1))
    assert not torch.allclose(shown[:, :3], image, atol=0.01)
    assert torch.equal(shown[:, :3], shown[:, 3:]) == coloured
    if not coloured:  # as if there were no words or parts for colours
        without = policy.replace("color,", "").replace("bgc", "bg")
        plain = build_trainer(shrunk("pix2pix", without, *settings[1:])).augmentation
        assert plain is not None
        moved = plain.augmentation.transform(image, _drawn(augmentation, image, seed=0))
        torch.manual_seed(0)
        again = augmentation.augment(torch.cat([image, image], dim=1))
        torch.testing.assert_close(again[:, :3], moved, atol=1e-5, rtol=0)


def _drawn(augmentation: DiscriminatorAugmentation, image: Tensor, seed: int) -> Draws:
    torch.manual_seed(seed)
    return augmentation.augmentation.draw(torch.cat([image, image], dim=1))


class Batch(NamedTuple):
    images: Tensor


class Layers(Model):
    """A game that compares the layers of a discriminator, as pix2pixHD does."""

    data = "numbers"
    generators = ("generator",)
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "generator": ("generator",),
        "discriminator": ("discriminator",),
    }
    terms: ClassVar = {"generator": ("matching",), "discriminator": ("real",)}
    compares_layers = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():  # it makes what is real
            self.generator.weight.copy_(torch.eye(3)[:, :, None, None])
        self.discriminator = MultiScalePatchGAN(3, width=2, layers=1)

    @classmethod
    def assemble(cls, parts: Any, **options: Any) -> Any:
        raise AssertionError

    def play(self, batch: Batch, clock: Clock) -> Play:
        fake = self.generator(batch.images)
        together = self.discriminator.layers(torch.cat([fake, batch.images]))
        alone = self.discriminator.layers(batch.images)
        count = len(batch.images)
        pairs = [
            (both[:count] - other).abs().mean()
            for scale, other_scale in zip(together, alone, strict=True)
            for both, other in zip(scale, other_scale, strict=True)
        ]
        self.seen = together[0][0].detach()
        yield "generator", Objective({"matching": 1.0})(matching=lambda: torch.stack(pairs).sum())
        scores = alone[0][-1]
        yield (
            "discriminator",
            Objective({"real": 1.0})(real=lambda: Adversarial("hinge").real(scores)),
        )

    def visualize(self, batch: Any) -> Any:
        raise AssertionError

    generate = validation_step = visualize


@pytest.mark.parametrize("pieces", [1, 2])
def test_what_is_compared_layer_by_layer_is_augmented_alike(pieces: int) -> None:
    model = Layers()
    augmentation = DiscriminatorAugmentation(
        augmentation_of("bgc", 1.0), [model.discriminator], alike=True
    )
    trainer = Trainer(
        model,
        lambda player, parameters: torch.optim.SGD(parameters, lr=0.0),
        augmentation=augmentation,
        gradient_accumulation=pieces,
    )
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    losses = trainer.step(Batch(images))
    assert losses["generator/matching"].item() < 1e-5
    # It did see other images, which were augmented once: the first layer tells.
    first = model.discriminator.scale(0)[0]
    count = len(images) // pieces
    with torch.no_grad():
        plain = images[-count:]
        for part in first:
            plain = part(plain)
    assert not torch.allclose(model.seen[:count], plain, atol=0.01)


def test_several_scales_see_what_is_augmented_once() -> None:
    network = MultiScalePatchGAN(1, width=2, layers=1, norm="none")
    shift = Shift(1)
    DiscriminatorAugmentation(Sometimes(shift), [network])
    images = torch.rand(1, 1, 16, 16)
    plain = network(nn.functional.pad(images[..., 1:], (0, 1)) + 1)
    augmentation = DiscriminatorAugmentation(Sometimes(Shift(1)), [network])
    with augmentation.judging():
        found = network.layers(images)
    assert [each[-1].tolist() for each in found] == [each.tolist() for each in plain]


def test_instance_noise_reaches_the_layers_of_several_scales() -> None:
    network = MultiScalePatchGAN(1, width=2, layers=1, norm="none")
    before = network.layers(torch.zeros(1, 1, 16, 16))[0][0]
    InstanceNoise(0.5, 1.0, [network])
    assert not torch.allclose(network.layers(torch.zeros(1, 1, 16, 16))[0][0], before)
    assert not any("entrance" in name for name in network.state_dict())


@pytest.mark.parametrize("recipe", ["dcgan", "cgan", "pix2pix", "cyclegan", "stargan", "progan"])
@pytest.mark.parametrize("policy", [WORDS, PIPE])
def test_all_that_a_discriminator_sees_is_augmented_anew(recipe: str, policy: str) -> None:
    more = ["augment_discriminator.probability=1", "game.n_critic=1"]
    trainer = build_trainer(shrunk(recipe, policy, *more))
    judges = [m for name, m in trainer.model.named_children() if name.startswith("discriminator")]
    clean: dict[nn.Module, list[Tensor]] = {judge: [] for judge in judges}
    seen: dict[nn.Module, list[Tensor]] = {judge: [] for judge in judges}
    for judge in judges:
        judge.register_forward_pre_hook(
            lambda module, inputs: clean[module].append(inputs[0]), prepend=True
        )
        judge.register_forward_pre_hook(lambda module, inputs: seen[module].append(inputs[0]))
    trainer.step(batch_for(trainer.model, count=3))
    for judge in judges:
        assert len(seen[judge]) >= 3  # real, generated, generated in the other player's turn
        for before, after in zip(clean[judge], seen[judge], strict=True):
            assert before.shape == after.shape
            assert not torch.equal(before, after)
        assert any(after.grad_fn is not None for after in seen[judge])


@pytest.mark.parametrize(("recipe", "acts"), [("dcgan", True), ("stargan", False)])
def test_validation_judges_as_training_but_classifies_images_as_they_are(
    recipe: str, acts: bool
) -> None:
    trainer = build_trainer(shrunk(recipe, WORDS))
    state = deepcopy(trainer.state_dict())
    judge = trainer.model.discriminator
    images = torch.rand(3, 3, 16, 16)
    seen: list[Tensor] = []
    judge.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with as_used(trainer, nn.Module.eval, 0):
        judge(images)
    judge(images)
    assert torch.equal(seen[0], images) != acts
    assert torch.equal(seen[1], images)
    assert torch.equal(trainer.state_dict()["step"] * torch.ones(1), state["step"] * torch.ones(1))


def test_p_moves_by_the_signs_of_what_real_images_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written out with numpy, for a least-squares discriminator, whose middle is 1/2."""
    settings = [*ADAPTIVE, "augment_discriminator.target=0.1", "adversarial.loss=least-squares"]
    trainer = build_trainer(shrunk("pix2pix", *settings))
    scores: list[np.ndarray] = []
    real = Adversarial.real

    def listening(adversarial: Adversarial, given: Tensor, *rival: Tensor) -> Tensor:
        scores.append(given.detach().numpy().copy())
        return real(adversarial, given, *rival)

    monkeypatch.setattr(Adversarial, "real", listening)
    p, count = 0.5, 3
    for step in range(8):
        losses = trainer.step(batch_for(trainer.model, count=count, seed=step))
        assert losses["discriminator/augment_probability"].item() == pytest.approx(p, abs=1e-6)
        sign = np.sign(scores[-1] - 0.5).mean()
        assert losses["discriminator/real_sign"].item() == pytest.approx(sign, abs=1e-6)
        if step % 2:
            mean = np.sign(np.stack(scores) - 0.5).mean()
            p = max(p + np.sign(mean - 0.1) * count * 2 / 20, 0)
            scores.clear()
    assert p != 0.5


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_every_real_image_counts_once_however_a_batch_is_cut(pieces: int) -> None:
    settings = ["train.batch_size=4", f"train.gradient_accumulation={pieces}", *ADAPTIVE]
    trainer = build_trainer(shrunk("pix2pix", *settings))
    trainer.step(batch_for(trainer.model, count=4))
    augmentation = trainer.augmentation
    assert augmentation is not None
    assert augmentation.adaptive is not None
    with torch.no_grad():
        maps = trainer.model.discriminator(torch.zeros(4, 6, 16, 16))
    assert augmentation.adaptive.scores == maps.numel()
    assert augmentation.images == 4
    assert not augmentation.heard.any()


def test_r1_counts_too_and_nobody_listens_outside() -> None:
    network = Weighted(1, 2, 4)
    told: list[Tensor] = []
    token = real_scores.set(told.append)
    try:
        r1(network, torch.ones(2, 1, 1, 3))
    finally:
        real_scores.reset(token)
    r1(network, torch.ones(2, 1, 1, 3))
    assert [each.tolist() for each in told] == [[7, 7]]


def test_scores_that_are_not_numbers_have_no_sign() -> None:
    scores = torch.tensor([float("nan"), float("inf"), -3.0, 5.0, 0.0], dtype=torch.float16)
    assert count_signs(scores).tolist() == [1, 5]
    p, adaptive = torch.tensor(0.5), AdaptiveProbability(target=0.6, kimg=1)
    adaptive.observe(scores)
    adaptive.adjust(p, 100)
    assert p.item() == pytest.approx(0.4)


def states(trainer: Trainer) -> Iterator[tuple[str, Tensor]]:
    for name, value in trainer.state_dict()["model"].items():
        if isinstance(value, Tensor):
            yield name, value
    yield from trainer.state_dict()["augmentation"].items()


@pytest.mark.parametrize("recipe", ["dcgan", "cyclegan"])
@pytest.mark.parametrize("more", [(), ("train.precision=bf16",)], ids=["fp32", "bf16"])
def test_a_resumed_run_has_the_same_p_and_goes_on_the_same(
    recipe: str, more: tuple[str, ...]
) -> None:
    given = shrunk(recipe, *ADAPTIVE, *more)
    whole, first, second = (build_trainer(given) for _ in range(3))
    model = deepcopy(whole.model)  # whose statistics change when it says what it makes
    batches = [batch_for(model, seed=step) for step in range(7)]
    for batch in batches:
        whole.step(batch)
    for batch in batches[:3]:  # in the middle of an interval
        first.step(batch)
    second.load_state_dict(deepcopy(first.state_dict()))
    for batch in batches[3:]:
        second.step(batch)
    assert whole.augmentation is not None
    assert whole.augmentation.p != 0.5
    for (name, one), (other_name, other) in zip(states(whole), states(second), strict=True):
        assert name == other_name
        assert torch.equal(one, other), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("policy", [WORDS, PIPE])
def test_half_precision_with_penalties_is_finite(precision: str, policy: str) -> None:
    settings = [policy, "augment_discriminator.probability=0.7", "objective.r1=1"]
    trainer = build_trainer(
        shrunk("dcgan", *settings, f"train.precision={precision}", "discriminator.norm=none")
    )
    for step in range(3):
        losses = trainer.step(batch_for(trainer.model, seed=step))
        assert all(value.isfinite() for value in losses.values())


def test_it_is_off_unless_asked_for() -> None:
    assert build_trainer(shrunk("dcgan")).augmentation is None
    plain, off = (
        build_trainer(shrunk("dcgan", *more))
        for more in ((), ('augment_discriminator.policy="off"',))
    )
    batch = batch_for(plain.model)
    one, other = plain.step(batch), off.step(batch)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (['augment_discriminator.policy="colour"'], r"'colour'.*Did you mean 'color'"),
        (['augment_discriminator.policy="color,xint"'], "not mixed"),
        ([PIPE], r"'bgc'.*needs a probability"),
        (["augment_discriminator.adaptive=true"], r"policy is 'off'"),
        ([*ADAPTIVE, "adversarial.loss=wasserstein"], r"adversarial\.loss = 'wasserstein'"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: list[str], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        build_trainer(shrunk("dcgan", *settings))


def test_who_pays_for_no_real_image_cannot_adapt() -> None:
    trainer = build_trainer(
        shrunk("dcgan", *ADAPTIVE, "augment_discriminator.interval=1", "objective.real=0")
    )
    with pytest.raises(OptionsError, match=r"objective\.real"):
        trainer.step(batch_for(trainer.model))


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ("b", {"xflip", "rotate90", "xint"}),
        ("gc", {"scale", "rotate", "aniso", "xfrac"} | {*("brightness", "contrast", "lumaflip")}
         | {"hue", "saturation"}),
        ("xint, scale", {"xint", "scale"}),
    ],
)  # fmt: skip
def test_policies_by_name(policy: str, parts: set[str]) -> None:
    made: Any = augmentation_of(policy, 0.25)
    assert made.strengths.keys() == parts
    assert set(made.strengths.values()) == {1.0}
    assert made.p == 0.25
    strengths: Any = augmentation_of("r3gan", 0.0)
    assert strengths.strengths["hue"] == 0.5
    assert strengths.strengths["cutout"] == 1.0


def test_words_happen_to_a_share_of_the_images() -> None:
    made = augmentation_of("translation,cutout", 0.3)
    images = torch.rand(4000, 1, 4, 4) + 0.5
    torch.manual_seed(0)
    draws = made.draw(images)
    result = made.transform(images, draws)
    changed = (result != images).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.03)
    expected = DiffAugment("translation,cutout").transform(images, draws)
    assert torch.equal(result[changed], expected[changed])
