"""In which floating point format a step computes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from i2i.losses.precision import inner_scale

INNER_SCALE = 1024.0
"""The largest scale of a gradient that a loss takes itself. Torch's notes on mixed precision take
that of the player, which begins at 65536; this gradient would then overflow in the first step, and
with it the loss, which counts as the end of a run."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast for the forward pass and, for fp16, a gradient scaler for each player.

    Weights, optimizers and losses stay in float32; "bf16" and "fp16" say what convolutions and
    matrix products compute in. float16 has few exponent bits, so that small gradients vanish: they
    are scaled up, and a step whose gradients overflow is left out (Micikevicius et al.: Mixed
    Precision Training, 2018). Each player has its own scale, since their losses differ in size.

    Arguments:
        name: "fp32", "bf16" or "fp16".
        device: where the step computes.
        players: who needs a scale.
    """

    def __init__(self, name: str, device: torch.device, players: Iterable[str]) -> None:
        self.device = device
        self.dtype = _DTYPES[name]
        self.scalers = (
            {player: torch.amp.GradScaler(device.type) for player in players}
            if name == "fp16"
            else {}
        )

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute in this precision. In fp16, a gradient that a loss takes itself (R1, WGAN-GP) is
        scaled too, by the smallest scale of the players, but no more than `INNER_SCALE`."""
        token = inner_scale.set(self._smallest_scale if self.scalers else None)
        try:
            with torch.autocast(
                self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32
            ):
                yield
        finally:
            inner_scale.reset(token)

    def _smallest_scale(self) -> Tensor:
        # They are made when they are first needed.
        scales = [scale for player in self.scalers if (scale := self.scale(player)) is not None]
        largest = torch.full((), INNER_SCALE, device=self.device)
        return torch.stack([largest, *scales]).min()

    def backward(self, player: str, loss: Tensor, inputs: Sequence[nn.Parameter]) -> None:
        """Add the gradient of `loss` to `inputs`, and to nothing else."""
        if player in self.scalers:
            loss = self.scalers[player].scale(loss)
        loss.backward(inputs=list(inputs))  # type: ignore[no-untyped-call]

    def step(self, player: str, optimizer: torch.optim.Optimizer) -> None:
        if player in self.scalers:
            self.scalers[player].step(optimizer)
            self.scalers[player].update()
        else:
            optimizer.step()

    def abandon(self) -> None:
        """Forget a step that broke off half-way."""
        for scaler in self.scalers.values():
            if scaler._get_scale_async() is not None:
                scaler.update(scaler._get_scale_async())  # its scale stays as it is

    def scale(self, player: str) -> Tensor | None:
        """What the player's gradients are multiplied by at present; None for 1."""
        scaler = self.scalers.get(player)
        # `get_scale` would wait for the device.
        return scaler._get_scale_async() if scaler else None

    def state_dict(self) -> dict[str, Any]:
        return {player: scaler.state_dict() for player, scaler in self.scalers.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.abandon()
        for player, scaler in self.scalers.items():
            scaler.load_state_dict(state[player])
