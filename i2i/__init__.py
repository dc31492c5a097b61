"""Image-to-image translation: one trainer, pluggable networks, objectives and data.

What a program needs stands here; each name is imported when it is first used, so that `import i2i`
costs nothing::

    options = i2i.load_options("pix2pix", "generator.width=32", size=128)
    model = i2i.build_model(options)
    trainer = i2i.build_trainer(options, model, device="cuda")
    losses = trainer.step(i2i.Pair(source, target))
    translator = i2i.load_translator("runs/NAME")
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from i2i.config import Options
    from i2i.config.recipes import load_options
    from i2i.core.batch import Labelled, Pair, Referenced, Unpaired, to_bytes, to_signed
    from i2i.errors import I2iError
    from i2i.inference.folder import translate_folder
    from i2i.inference.load import build_sampler, build_translator, load_sampler, load_translator
    from i2i.inference.sampler import Sampler
    from i2i.inference.translator import Translator
    from i2i.training.build import build_model, build_trainer
    from i2i.training.trainer import Trainer

_HOMES = {
    "I2iError": "errors",
    "Options": "config",
    "Labelled": "core.batch",
    "Pair": "core.batch",
    "Referenced": "core.batch",
    "Sampler": "inference.sampler",
    "Trainer": "training.trainer",
    "Translator": "inference.translator",
    "Unpaired": "core.batch",
    "build_model": "training.build",
    "build_trainer": "training.build",
    "build_sampler": "inference.load",
    "build_translator": "inference.load",
    "load_options": "config.recipes",
    "load_sampler": "inference.load",
    "load_translator": "inference.load",
    "to_bytes": "core.batch",
    "to_signed": "core.batch",
    "translate_folder": "inference.folder",
}

__all__ = [
    "I2iError",
    "Labelled",
    "Options",
    "Pair",
    "Referenced",
    "Sampler",
    "Trainer",
    "Translator",
    "Unpaired",
    "build_model",
    "build_sampler",
    "build_trainer",
    "build_translator",
    "load_options",
    "load_sampler",
    "load_translator",
    "to_bytes",
    "to_signed",
    "translate_folder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'i2i' has no attribute {name!r}")
    return getattr(importlib.import_module(f"i2i.{_HOMES[name]}"), name)
