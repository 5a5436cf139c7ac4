"""Stored responses: turns of ``/v1/responses`` in pxbin's database that later requests refer to by id.

Used if ``PXBIN_RESPONSES_STORE_SECONDS`` is not 0. The earlier turns are put in front of a request's own input, so an upstream
of any dialect can answer it. A turn is stored before the client has the end of the response.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.db import DatabaseError, InterfaceError, connection

from accounts.common.gateway_config import config
from accounts.keys import Key
from billing import stored_responses
from billing.request_log.entry import Meter
from billing.stored_responses import Turn
from proxy.exchange.admission import ANONYMOUS
from proxy.exchange.exchange import BodyReader, ClientResponse, CompleteRequest, Translated
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.planning import BillingBasis
from proxy.exchange.recorded_attempts import RecordedAttempts
from proxy.exchange.remote_objects import find_own
from proxy.exchange.request_context import RequestContext
from proxy.translation import json_wire
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.openai_responses import history, input_item_list
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from proxy.translation.framing.sse import Frame, Reader
from proxy.translation.json_wire import Envelope
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing.plan import Requirements

logger = logging.getLogger("pxbin.responses")

T = TypeVar("T")
MAX_REFERENCES = 100
"""The most item references of a request; each is a query of the database."""
FINAL_EVENTS = frozenset({"response.completed", "response.incomplete"})
ITEM_DONE = "response.output_item.done"
SWITCHED_OFF = (
    "Stored responses are switched off on this gateway; the operator switches them on by setting PXBIN_RESPONSES_STORE_SECONDS to the "
    "seconds that responses are kept"
)


class _Event(msgspec.Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"null")
    item: msgspec.Raw = msgspec.Raw(b"null")


class StoredHead(msgspec.Struct):
    """What is read of a response that is stored."""

    id: str = ""
    status: str = ""
    output: list[msgspec.Raw] = []


_event = msgspec.json.Decoder(_Event)
_response = msgspec.json.Decoder(StoredHead)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


def is_on() -> bool:
    """Whether turns are stored at all."""
    return bool(config().responses_store_seconds > 0)


def storing(dialect: Dialect) -> BodyReader:
    """The reader of ``/v1/responses`` bodies that restores earlier turns and stores the new one, unless the client forbids it."""

    async def read_body(http: HttpRequest, _key: Key) -> Storing:
        return Storing(dialect, await _open(http, dialect.open_request))

    return read_body


def restoring(dialect: Dialect, open_body: Callable[[bytes], Envelope]) -> Callable[[HttpRequest, Key], Awaitable[Restoring]]:
    """The reader of bodies that may refer to stored turns and are not stored: a count, a compaction."""

    async def read_body(http: HttpRequest, _key: Key) -> Restoring:
        return Restoring(dialect, await _open(http, open_body))

    return read_body


async def _open(http: HttpRequest, open_body: Callable[[bytes], Envelope]) -> Envelope:
    body = http.body
    return await in_thread_if_large(len(body), open_body, body)


class Restoring(msgspec.Struct, frozen=True):
    """A body that may refer to stored turns (a :class:`~proxy.exchange.exchange.ReadBody`); its own turn is not stored."""

    dialect: Dialect
    envelope: Envelope

    async def restore(self, key: Key) -> Translated:
        """The request with the items that it refers to."""
        envelope = self.envelope
        if is_on() and key is not ANONYMOUS:
            envelope = await with_referenced_items(envelope, key.id)
            envelope = await with_earlier_turns(envelope, history.previous_response_id(envelope) or "", key.id)
        return Translated(self.dialect, envelope)


class Storing(msgspec.Struct, frozen=True):
    """A body that may refer to stored turns (a :class:`~proxy.exchange.exchange.ReadBody`), and whose own turn may be stored."""

    dialect: Dialect
    envelope: Envelope

    async def restore(self, key: Key) -> CompleteRequest:
        """The request with the items that it refers to; its turn is stored unless it has no key or ``store`` is false."""
        if key is ANONYMOUS:
            return Translated(self.dialect, self.envelope)
        envelope = await with_referenced_items(self.envelope, key.id)
        previous = history.previous_response_id(envelope) or ""
        if bytes(envelope.fields.get("store", b"true")) == b"false":
            return Translated(self.dialect, await with_earlier_turns(envelope, previous, key.id))
        own_input = await in_thread_if_large(input_size(envelope), _input_text, envelope)
        turn = Turn(id="", api_key_id=key.id, previous_id=previous, model=envelope.model, input=own_input)
        envelope = await with_earlier_turns(history.mark_as_stored(envelope), previous, key.id)
        return Stored(Translated(self.dialect, envelope), turn)


def input_size(envelope: Envelope) -> int:
    """The bytes of a request's input."""
    return memoryview(envelope.fields.get("input", b"")).nbytes


