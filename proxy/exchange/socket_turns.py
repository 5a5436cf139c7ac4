"""Turns of ``/v1/responses`` over one WebSocket: the requests in its events, and what later ones may continue.

A client sends ``response.create`` with the fields of a request; it may continue any of the last turns of the connection by
``previous_response_id``, also with ``store: false``. The items of these turns stay in the memory of the connection, so that an
upstream of any dialect gets the whole conversation. Source of the events: the OpenAI SDK, ``types.responses.ResponsesClientEvent``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from accounts.keys import Key
from accounts.limits import limiter
from proxy.exchange import reservation, stored_responses
from proxy.exchange.admission import admit, authenticate
from proxy.exchange.exchange import CompleteRequest, Translated
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.recorded import RecordedRequest
from proxy.exchange.remote_objects import find_own
from proxy.exchange.stored_responses import FINAL_EVENTS, ITEM_DONE, Restoring, Storing
from proxy.translation import json_wire
from proxy.translation.canonical import Finish, Response, Usage
from proxy.translation.dialects.base import Dialect, EncodeContext
from proxy.translation.dialects.openai_responses import history
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

CREATE = "response.create"
MAX_TURNS = 16
"""The most turns that a connection remembers; the oldest is forgotten first."""
_SOCKET_FIELDS = frozenset({"type", "stream_id", "generate", "background"})
_TRUE = msgspec.Raw(b"true")


class ClientEvent(msgspec.Struct):
    """What the gateway itself reads of an event. ``stream_id``: the lane, whose turns run one after the other."""

    type: str | None = None
    stream_id: str | None = None
    generate: bool | None = None
    background: bool | None = None


_EVENT = msgspec.json.Decoder(ClientEvent)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def decode_event(text: bytes) -> ClientEvent:
    """Raises :class:`ClientMistake` for what is no event that this gateway serves."""
    event = await in_thread_if_large(len(text), json_wire.decode, text, _EVENT)
    if event.type != CREATE:
        raise ClientMistake(f"type: {(event.type or '')[:100]!r} is not supported; send {CREATE!r}", param="type")
    if event.background:
        raise ClientMistake("background: not supported over a WebSocket", param="background")
    return event


class Memory:
    """The items of the last turns of one connection, by response id. ``limit``: bytes of all items together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turns: OrderedDict[str, tuple[msgspec.Raw, ...]] = OrderedDict()

    def find(self, response_id: str) -> tuple[msgspec.Raw, ...] | None:
        """The items of a turn and of all before it; ``None`` if the connection does not remember it."""
        return self._turns.get(response_id)

    def add(self, response_id: str, items: Sequence[msgspec.Raw]) -> None:
        """Remember a turn. Turns that begin with the same items share them."""
        self._turns[response_id] = tuple(items)
        while len(self._turns) > MAX_TURNS or (self._turns and self._size() > self._limit):
            self._turns.popitem(last=False)

    def _size(self) -> int:
        items = {id(item): item for turn in self._turns.values() for item in turn}
        return sum(memoryview(item).nbytes for item in items.values())


class SocketTurn:
    """One ``response.create``: reads its body (a :data:`~proxy.exchange.exchange.BodyReader`) and collects its items."""

    def __init__(self, dialect: Dialect, memory: Memory) -> None:
        self._dialect = dialect
        self._memory = memory
        self._items: list[msgspec.Raw] = []

    async def read_body(self, http: HttpRequest, _key: Key) -> SocketBody:
        """The request in the event; raises :class:`ClientMistake`."""
        envelope = await in_thread_if_large(len(http.body), self._dialect.open_request, http.body)
        fields = {name: raw for name, raw in envelope.fields.items() if name not in _SOCKET_FIELDS}
        return SocketBody(self._dialect, Envelope({**fields, "stream": _TRUE}, envelope.model, stream=True), self)

    async def restore(self, envelope: Envelope, key: Key) -> CompleteRequest:
        """The request with the turns that it continues; see :class:`~proxy.exchange.exchange.ReadBody`."""
        own = await in_thread_if_large(stored_responses.input_size(envelope), history.input_items, envelope)
        previous = history.previous_response_id(envelope)
        earlier = self._memory.find(previous) if previous else ()
        self._items = [*(earlier or ()), *own]
        if earlier:
            return Translated(self._dialect, await in_thread_if_large(_size(self._items), history.prepend_items, envelope, earlier))
        if previous and not stored_responses.is_on() and await find_own(previous, key.id) is None:
            raise stored_responses.unknown_previous(previous)
        body = Storing(self._dialect, envelope) if stored_responses.is_on() else Restoring(self._dialect, envelope)
        return await body.restore(key)

    def note(self, frame: Frame) -> None:
        """Take a frame of the response: its items, and at its end the turn for the memory."""
        if frame.event == ITEM_DONE:
            self._items += stored_responses.items_of(frame)
        elif frame.event in FINAL_EVENTS and (response := stored_responses.final_response(frame)) is not None:
            self._memory.add(response.id, self._items)

    async def warm_up(self, http: HttpRequest, prefix: str) -> list[bytes] | JsonResponse:
        """The events of a turn with ``generate: false``: nothing is generated, a later turn may continue it. Or the error response."""
        with RecordedRequest(http, self._dialect) as request:
            key = await authenticate(request.record, self.read_body, prefix)
            body = await self.read_body(http, key)
            await admit(request.record, key, body, prefix)
            if limiter.current().applies_to(key):
                await reservation.count_request(request.record, key)
            await self.restore(body.envelope, key)
            return self._empty_response(request.record.meter.id_seed, request.record.meter.created, body.envelope)
        return request.error_response

    def _empty_response(self, identity: str, created: int, envelope: Envelope) -> list[bytes]:
        request = self._dialect.decode_request(envelope, b"")
        context = EncodeContext(id=identity, created=created, model=envelope.model, request=request, seal_key=b"")
        response = Response(id="", model=envelope.model, parts=(), finish=Finish(reason="end"), usage=Usage())
        body = json_wire.decode(self._dialect.encode_response(response, context), _FIELDS)
        self._memory.add(msgspec.json.decode(body["id"], type=str), self._items)
        begun = {**body, "status": "in_progress", "usage": None}
        events = [("response.created", begun), ("response.in_progress", begun), ("response.completed", body)]
        return [
            json_wire.encode({"type": kind, "sequence_number": number, "response": fields}) for number, (kind, fields) in enumerate(events)
        ]


class SocketBody(msgspec.Struct, frozen=True):
    """The body of one turn (a :class:`~proxy.exchange.exchange.ReadBody`)."""

    dialect: Dialect
    envelope: Envelope
    turn: SocketTurn

    async def restore(self, key: Key) -> CompleteRequest:
        """See :meth:`SocketTurn.restore`."""
        return await self.turn.restore(self.envelope, key)


def _size(items: Sequence[msgspec.Raw]) -> int:
    return sum(memoryview(item).nbytes for item in items)
