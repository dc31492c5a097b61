"""The libraries for ONNX files, which not everybody has."""

import importlib
from types import ModuleType

from i2i.errors import OptionsError, how_to_install


def library(name: str) -> ModuleType:
    """Import a module of onnx, onnxscript or onnxruntime.

    Raises:
        OptionsError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptionsError(
            f"{name.partition('.')[0]} is not installed, which ONNX files need: "
            f"{how_to_install('onnx')}."
        ) from error
