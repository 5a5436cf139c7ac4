"""Serving with another ASGI server than pxbin's own, which then has neither its limits nor its gate, shedding and reload."""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import signal
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

OWN = "daphne"
OTHERS = ("hypercorn", "uvicorn")
NO_LIMITS = (
    "--server {name} has none of the limits of pxbin's own server: header and body time-outs, the check of keys before bodies, the bound "
    "of all bodies together. Listen on a loopback address behind a proxy that has them, or add --accept-no-limits."
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def why_not(name: str, host: str, *, accepts_no_limits: bool) -> str:
    """Why a server cannot be used at an address; empty if it can."""
    if not accepts_no_limits and not _is_loopback(host):
        return NO_LIMITS.format(name=name)
    if importlib.util.find_spec(name) is None:
        return f"{name} is not installed: pip install {name}"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run(
    name: str,
    listening: socket.socket,
    *,
    before_listening: Callable[[], Awaitable[object]],
    on_listening: Callable[[tuple[str, int]], object],
) -> None:
    """Serve on a listening socket with one of :data:`OTHERS`, until SIGTERM or SIGINT."""
    from pxbin_site.asgi import application
    from pxbin_site.processes.lifespan import Lifespan

    lifespan = Lifespan()

    async def start() -> None:
        await lifespan.start()
        await before_listening()
        on_listening(listening.getsockname()[:2])

    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises them again at its end, when there is still something to stop
        signal.signal(number, lambda *_: None)
    served = with_lifespan(application, start=start, stop=lifespan.stop)
    (_run_uvicorn if name == "uvicorn" else _run_hypercorn)(served, listening)


def with_lifespan(application: Application, *, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> Application:
    """An application that calls ``start`` before the first request and ``stop`` after the last one (ASGI's lifespan protocol)."""

    async def serve(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()
        await start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await stop()
        await send({"type": "lifespan.shutdown.complete"})

    return serve


def _run_uvicorn(application: Application, listening: socket.socket) -> None:
    import uvicorn

    seconds = int(settings.PXBIN.drain_seconds)
    config = uvicorn.Config(application, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=seconds)
    uvicorn.Server(config).run(sockets=[listening])


def _run_hypercorn(application: Application, listening: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.graceful_timeout = settings.PXBIN.drain_seconds
    asyncio.run(serve(application, config))
