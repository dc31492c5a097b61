"""The gate: what comes from a file is bounded before anything is made of it.

A file may be cut off, altered, of another program, or made by somebody who means harm: text nested
a hundred thousand deep, integers of a million digits, tensors of petabytes in a few bytes. Here are
the readers that everything else reads files with. They give plain values whose depth, length and
range are bounded, and outlines of tensors that cost no memory; what they cannot give they refuse
with `RefusedError`, whose text completes the sentence "FILE ...". Who calls them knows what kind of
error that is.

`values` bounds plain values, `text` reads TOML and JSON, `tensors` reads what `torch.save` wrote,
`safetensors` files of weights alone, `places` takes the paths of a machine out of options, and
`fit` compares weights with a network.
"""

from i2i.system.gate.fit import misfits, not_finite
from i2i.system.gate.places import with_places, without_places
from i2i.system.gate.safetensors import load_safetensors, outline_safetensors
from i2i.system.gate.tensors import TensorOutline, load_tensors, outline
from i2i.system.gate.text import MOST_JSON, MOST_TOML, is_file, parse_json, parse_toml, read_text
from i2i.system.gate.values import RefusedError, require_plain, shortened

__all__ = [
    "MOST_JSON",
    "MOST_TOML",
    "RefusedError",
    "TensorOutline",
    "is_file",
    "load_safetensors",
    "load_tensors",
    "misfits",
    "not_finite",
    "outline",
    "outline_safetensors",
    "parse_json",
    "parse_toml",
    "read_text",
    "require_plain",
    "shortened",
    "with_places",
    "without_places",
]
