"""A server of the package in a thread of the test, with networks whose results are known."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from i2i.app.limits import Limits
from i2i.app.models import Models, Wanted
from i2i.app.server import address, listen, server
from i2i.core.latent import Latent
from i2i.inference.sampler import Sampler
from i2i.inference.translator import Translator


class Negative(nn.Module):
    """Returns the negative; waits before it does so, where a test says."""

    multiple = 4

    def __init__(self, wait: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.weight = nn.Parameter(-torch.ones(1))
        self.wait = wait
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        self.wait()
        return self.weight * images


class Grey(nn.Module):
    """Makes an image of one grey of a number of noise."""

    def forward(self, vectors: Tensor, labels: Tensor | None = None) -> Tensor:
        return vectors[:, :1, None, None].tanh().expand(-1, 3, 8, 8)


def translator(network: nn.Module) -> Translator:
    made = Translator(
        network, input_channels=3, output_channels=3, norm="instance", dropout=False, device="cpu"
    )
    made.network = network  # not a copy, so that a test sees into it
    return made


class KnownModels(Models):
    """Models that are made by functions, by name."""

    def __init__(self, made: dict[str, Callable[[], Any]], **options: Any) -> None:
        super().__init__({name: Path(__file__) for name in made}, **options)
        self.made = made

    def _load(self, wanted: Wanted, path: Path) -> Any:
        return self.made[wanted.name]()


def sampler() -> Sampler:
    return Sampler(Grey(), Latent(2), size=8)


@contextmanager
def running(
    app: Any, limits: Limits | None = None, on_stop: Callable[[], None] = lambda: None
) -> Iterator[str]:
    """Serve an application, and stop it gracefully afterwards."""
    started = threading.Event()
    at = listen("127.0.0.1", 0)
    own = server(app, limits=limits or Limits(), on_start=started.set, on_stop=on_stop)
    thread = threading.Thread(target=own.run, kwargs={"sockets": [at]})
    thread.start()
    assert started.wait(30)
    try:
        yield address(at)
    finally:
        own.should_exit = True
        thread.join(60)
        at.close()
        assert not thread.is_alive()
