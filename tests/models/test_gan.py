"""The unconditional family against steps written out by hand, and what its switches do."""

import copy
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.config import Options
from i2i.config.recipes import load_options
from i2i.core.batch import Labelled
from i2i.core.latent import Latent
from i2i.core.model import Clock
from i2i.errors import OptionsError
from i2i.metrics.agreement import best_agreement
from i2i.models.build import build_model
from i2i.models.gan import GAN
from i2i.training.build import build_trainer
from i2i.training.trainer import Trainer
from shrunk import shrunk

ROWS = 4


def real_images(step: int, channels: int) -> Tensor:
    pixels = np.random.default_rng(1000 + step).uniform(-1, 1, (ROWS, channels, 16, 16))
    return torch.from_numpy(pixels)


def labelled(images: Tensor, classes: int = 3) -> Labelled:
    labels = torch.eye(classes, dtype=images.dtype)[torch.arange(len(images)) % classes]
    return Labelled(images, labels, torch.ones(len(images), 1))


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Trainer, Any, Any, Any]]:
    """A trainer in float64, copies of its networks, and the latent vectors that it will draw."""

    def make(recipe: str, *settings: str) -> tuple[Trainer, Any, Any, Any]:
        options = shrunk(recipe, "train.ema_decay=0", "data.domains=['a','b','c']", *settings)
        model = build_model(options)
        assert isinstance(model, GAN)
        model.double()
        torch.manual_seed(0)
        vectors = [model.latent.draw(ROWS).double() for _ in range(20)]
        drawn = iter(vectors)
        monkeypatch.setattr(Latent, "draw", lambda self, count, device: next(drawn))
        copies = copy.deepcopy((model.generator, model.discriminator))
        return build_trainer(options, model), *copies, iter(vectors)

    return make


def assert_same(trainer: Trainer, generator: nn.Module, discriminator: nn.Module) -> None:
    model: Any = trainer.model
    for ours, theirs in ((model.generator, generator), (model.discriminator, discriminator)):
        expected = theirs.state_dict()
        for name, value in ours.state_dict().items():
            if isinstance(value, Tensor):
                torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6, msg=name)
            else:
                assert value == expected[name]


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def adam(network: nn.Module, rate: float, *betas: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=rate, betas=(betas[0], betas[1]))


def test_dcgan_is_the_published_step(rehearsed: Any) -> None:
    trainer, generator, discriminator, noise = rehearsed("dcgan")
    adam_g, adam_d = adam(generator, 2e-4, 0.5, 0.999), adam(discriminator, 2e-4, 0.5, 0.999)
    for step in range(4):
        real = real_images(step, 3)
        losses = trainer.step(labelled(real))
        fake = generator(next(noise))
        on_real = -torch.log(torch.sigmoid(discriminator(real))).mean()
        on_fake = -torch.log(1 - torch.sigmoid(discriminator(fake.detach()))).mean()
        descend(adam_d, on_real + on_fake)
        fooled = -torch.log(torch.sigmoid(discriminator(fake))).mean()
        descend(adam_g, fooled)
        assert losses["discriminator/real"].item() == pytest.approx(on_real.item(), abs=1e-9)
        assert losses["discriminator/fake"].item() == pytest.approx(on_fake.item(), abs=1e-9)
        assert losses["generator/adversarial"].item() == pytest.approx(fooled.item(), abs=1e-9)
    assert_same(trainer, generator, discriminator)


def test_wgan_is_algorithm_1(rehearsed: Any) -> None:
    trainer, generator, critic, noise = rehearsed("wgan")
    rms_g = torch.optim.RMSprop(generator.parameters(), lr=5e-5)
    rms_w = torch.optim.RMSprop(critic.parameters(), lr=5e-5)
    for iteration in range(2):
        for turn in range(5):
            real = real_images(5 * iteration + turn, 3)
            losses = trainer.step(labelled(real))
            with torch.no_grad():
                fake = generator(next(noise))
            descend(rms_w, -critic(real).mean() + critic(fake).mean())
            with torch.no_grad():
                for weight in critic.parameters():
                    weight.clamp_(-0.01, 0.01)
            assert ("generator/total" in losses) == (turn == 4)
        descend(rms_g, -critic(generator(next(noise))).mean())
    assert_same(trainer, generator, critic)
    model: Any = trainer.model
    assert max(p.abs().max().item() for p in model.discriminator.parameters()) == 0.01
    assert max(p.abs().max().item() for p in model.generator.parameters()) > 0.5  # not clipped


