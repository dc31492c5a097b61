"""What the page asks for: runs, trainings, folders; and who may ask."""

import gc
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from app_server import running
from PIL import Image
from run_folder import make_run
from test_serve import ask, noise

from i2i.app import trainings as module
from i2i.app import web
from i2i.app.limits import Limits
from i2i.app.models import Models
from i2i.app.refusals import NotFoundError
from i2i.app.service import Service
from i2i.app.shelf import Shelf, is_trained
from i2i.app.trainings import Places, Trainings
from i2i.config.recipes import load_options
from i2i.errors import OptionsError, RunError
from i2i.runs.lock import OWNER, RunLock

LIMITS = Limits(seconds=20)
OLD = Path(__file__).parent.parent / "version_0_1"
SMALL = {"train.save_every_steps": 2, "train.log_every_steps": 1, "data.workers": 0}
SMALL |= {"generator.width": 2, "discriminator.width": 2, "train.validate_every_steps": 1000}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "pairs"
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        for number in range(3):
            side = Image.fromarray(noise(24, number + 10 * len(split)))
            pair = Image.new("RGB", (48, 24))
            pair.paste(side, (0, 0))
            pair.paste(side, (24, 0))
            pair.save(folder / split / f"{number}.png")
    return folder


def application(root: Path, token: str | None = None) -> Any:
    service = Service(Models({}, runs_dir=root / "runs", device="cpu"), LIMITS)
    closing = web.Closing()
    app = web.build(
        service, Shelf(root / "runs"), Places([root / "data"]), token=token, closing=closing
    )
    return running(app, LIMITS, on_stop=closing)


@pytest.fixture
def site(tmp_path: Path, data: Path) -> Iterator[str]:
    make_run(tmp_path / "runs" / "first")
    make_run(tmp_path / "runs" / "second", steps=800)
    with application(tmp_path) as url:
        yield url


def test_a_line_about_each_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "photos", steps=800)
    shelf = Shelf(tmp_path / "runs")
    [told] = shelf.summaries()
    assert (told["state"], told["steps"], told["planned"]) == ("done", 800, 800)
    assert told["best"]["measure"] == "l1"
    assert (told["best"]["step"], told["best"]["value"]) == (800, pytest.approx(0.17))
    with (run / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 900, "validation/l1": 0.1}) + "\n")
    [told] = shelf.summaries()
    assert (told["steps"], told["best"]["step"]) == (900, 900)
    lock = RunLock(run)
    lock.acquire()
    try:
        assert shelf.summary("photos")["state"] == "training"
    finally:
        lock.release()
    assert shelf.summary("photos")["state"] == "done"
    with pytest.raises(NotFoundError, match="Did you mean 'photos'"):
        shelf.folder("photo")


def test_an_owner_that_has_died_trains_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    owner = run / OWNER
    owner.write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename}))
    assert not is_trained(run)
    owner.write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    assert is_trained(run)
    os.utime(owner, (time.time() - 60,) * 2)
    assert not is_trained(run)


def test_details_are_those_of_the_report(site: str) -> None:
    status, told = ask(site, "/api/runs/first")
    assert status == 200
    curves = {c["name"]: c["points"] for chart in told["charts"] for c in chart["curves"]}
    assert curves["generator/l1"][:2] == [[50, 0.2], [100, 0.1]]
    assert told["sheets"] == [100, 200, 300, 400]
    assert (told["recipe"], told["usual"]["objective.l1"]) == ("pix2pix-quick", 100)
    assert told["options"]["objective.l1"] == 50
    status, image = ask(site, "/api/runs/first/sheets/200")
    assert (status, image[:4]) == (200, b"\x89PNG")
    assert b"<h2>Options</h2>" in ask(site, "/api/runs/first/report")[1]
    for path in ("/api/runs/third", "/api/runs/first/sheets/201", "/api/runs/..%2Fdata"):
        assert ask(site, path)[0] == 404, path
    assert ask(site, "/api/runs/first/sheets/..%2F..%2Foptions")[0] in (404, 422)


def test_changes_are_told_as_they_happen(site: str, tmp_path: Path) -> None:
    with urlopen(f"{site}/api/events?run=first&run=nowhere", timeout=20) as stream:

        def event() -> tuple[str, Any]:
            name = stream.readline().decode().strip().removeprefix("event: ")
            told = json.loads(stream.readline().decode().removeprefix("data: "))
            stream.readline()
            return name, told

        first = dict(event() for _ in range(3))
        assert [each["name"] for each in first["runs"]] != []
        assert first["trainings"] == []
        assert first["curves"]["run"] == "first"
        with (tmp_path / "runs" / "first" / "log.jsonl").open("a") as log:
            log.write(json.dumps({"step": 450, "generator/l1": 0.5}) + "\n")
        then = dict(event() for _ in range(2))
        assert {each["name"]: each["steps"] for each in then["runs"]}["first"] == 450
        curves = [c for chart in then["curves"]["charts"] for c in chart["curves"]]
        assert [450, 0.5] in next(c["points"] for c in curves if c["name"] == "generator/l1")


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nothing(folder: Path) -> Trainings:
    """Trainings where there is neither run nor data."""
    return Trainings(Shelf(folder / "runs"), Places([folder]))


