"""The public surface, and what importing costs."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import i2i
from i2i.errors import DISTRIBUTION, how_to_install

PUBLIC = [
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


ROOT = Path(__file__).parent.parent


def test_no_text_says_how_to_install_somebody_elses_package() -> None:
    """The name `i2i` on the package index is another project's."""
    wrong = re.compile(r"""(pip3?|uv|pipx|poetry|conda)\s+(pip\s+)?(install|add)\s[^\n|`]*?"""
                       r"""(?<![\w./-])["']?i2i(\[[\w,-]+\])?(?![\w./-])""")  # fmt: skip
    for said in ("pip install i2i", "pip install 'i2i[onnx]'", "pip3 install -U i2i==0.1"):
        assert wrong.search(said), said
    for said in ("pip install 'i2i-toolkit[onnx]'", "pip install -e .", "pip install ./i2i"):
        assert not wrong.search(said), said
    places = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    for folder, kinds in (("i2i", "py html js toml"), ("docs", "md"), ("scripts", "*")):
        places += [p for kind in kinds.split() for p in (ROOT / folder).rglob(f"*.{kind}")]
    places += [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in places}
    assert len(texts) > 100
    for path, text in texts.items():
        assert not wrong.search(text), path
        # Nor is it what an extra is taken from.
        assert not re.search(r"(?<![\w-])i2i\[(onnx|measures|dev)", text), path


def test_one_place_names_the_distribution_and_one_the_version() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert about["project"]["name"] == DISTRIBUTION
    assert "version" not in about["project"]
    assert about["project"]["dynamic"] == ["version"]
    assert (ROOT / about["tool"]["hatch"]["version"]["path"]).samefile(i2i.__file__)
    extras = about["project"]["optional-dependencies"]
    assert f"{DISTRIBUTION}[measures,onnx]" in extras["dev"]
    assert how_to_install("onnx") == f"pip install '{DISTRIBUTION}[onnx]'"
