"""Recorded trainings with augmentation, whose discriminators the trainer's own hook augments.

The loops are written out by hand; what they draw is recorded. Only how the images come to be
augmented, how real scores are heard, and how p moves is that of the trainer.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from i2i.core.model import Clock
from i2i.losses.discriminator_outputs import tell_real_scores
from i2i.networks.augment import AdaptiveProbability, AugmentPipe
from i2i.networks.augment.draws import Draws
from i2i.training.augment import DiscriminatorAugmentation
from trajectories import r3gan, stylegan2

BOUND = 1e-9


class Recorded(AugmentPipe):
    """Draws what was recorded."""

    coming: Draws

    def draw(self, images: Tensor, generator: torch.Generator | None = None) -> Draws:
        return self.coming


def hooked(game: Any) -> DiscriminatorAugmentation:
    """Let the trainer's hook do what the game's own augmentation did."""
    pipe = Recorded(game.config["augment"]).double()
    pipe.p.copy_(game.augment.p)
    game.augment = pipe
    return DiscriminatorAugmentation(pipe, [game.D], interval=1).double()


def of(side: str, draws: Draws) -> Draws:
    prefix = f"augment_{side}."
    return {k.removeprefix(prefix): v for k, v in draws.items() if k.startswith(prefix)}


class StyleGAN2(stylegan2.Game):
    def __init__(self, record: Any, state: str) -> None:
        super().__init__(record, state)
        self.hook = hooked(self)
        Heard.game = self

    def score(self, images: Tensor, labels: Any, draws: Draws, side: str) -> Tensor:
        self.augment.coming = of(side, draws)
        with self.hook.playing():
            scores: Tensor = self.D(images, labels)
            if side == "real":
                tell_real_scores(scores)
        return scores


class R3GAN(r3gan.Game):
    def __init__(self, record: Any, state: str) -> None:
        super().__init__(record, state)
        self.hook = hooked(self)

    def score(self, images: Tensor, draws: Draws, side: str) -> Tensor:
        self.augment.coming = of(side, draws)
        with self.hook.playing():
            scores: Tensor = self.D(images, self.labels(draws))
        return scores


class Heard(AdaptiveProbability):
    """Stands where the loop would count scores and move p: leaves both to the hook."""

    game: Any

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.game.hook.adaptive = AdaptiveProbability(**options).double()

    def observe(self, scores: Tensor) -> None:
        pass

    def adjust(self, p: Tensor, images: int | Tensor) -> None:
        assert p is self.game.hook.p
        self.game.hook.end_step(Clock(0), images)


@pytest.fixture(autouse=True)
def _hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stylegan2, "Game", StyleGAN2)
    monkeypatch.setattr(stylegan2, "AdaptiveProbability", Heard)
    monkeypatch.setattr(r3gan, "Game", R3GAN)
    return


@pytest.mark.parametrize(
    ("training", "file"),
    [(stylegan2, "trajectory_stylegan2_ada"), (r3gan, "trajectory_r3gan_augmented")],
    ids=["stylegan2", "r3gan"],
)
def test_a_training_goes_as_recorded(training: Any, file: str) -> None:
    differences = training.replay(file)
    worst = max(differences, key=differences.__getitem__)
    assert differences[worst] < BOUND, worst
    assert "losses.p" in differences