def test_a_form_has_the_options_of_its_recipe(tmp_path: Path) -> None:
    fields = {each["path"]: each for each in nothing(tmp_path).form("recipe", "pix2pix-quick")}
    options = load_options("pix2pix-quick")
    assert fields["train.steps"]["value"] == options.train.steps
    assert fields["objective.l1"]["value"] == 100
    assert "> " in fields["train.batch_size"]["type"] or ">=" in fields["train.batch_size"]["type"]
    assert all(each["meaning"] for each in fields.values() if "." in each["path"])
    # Nothing that names a file of the server, or that runs code.
    assert not {"plugins", "data.root", "data.split_table", "train.init_from"} & fields.keys()
    with pytest.raises(NotFoundError):
        nothing(tmp_path).form("recipe", "../pix2pix")


def test_a_training_begins_with_weights_by_their_name(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = OLD / "pix2pix"
    trainings = Trainings(Shelf(tmp_path / "runs"), Places([data.parent]), lambda: {"old one": run})
    fields = {each["path"]: each["value"] for each in trainings.form("weights", "old one")}
    assert (
        fields["generator.width"]
        == tomllib.loads((run / "options.toml").read_text(encoding="utf-8"))["generator"]["width"]
    )
    monkeypatch.setattr(
        module, "_TRAIN", (sys.executable, "-c", "import sys; print(*sys.argv[1:3])")
    )
    form = {"dataroot": "pairs", "name": "run", "settings": {"train.batch_size": 2}}
    assert trainings.wait(trainings.start({**form, "weights": "old one"}), 60) == 0
    assert trainings.to_list()[0]["output"] == [f"--init-from={run} --dataroot={data}"]
    with pytest.raises(NotFoundError, match="no weights '/etc'"):
        trainings.start({**form, "weights": "/etc"})
    trainings.close()


def test_a_run_is_deleted_unless_it_is_trained(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "run")
    kept = make_run(tmp_path / "kept")
    (tmp_path / "runs" / "link").symlink_to(kept)
    lock = RunLock(run)
    lock.acquire()
    try:
        with pytest.raises(RunError, match="being trained"):
            nothing(tmp_path).remove("run")
        assert (run / "options.toml").exists()
    finally:
        lock.release()
    nothing(tmp_path).remove("run")
    assert not run.exists()
    nothing(tmp_path).remove("link")  # the name goes, not what it stands for
    assert (kept / "options.toml").exists()
    for name in ("run", "../kept", "."):
        with pytest.raises(NotFoundError):
            nothing(tmp_path).remove(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"recipe": "/etc/passwd"}, "recipe"),
        ({"dataroot": "/etc"}, "--data-dir"),
        ({"dataroot": "../../../etc"}, "--data-dir"),
        ({"dataroot": "escape"}, "--data-dir"),
        ({"dataroot": "nowhere"}, "no folder"),
        ({"name": "../x"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "--device"}, "name"),
        ({"steps": "-1"}, "steps"),
        ({"settings": {"plugins": '["x.py"]'}}, "plugins"),
        ({"settings": {"data.root_b": "/etc"}}, "data.root_b"),
        ({"settings": {"data.split_table": "/etc/passwd"}}, "data.split_table"),
        ({"settings": {"train.init_from": "/etc"}}, "train.init_from"),
        ({"settings": {"dataroot": "/etc"}}, "dataroot"),
        ({"settings": {"--plugin": "x.py"}}, "--plugin"),
    ],
)
def test_a_form_names_nothing_that_is_not_offered(
    change: dict[str, Any], says: str, tmp_path: Path, data: Path
) -> None:
    (tmp_path / "runs").mkdir()
    (data.parent / "escape").symlink_to("/etc")
    trainings = Trainings(Shelf(tmp_path / "runs"), Places([data.parent]))
    form = {"recipe": "pix2pix-quick", "dataroot": "pairs", "name": "run", **change}
    with pytest.raises(OptionsError, match=says):
        trainings.start(form)
    assert trainings.to_list() == []


