"""The container files: what they copy suffices to install, and they are as careful as they say."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from app_server import KnownModels, Negative, running, translator

from i2i.app import api
from i2i.app.limits import Limits
from i2i.app.service import Service
from i2i.cli.serve import command as serve

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


def compose() -> dict[str, Any]:
    text = (ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def instruction(name: str) -> str:
    """What stands behind a word of the Dockerfile, of the last image."""
    last = DOCKERFILE.rpartition("\nFROM ")[2].replace("\\\n", " ")
    (found,) = re.findall(rf"^{name} (.+)$", last, re.MULTILINE)
    return str(found)


def test_what_is_installed_and_said_is_there() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (extras,) = re.findall(r"install [^\n]*'\.\[(.+)\]'", DOCKERFILE)
    assert set(extras.split(",")) <= about["project"]["optional-dependencies"].keys()
    program, word, *given = json.loads(instruction("ENTRYPOINT"))
    assert program in about["project"]["scripts"]
    assert word == "serve"
    for service in compose()["services"].values():
        # What the image says, and what the service adds to it, the command takes.
        with serve.make_context("serve", [*given, *service.get("command", [])]) as context:
            assert isinstance(context, click.Context)
            assert context.params["host"] == "0.0.0.0"
            port = context.params["port"]
        assert service["ports"][0].endswith(f":{port}")
        assert instruction("EXPOSE") == str(port)
        assert f"127.0.0.1:{port}/healthz" in instruction("HEALTHCHECK")
        volume = str(context.params["runs_dir"])
        assert instruction("VOLUME") == volume
        assert service["volumes"][0].endswith(f":{volume}:ro")
        build = service["build"]
        assert (ROOT / "deploy" / build["context"] / build["dockerfile"]).samefile(
            ROOT / "deploy" / "Dockerfile"
        )
        assert build["args"].keys() <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))


def test_the_container_sees_whether_its_server_is_well() -> None:
    told = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert told[:2] == ["python", "-c"]
    service = Service(KnownModels({"a": lambda: translator(Negative())}), Limits())
    with running(api.build(service, token="a-long-secret-word"), Limits()) as url:
        check = told[2].replace("http://127.0.0.1:8000", url)
        assert check != told[2]
        exec(check, {})
    with pytest.raises(OSError, match="refused"):
        exec(check, {})
