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
    from i2i.batch import Labelled, Pair, Unpaired, to_bytes, to_signed
    from i2i.builder import build_model, build_trainer
    from i2i.errors import I2iError
    from i2i.loading import build_sampler, build_translator, load_sampler, load_translator
    from i2i.options import Options
    from i2i.recipes import load_options
    from i2i.sampler import Sampler
    from i2i.training.trainer import Trainer
    from i2i.translate import translate_folder
    from i2i.translator import Translator

_HOMES = {
    "I2iError": "errors",
    "Options": "options",
    "Labelled": "batch",
    "Pair": "batch",
    "Sampler": "sampler",
    "Trainer": "training.trainer",
    "Translator": "translator",
    "Unpaired": "batch",
    "build_model": "builder",
    "build_trainer": "builder",
    "build_sampler": "loading",
    "build_translator": "loading",
    "load_options": "recipes",
    "load_sampler": "loading",
    "load_translator": "loading",
    "to_bytes": "batch",
    "to_signed": "batch",
    "translate_folder": "translate",
}

__all__ = [
    "I2iError",
    "Labelled",
    "Options",
    "Pair",
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
