"""An HTTP server on the loopback interface that misbehaves as it is told."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How one request is answered."""

    content: bytes = b""
    status: int = 200
    etag: str = '"1"'  # "" for none
    modified: str = ""
    ranges: bool = True  # whether it can send a part
    if_range: bool = True  # whether it heeds the condition of a part
    cut: int | None = None  # breaks off after so many bytes ...
    reset: bool = False  # ... without a proper end
    stall: float = 0  # sleeps for so many seconds instead of breaking off
    claimed: int | None = None  # length of the whole, as it says
    no_length: bool = False


class Server:
    """Gives one answer after the other, and the last one for ever."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[Answer] = []
        self.asked: list[str] = []  # the range of each request, "" for everything

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game."""


@contextmanager
def serving() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            server.asked.append(wanted)
            answer = server.next_answer()
            if answer.status != 200:
                self.send_error(answer.status)
                return
            whole = len(answer.content) if answer.claimed is None else answer.claimed
            condition = self.headers.get("If-Range")
            fits = condition in (None, answer.etag, answer.modified) or not answer.if_range
            start = 0
            if wanted and answer.ranges and fits:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(answer.content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            else:
                self.send_response(200)
            if answer.etag:
                self.send_header("ETag", answer.etag)
            if answer.modified:
                self.send_header("Last-Modified", answer.modified)
            if not answer.no_length:
                self.send_header("Content-Length", str(whole - start))
            self.end_headers()
            end = None if answer.cut is None else start + answer.cut
            self.wfile.write(answer.content[start:end])
            time.sleep(answer.stall)
            if answer.reset:
                at_once = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    httpd = _Quiet(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_port}/images.zip")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
