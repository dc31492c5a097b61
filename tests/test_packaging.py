"""What is in the wheel, made from the checkout and made from the source distribution."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def build(source: Path, kind: str, target: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = target.iterdir()
    return made


def test_wheel_and_sdist_ship_the_same_with_the_data_inside_the_package(tmp_path: Path) -> None:
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    contents = []
    for number, source in enumerate((ROOT, unpacked)):
        with zipfile.ZipFile(build(source, "wheel", tmp_path / f"wheel{number}")) as wheel:
            contents.append({name for name in wheel.namelist() if "dist-info" not in name})
    assert contents[0] == contents[1]
    names = contents[0]
    assert {name.split("/")[0] for name in names} == {"i2i"}
    for folder in ("options", "datasets"):
        shipped = {path.name for path in (ROOT / folder).glob("*.toml")}
        assert shipped
        assert shipped == {n.split("/")[-1] for n in names if f"shipped/{folder}/" in n}
    assert "i2i/py.typed" in names
    assert {f"i2i/report/page.{kind}" for kind in ("html", "css", "js")} <= names
