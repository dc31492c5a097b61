"""Videos over HTTP: frame after frame, with word of how far they are."""

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_server import KnownModels, Negative, running, translator

from clips import frames_of, look, make_clip
from i2i.app import web
from i2i.app.limits import Limits
from i2i.app.service import Service
from i2i.app.shelf import Shelf
from i2i.app.trainings import Places
from i2i.data.video.read import VideoReader
from i2i.errors import DataError

LIMITS = Limits(pixels=64 * 64, seconds=20)


def serving(folder: Path, network: Negative, closing: web.Closing | None = None) -> Any:
    service = Service(KnownModels({"negative": lambda: translator(network)}), LIMITS)
    closing = closing or web.Closing()
    app = web.build(service, Shelf(folder), Places([folder]), token=None, closing=closing)
    return running(app, LIMITS, on_stop=closing)


@contextmanager
def posted(url: str, clip: Path, ending: str, **fields: str) -> Iterator[http.client.HTTPResponse]:
    """The answer to a video, not read yet; hung up on at the end of the block."""
    told = {"format": ending, **fields}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in told.items()
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = b"".join(parts) + head + clip.read_bytes() + b"\r\n--x--\r\n"
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    connection.request("POST", "/api/video", body, kind)
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def asked(url: str, clip: Path, ending: str, **fields: str) -> tuple[list[dict[str, Any]], bytes]:
    """The answer to a video as `read` returns it."""
    with posted(url, clip, ending, **fields) as answer:
        assert answer.status == 200
        return read(answer)


def read(answer: http.client.HTTPResponse) -> tuple[list[dict[str, Any]], bytes]:
    """The lines of an answer, and the file behind them."""
    lines = []
    while line := answer.readline():
        lines.append(json.loads(line))
        if "bytes" in lines[-1]:
            break
    return lines, answer.read()


def left() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("i2i-*"))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_video_comes_back_value_by_value(tmp_path: Path) -> None:
    frames = frames_of(9, 32, 20)
    clip, result = tmp_path / "a.mkv", tmp_path / "b.mkv"
    make_clip(clip, frames=frames, codec="ffv1", pixels="bgr0", sound=None)
    with serving(tmp_path, Negative()) as url:
        lines, data = asked(url, clip, "mkv")
        result.write_bytes(data)
    *progress, last = lines
    assert last == {"bytes": len(data), "format": "mkv"}
    assert [each["done"] for each in progress] == sorted(each["done"] for each in progress)
    assert progress[-1] == {"done": 9, "total": 9}
    np.testing.assert_array_equal(look(result).pixels, 255 - frames)
    assert not left()


def test_what_cannot_be_translated_is_told_in_words(tmp_path: Path) -> None:
    clip, large, list_ = tmp_path / "a.mp4", tmp_path / "large.mp4", tmp_path / "list.mp4"
    make_clip(clip, frames=frames_of(3, 32, 20))
    make_clip(large, frames=frames_of(2, 128, 64))
    list_.write_text(f"ffconcat version 1.0\nfile {clip.name}\n", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"), VideoReader(list_):
        pass
    with serving(tmp_path, Negative()) as url:
        for path, says in ((large, "million pixels"), (list_, "the video cannot be read")):
            lines, data = asked(url, path, "mp4")
            assert says in lines[-1]["error"]
            assert str(tmp_path) not in lines[-1]["error"]
            assert data == b""
        for ending, fields, status in (
            ("exe", {}, 422),
            ("m3u8", {}, 422),
            ("mp4", {"model": "nobody"}, 404),
            ("mp4", {"size": "-1"}, 422),
        ):
            with posted(url, clip, ending, **fields) as answer:
                assert answer.status == status
        lines, _ = asked(url, clip, "mp4", size="1000")
        assert "million pixels" in lines[-1]["error"]
    assert not left()


def test_who_hangs_up_ends_the_work(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    make_clip(clip, frames=frames_of(40, 32, 20))
    go = threading.Event()
    network = Negative(lambda: go.wait(30))
    with serving(tmp_path, network) as url:
        with posted(url, clip, "mp4") as answer:
            answer.readline()
            while not network.batches:
                time.sleep(0.01)
            assert left()
        time.sleep(0.5)  # so that the server sees that nobody listens
        go.set()
        until = time.monotonic() + 20
        while left():
            assert time.monotonic() < until
            time.sleep(0.05)
    assert sum(network.batches) < 40


def test_an_application_that_stops_does_not_wait_for_a_film(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    make_clip(clip, frames=frames_of(40, 32, 20))
    closing = web.Closing()
    network = Negative(lambda: time.sleep(0.1))
    with serving(tmp_path, network, closing) as url, posted(url, clip, "mp4") as answer:
        answer.readline()
        closing()
        lines, _ = read(answer)
    assert "being stopped" in lines[-1]["error"]
    assert sum(network.batches) < 40
    assert not left()
