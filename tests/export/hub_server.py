"""A hub on the loopback interface: as much of its protocol as pushing and pulling a folder takes.

One repository a name, with one revision. Files travel within the commit (as small ones do), and are
told by the hash of git.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
TOKEN = "hf_right"


@dataclass
class Hub:
    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving_a_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def answer(self, value: Any, status: int = 200, **headers: str) -> None:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, text in headers.items():
                self.send_header(name.replace("_", "-"), text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def refuse(self, status: int, code: str) -> None:
            self.answer({"error": code}, status, X_Error_Code=code, X_Error_Message=code)

        def known(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                name = "/".join(parts[2:4])
                if name not in hub.repositories:
                    return self.refuse(401, "RepoNotFound")
                files = hub.repositories[name]
                if parts[4:5] == ["tree"]:
                    return self.answer(
                        [
                            {"type": "file", "path": path, "size": len(c), "oid": _git_hash(c)}
                            for path, c in files.items()
                        ]
                    )
                siblings = [{"rfilename": file} for file in files]
                return self.answer({"id": name, "sha": COMMIT, "siblings": siblings})
            name, file = "/".join(parts[:2]), "/".join(parts[4:])
            content = hub.repositories.get(name, {}).get(file)
            if content is None:
                return self.refuse(404, "EntryNotFound")
            etag = f'"{_git_hash(content)}"'
            return self.answer(content, ETag=etag, X_Repo_Commit=COMMIT)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(f"POST {path}")
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else self.chunked()
            if not self.known():
                return self.refuse(401, "Unauthorized")
            if path == "/api/repos/create":
                told = json.loads(body)
                name = "/".join(filter(None, [told.get("organization"), told["name"]]))
                hub.repositories.setdefault(name, {})
                return self.answer({"url": f"{hub.url}/{name}", "id": name, "name": name})
            name = "/".join(path.split("/")[3:5])
            if "/preupload/" in path:
                files = [
                    {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for each in json.loads(body)["files"]
                ]
                return self.answer({"files": files})
            if "/commit/" in path:
                for line in body.splitlines():
                    entry = json.loads(line)
                    if entry["key"] == "file":
                        value = entry["value"]
                        content = base64.b64decode(value["content"])
                        hub.repositories[name][value["path"]] = content
                where = f"{hub.url}/{name}/commit/{COMMIT}"
                return self.answer({"commitUrl": where, "commitOid": COMMIT, "success": True})
            return self.answer({})

        def chunked(self) -> bytes:
            found = b""
            while self.headers.get("Transfer-Encoding") == "chunked":
                size = int(self.rfile.readline(), 16)
                found += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
            return found

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