def test_what_goes_on_after_the_application_leaves_nothing_behind(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    trainings = Trainings(Shelf(tmp_path / "runs"), Places([data.parent]))
    over = tmp_path / "over"
    code = (
        "import os, pathlib, time\n"
        "print(os.getpid(), flush=True)\n"
        f"while not pathlib.Path({str(over)!r}).exists(): time.sleep(0.05)"
    )
    monkeypatch.setattr(module, "_TRAIN", (sys.executable, "-c", code))
    trainings.start({"recipe": "pix2pix-quick", "dataroot": "pairs", "name": "run"})
    until = time.monotonic() + 60
    while not (said := trainings.to_list()[0]["output"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    trainings.close()
    del trainings
    gc.collect()  # a process that is lost warns here, and warnings are errors
    pid = int(said[0])
    assert is_there(pid)  # it goes on
    over.touch()
    while is_there(pid):  # a zombie would be
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_training_is_begun_stopped_and_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    shelf = Shelf(tmp_path / "runs")
    trainings = Trainings(shelf, Places([data.parent]))
    form = {"recipe": "pix2pix-quick", "dataroot": "pairs", "name": "run", "size": "16"}
    number = trainings.start(
        {**form, "steps": "100000", "batch_size": "1", "settings": {**SMALL, "generator.downs": 2}}
    )
    with pytest.raises(NotFoundError):
        trainings.stop("run2")
    log = tmp_path / "runs" / "run" / "log.jsonl"
    until = time.monotonic() + 120
    while not log.exists() or not log.read_text():
        assert trainings.wait(number, 0.2) is None, trainings.to_list()[0]["output"]
        assert time.monotonic() < until
    assert shelf.summary("run")["state"] == "training"
    with pytest.raises(RunError, match="trained already"):
        trainings.resume("run", None)
    trainings.stop("run")
    assert trainings.wait(number, 60) is not None
    stopped = shelf.summary("run")
    assert (stopped["state"], stopped["has_checkpoint"]) == ("stopped", True)
    with pytest.raises(RunError, match="not being trained"):
        trainings.stop("run")
    monkeypatch.setattr(
        module, "_TRAIN", (sys.executable, "-c", "import sys; print(*sys.argv[1:])")
    )
    for steps, longer in ((None, ""), (200000, " --steps 200000")):
        number = trainings.resume("run", steps)
        assert trainings.wait(number, 60) == 0
        assert trainings.to_list()[0]["output"] == [f"--resume {tmp_path / 'runs' / 'run'}{longer}"]
    with pytest.raises(RunError, match="already"):
        trainings.start(form)
    trainings.close()


def test_a_process_that_only_claims_to_train_is_not_stopped(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "run")
    lock = RunLock(run)  # held by this test, which is no `i2i train`
    lock.acquire()
    try:
        with pytest.raises(RunError, match="not `i2i train`"):
            Trainings(Shelf(tmp_path / "runs"), Places([tmp_path])).stop("run")
    finally:
        lock.release()


def test_a_folder_is_examined_with_small_images(site: str, data: Path) -> None:
    shutil.copyfile(data / "train" / "0.png", data / "val" / "again.png")
    (data / "train" / "cut.png").write_bytes((data / "train" / "1.png").read_bytes()[:200])
    status, told = ask(
        site,
        "/api/doctor",
        json.dumps({"folder": "pairs"}).encode(),
        Content_Type="application/json",
    )
    assert status == 200
    number = told["id"]
    while "result" not in (found := ask(site, f"/api/doctor/{number}")[1]):
        time.sleep(0.05)
    findings = {each["kind"]: each for each in found["result"]["findings"]}
    assert {"leak", "unreadable"} <= findings.keys()
    names = [file["name"] for file in findings["leak"]["groups"][0]]
    assert sorted(names) == ["train/0.png", "val/again.png"]
    for file in findings["leak"]["groups"][0]:
        assert ask(site, f"/api/doctor/{number}/{file['file']}")[1][:4] == b"\x89PNG"
    [[cut]] = findings["unreadable"]["groups"]
    assert ask(site, f"/api/doctor/{number}/{cut['file']}")[1].startswith(b"<svg")
    assert ask(site, f"/api/doctor/{number}/999")[0] == 404
    assert ask(site, "/api/doctor/77")[0] == 404
    status, told = ask(site, "/api/doctor", b'{"folder": "/etc"}', Content_Type="application/json")
    assert (status, "--data-dir" in told["error"]) == (422, True)
    status, told = ask(site, "/api/folders?path=.")
    assert (told["folders"], told["above"]) == (["pairs"], None)
    assert ask(site, "/api/folders?path=..")[0] == 422


def test_only_the_files_of_the_page_are_served(site: str) -> None:
    for name in web.STATIC:
        assert ask(site, f"/static/{name}")[0] == 200, name
    for name in ("api.html", "../web.py", "..%2Fweb.py", "%2e%2e%2fweb.py", "__init__.py"):
        assert ask(site, f"/static/{name}")[0] == 404, name


def test_a_browser_keeps_the_token(tmp_path: Path) -> None:
    token = "the-token-of-this-test"
    (tmp_path / "data").mkdir()
    with application(tmp_path, token) as url:
        assert ask(url, "/")[0] == 200
        assert ask(url, "/api/runs")[0] == 401
        assert ask(url, "/api/login", b"wrong")[0] == 401
        assert ask(url, "/?token=wrong")[0] == 401
        with urlopen(Request(f"{url}/api/login", token.encode())) as answer:
            cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert ask(url, "/api/runs", Cookie=cookie.partition(";")[0])[0] == 200
        assert ask(url, "/api/runs", Cookie="i2i-token=wrong")[0] == 401
        foreign = {"Cookie": cookie.partition(";")[0], "Origin": "http://attacker.example"}
        assert ask(url, "/api/doctor", b"{}", Content_Type="application/json", **foreign)[0] == 403
