"""What stands before every page: who may ask, from where, how much, and how long it may take.

A page of somebody else's, open in the same browser, can send requests to this machine, and can give
its own host name the address of this machine (DNS rebinding). So a server without a token answers
only to the names of this machine, and no server answers what another site's page has sent.
"""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from i2i.app.limits import Admission, Limits
from i2i.app.refusals import RefusedError, TooLargeError, TooSlowError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "i2i-token"
"""What a browser keeps the token in, once a page was opened with it."""

LINGER = 2.0
"""Seconds in which the rest of a refused request is read and thrown away, so that its sender comes
to read why."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


class ForbiddenError(RefusedError):
    """Another site's page asks."""

    status = 403


class UnauthorizedError(RefusedError):
    """The token is missing or wrong."""

    status = 401


def is_loopback(host: str) -> bool:
    """Whether a name or an address is that of this machine alone."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") in ("localhost",) or host.lower().endswith(
            ".localhost"
        )


class Guard:
    """A layer around an application.

    Arguments:
        app: that is guarded.
        limits: of what is taken.
        admission: counts the requests.
        token: that must be told; None for none, and then only the names of this machine are
            answered to.
        open_paths: what may be asked without a token.
        uncounted: prefixes of paths that are neither counted nor limited in time, such as streams
            of events.
        watch: is told method, route, status and seconds of every request.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: Limits,
        admission: Admission,
        token: str | None,
        open_paths: Collection[str] = (),
        uncounted: tuple[str, ...] = (),
        watch: Callable[[str, str, int, float], None] = lambda *arguments: None,
    ) -> None:
        self._app = app
        self._limits = limits
        self._admission = admission
        self._token = token
        self._open_paths = frozenset(open_paths)
        self._uncounted = uncounted
        self._watch = watch

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # closes a web socket before it is open
        began, status = time.monotonic(), 500
        body = _Body(receive, self._limits)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in HEADERS if header[0] not in known),
                ]
            await send(message)

        try:
            try:
                await self._admit(scope, body, answer)
            except RefusedError as error:
                await refusal(error)(scope, receive, answer)  # type: ignore[arg-type]
                await body.drain()
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self._watch(scope["method"], path, status, time.monotonic() - began)

    async def _admit(self, scope: Message, body: "_Body", answer: Send) -> None:
        headers = Headers(scope=scope)
        self._check_origin(headers)
        self._check_token(scope, headers)
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._limits.bytes:
            raise _too_large(self._limits)
        if scope["path"] in self._open_paths or scope["path"].startswith(self._uncounted):
            await self._app(scope, body.receive, answer)
            return
        client = (scope.get("client") or ("unknown",))[0]
        with self._admission.request(client):
            await self._app(scope, body.receive, answer)

    def _check_origin(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name = urlsplit(f"//{host}").hostname or ""
        if self._token is None and not is_loopback(name):
            raise ForbiddenError(
                f"this server answers to localhost and 127.0.0.1, and not to {name[:100]!r}."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise ForbiddenError("the page of another site has sent this request.")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        # Whoever follows a link to a page of ours may see it; whose link it was sees nothing.
        if origin is None and foreign and headers.get("sec-fetch-mode") != "navigate":
            raise ForbiddenError("the page of another site has sent this request.")

    def _check_token(self, scope: Message, headers: Headers) -> None:
        if self._token is None or scope["path"] in self._open_paths:
            return
        scheme, _, told = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            told = _cookie(headers)
        if not hmac.compare_digest(told.strip().encode(), self._token.encode()):
            raise UnauthorizedError(
                "the token is missing or wrong: send the header 'Authorization: Bearer TOKEN'."
            )


class _Body:
    """The body of a request, counted and timed."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._limits = limits
        self._deadline = time.monotonic() + limits.arrival_seconds
        self._bytes = 0
        self._over = False

    async def receive(self) -> Message:
        """As ASGI has it.

        Raises:
            TooLargeError, TooSlowError: it is too much, or takes too long.
        """
        if self._over:
            return await self._receive()  # which waits until the client is gone
        left = self._deadline - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0.0))
        except TimeoutError:
            raise TooSlowError(
                f"the request did not arrive within {self._limits.arrival_seconds:g} seconds."
            ) from None
        self._bytes += len(message.get("body", b""))
        self._over = not message.get("more_body", False)
        if self._bytes > self._limits.bytes:
            raise _too_large(self._limits)
        return message

    async def drain(self) -> None:
        """Throw away what is still to come of a request that is refused."""
        try:
            async with asyncio.timeout(LINGER):
                while not self._over:
                    message = await self._receive()
                    self._over = not message.get("more_body", False)
        except TimeoutError:
            return


def refusal(error: RefusedError) -> JSONResponse:
    """The answer to a request that is refused."""
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = "1"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": str(error)}, error.status, headers)


def _too_large(limits: Limits) -> TooLargeError:
    return TooLargeError(f"the request has more than {limits.bytes / 2**20:g} MiB.")


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
