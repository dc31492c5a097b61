"""Load `i2i serve` on this machine with many clients, some of them malformed, rude or slow.

Every image has a colour of its own, and the model returns the negative, so that an answer that
belongs to another request is noticed. At the end each request must have had its answer, and the
memory of the server must be where it was after the first quarter.

    python scripts/load_test.py --seconds 600 --clients 64
    python scripts/load_test.py --throughput        images per second at 1, 8, 64 clients
    python scripts/load_test.py --throughput --run runs/NAME --side 64
"""

import argparse
import http.client
import io
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

import numpy as np
from PIL import Image

from i2i.app.client import Client, ServerError

PATIENCE = 120
"""Seconds without an answer after which a request is taken for lost, on a machine that is busy."""

NEGATIVE = """
import sys
from pathlib import Path
import torch
from torch import nn
from i2i.app import api, models
from i2i.app.limits import Limits
from i2i.app.server import address, listen, server
from i2i.app.service import Service
from i2i.inference.translator import Translator

class Negative(nn.Module):
    multiple = 4

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(-torch.ones(1))

    def forward(self, images):
        return self.weight * images

class Negatives(models.Models):
    def names(self):
        return {name: Path(sys.executable) for name in "ab"}

    def _load(self, wanted, path):
        return Translator(Negative(), input_channels=3, output_channels=3, norm="instance",
                          dropout=False, device="cpu")

    def _stamp(self, wanted):
        return self.place(wanted.name), 0

limits = Limits(pixels=2**20, bytes=2**22, arrival_seconds=3, per_client=256)
service = Service(Negatives({}, memory=6), limits)
at = listen("127.0.0.1", 0)
app = api.build(service, token=None)
server(app, limits=limits, on_start=lambda: print(address(at), flush=True)).run(sockets=[at])
"""
"""A server of two models that return the negative, of which there is room for one at a time."""


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its address, and its process id."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            said.seek(0)
            raise SystemExit(f"the server did not start: {line}{said.read()}")
        try:
            yield found[0], process.pid
        finally:
            process.terminate()
            process.wait(90)
            process.stdout.close()
            said.seek(0)
            if text := said.read():
                print(f"the server said: {text[:2000]}")


