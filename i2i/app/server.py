"""Running an application: addresses, tokens, and connections that never come to the point."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

from i2i.app.guard import is_loopback
from i2i.app.limits import Limits
from i2i.errors import OptionsError, how_to_install

TOKEN = "I2I_TOKEN"
"""The variable of the environment that may hold the token."""

GRACE = 5
"""Seconds beyond the limit of a request in which a server that is asked to stop finishes."""


def require_libraries() -> None:
    """Raise OptionsError where the extra is not installed."""
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise OptionsError(
            f"this needs {error.name}, which is not installed: {how_to_install('app')}"
        ) from None


def settle_token(token: str | None, host: str) -> str | None:
    """The token that clients must tell: as given or in the environment; "auto" makes one.

    Raises:
        OptionsError: there is none, and others than this machine can ask; or it is too short.
    """
    token = token or os.environ.get(TOKEN) or None
    if token == "auto":
        return secrets.token_urlsafe(24)
    if token is None and not is_loopback(host):
        raise OptionsError(
            f"host (={host!r}) lets other machines ask: give a token that they must tell "
            f"(--token auto makes one; or set {TOKEN}), or leave out --host."
        )
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isprintable()):
        raise OptionsError(
            "the token must have at least 16 characters (letters, digits, signs): --token auto "
            "makes one."
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        OptionsError: nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=1024)
    except OSError as error:
        why = error.strerror or error
        raise OptionsError(
            f"nobody can listen at {host}, port {port} ({why}): take another with --port, or stop "
            "what listens there."
        ) from error


def address(at: socket.socket) -> str:
    """The address of what listens, for a browser of this machine."""
    host, port = at.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server(
    app: Any,
    *,
    limits: Limits,
    on_start: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    trust_proxy: str | None = None,
) -> Any:
    """A server of uvicorn: `run(sockets=[listen(...)])` answers until the process is asked to stop
    (SIGINT, SIGTERM) or `should_exit` is set, and finishes what is begun by then.

    Arguments:
        app: an ASGI application.
        limits: of what is taken.
        on_start: is called when there are answers.
        on_stop: is called when nothing new is taken any more, before what is begun is finished.
        trust_proxy: address of a proxy that is believed who the client is.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Hangs up on who does not finish the head of a request."""

        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop()
            elif self._waiting is None:
                self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(limits.arrival_seconds, self._give_up)

        def _stop(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _give_up(self) -> None:
            self._waiting = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            on_start()

        async def shutdown(self, sockets: Any = None) -> None:
            on_stop()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=trust_proxy is not None,
        forwarded_allow_ips=trust_proxy,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.seconds) + GRACE,
        limit_concurrency=2 * limits.requests,
    )
    return Server(config)
