"""The container files: what they copy suffices to install, and they are as careful as they say."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def copied() -> list[str]:
    """What is copied from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()]


def test_what_is_copied_is_let_through_and_makes_the_whole_wheel(tmp_path: Path) -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert let_through[0] == "*"
    source = tmp_path / "source"
    source.mkdir()
    for name in copied():
        assert f"!{name}" in let_through
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, source / name)
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = about["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(wanted) <= set(copied())
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "i2i/app/static/app.html" in archive.namelist()


def test_the_container_is_not_root_and_says_how_it_is() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER i2i$", last, re.MULTILINE)
    assert last.index("USER i2i") < last.index("ENTRYPOINT")
    assert "/healthz" in last[last.index("HEALTHCHECK") :]
    compose = (ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8")
    for line in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", ":/runs:ro"):
        assert line in compose
    assert "${I2I_TOKEN:?" in compose  # it does not start without one