def _input_text(envelope: Envelope) -> str:
    return json_wire.encode(history.input_items(envelope)).decode("utf-8", "replace")


class Stored(msgspec.Struct, frozen=True):
    """The request type for turns that are stored: translated, with the response written to the database.

    ``turn``: the turn without the response and its id.
    """

    translated: Translated
    turn: Turn
    billing: BillingBasis = "generation"

    @property
    def dialect(self) -> Dialect:
        """The client's dialect."""
        return self.translated.dialect

    @property
    def envelope(self) -> Envelope:
        """The top-level fields of the body, with the earlier turns in its input."""
        return self.translated.envelope

    def requirements(self, context: RequestContext, model: ResolvedModel, meter: Meter) -> Requirements:
        """See :class:`Translated`."""
        return self.translated.requirements(context, model, meter)

    async def respond(self, attempts: RecordedAttempts) -> ClientResponse:
        """See :class:`Translated`; the turn is stored before the client has the end of the response."""
        response = await self.translated.respond(attempts)
        if isinstance(response, StreamingResponse):
            return response.with_pieces(_store_stream(self.turn, response.pieces, attempts.http.request_id))
        await _store(self.turn, response.body, [], attempts.http.request_id)
        return response


async def _store_stream(
    turn: Turn, pieces: AsyncGenerator[bytes | JsonResponse, None], request_id: str
) -> AsyncGenerator[bytes | JsonResponse, None]:
    """The same pieces; the turn is stored before the piece that ends the stream."""
    reader, items = Reader(), list[msgspec.Raw]()
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, bytes):
                for frame in reader.feed(piece):
                    if frame.event == ITEM_DONE:
                        items += items_of(frame)
                    elif frame.event in FINAL_EVENTS and (event := _decode_event(frame)) is not None:
                        await _store(turn, bytes(event.response), items, request_id)
            yield piece


