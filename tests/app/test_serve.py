"""The HTTP interface, asked over a socket by the client and by clients that do not behave."""

import base64
import http.client
import io
import json
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import tifffile
from app_server import KnownModels, Negative, running, sampler, translator
from PIL import Image
from torch import Tensor, nn

from i2i.app import api
from i2i.app.client import Client, ServerError
from i2i.app.limits import Limits
from i2i.app.models import Models
from i2i.app.server import settle_token
from i2i.app.service import Service
from i2i.core.batch import to_bytes
from i2i.core.inputs import Input, Inputs
from i2i.core.label_maps import LabelMaps
from i2i.core.scale import Scale
from i2i.core.sides import Held
from i2i.errors import CheckpointError, I2iError, OptionsError
from i2i.inference.as_filed import Filing
from i2i.inference.folder import translate_folder
from i2i.inference.load import load_translator
from i2i.inference.translator import Translator
from i2i.runs.folder import find_checkpoint

LIMITS = Limits(bytes=2**16, pixels=64 * 64, seconds=2, arrival_seconds=0.6, samples=4)


def serving(made: dict[str, Any], limits: Limits = LIMITS, token: str | None = None) -> Any:
    return running(api.build(Service(KnownModels(made), limits), token=token), limits)


@pytest.fixture
def url() -> Iterator[str]:
    with serving({"negative": lambda: translator(Negative()), "grey": sampler}) as at:
        yield at


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def noise(side: int = 16, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def ask(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET" if body is None else "POST", path, body, named)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    is_json = answer.getheader("content-type", "").startswith("application/json")
    return answer.status, json.loads(data) if is_json else data


JSON = {"Content_Type": "application/json"}


def test_an_image_is_translated_by_form_and_by_json(url: str) -> None:
    pixels = noise()
    translated = Client(url).translate(png(pixels), model="negative")
    assert np.array_equal(translated, 255 - pixels)
    assert np.array_equal(Client(url).translate(pixels, model="negative"), 255 - pixels)
    for wrong in (pixels / 255, pixels[..., :2], pixels[None]):
        with pytest.raises(ServerError, match=r"an array of shape \(.*\) and type .*expected"):
            Client(url).translate(wrong, model="negative")
    with pytest.raises(ServerError, match=r"no model 'nix'.*/v1/models"):
        Client(url).translate(pixels, model="nix")
    body = {"image": base64.b64encode(png(pixels)).decode(), "model": "negative", "size": 8}
    status, told = ask(url, "/v1/translate", json.dumps(body).encode(), **JSON)
    assert (status, told["format"], told["model"]) == (200, "png", "negative")
    small = Image.open(io.BytesIO(base64.b64decode(told["image"])))
    assert small.size == (8, 8)
    assert (
        Image.open(
            io.BytesIO(Client(url).translate_file(png(pixels), model="negative", format="webp"))
        ).format
        == "WEBP"
    )


def test_a_result_is_what_translate_writes(tmp_path: Path) -> None:
    """16 bits, transparency, an animation and a photo, through a checkpoint of a real run."""
    run = tmp_path / "runs" / "tiny"
    shutil.copytree(Path(__file__).parent.parent / "version_0_1" / "pix2pix", run)
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(noise(20)).save(source / "photo.png")
    Image.fromarray(noise(16).astype(np.uint16)[:, :, 0] * 257).save(source / "deep.png")
    Image.fromarray(np.dstack([noise(16), noise(16)[:, :, 0]])).save(source / "alpha.png")
    frames = [Image.fromarray(noise(16, n)) for n in range(2)]
    frames[0].save(source / "film.png", save_all=True, append_images=frames[1:], duration=100)
    translate_folder(load_translator(run, device="cpu"), source, tmp_path / "out", suffix="png")
    service = Service(Models({}, runs_dir=tmp_path / "runs", device="cpu"), LIMITS)
    with running(api.build(service, token=None), LIMITS) as url:
        [told] = Client(url).models()
        assert (told["name"], told["model"], told["checkpoints"]) == ("tiny", "pix2pix", [4])
        for file in source.iterdir():
            assert Client(url).translate_file(file) == (tmp_path / "out" / file.name).read_bytes()


class First(nn.Module):
    """Hands on its first channels."""

    multiple = 4

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, images: Tensor) -> Tensor:
        return images[:, : self.count]


def of_kind(seen: int, made: int, labels: Held | None = None, bits: str = "") -> Translator:
    scale = Scale(bits, ((0, 65535),)) if bits else None
    filing = Filing(None if labels else scale, scale, (seen, made)) if scale else None
    how: dict[str, Any] = {"norm": "instance", "dropout": False, "device": "cpu"}
    channels = {"input_channels": seen, "output_channels": made}
    return Translator(First(made), **channels, **how, labels=(labels, None), filing=filing)


def test_label_maps_and_bands_are_translated_or_refused_in_words() -> None:
    several = Inputs((Input("rgb"), Input("depth", 1)))
    made: dict[str, Any] = {
        "labels": lambda: of_kind(3, 3, LabelMaps(3)),
        "objects": lambda: of_kind(3, 3, LabelMaps(2, edges=True)),
        "several": lambda: of_kind(4, 3, several),
        "bands": lambda: of_kind(5, 5, bits="uint16"),
    }
    with serving(made) as at:
        numbers = noise()[:, :, 0] % 3
        found = Client(at).translate(png(numbers), model="labels")
        planes = np.eye(3)[numbers]  # 0 and 1 of planes, taken for -1..1
        assert np.array_equal(found, np.rint((planes + 1) * 127.5).astype(np.uint8))
        with pytest.raises(I2iError, match="holds numbers of none of the 3 classes"):
            Client(at).translate(png(numbers + 9), model="labels")
        with pytest.raises(I2iError, match="several inputs of each scene"):
            Client(at).translate(png(noise()), model="several")
        with pytest.raises(I2iError, match="borders of objects"):
            Client(at).translate(png(numbers), model="objects")
        bands = np.random.default_rng(0).integers(0, 65536, (16, 16, 5), np.uint16)
        file = io.BytesIO()
        tifffile.imwrite(file, bands, photometric="minisblack", planarconfig="contig")
        with pytest.raises(I2iError, match=r"png'. cannot hold .* 5 bands of uint16: ask for tif"):
            Client(at).translate_file(file.getvalue(), model="bands")
        back = Client(at).translate_file(file.getvalue(), model="bands", format="tif")
        assert np.array_equal(tifffile.imread(io.BytesIO(back)), bands)


def test_samples_are_those_of_their_seeds(url: str) -> None:
    made = Client(url).sample([3, 1], model="grey")
    expected = to_bytes(sampler().generator(sampler().vectors([3, 1])))
    for image, pixels in zip(made, expected, strict=True):
        assert np.array_equal(image, pixels.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/translate", {"image": "AAAA", "model": "nagative"}, 404, "Did you mean 'negative'"),
        ("/v1/translate", {"image": "AAAA", "model": "../runs"}, 404, "no model"),
        ("/v1/translate", {"image": "AAAA"}, 422, "model is missing"),
        ("/v1/translate", {"image": "AAAA", "model": "negative"}, 422, "the image cannot be read"),
        ("/v1/translate", {"image": "A", "model": "negative"}, 422, "base64"),
        ("/v1/translate", {"image": "AAAA", "sise": 3}, 422, "Did you mean 'size'"),
        ("/v1/translate", {"image": "AAAA", "model": "grey", "size": -3}, 422, "size (='-3')"),
        ("/v1/translate", {"image": "AAAA", "model": 3}, 422, "must be text"),
        ("/v1/translate", {}, 422, "image is missing"),
        ("/v1/translate", {"image": "AA\nAA", "model": "negative"}, 422, "image cannot be read"),
        ("/v1/translate", {"file": "AAAA", "model": "negative"}, 422, "Known are: image, model"),
        ("/v1/translate", {"image": "AAAA", "attributes": "Male"}, 422, "is not NAME=1"),
        ("/v1/translate", {"image": "AAAA", "attributes": {"Male": 2}}, 422, "Male (=2) must be"),
        ("/v1/translate", {"image": "AAAA", "attributes": ["Male"]}, 422, "a value each"),
        ("/v1/translate", {"image": "AAAA", "seed": 0, "reference": "AAAA"}, 422, "not from both"),
        ("/v1/translate", [1], 422, "JSON object"),
        ("/v1/sample", {"seeds": [1], "trunc": 1}, 422, "Did you mean 'truncation'? Known are"),
        ("/v1/sample", {"model": "grey"}, 422, "seeds is missing"),
        ("/v1/sample", {"seeds": [1.5], "model": "grey"}, 422, "seeds.0 (=1.5): "),
        ("/v1/sample", [1], 422, "JSON object"),
        ("/v1/sample", {"seeds": [1], "model": "grey", "label": 1}, 422, "no classes"),
        ("/v1/sample", {"seeds": [0], "model": "negative"}, 422, "translates images"),
        ("/v1/sample", {"seeds": list(range(5)), "model": "grey"}, 413, "5 seeds"),
        ("/v1/sample", {"seeds": [-1], "model": "grey"}, 422, "seeds (=-1)"),
        ("/v1/sample", {"seeds": [], "model": "grey"}, 422, "empty"),
        ("/v1/sample", {"seeds": "x", "model": "grey"}, 422, "seeds"),
        ("/v1/sample", {"seeds": [1], "model": "grey", "label": "x"}, 422, "no classes"),
        ("/nothing", {}, 404, "/docs says what can be asked"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    url: str, path: str, body: Any, status: int, says: str
) -> None:
    got, told = ask(url, path, json.dumps(body).encode(), **JSON)
    assert (got, says in told["error"]) == (status, True), told
    assert "upload" not in told["error"]
    assert tempfile.gettempdir() not in told["error"]


def test_a_sample_request_that_is_no_json_is_told_so(url: str) -> None:
    got, told = ask(url, "/v1/sample", b'{"seeds": [1]', **JSON)
    assert (got, told["error"][:25]) == (422, "the body is no JSON: Expe")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    got, told = ask(url, "/v1/sample", b'{"seeds": [1]}', **form)
    assert got == 422
    assert "Content-Type: application/json" in told["error"]
    assert "SampleRequest" not in told["error"]


def test_a_run_that_this_user_may_not_read_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "step-00000001.pt").write_bytes(b"x")
    (run / "options.toml").write_text("")
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.name == "best.pt":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    for best in (False, True):
        with pytest.raises(CheckpointError, match=r"cannot be read: .*Permission denied"):
            find_checkpoint(run, Path(), best=best)
    service = Service(Models({}, runs_dir=tmp_path / "runs"), Limits())
    with running(api.build(service, token=None), Limits()) as url:
        body = {"image": "AAAA", "model": "mine"}
        got, told = ask(url, "/v1/translate", json.dumps(body).encode(), **JSON)
    assert (got, "log of the server says why" in told["error"]) == (500, True), told


def test_base64_comes_as_programs_make_it(url: str) -> None:
    data = png(noise(8))
    plain = base64.b64encode(data).decode()
    answers = [
        ask(url, "/v1/translate", json.dumps({"image": text, "model": "negative"}).encode(), **JSON)
        for text in (plain, base64.encodebytes(data).decode(), f"data:image/png;base64,{plain}")
    ]
    assert [status for status, _ in answers] == [200] * 3
    assert len({told["image"] for _, told in answers}) == 1


def test_too_much_is_refused_before_it_is_read(url: str) -> None:
    client = Client(url, retries=0)
    with pytest.raises(ServerError, match="more than"):
        client.translate(bytes(2**17), model="negative")
    with pytest.raises(ServerError, match="million pixels") as caught:  # of few bytes
        client.translate(png(np.zeros((65, 64, 3))), model="negative")
    assert caught.value.status == 413
    with pytest.raises(ServerError, match="million pixels"):
        client.translate(png(noise(8)), model="negative", size=65)
    bomb = png(np.zeros((16, 16, 3))).replace(b"\0\0\0\x10" * 2, b"\0\1\0\0" * 2, 1)
    with pytest.raises(ServerError, match=r"million pixels|cannot be read"):
        client.translate(bomb, model="negative")
    head = f"POST /v1/translate HTTP/1.1\r\nHost: {url[7:]}\r\nTransfer-Encoding: chunked\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as raw:
        raw.sendall(head.encode())  # whose length nobody has told
        for _ in range(5):
            raw.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")
        raw.sendall(b"0\r\n\r\n")
        assert b"413" in raw.recv(100)


def test_slow_clients_are_hung_up_on(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as silent,
        socket.create_connection(("127.0.0.1", port), timeout=10) as half,
    ):
        silent.sendall(b"POST /v1/tra")
        half.sendall(
            f"POST /v1/translate HTTP/1.1\r\nHost: {url[7:]}\r\nContent-Length: 99\r\n"
            "Content-Type: application/json\r\n\r\n{".encode()
        )
        assert b"408" in half.recv(100)
        assert silent.recv(100) == b""


def test_others_wait_their_turn_or_are_told_to_come_back() -> None:
    """One request computes; of the others some are too many, and one is too late."""
    go, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        go.wait(20)

    limits = Limits(seconds=1, requests=3, per_client=2)
    with serving({"slow": lambda: translator(Negative(wait))}, limits) as url:
        results: list[Any] = []

        def send(seed: int) -> None:
            try:
                results.append(Client(url, retries=0).translate(png(noise(16, seed))))
            except ServerError as error:
                results.append(error.status)

        first = threading.Thread(target=send, args=(0,))
        first.start()
        assert began.wait(10)
        second = threading.Thread(target=send, args=(1,))
        second.start()
        while "i2i_requests_active 2" not in urlopen(f"{url}/metrics").read().decode():
            time.sleep(0.01)
        send(2)
        assert results == [429]
        second.join()
        first.join()
        assert results == [429, 504, 504]
        go.set()


def test_alike_images_of_several_clients_are_computed_together() -> None:
    go, network = threading.Event(), Negative()
    network.wait = lambda: go.wait(20)
    with serving({"m": lambda: translator(network)}, Limits(seconds=20)) as url:
        results: dict[int, Any] = {}

        def send(seed: int) -> None:
            results[seed] = np.asarray(Client(url).translate(png(noise(16, seed))))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(9)]
        threads[0].start()
        while not network.batches:
            time.sleep(0.01)
        for thread in threads[1:]:
            thread.start()
        while "i2i_jobs_waiting 8" not in urlopen(f"{url}/metrics").read().decode():
            time.sleep(0.01)
        go.set()
        for thread in threads:
            thread.join()
        assert network.batches == [1, 8]
        for seed, pixels in results.items():
            assert np.array_equal(pixels, 255 - noise(16, seed))


