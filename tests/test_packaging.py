"""What is in the wheel, made from the checkout and made from the source distribution."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import i2i
from i2i.config.recipes import recipes

ROOT = Path(__file__).parent.parent


def build(source: Path, kind: str, target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


@pytest.mark.slow
def test_wheel_and_sdist_ship_the_same_with_the_data_inside_the_package(tmp_path: Path) -> None:
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    for page in ("mkdocs.yml", "docs/index.md", "examples/my_parts.py", "scripts/docs"):
        assert (unpacked / page).is_file(), page
    wheels = [
        build(source, "wheel", tmp_path / f"wheel{number}")
        for number, source in enumerate((ROOT, unpacked))
    ]
    contents = []
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            contents.append({name for name in wheel.namelist() if "dist-info" not in name})
    assert contents[0] == contents[1]
    names = contents[0]
    assert {name.split("/")[0] for name in names} == {"i2i"}
    for folder in ("options", "datasets"):
        shipped = {path.name for path in (ROOT / folder).glob("*.toml")}
        assert shipped
        assert shipped == {n.split("/")[-1] for n in names if f"shipped/{folder}/" in n}
    cards = {path.name for path in (ROOT / "models").glob("*.toml")}
    shipped = {n.removeprefix("i2i/shipped/models/") for n in names if "shipped/models/" in n}
    assert cards <= shipped
    assert {"landscape/config.json", "landscape/model.safetensors"} <= shipped
    assert {"i2i/py.typed", "i2i/__init__.pyi"} <= names
    assert {f"i2i/report/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert {"i2i/report/curves.js", "i2i/app/static/app.html", "i2i/app/static/app.js"} <= names

    # The one from the source distribution, where nothing of the checkout is in sight.
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(wheels[1])], check=True)

    def run(*arguments: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(installed)}
        command = [sys.executable, "-m", "i2i", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert f"version {i2i.__version__}" in run("--version")
    assert {line.split()[0] for line in run("models").splitlines() if line[:2] == "  "} == (
        recipes().keys()
    )
    assert "horse2zebra" in run("datasets", "list")
    assert i2i.__version__ in sdist.name
    assert i2i.__version__ in wheels[1].name