def _decode_event(frame: Frame) -> _Event | None:
    try:
        return _event.decode(frame.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def items_of(frame: Frame) -> list[msgspec.Raw]:
    """The output item of a ``response.output_item.done`` event; none if it cannot be decoded."""
    event = _decode_event(frame)
    return [] if event is None else [msgspec.Raw(bytes(event.item))]


def final_response(frame: Frame) -> StoredHead | None:
    """The id and the status in an event of :data:`FINAL_EVENTS`; ``None`` if the response has no id."""
    event = _decode_event(frame)
    response = None if event is None else _response.decode(event.response)
    return response if response is not None and response.id else None


async def _store(turn: Turn, body: bytes, items: list[msgspec.Raw], request_id: str) -> None:
    """Write a turn. ``items``: the streamed output, for upstreams whose final event does not repeat it."""
    try:
        response = _response.decode(body)
        if items and not response.output:
            body = json_wire.encode({**_fields.decode(body), "output": items})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not response.id or response.status not in ("completed", "incomplete"):
        return
    turn = msgspec.structs.replace(turn, id=response.id, response=body.decode("utf-8", "replace"))
    try:
        await in_thread(lambda: stored_responses.save_turn(turn, seconds=config().responses_store_seconds))
    except (DatabaseError, InterfaceError) as error:
        # The client has its response; a later request that refers to it gets an error.
        logger.warning("response %s is not stored: %s", turn.id, error, extra={"request_id": request_id})


async def with_earlier_turns(envelope: Envelope, response_id: str, api_key_id: str) -> Envelope:
    """The request with the items of the turn ``response_id`` and all before it in front of its own input.

    Unchanged if only the provider has the turn, at a place that the gateway remembers.
    """
    if not response_id:
        return envelope
    try:
        items = await earlier_items(response_id, api_key_id)
    except ClientMistake:
        if await find_own(response_id, api_key_id) is None:
            raise
        return envelope
    size = input_size(envelope) + sum(memoryview(item).nbytes for item in items)
    return await in_thread_if_large(size, history.prepend_items, envelope, items)


async def earlier_items(response_id: str, api_key_id: str) -> list[msgspec.Raw]:
    """The items of a turn and of all before it; raises :class:`ClientMistake` if one of them is not stored (any more)."""

    def load() -> list[msgspec.Raw] | None:
        turns = stored_responses.load_chain(response_id, api_key_id, seconds=config().responses_store_seconds)
        return None if turns is None else [item for turn in turns for item in _items_of_turn(turn)]

    items = await query(load)
    if items is None:
        raise unknown_previous(response_id)
    return items


def unknown_previous(response_id: str) -> ClientMistake:
    """The error for an earlier response that nobody remembers."""
    return ClientMistake(
        f"Previous response with id '{response_id[:200]}' not found.", param="previous_response_id", code="previous_response_not_found"
    )


def _items_of_turn(turn: Turn) -> list[msgspec.Raw]:
    return [*_items.decode(turn.input), *history.output_items(turn.response.encode())]


async def with_referenced_items(envelope: Envelope, api_key_id: str) -> Envelope:
    """The request with stored items in the place of references to them; other references are left, the upstream may know them."""
    items: dict[int, msgspec.Raw] = {}
    references = await in_thread_if_large(input_size(envelope), history.item_references, envelope)
    if len(references) > MAX_REFERENCES:
        raise ClientMistake(f"input: the request has more than {MAX_REFERENCES} item references", param="input")
    for position, item_id in references:
        item = await query(partial(_find_item, item_id, api_key_id))
        if item is not None:
            items[position] = item
    return await in_thread_if_large(input_size(envelope), history.replace_references, envelope, items) if items else envelope


def _find_item(item_id: str, api_key_id: str) -> msgspec.Raw | None:
    turn = stored_responses.find_turn_with_item(item_id, api_key_id)
    return None if turn is None else history.find_item(turn.input, turn.response, item_id)


async def find_turn(response_id: str, api_key_id: str) -> Turn:
    """A stored turn of a key; raises :class:`ClientMistake` if there is none."""
    if not is_on():
        raise ClientMistake(SWITCHED_OFF, kind="not_found")
    turn = await query(lambda: stored_responses.find_turn(response_id, api_key_id))
    if turn is None:
        raise _missing(response_id)
    return turn


async def delete_turn(response_id: str, api_key_id: str) -> None:
    """Delete a stored turn of a key; raises :class:`ClientMistake` if there is none."""
    if not is_on():
        raise ClientMistake(SWITCHED_OFF, kind="not_found")
    if not await query(lambda: stored_responses.delete_turn(response_id, api_key_id)):
        raise _missing(response_id)


async def input_page(turn: Turn, **query: str) -> dict[str, Any]:
    """One page of the whole input of a turn: the items of all turns before it, then its own.

    ``query``: as in :func:`input_item_list.list_input_items`.
    """
    earlier = await earlier_items(turn.previous_id, turn.api_key_id) if turn.previous_id else []
    return input_item_list.list_input_items([*earlier, *_items.decode(turn.input)], turn.id, **query)


def _missing(response_id: str) -> ClientMistake:
    return ClientMistake(f"Response with id '{response_id}' not found.", kind="not_found")


async def query(work: Callable[[], T]) -> T:
    """The result of a database query; raises :class:`GatewayError` of kind ``overloaded`` if the database cannot be reached."""
    try:
        return await in_thread(work)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("stored responses cannot be read: %s", error)
        raise GatewayError(Failure(kind="overloaded", message="Stored responses cannot be read at the moment")) from error


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread, and close the thread's database connection after it."""

    def run_and_close() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(run_and_close)
