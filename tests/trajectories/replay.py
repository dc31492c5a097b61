"""What the hand-written trainings have in common."""

import json
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from vectors import Vectors, error

NAN_TO = 1e5


def step(
    optimizers: Iterable[torch.optim.Optimizer],
    loss: Tensor,
    networks: Iterable[nn.Module],
    *,
    finite: bool = False,
) -> None:
    """One step on `loss`.

    Weights of the networks that the loss does not reach get a gradient of 0, so that Adam counts
    the step and decays what it keeps of them. With `finite`, NaN becomes 0 and infinity 1e5.
    """
    parameters = [parameter for network in networks for parameter in network.parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        given = torch.zeros_like(parameter) if gradient is None else gradient
        parameter.grad = given.nan_to_num(0, NAN_TO, -NAN_TO) if finite else given
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def part_of(record: Vectors, prefix: str, index: int) -> dict[str, Tensor]:
    """The entry `index` of each tensor below `prefix`."""
    return {name: value[index] for name, value in record.below(prefix).items()}


def differences(
    record: Vectors,
    losses: list[dict[str, float]],
    networks: dict[str, nn.Module],
    constants: tuple[str, ...],
) -> Iterator[tuple[str, float]]:
    """How far a replayed training is from the recorded one: each column, and each final tensor.

    Of the tensors only those whose names end with one of `constants` may be left out.
    """
    columns = json.loads(record.metadata["columns"])
    recorded = record["losses"]
    for i, column in enumerate(columns):
        ours = torch.tensor([row.get(column, float("nan")) for row in losses], dtype=torch.float64)
        theirs = recorded[:, i]
        assert torch.equal(ours.isnan(), theirs.isnan()), column
        played = ~theirs.isnan()
        yield f"losses.{column}", error(ours[played], theirs[played])
    for name, network in networks.items():
        state = network.state_dict()
        final = record.below(f"final.{name}.")
        assert final, name
        for key, value in final.items():
            yield f"final.{name}.{key}", error(state[key], value)
        left_out = state.keys() - final.keys()
        assert all(key.endswith(constants) for key in left_out), left_out
