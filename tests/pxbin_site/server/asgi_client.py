"""One ASGI request as any server would pass it to the lean handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from pxbin_site.server.fast_routes import FastRoutes
from pxbin_site.server.handler import Handler

View = Callable[..., Any]


class Client:
    """One ASGI request under way. ``leave`` disconnects; ``sent`` collects the messages of the answer."""

    def __init__(self, path: str, *, method: str = "POST", body: list[bytes] | None = None, headers: dict[str, str] | None = None) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"beta=true",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
            "client": ("10.0.0.1", 1234),
        }
        self.pieces = list(body or [b""])
        self.sent: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.wrote = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.wrote.set()
        await self.may_write.wait()

    async def call(self, handler: Handler) -> Client:
        await handler(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def bodies(self) -> list[bytes]:
        return [message.get("body", b"") for message in self.sent[1:]]

    def json(self) -> Any:
        return msgspec.json.decode(b"".join(self.bodies))


def handler(view: View, *, method: str = "POST", path: str = "/v1/messages", keepalive_seconds: float = 15.0) -> Handler:
    return Handler(FastRoutes({(method, path): view}), keepalive_seconds=keepalive_seconds)