def picture(colour: tuple[int, int, int], side: int) -> bytes:
    """A PNG of one colour, with a little noise so that it has some bytes."""
    pixels = np.full((side, side, 3), colour, np.uint8)
    pixels[0] = np.random.default_rng(sum(colour)).integers(0, 256, (side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def polite(url: str, chance: random.Random, count: Callable[[str], None]) -> None:
    """Translate an image and see that the answer is of this one."""
    colour = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
    side = chance.choice([16, 32, 32, 32, 64, 100])
    model = "a" if chance.random() < 0.97 else "b"
    sent = np.asarray(Image.open(io.BytesIO(picture(colour, side))))
    try:
        client = Client(url, timeout=PATIENCE, retries=20)
        got = np.asarray(client.translate(picture(colour, side), model=model))
    except ServerError as error:
        count(f"LOST ({error.status}: {error})")
        return
    right = got.shape == sent.shape and int(np.abs(255 - sent.astype(int) - got).max()) <= 1
    count("right" if right else "WRONG IMAGE")


def malformed(url: str, chance: random.Random, count: Callable[[str], None]) -> None:
    """Send what is no request; the answer must be a refusal."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
    whole = picture((1, 2, 3), 32)
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (b"", {}),
        (b"{", {"Content-Type": "application/json"}),
        (b'{"image": "x!"}', {"Content-Type": "application/json"}),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
        (_form(whole[: len(whole) // 2]), _FORM),
        (_form(b"GIF89a" + bytes(50)), _FORM),
        (_form(bytes(2**22)), _FORM),
        (_form(whole, model="../../etc/passwd"), _FORM),
    ]
    body, headers = chance.choice(bodies)
    try:
        connection.request("POST", "/v1/translate", body, headers)
        with connection.getresponse() as answer:
            status = answer.status
        count("refused" if status in (400, 404, 413, 422, 429, 503) else f"STATUS {status}")
    except (OSError, http.client.HTTPException):
        count("refused (hung up)")
    finally:
        connection.close()


def rude(url: str, chance: random.Random, count: Callable[[str], None]) -> None:
    """Send half of a request and go, or never come to its end."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = _form(picture((9, 9, 9), 64))
    head = (
        f"POST /v1/translate HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {_FORM['Content-Type']}\r\n\r\n"
    ).encode()
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        kind = chance.randrange(3)
        if kind == 0:  # goes before the answer
            connection.sendall(head + body)
            count("left")
        elif kind == 1:  # half a body, and then silence
            connection.sendall(head + body[: len(body) // 2])
            answer = connection.recv(100)
            count("timed out" if b"408" in answer or not answer else f"STATUS {answer[:20]!r}")
        else:  # half a head, and then silence
            connection.sendall(head[:40])
            count("hung up on" if connection.recv(100) == b"" else "ANSWERED HALF A HEAD")


_FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}


def _form(image: bytes, **fields: str) -> bytes:
    parts = [
        f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = b'--xyz\r\nContent-Disposition: form-data; name="image"; filename="i"\r\n\r\n'
    return b"".join([*parts, head, image, b"\r\n--xyz--\r\n"])


def resident(pid: int) -> float:
    """MiB of memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+)", text)
    assert found is not None
    return int(found[1]) / 1024


def load(seconds: float, clients: int, seed: int = 0) -> dict[str, Any]:
    """Load a server, and tell what became of the requests and of the memory.

    Arguments:
        seconds: how long.
        clients: at the same time; one of eight is malformed, one of eight is rude or slow.
        seed: of the images and faults.
    """
    counted: Counter[str] = Counter()
    lock = threading.Lock()

    def count(what: str) -> None:
        with lock:
            counted[what] += 1

    memory: list[float] = []
    late = 0.0
    with serving([sys.executable, "-c", NEGATIVE]) as (url, pid):
        end = time.monotonic() + seconds

        def client(number: int) -> None:
            chance = random.Random(seed * 1000 + number)
            what = {0: malformed, 1: rude}.get(number % 8, polite)
            while time.monotonic() < end:
                try:
                    what(url, chance, count)
                except OSError as error:  # a time-out, too: nobody was there
                    count(f"LEFT HANGING ({type(error).__name__})")

        threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            pause, then = min(1.0, seconds / 20), time.monotonic()
            time.sleep(pause)
            late = max(late, time.monotonic() - then - pause)
            memory.append(resident(pid))
        for thread in threads:
            thread.join()
        with urlopen(f"{url}/metrics", timeout=PATIENCE) as answer:
            told = answer.read().decode()
    quarter = max(1, len(memory) // 4)
    active = re.search(r"^i2i_requests_active (\d+)", told, re.M)
    loads = re.search(r"^i2i_model_loads (\d+)", told, re.M)
    assert active is not None
    assert loads is not None
    return {
        "requests": dict(sorted(counted.items())),
        "lost_or_wrong": sum(n for what, n in counted.items() if what[:2].isupper()),
        "active_at_the_end": int(active[1]),
        "models_loaded": int(loads[1]),
        "seconds_that_this_process_was_late_at_most": round(late, 1),
        "memory_first_quarter": round(median(memory[quarter // 2 : quarter + 1]), 1),
        "memory_last_quarter": round(median(memory[-quarter:]), 1),
        "memory_most": round(max(memory), 1),
    }


def throughput(run: Path, side: int, seconds: float, rounds: int) -> None:
    """Compare batching with one by one at 1, 8 and 64 clients, in turns."""
    images = [picture((n, 255 - n, 7 * n % 256), side) for n in range(64)]
    speeds: dict[tuple[int, int], list[float]] = {}
    command = [sys.executable, "-m", "i2i", "serve", f"m={run}", "--port", "0", "--device", "auto"]
    command += ["--max-per-client", "256"]
    with (
        serving([*command, "--batch-size", "1"]) as (alone, _),
        serving([*command, "--batch-size", "16"]) as (together, _),
    ):
        for url in (alone, together):
            Client(url).translate(images[0])
        for _ in range(rounds):
            for clients in (1, 8, 64):
                for most, url in ((1, alone), (16, together)):
                    speed = _speed(url, images, clients, seconds)
                    speeds.setdefault((clients, most), []).append(speed)
    print("clients  one by one  batches of 16  ratio")
    for clients in (1, 8, 64):
        one, many = (median(speeds[clients, most]) for most in (1, 16))
        print(f"{clients:7}  {one:10.1f}  {many:13.1f}  {many / one:5.2f}")


def _speed(url: str, images: list[bytes], clients: int, seconds: float) -> float:
    done = Counter[int]()
    end = time.monotonic() + seconds
    host = url.removeprefix("http://")

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(host, timeout=60)
        while time.monotonic() < end:
            body = _form(images[number % len(images)])
            connection.request("POST", "/v1/translate", body, _FORM)
            answer = connection.getresponse()
            answer.read()
            done[number] += answer.status == 200
        connection.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done.total() / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--throughput", action="store_true")
    parser.add_argument("--run", type=Path, help="with --throughput: what is served")
    parser.add_argument("--side", type=int, default=64, help="with --throughput: of the images")
    parser.add_argument("--rounds", type=int, default=3, help="with --throughput")
    arguments = parser.parse_args()
    if arguments.throughput:
        if arguments.run is None:
            parser.error("--throughput needs --run")
        throughput(arguments.run, arguments.side, arguments.seconds, arguments.rounds)
        return
    found = load(arguments.seconds, arguments.clients)
    print(json.dumps(found, indent=2))
    if found["lost_or_wrong"] or found["active_at_the_end"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
