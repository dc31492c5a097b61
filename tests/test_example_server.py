"""The server that docs/translate.md shows: many threads, images of many sizes, one translator."""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import i2i
from shrunk import shrunk

THREADS = 32
SECONDS = 60.0 if "I2I_SLOW" in os.environ else 3.0
"""How long the clients ask; a minute where the slow tests run."""

SIZES = ((16, 16), (24, 40), (33, 17), (64, 48), (600, 600))
"""Width and height; the last one is computed in another way where memory is short."""


def encoded(size: tuple[int, int], seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def post(port: int, body: bytes) -> tuple[int, bytes]:
    connection = HTTPConnection("localhost", port, timeout=60)
    connection.request("POST", "/", body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_server_answers_many_threads_as_it_would_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).parent.parent / "docs" / "translate.md"
    found = re.findall("```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = [block for block in found if "HTTPServer" in block]
    assert "8000" in code
    assert code.endswith("server.serve_forever()\n")
    # Dropout on in inference, as published: what draws random numbers.
    trainer = i2i.build_trainer(shrunk("cyclegan", "generator.dropout=true"), images=4)
    trainer.save(tmp_path / "mine.pt")
    code = code.replace("8000", "0").replace("server.serve_forever()\n", "")
    code = code.replace("runs/NAME", "mine.pt")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "server"}
    exec(code, names)
    monkeypatch.setattr(names["Handler"], "log_message", lambda *_: None)
    server, translator = names["server"], names["translator"]
    sent = {size: encoded(size, number) for number, size in enumerate(SIZES)}
    expected = {size: np.array(translator(body)) for size, body in sent.items()}
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    port, until = server.server_port, time.monotonic() + SECONDS

    def client(number: int) -> int:
        count = 0
        while count == 0 or time.monotonic() < until:
            # One in ten is large: it takes as long as all others.
            size = SIZES[-1 if (number + count) % 10 == 9 else (number + count) % 4]
            status, answer = post(port, sent[size])
            assert status == 200
            with Image.open(BytesIO(answer)) as image:
                np.testing.assert_array_equal(np.array(image), expected[size])
            count += 1
        return count

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(client, range(THREADS))) >= THREADS
        status, answer = post(port, b"no image")
        assert status == 400
        assert answer
        connection = HTTPConnection("localhost", port, timeout=60)
        connection.putrequest("POST", "/")
        connection.endheaders()  # of no length
        assert connection.getresponse().status == 400
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
