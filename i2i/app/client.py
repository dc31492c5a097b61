"""A client of `i2i serve` that needs the standard library, numpy and Pillow alone::

client = Client("http://127.0.0.1:8000", token="...")
client.translate("photo.jpg", model="horses").save("horse.png")
"""

import base64
import io
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image

from i2i.errors import I2iError

Sent = Path | str | bytes | np.ndarray[Any, Any] | Image.Image
"""An image to send: a path, the bytes of a file, an array of 8 bits (H, W) or (H, W, C), or an
image."""

BUSY = (429, 503)
"""What a server answers that may be asked again in a moment."""

PAUSE = 10.0
"""Seconds that are waited at most before a request is sent again."""


class ServerError(I2iError):
    """A server has refused, or does not answer.

    `status` is that of HTTP; 0 where there is no answer.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """A server, asked by any number of threads.

    Arguments:
        url: of the server, such as http://127.0.0.1:8000.
        token: that it wants to be told.
        timeout: seconds to wait for an answer.
        retries: how often a request is sent again that the server was too busy for.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout: float = 90.0, retries: int = 5
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"url (={url!r}) must begin with http:// or https://.")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._token = token

    def translate(self, image: Sent, **options: Any) -> Image.Image:
        """Translate an image; arguments and errors are those of `translate_file`."""
        translated = Image.open(io.BytesIO(self.translate_file(image, **options)))
        translated.load()
        return translated

    def translate_file(
        self,
        image: Sent,
        *,
        model: str | None = None,
        checkpoint: str | None = None,
        direction: str | None = None,
        domain: str | None = None,
        attributes: Mapping[str, bool | None] | str | None = None,
        seed: int | None = None,
        reference: Sent | None = None,
        size: int | None = None,
        format: str = "png",  # noqa: A002 (as the interface calls it)
    ) -> bytes:
        """Translate an image to the bytes of a file.

        Arguments:
            image: a path, the bytes of a file, an array of 8 bits (H, W) or (H, W, C), or an image.
            model: by name; may be left out where the server has one.
            checkpoint: "last", "best", or a number of steps.
            direction: "AtoB" or "BtoA", of models that translate both ways.
            domain: what to translate to, of models of many domains.
            attributes: name -> whether it shall hold; None for the reverse of what is. Or as
                text, "Smiling=1,Young=0".
            seed: of the style, of models of styles.
            reference: an image whose style is taken.
            size: pixels that the shorter side is brought to first.
            format: of the result: "png", "jpg", "webp", ...

        Raises:
            ServerError: the image cannot be read or sent; the server refuses, or does not answer.
        """
        told = {
            **{"model": model, "checkpoint": checkpoint, "direction": direction},
            **{"domain": domain, "seed": seed, "size": size, "format": format},
            "attributes": json.dumps(dict(attributes))
            if isinstance(attributes, Mapping)
            else attributes,
        }
        fields = {name: str(value) for name, value in told.items() if value is not None}
        files = {"image": _bytes(image)}
        if reference is not None:
            files["reference"] = _bytes(reference)
        body, kind = _form(fields, files)
        return self._ask("/v1/translate", body, kind)

    def sample(self, seeds: Sequence[int], **options: Any) -> list[Image.Image]:
        """Make images from noise, one for each seed.

        Arguments:
            seeds: not negative.
            options: `model`, `checkpoint`, `label`, `codes`, `truncation`, `noise`, as the
                reference of the server has them.

        Raises:
            ServerError: the server refuses, or does not answer.
        """
        body = json.dumps({"seeds": list(seeds), **options}).encode()
        told = json.loads(self._ask("/v1/sample", body, "application/json"))
        return [Image.open(io.BytesIO(base64.b64decode(each))) for each in told["images"]]

    def models(self) -> list[dict[str, Any]]:
        """What can be asked for.

        Raises:
            ServerError: the server refuses, or does not answer.
        """
        found: list[dict[str, Any]] = json.loads(self._ask("/v1/models"))["models"]
        return found

    def _ask(self, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        headers = {"Content-Type": kind} if body is not None else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        request = Request(self.url + path, body, headers)
        for attempt in range(self.retries + 1):
            try:
                with urlopen(request, timeout=self.timeout) as answer:
                    found: bytes = answer.read()
                    return found
            except HTTPError as error:
                with error:
                    text, wait = _explained(error), error.headers.get("Retry-After", "1")
                if error.code not in BUSY or attempt == self.retries:
                    raise ServerError(text, error.code) from error
                seconds = float(wait) if wait.isdecimal() else 1.0
                time.sleep(min(PAUSE, seconds * 2**attempt))
            except (URLError, HTTPException, OSError) as error:
                reason = getattr(error, "reason", None) or error
                raise ServerError(f"{self.url} does not answer: {reason}.") from error
        raise AssertionError("the last attempt returns or raises")


def _bytes(image: Sent) -> bytes:
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] in ((3,), (4,))):
            raise ServerError(
                f"an array of shape {image.shape} and type {image.dtype} cannot be sent: expected "
                "(H, W), (H, W, 3) or (H, W, 4) and uint8, or send the bytes of a file."
            )
        image = Image.fromarray(image)
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise ServerError(f"'{image}' cannot be read: {error.strerror}.") from error


def _form(fields: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """A body of multipart/form-data and its media type (RFC 7578)."""
    boundary = secrets.token_hex(16)
    parts = []
    for name, text in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append(head.encode() + text.encode() + b"\r\n")
    for name, data in files.items():
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        parts.append(head.encode() + data + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), (
        f"multipart/form-data; boundary={boundary}"
    )


def _explained(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answers {error.code} {error.reason}."
