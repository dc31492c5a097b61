"""The models, one file each; `i2i.core.registry.register_model` is their door."""

from i2i.core.model import Model
from i2i.core.registry import MODELS


def model_names() -> list[str]:
    """The names of all models."""
    return MODELS.names()


def find_model(name: str) -> type[Model]:
    """Return the class of the model `name`.

    Raises:
        OptionsError: there is none of this name.
    """
    found: type[Model] = MODELS.find(name)
    return found
