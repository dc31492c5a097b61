"""The public surface, and what importing costs."""

import subprocess
import sys

import i2i

PUBLIC = [
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


def test_the_public_surface_is_this_and_all_of_it_is_there() -> None:
    assert i2i.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(i2i, name).__doc__
    assert not hasattr(i2i, "nothing_of_this_name")


def test_importing_i2i_and_its_help_import_nothing_heavy() -> None:
    code = (
        "import sys, i2i, i2i.cli\n"
        "try: i2i.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'pydantic', 'kornia', 'albumentations', 'tensorboard'}\n"
        "print('HEAVY', sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    assert "translate" in done.stdout
