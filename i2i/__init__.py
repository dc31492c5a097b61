"""Image-to-image translation: one trainer, pluggable networks, objectives and data.

What a program or a notebook needs stands here; each name is imported when it is first used, so that
`import i2i` costs nothing::

    outcome = i2i.train("pix2pix-quick", dataroot="demo", steps=300)
    translator = i2i.load_translator(outcome.folder)
    translator("photo.jpg").save("result.png")

or piece by piece::

    options = i2i.load_options("pix2pix", "generator.width=32", size=128)
    model = i2i.build_model(options)
    trainer = i2i.build_trainer(options, model, device="cuda")
    losses = trainer.step(i2i.Pair(source, target))

The list of all names, and where each comes from, is `__init__.pyi` beside this file.
"""

import importlib
import pkgutil
from typing import Any

__version__ = "0.1.0"


def _homes() -> dict[str, str]:
    """Name -> the module that it comes from, as the lines of the list say it."""
    stub = pkgutil.get_data(__name__, "__init__.pyi")
    assert stub is not None, "the installation of i2i lacks i2i/__init__.pyi"
    lines = [line.split() for line in stub.decode().splitlines() if line.startswith("from ")]
    return {name: module for _, module, _, name, *_ in lines}


_HOMES = _homes()

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'i2i' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
