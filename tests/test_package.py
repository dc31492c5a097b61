"""The public surface, and what importing costs."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import i2i
from i2i.errors import DISTRIBUTION, how_to_install

PUBLIC = [
    "Callback",
    "Clock",
    "Evaluation",
    "Generated",
    "I2iError",
    "Labelled",
    "Model",
    "Options",
    "Outcome",
    "Pair",
    "Parts",
    "Play",
    "Referenced",
    "Reporter",
    "RunLog",
    "Sampler",
    "Term",
    "Trainer",
    "Training",
    "Translator",
    "Unpaired",
    "build_model",
    "build_sampler",
    "build_trainer",
    "build_translator",
    "evaluate_folders",
    "evaluate_run",
    "export_bundle",
    "export_int8",
    "export_onnx",
    "export_published",
    "figure",
    "history",
    "list_models",
    "load_model",
    "load_options",
    "load_plugin",
    "load_sampler",
    "load_translator",
    "own_parts",
    "pull",
    "push",
    "register_loss",
    "register_model",
    "register_network",
    "reporting",
    "resume",
    "to_bytes",
    "to_signed",
    "train",
    "translate_folder",
    "write_demo",
]


def test_the_public_surface_is_this_and_all_of_it_is_there() -> None:
    assert i2i.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(i2i, name).__doc__ or name == "Play"  # an alias has none at run time
        assert name in dir(i2i)
    assert not hasattr(i2i, "nothing_of_this_name")


def test_every_line_of_the_list_of_names_is_read() -> None:
    """An import that is written in another way would be for type checkers only."""
    stub = Path(i2i.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    named = {(node.module, alias.name) for node in imports for alias in node.names}
    assert {(i2i._HOMES[name], name) for name in i2i.__all__} == named


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "Play"])
def test_what_is_public_is_documented_and_typed(name: str) -> None:
    """Each function says what its arguments are, which are annotated, as is what it returns."""
    public = getattr(i2i, name)
    module = sys.modules[public.__module__]
    assert module.__name__ == i2i._HOMES[name] or isinstance(public, type)
    if inspect.isfunction(public):
        signature = inspect.signature(public)
        assert signature.return_annotation is not inspect.Signature.empty
        for argument in signature.parameters.values():
            assert argument.annotation is not inspect.Parameter.empty, argument


@pytest.mark.parametrize("arguments", ["['--help']", "['--version']"])
def test_importing_i2i_and_its_help_import_nothing_heavy(arguments: str) -> None:
    """Of what is not the standard library, click alone; and of i2i the list of commands.

    Time is that of the imports, and these are the same on every machine.
    """
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"  # a site may have a start-up file that imports things
        "import i2i, i2i.cli\n"
        f"try: i2i.cli.main({arguments})\n"
        "except SystemExit: pass\n"
        "new = {name for name in sys.modules.keys() - before}\n"
        "tops = {name.split('.')[0] for name in new} - sys.stdlib_module_names\n"
        "print('NEW', sorted(tops), sorted(n for n in new if n.startswith('i2i')), len(new))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, _, new = done.stdout.partition("NEW ")
    assert new.startswith("['click', 'i2i'] ['i2i', 'i2i.cli', 'i2i.errors'] ")
    assert int(new.split()[-1]) < 200
    assert "translate" in said or i2i.__version__ in said


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
    assert any(each.startswith(f"{DISTRIBUTION}[") and "measures" in each for each in extras["dev"])
    assert how_to_install("onnx") == f"pip install '{DISTRIBUTION}[onnx]'"
