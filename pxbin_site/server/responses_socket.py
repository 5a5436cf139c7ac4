"""``/v1/responses`` as a WebSocket (docs/endpoints.md): each ``response.create`` runs through the same exchange as a request over HTTP.

Turns of one lane (``stream_id``) run one after the other, those of different lanes beside one another. The connection ends when its
key is revoked, and when it ends its turns are cancelled, which closes their upstream connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing
from time import perf_counter_ns
from typing import Protocol

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts import keys
from accounts.common.client_address import client_address
from accounts.common.gateway_config import config
from accounts.common.uuid7 import new_id
from proxy.exchange import exchange, socket_turns
from proxy.exchange.admission import client_key
from proxy.exchange.client_credentials import presented_key
from proxy.exchange.error_response import error_response
from proxy.exchange.http_request import Headers, HttpRequest
from proxy.exchange.http_response import ErrorResponse, JsonResponse, StreamingResponse
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.lookup import SOCKET_DIALECTS
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from proxy.translation.framing.sse import Reader
from pxbin_site.server import common_headers
from upstreams.catalog import snapshot

logger = logging.getLogger("pxbin.socket")

MAX_PENDING = 64
"""The most turns of one connection that run or wait."""
MEMORY_BYTES = 16 * 1024 * 1024
"""The most bytes of earlier turns in the memory of one connection."""
KEY_CHECK_SECONDS = 0.5
UNAUTHORIZED = 3000
"""The registered close code of a connection that needs a valid key."""
_ERROR = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOO_MANY = Failure(kind="rate_limit", message=f"The connection has {MAX_PENDING} turns that have not ended, or too many bytes in them")
_INTERNAL = Failure(kind="internal", message="Internal server error")
_NO_HEADERS = (b"sec-websocket-", b"upgrade", b"connection")


def find_dialect(path: str) -> tuple[Dialect, str] | None:
    """The dialect whose socket is at a path, and the path prefix; ``None`` if there is none."""
    for end, dialect in SOCKET_DIALECTS.items():
        prefix = path.removesuffix(end)
        if path.endswith(end) and config().responses_websocket and (not prefix or prefix in snapshot.current().prefixes()):
            return dialect, prefix
    return None


class TurnCounter(Protocol):
    """The part of the server that lets running turns end before it stops."""

    def cycle_started(self, cycle: asyncio.Task[None], /) -> None: ...

    def cycle_ended(self, cycle: asyncio.Task[None], /) -> None: ...


class Uncounted:
    """For servers that do not wait for turns."""

    def cycle_started(self, cycle: asyncio.Task[None], /) -> None:
        """Nothing to do."""

    def cycle_ended(self, cycle: asyncio.Task[None], /) -> None:
        """Nothing to do."""


class ResponsesSocket(AsyncWebsocketConsumer):
    """One connection."""

    dialect: Dialect
    prefix: str
    raw_headers: list[tuple[bytes, bytes]]
    token: str

    async def connect(self) -> None:
        """Accept a client with a valid key; refuse others with the response that a request would get."""
        self.dialect, self.prefix = find_dialect(self.scope["path"]) or (next(iter(SOCKET_DIALECTS.values())), "")
        self.raw_headers = [pair for pair in self.scope["headers"] if not pair[0].startswith(_NO_HEADERS)]
        self._memory = socket_turns.Memory(MEMORY_BYTES)
        self._lanes: dict[str | None, asyncio.Task[None]] = {}
        self._requests: dict[asyncio.Task[None], HttpRequest] = {}
        self._pending_bytes = 0
        self._server: TurnCounter = self.scope.get("extensions", {}).get("pxbin.server") or Uncounted()
        self._watch: asyncio.Task[None] | None = None
        try:
            self.token = presented_key(Headers(self.raw_headers))
            await client_key(self._request(b""))
        except GatewayError as error:
            await self._refuse(error.failure)
            return
        await self.accept()
        self._watch = asyncio.create_task(self._watch_key())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Start the turn of an event, or let it wait for the one before it in its lane."""
        text = text_data.encode("utf-8", "surrogatepass") if text_data is not None else bytes_data or b""
        try:
            event = await socket_turns.decode_event(text)
        except ClientMistake as mistake:
            await self._send_error(self._error(mistake.failure))
            return
        limit = config().max_body_bytes
        if len(self._requests) >= MAX_PENDING or (self._requests and self._pending_bytes + len(text) > limit):
            await self._send_error(self._error(_TOO_MANY), event.stream_id)
            return
        self._pending_bytes += len(text)
        request = self._request(text)
        turn = asyncio.create_task(self._run(request, event, self._lanes.get(event.stream_id)))
        self._lanes[event.stream_id], self._requests[turn] = turn, request
        self._server.cycle_started(turn)
        turn.add_done_callback(lambda _: self._ended(turn, event.stream_id))

    async def disconnect(self, code: int) -> None:  # noqa: ARG002  (the interface of consumers)
        """The client left, or the key was revoked: cancel what runs."""
        if self._watch is not None:
            self._watch.cancel()
        for task, request in list(self._requests.items()):
            request.gone = True
            task.cancel()

    def _ended(self, turn: asyncio.Task[None], lane: str | None) -> None:
        self._pending_bytes -= len(self._requests.pop(turn).body)
        if self._lanes.get(lane) is turn:
            del self._lanes[lane]
        self._server.cycle_ended(turn)

    # --- one turn --------------------------------------------------------------------------------------------------------

    async def _run(self, request: HttpRequest, event: socket_turns.ClientEvent, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        request.started_ns = perf_counter_ns()
        try:
            await self._respond(request, event)
        except asyncio.CancelledError:
            if not request.gone:
                raise
        except Exception:  # the client gets an event instead of a silent connection
            logger.exception("A turn failed: %s", self.scope["path"], extra={"request_id": request.request_id})
            await self._send_error(self._error(_INTERNAL), event.stream_id)

    async def _respond(self, request: HttpRequest, event: socket_turns.ClientEvent) -> None:
        turn = socket_turns.SocketTurn(self.dialect, self._memory)
        if event.generate is False:
            events = await turn.warm_up(request, self.prefix)
            if isinstance(events, JsonResponse):
                await self._send_error(events, event.stream_id)
            else:
                await self._send_events(events, event.stream_id)
            return
        response = await exchange.run(request, self.dialect, turn.read_body, prefix=self.prefix)
        if not isinstance(response, StreamingResponse):
            await self._send_error(response, event.stream_id)
            return
        reader = Reader()
        async with aclosing(response.pieces) as pieces:
            async for piece in pieces:
                if isinstance(piece, JsonResponse):
                    await self._send_error(piece, event.stream_id)
                    continue
                for frame in reader.feed(piece):
                    turn.note(frame)
                    await self._send_events([frame.data], event.stream_id)

    async def _send_events(self, events: Iterable[bytes], lane: str | None) -> None:
        """Send events, with the lane that the client named."""
        suffix = b"" if lane is None else b',"stream_id":%b}' % msgspec.json.encode(lane)
        for event in events:
            text = event if not suffix or not event.endswith(b"}") else event[:-1] + suffix
            await self.send(text_data=text.decode("utf-8", "replace"))

    async def _send_error(self, response: JsonResponse, lane: str | None = None) -> None:
        """The event of an error response: its object, its status, and the headers by which clients decide whether to try again."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers if name != b"content-type"}
        body = _ERROR.decode(response.body)
        event = {"type": "error", "status": response.status, "error": body.get("error", msgspec.Raw(b"null")), "headers": headers}
        await self._send_events([msgspec.json.encode(event)], lane)

    # --- the connection --------------------------------------------------------------------------------------------------

    def _request(self, body: bytes) -> HttpRequest:
        peer = self.scope.get("client")
        address: str = peer[0] if peer else ""
        return HttpRequest(
            method="POST",
            path=self.scope["path"],
            query_string=self.scope.get("query_string", b""),
            raw_headers=self.raw_headers,
            body=body,
            client=client_address(address, Headers(self.raw_headers)) if config().trusted_proxies else address,
            request_id=new_id(),
            started_ns=perf_counter_ns(),
        )

    def _error(self, failure: Failure) -> ErrorResponse:
        return error_response(failure, dialect=self.dialect, request_id=new_id(), own_headers=[])

    async def _refuse(self, failure: Failure) -> None:
        """Answer the handshake with an error response."""
        fields = dict(self.raw_headers)
        identity = common_headers.request_id(fields)
        common = common_headers.common_headers(self.scope["path"], fields, identity)
        response = error_response(failure, dialect=self.dialect, request_id=identity.decode(), own_headers=common)
        if "websocket.http.response" in self.scope.get("extensions", {}):
            await self.base_send({"type": "websocket.http.response.start", "status": response.status, "headers": response.headers})
            await self.base_send({"type": "websocket.http.response.body", "body": response.body})
        else:
            await self.close(code=UNAUTHORIZED)

    async def _watch_key(self) -> None:
        """End the connection when its key is not valid any more."""
        while True:
            await asyncio.sleep(KEY_CHECK_SECONDS)
            if keys.cached_key(self.token) is not None:
                continue
            try:
                await keys.authenticate(self.token)
            except ClientMistake as mistake:
                await self._send_error(self._error(mistake.failure))
                await self.close(code=UNAUTHORIZED)
                return
            except GatewayError:  # the database is away: the key is checked again
                continue
