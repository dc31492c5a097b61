"""Each turn of the hand-written trainings against recorded losses and gradients."""

import pytest
import torch
from torch import Tensor, nn

from trajectories import r3gan, starganv2, stylegan2
from vectors import Vectors, error, errors

BOUND = 1e-9


def gradients(loss: Tensor, networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    named = {
        f"{prefix}.{name}".removeprefix("."): parameter
        for prefix, network in networks.items()
        for name, parameter in network.named_parameters()
    }
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(named.items(), found, strict=True)
    }


@pytest.mark.parametrize("phase", ["Gmain", "Greg", "Dmain", "Dreg"])
def test_the_phases_of_stylegan2(phase):
    record = Vectors("stylegan2_losses")
    game = stylegan2.Game(record, "state")
    draws = record.below(f"draws.{phase}.") | {"z": record["input.z"]}
    arguments = (draws, record["input.real"], None) if phase[0] == "D" else (draws,)
    turn = getattr(game, phase.lower())(*arguments)
    networks = {phase[0]: getattr(game, phase[0])}
    ours = gradients(turn.loss, networks)
    assert max(errors(ours, record.below(f"output.gradient.{phase}.")).values()) < BOUND
    assert max(errors(turn.figures, record.below(f"output.{phase}.")).values()) < BOUND
    average = f"after.{phase}.w_avg"
    expected = record[average] if average in record else record["state.G.mapping.w_avg"]
    assert error(game.G.mapping.w_avg, expected) < BOUND


@pytest.mark.parametrize("by", ["latent", "reference"])
@pytest.mark.parametrize("player", ["D", "G"])
def test_the_turns_of_starganv2(player, by):
    record = Vectors("starganv2_losses")
    game = starganv2.Game(record, "state")
    loss, terms = (game.judge if player == "D" else game.translate)(record.below("input."), by)
    ours = gradients(loss, game.networks)
    turn = f"{player}_{by}"
    assert max(errors(ours, record.below(f"output.gradient.{turn}.")).values()) < BOUND
    assert max(errors(terms | {"loss": loss}, record.below(f"output.{turn}.")).values()) < BOUND


@pytest.mark.parametrize("player", ["D", "G"])
def test_the_turns_of_r3gan(player):
    record = Vectors("r3gan_losses")
    game = r3gan.Game(record, "state")
    draws = record.below("input.")
    if player == "D":
        loss, figures = game.discriminate(draws, record.config["gamma_now"])
    else:
        loss, figures = game.generate(draws)
    ours = gradients(loss, {"": getattr(game, player)})
    assert max(errors(ours, record.below(f"output.gradient.{player}.")).values()) < BOUND
    assert max(errors(figures, record.below(f"output.{player}.")).values()) < BOUND