def test_who_has_no_token_gets_nothing_but_health_and_reference() -> None:
    token = "a-token-of-the-test"
    with serving({"negative": lambda: translator(Negative())}, token=token) as url:
        for path in ("/healthz", "/docs", "/docs/api.js", "/docs/base.css", "/openapi.json"):
            assert ask(url, path)[0] == 200
        for path in ("/v1/models", "/metrics", "/nothing"):
            assert ask(url, path)[0] == 401
            assert ask(url, path, Authorization=f"Bearer {token}x")[0] == 401
        assert ask(url, "/v1/models", Authorization=f"Bearer {token}")[0] == 200
        assert Client(url, token=token).translate(png(noise())).size == (16, 16)
        with pytest.raises(ServerError, match="token"):
            Client(url).translate(png(noise()))


def test_pages_of_other_sites_get_nothing(url: str) -> None:
    own = url.removeprefix("http://")
    port = own.partition(":")[2]
    assert ask(url, "/v1/models", Host="attacker.example")[0] == 403  # DNS rebinding
    assert ask(url, "/v1/models", Host=f"attacker.example:{port}")[0] == 403
    assert ask(url, "/v1/models", Origin="http://attacker.example")[0] == 403
    assert ask(url, "/v1/models", Origin="null")[0] == 403
    assert ask(url, "/v1/models", Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(url, "/docs", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200
    assert ask(url, "/v1/models", Origin=f"http://{own}")[0] == 200
    assert (
        ask(url, "/v1/models", Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0]
        == 200
    )


def test_no_file_of_the_server_is_reached(url: str) -> None:
    for path in (
        "/../../etc/passwd",
        "/docs/..%2f..%2fapi.py",
        "/docs/%2e%2e/api.py",
        "//etc/passwd",
    ):
        assert ask(url, path)[0] == 404, path


def test_metrics_are_in_the_format_of_prometheus(url: str) -> None:
    Client(url).translate(png(noise()), model="negative")
    status, text = ask(url, "/metrics")
    assert status == 200
    families = pytest.importorskip("prometheus_client.parser").text_string_to_metric_families(
        text.decode()
    )
    samples = {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}
    assert samples[("i2i_requests_total", ("route", "/v1/translate"), ("status", "200"))] == 1
    assert samples[("i2i_images_total", ("model", "negative"))] == 1
    assert samples[("i2i_request_seconds_count",)] == 1
    assert samples[("i2i_request_seconds_bucket", ("le", "+Inf"))] == 1
    assert samples[("process_resident_memory_bytes",)] > 2**20


def test_the_reference_names_every_field_and_loads_nothing_from_elsewhere(url: str) -> None:
    _, told = ask(url, "/openapi.json")
    assert {"/v1/translate", "/v1/sample", "/v1/models", "/healthz", "/metrics"} == set(
        told["paths"]
    )
    body = told["paths"]["/v1/translate"]["post"]["requestBody"]["content"]
    assert {"image", "model", "domain", "attributes", "seed", "size", "format"} <= set(
        body["multipart/form-data"]["schema"]["properties"]
    )
    for path in ("/docs", "/docs/api.js", "/docs/base.css"):
        assert not re.search(rb"(src|href)=.?(https?:)?//|url\(|@import", ask(url, path)[1])


def test_a_server_that_is_asked_to_stop_finishes_what_it_has(tmp_path: Path) -> None:
    began, go = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        go.wait(20)

    answers: list[Any] = []
    with serving({"m": lambda: translator(Negative(wait))}, Limits(seconds=20)) as url:
        sender = threading.Thread(
            target=lambda: answers.append(Client(url, retries=0).translate(png(noise())))
        )
        sender.start()
        assert began.wait(10)
        threading.Timer(0.3, go.set).start()
    sender.join()
    assert np.array_equal(answers[0], 255 - noise())
    with pytest.raises(ServerError, match="does not answer"):
        Client(url, retries=0).models()


def test_temporary_files_are_removed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Client(url).translate(png(noise()), model="negative")
    with pytest.raises(ServerError):
        Client(url).translate(b"no image", model="negative")
    assert list(tmp_path.iterdir()) == []


def test_other_machines_need_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("I2I_TOKEN", raising=False)
    assert settle_token(None, "127.0.0.1") is None
    assert settle_token(None, "localhost") is None
    for host in ("0.0.0.0", "::", "192.168.1.2"):
        with pytest.raises(OptionsError, match="--token auto"):
            settle_token(None, host)
    assert len(settle_token("auto", "0.0.0.0") or "") >= 24
    with pytest.raises(OptionsError, match="16 characters"):
        settle_token("short", "0.0.0.0")
    monkeypatch.setenv("I2I_TOKEN", "from-the-environment")
    assert settle_token(None, "0.0.0.0") == "from-the-environment"