def test_wgan_gp_is_algorithm_1(rehearsed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, generator, critic, noise = rehearsed("wgan-gp")
    adam_g, adam_w = adam(generator, 1e-4, 0.0, 0.9), adam(critic, 1e-4, 0.0, 0.9)
    epsilons = torch.linspace(0.1, 0.9, ROWS, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda count, device, dtype: epsilons)
    for step in range(10):
        real = real_images(step, 3)
        losses = trainer.step(labelled(real))
        with torch.no_grad():
            fake = generator(next(noise))
        e = epsilons.view(ROWS, 1, 1, 1)
        between = (e * real + (1 - e) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        descend(adam_w, -critic(real).mean() + critic(fake).mean() + 10 * penalty)
        assert losses["discriminator/gradient_penalty"].item() == pytest.approx(
            penalty.item(), abs=1e-9
        )
        if step in (4, 9):
            descend(adam_g, -critic(generator(next(noise))).mean())
    assert_same(trainer, generator, critic)


def test_infogan_is_equation_6(rehearsed: Any) -> None:
    trainer, generator, discriminator, noise = rehearsed("infogan", "latent.categorical=[3, 2]")
    adam_g, adam_d = adam(generator, 1e-3, 0.5, 0.999), adam(discriminator, 2e-4, 0.5, 0.999)

    def information(logits: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What both players pay for codes that cannot be read: 3 numbers of noise come first."""
        categorical = continuous = torch.zeros((), dtype=torch.float64)
        for row, vector in zip(logits, vectors, strict=True):
            first, second = vector[3:6].argmax(), vector[6:8].argmax()
            categorical = categorical - row[:3].log_softmax(0)[first] / ROWS
            categorical = categorical - row[3:5].log_softmax(0)[second] / ROWS
            continuous = continuous + ((row[5:] - vector[8:]) ** 2 / 2).sum() / ROWS
        return categorical, continuous

    for step in range(4):
        real = real_images(step, 1)
        losses = trainer.step(labelled(real))
        vectors = next(noise)
        fake = generator(vectors)
        on_real = F.softplus(-discriminator(real)[0]).mean()
        scores, logits = discriminator(fake.detach())
        categorical, continuous = information(logits, vectors)
        game = on_real + F.softplus(scores).mean()
        descend(adam_d, game + categorical + 0.1 * continuous)
        assert losses["discriminator/categorical"].item() == pytest.approx(categorical.item())
        assert losses["discriminator/continuous"].item() == pytest.approx(continuous.item())
        scores, logits = discriminator(fake)
        categorical, continuous = information(logits, vectors)
        descend(adam_g, F.softplus(-scores).mean() + categorical + 0.1 * continuous)
        assert losses["generator/categorical"].item() == pytest.approx(categorical.item())
    assert_same(trainer, generator, discriminator)


def test_progan_grows_fades_in_and_begins_anew(
    rehearsed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, generator, critic, noise = rehearsed("progan")
    epsilons = torch.linspace(0.1, 0.9, ROWS, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda count, device, dtype: epsilons)
    course = [(0, 1.0), (1, 0.5), (1, 1.0), (2, 0.5), (2, 1.0), (2, 1.0)]
    for step, (stage, alpha) in enumerate(course):
        if step in (0, 1, 3):  # a stage begins
            adam_g, adam_d = adam(generator, 1e-3, 0.0, 0.99), adam(critic, 1e-3, 0.0, 0.99)
        real = real_images(step, 3)
        trainer.step(labelled(real))
        generator.grow(stage, alpha)
        critic.grow(stage, alpha)
        side = 4 * 2**stage
        real = real.view(ROWS, 3, side, 16 // side, side, 16 // side).mean((3, 5))
        if alpha < 1:
            coarse = real.view(ROWS, 3, side // 2, 2, side // 2, 2).mean((3, 5))
            coarse = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
            real = alpha * real + (1 - alpha) * coarse
        with torch.no_grad():
            fake = generator(next(noise))
        assert fake.shape == real.shape == (ROWS, 3, side, side)
        e = epsilons.view(ROWS, 1, 1, 1)
        between = (e * real + (1 - e) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
        on_real, on_fake = critic(real), critic(fake)
        loss = -on_real.mean() + on_fake.mean() + 10 * penalty + 0.001 * (on_real**2).mean()
        descend(adam_d, loss)
        descend(adam_g, -critic(generator(next(noise))).mean())
    assert_same(trainer, generator, critic)


def gan(recipe: str = "dcgan", *settings: str) -> GAN:
    model = build_model(shrunk(recipe, "data.domains=['a','b','c']", *settings))
    assert isinstance(model, GAN)
    return model


def batch(model: GAN, seed: int = 0) -> Labelled:
    torch.manual_seed(seed)
    channels = model.generate(labelled(torch.zeros(1, 1, 16, 16)))["samples"].outputs.shape[1]
    return labelled(torch.rand(ROWS, channels, 16, 16) * 2 - 1)


def turns(model: GAN, steps: int) -> list[list[str]]:
    told = batch(model)
    return [[player for player, _ in model.play(told, Clock(step))] for step in range(steps)]


def test_who_moves_when() -> None:
    d, g = "discriminator", "generator"
    assert turns(gan(), 2) == [[d, g], [d, g]]
    assert turns(gan("dcgan", "game.n_critic=3"), 4) == [[d], [d], [d, g], [d]]
    assert turns(gan("dcgan", "game.n_generator=2"), 2) == [[d, g, g]] * 2
    both = gan("dcgan", "game.n_critic=2", "game.n_generator=3")
    assert turns(both, 2) == [[d], [d, g, g, g]]


def test_each_turn_trains_its_player_alone() -> None:
    options = shrunk("dcgan", "game.n_generator=2")
    trainer = build_trainer(options)
    model: Any = trainer.model
    seen: list[set[str]] = []
    step = trainer.precision.step

    def watched(player: str, optimizer: torch.optim.Optimizer) -> None:
        before = {name: value.clone() for name, value in model.named_parameters()}
        step(player, optimizer)
        moved = {
            name.split(".")[0]
            for name, value in model.named_parameters()
            if not torch.equal(value, before[name])
        }
        assert moved == {player}
        seen.append(moved)

    trainer.precision.step = watched  # type: ignore[method-assign]
    trainer.step(batch(model))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("settings", "draws"),
    [
        ([], 1),
        (["game.resample_latents=true"], 2),
        (["game.n_generator=3"], 3),
        (["game.resample_latents=true", "game.n_generator=3"], 4),
    ],
)
def test_how_often_noise_is_drawn(
    settings: list[str], draws: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = gan("dcgan", *settings)
    told = batch(model)
    drawn: list[Tensor] = []
    draw = Latent.draw
    monkeypatch.setattr(
        Latent, "draw", lambda self, *a, **k: drawn.append(draw(self, *a, **k)) or drawn[-1]
    )
    for _ in model.play(told, Clock(0)):
        pass
    assert len(drawn) == draws
    assert len({tuple(vectors.flatten().tolist()) for vectors in drawn}) == draws


def told_of(model: GAN) -> dict[str, list[Any]]:
    """The labels with which each network is called in a step."""
    seen: dict[str, list[Any]] = {"generator": [], "discriminator": []}
    for name, calls in seen.items():
        model.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, calls=calls: calls.append((len(inputs[0]), inputs[1]))
        )
    images = batch(model)
    for calls in seen.values():
        calls.clear()
    for _ in model.play(images, Clock(0)):
        pass
    return seen


@pytest.mark.parametrize("choice", ["required", "if known"])
@pytest.mark.parametrize("mixed", [False, True])
def test_labels_reach_both_networks(choice: str, mixed: bool) -> None:
    model = gan("dcgan", f"game.class_conditional={choice}", f"game.mixed_batch={mixed}".lower())
    assert model.class_conditional
    labels = labelled(torch.zeros(ROWS, 3, 16, 16)).labels
    seen = told_of(model)
    assert len(seen["generator"]) == 1
    assert [count for count, _ in seen["discriminator"]] == ([8, 4] if mixed else [4, 4, 4])
    for calls in seen.values():
        for count, told in calls:
            assert torch.equal(told, labels.repeat(count // ROWS, 1))


def test_labels_are_ignored_or_not_known() -> None:
    for model in (
        gan("dcgan"),
        gan("dcgan", "game.class_conditional=if known", "data.domains=['a']"),
    ):
        assert not model.class_conditional
        assert model.generator.classes == 0
        assert all(told is None for calls in told_of(model).values() for _, told in calls)


def test_a_class_that_is_told_is_seen() -> None:
    """Other labels, other images and other scores, from the same weights and noise."""
    model = gan("cgan", "generator.init_gain=0.2", "discriminator.init_gain=0.2").eval()
    vectors = model.latent.draw(1)
    one, other = torch.eye(3)[:1], torch.eye(3)[1:2]
    images = model.make_images(vectors, one)
    assert not torch.equal(images, model.make_images(vectors, other))
    assert not torch.equal(model.discriminator(images, one), model.discriminator(images, other))


def test_the_sheet_of_told_classes_has_a_column_for_each() -> None:
    columns = gan("cgan").visualize(batch(gan("cgan")))
    assert list(columns) == ["a", "b", "c"]


def test_the_sheet_of_codes_varies_one_code_in_each_block_of_rows() -> None:
    model = gan("infogan", "latent.categorical=[3]", "latent.continuous=1").eval()
    seen: list[Tensor] = []
    model.make_images = lambda vectors, labels: (  # type: ignore[method-assign]
        seen.append(vectors) or vectors[:, None, None, :]
    )
    columns = model.visualize(labelled(torch.zeros(2, 1, 16, 16)))
    assert len(columns) == 10
    rows = torch.stack(list(columns.values()), dim=1)[:, :, 0, 0]  # (rows, columns, width)
    assert rows.shape == (4, 10, model.latent.width)
    assert (rows[:, :, :3] == rows[:, :1, :3]).all()  # one noise in each row
    assert rows[:2, :, 3:6].argmax(2).tolist() == [[i % 3 for i in range(10)]] * 2
    assert (rows[:2, :, 6] == 0).all()
    assert (rows[2:, :, 3:6] == rows[2:, :1, 3:6]).all()
    assert rows[2, :, 6].tolist() == pytest.approx(np.linspace(-2, 2, 10).tolist())


@pytest.mark.parametrize("recipe", ["dcgan", "cgan", "infogan", "progan"])
def test_the_sheet_is_the_same_for_the_same_weights(recipe: str) -> None:
    from i2i.models.build import inference_mode
    from i2i.training.validation import Validation

    options = shrunk(recipe, "data.domains=['a','b','c']")
    trainer = build_trainer(options)
    told = batch(trainer.model)  # type: ignore[arg-type]
    validation = Validation([told], inference_mode(options), sheet=2)
    first = np.asarray(validation.show(trainer))
    torch.rand(5)
    assert np.array_equal(first, np.asarray(validation.show(trainer)))
    for _ in range(2):
        trainer.step(told)
    assert not np.array_equal(first, np.asarray(validation.show(trainer)))


def test_produce_makes_as_many_as_there_are_real_ones_of_their_classes() -> None:
    model = gan("cgan").eval()
    images = batch(model)
    (name, produced), *rest = model.generate(images).items()
    assert (name, rest) == ("samples", [])
    assert produced.outputs.shape == produced.references.shape == (ROWS, 3, 16, 16)
    assert produced.references is images.images
    assert produced.inputs is None
    assert not produced.paired


def test_what_is_produced_while_growing_has_full_size_and_coarse_pixels() -> None:
    model = gan("progan")
    images = batch(model)
    model.on_step_start(Clock(1))
    for _ in model.play(images, Clock(1)):
        pass
    made = model.generate(images)["samples"].outputs
    assert made.shape == (ROWS, 3, 16, 16)
    assert torch.equal(made[:, :, ::2, ::2], made[:, :, 1::2, 1::2])
    measured = model.validation_step(images)
    assert measured["discriminator/score_real"].shape == (ROWS,)


def brute_force(table: np.ndarray) -> float:
    if table.shape[0] > table.shape[1]:
        table = table.T
    rows = range(table.shape[0])
    every = permutations(range(table.shape[1]), table.shape[0])
    best = max(sum(table[row, column] for row, column in zip(rows, p, strict=True)) for p in every)
    return float(best / table.sum())


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (3, 5)])
def test_the_best_agreement_is_the_best_of_all_ways(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        table = generator.integers(0, 20, shape) + 1
        assert best_agreement(table) == pytest.approx(brute_force(table))
    assert best_agreement(np.zeros(shape)) == 0


def test_agreement_is_about_the_categories_that_real_images_are_found_to_have() -> None:
    """A discriminator that always finds the class, under another number, agrees wholly."""
    model = gan(
        "infogan", "latent.categorical=[3]", "latent.continuous=0", "objective.continuous=0"
    )
    images = batch(model)
    found = images.labels[:, [2, 0, 1]]
    model.discriminator.forward = lambda images, told: (images[:, 0, 0, :1], found)
    measured = model.validation_step(images)
    assert measured["agreement"].shape == (ROWS, 3, 3)
    assert model.reduce(measured)["agreement"] == 1
    model.discriminator.forward = lambda images, told: (images[:, 0, 0, :1], torch.eye(3)[[0] * 4])
    assert model.reduce(model.validation_step(images))["agreement"] == 0.5  # of 0, 1, 2, 0
    assert "agreement" not in gan("dcgan").validation_step(batch(gan("dcgan")))


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("cgan", ["data.domains=['a']"], r"data\.domains .*two classes"),
        ("dcgan", ["objective.categorical=1"], r"objective\.categorical .*go together"),
        ("dcgan", ["latent.continuous=2"], r"objective\.continuous .*latent\.continuous"),
        ("infogan", ["objective.continuous=0"], "go together"),
        ("pix2pix", ["latent.size=3"], r"\[latent\] .* pix2pix translates"),
        ("progan", ["generator.network=dcgan"], r"\[growth\] goes with .*'dcgan'"),
        ("dcgan", ["generator.network=progan", "generator.init=torch"], "missing"),
        ("dcgan", ["discriminator.network=patchgan"], "'patchgan'.*does not go with this model"),
        ("dcgan", ["generator.network=unet"], "'unet'.*does not go with this model"),
        ("dcgan", ["objective.l1=1"], r"objective\.l1 is no term"),
        ("dcgan", ["game.image_pool=5"], r"game\.image_pool is no option"),
        ("pix2pix", ["game.n_generator=2"], r"game\.n_generator is no option"),
        ("wgan", ["optimizer.fused=true"], "not to be had with rmsprop"),
        ("dcgan", ["optimizer.player_learning_rates={critic=1.0}"], "names no player of gan"),
    ],
)
def test_what_does_not_go_together_is_an_error(
    recipe: str, settings: list[str], message: str
) -> None:
    with pytest.raises(OptionsError, match=message):
        build_trainer(shrunk(recipe, *settings))


def test_a_model_from_noise_needs_to_know_its_noise() -> None:
    layer = {**load_options("dcgan", size=16).to_dict()}
    del layer["latent"]
    from i2i.config import read_options

    with pytest.raises(OptionsError, match=r"\[latent\] .* gan needs it"):
        build_model(read_options(layer))


def published(recipe: str) -> Options:
    return load_options(recipe)


def test_the_recipes_have_the_published_values() -> None:
    def facts(recipe: str) -> Sequence[Any]:
        options = published(recipe)
        assert options.latent is not None
        o, rates = options.optimizer, options.optimizer.player_learning_rates
        return (
            options.latent.distribution,
            options.latent.size,
            options.train.batch_size,
            (o.name, o.learning_rate, *o.betas),
            rates,
            options.adversarial.loss,
            options.game.n_critic,
        )

    adam_ = ("adam", 2e-4, 0.5, 0.999)
    assert facts("dcgan") == ("uniform", 100, 128, adam_, {}, "vanilla", 1)
    assert facts("lsgan") == (
        *("uniform", 1024, 64, ("adam", 1e-3, 0.5, 0.999), {}, "least-squares", 1),
    )
    assert facts("wgan")[:3] == ("normal", 100, 64)
    assert facts("wgan")[3][:2] == ("rmsprop", 5e-5)
    assert facts("wgan")[5:] == ("wasserstein", 5)
    assert published("wgan").adversarial.clip == 0.01
    assert facts("wgan-gp") == (
        *("normal", 128, 64, ("adam", 1e-4, 0.0, 0.9), {}, "wasserstein", 5),
    )
    assert published("wgan-gp").objective["gradient_penalty"] == 10
    assert facts("infogan")[:5] == ("uniform", 62, 128, adam_, {"generator": 1e-3})
    assert facts("sagan") == (
        *("normal", 128, 256, ("adam", 1e-4, 0.0, 0.9), {"discriminator": 4e-4}, "hinge", 1),
    )
    assert facts("progan") == (
        *("normal", 512, 16, ("adam", 1e-3, 0.0, 0.99), {}, "wasserstein", 1),
    )


def test_progan_fades_and_holds_800_000_images_each() -> None:
    from i2i.models.build import growth

    options = published("progan")
    growing = growth(options)
    assert growing is not None
    assert {stage.hold * stage.batch_size for stage in growing.stages} == {800_000}
    assert [stage.fade * stage.batch_size for stage in growing.stages] == [0, *[800_000] * 5]
    assert options.train.steps == growing.steps
    assert (options.objective["drift"], options.objective["gradient_penalty"]) == (0.001, 10)
    assert options.train.ema_decay == 0.999


def test_least_squares_are_those_of_equation_9() -> None:
    options = published("lsgan")
    assert [options.objective[name] for name in ("real", "fake", "adversarial")] == [0.5] * 3
