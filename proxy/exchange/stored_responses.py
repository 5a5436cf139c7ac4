"""Stored responses: turns of ``/v1/responses`` that the gateway keeps, so that a client can go on from them.

Used only where ``PXBIN_RESPONSES_STORE_SECONDS`` says for how long. The turns that a request goes on from are put before its
own input, so an upstream of any dialect can answer it. A turn is written before the client gets its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from accounts import keys
from billing import stored_responses
from billing.stored_responses import Turn
from proxy.exchange.client_credentials import presented_key
from proxy.exchange.exchange import ClientResponse, Exchange, run
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from proxy.translation import json_wire
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.openai_responses import history, listing
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from proxy.translation.framing.sse import Frame, Reader
from proxy.translation.json_wire import Envelope

logger = logging.getLogger("pxbin.responses")

T = TypeVar("T")
ENDS = frozenset({"response.completed", "response.incomplete"})
ITEM_DONE = "response.output_item.done"
SWITCHED_OFF = (
    "Stored responses are switched off on this gateway; the operator switches them on by setting PXBIN_RESPONSES_STORE_SECONDS to the "
    "seconds that responses are kept"
)


class _Event(msgspec.Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"null")
    item: msgspec.Raw = msgspec.Raw(b"null")


class _Reply(msgspec.Struct):
    id: str = ""
    status: str = ""
    output: list[msgspec.Raw] = []


_event = msgspec.json.Decoder(_Event)
_reply = msgspec.json.Decoder(_Reply)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[msgspec.Raw])


def is_on() -> bool:
    """Whether turns are kept at all."""
    return bool(settings.PXBIN.responses_store_seconds > 0)


async def serve(http: HttpRequest, dialect: Dialect, *, prefix: str = "") -> ClientResponse:
    """Answer one request with the turns that it goes on from, and store its own turn unless the client does not want that."""
    return await run(Remembering(http, dialect, prefix), dialect.open_request)


def asking(http: HttpRequest, dialect: Dialect, prefix: str) -> Exchange:
    """The exchange for a request that is never kept, but may go on from what was: a count, a compaction."""
    return Recalling(http, dialect, prefix) if is_on() else Exchange(http, dialect, prefix)


class Recalling(Exchange):
    """A request with what it means by ids: the turns that it goes on from, and the items that it refers to."""

    async def admit(self, opened: Callable[[bytes], Envelope]) -> None:
        """See :class:`Exchange`; puts the earlier turns before the request's input."""
        try:
            token = presented_key(self.http.headers)
            key = keys.peek(token) or await keys.authenticate(token)
        except ClientMistake:
            await super().admit(opened)  # tells what is wrong, or lets in somebody without a key, for whom nothing is kept
            return
        self.record.known_key(key)
        envelope = await with_referenced_items(opened(self.http.body), key.id)
        previous = history.previous_id(envelope) or ""
        envelope = self.noted(envelope, key.id, previous)
        if previous:
            envelope = history.continued(envelope, await earlier_items(previous, key.id))
        await super().admit(lambda _body: envelope)

    def noted(self, envelope: Envelope, api_key_id: str, previous: str) -> Envelope:  # noqa: ARG002  (for those that keep it)
        """Take down what a kept turn is to say of its own request."""
        return envelope


class Remembering(Recalling):
    """A request whose turn is kept. ``turn`` says what is known of it before there is an answer; None: it is not kept."""

    turn: Turn | None = None

    def noted(self, envelope: Envelope, api_key_id: str, previous: str) -> Envelope:
        """See :class:`Recalling`."""
        if bytes(envelope.fields.get("store", b"true")) == b"false":
            return envelope
        own = json_wire.encode(history.input_items(envelope)).decode("utf-8", "replace")
        self.turn = Turn(id="", api_key_id=api_key_id, previous_id=previous, model=envelope.model, input=own)
        return history.kept(envelope)

    async def whole(self) -> JsonResponse:
        """See :class:`Exchange`."""
        answer = await super().whole()
        await self.keep(answer.body, [])
        return answer

    async def tell(self) -> AsyncGenerator[bytes | JsonResponse, None]:
        """See :class:`Exchange`; the turn is kept before the piece that ends the stream."""
        reader, items = Reader(), list[msgspec.Raw]()
        async with aclosing(super().tell()) as pieces:
            async for piece in pieces:
                if self.turn is not None and isinstance(piece, bytes):
                    for frame in reader.feed(piece):
                        await self._look(frame, items)
                yield piece

    async def _look(self, frame: Frame, items: list[msgspec.Raw]) -> None:
        """Collect the items of a stream; at its end, keep them."""
        if frame.event != ITEM_DONE and frame.event not in ENDS:
            return
        try:
            event = _event.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if frame.event == ITEM_DONE:
            items.append(msgspec.Raw(bytes(event.item)))
        else:
            await self.keep(bytes(event.response), items)

    async def keep(self, body: bytes, items: list[msgspec.Raw]) -> None:
        """Write the turn down. ``items``: the output as it was streamed, for answers whose end does not repeat it."""
        if self.turn is None:
            return
        try:
            reply = _reply.decode(body)
            if items and not reply.output:
                body = json_wire.encode({**_fields.decode(body), "output": items})
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not reply.id or reply.status not in ("completed", "incomplete"):
            return
        turn = msgspec.structs.replace(self.turn, id=reply.id, response=body.decode("utf-8", "replace"))
        try:
            await in_thread(lambda: stored_responses.keep(turn, seconds=settings.PXBIN.responses_store_seconds))
        except (DatabaseError, InterfaceError) as error:
            # The client has its answer; that it cannot go on from it by its id is told when it tries to.
            logger.warning("response %s is not kept: %s", turn.id, error, extra={"request_id": self.http.request_id})


async def earlier_items(response_id: str, api_key_id: str) -> list[msgspec.Raw]:
    """The items of a turn and of all before it; raises :class:`ClientMistake` when it is not, or no longer, kept."""
    turns = await asked(lambda: stored_responses.chain(response_id, api_key_id, seconds=settings.PXBIN.responses_store_seconds))
    if turns is None:
        raise ClientMistake(
            f"Previous response with id '{response_id}' not found.", param="previous_response_id", code="previous_response_not_found"
        )
    items: list[msgspec.Raw] = []
    for turn in turns:
        items += [*_items.decode(turn.input), *history.output_items(turn.response.encode())]
    return items


async def with_referenced_items(envelope: Envelope, api_key_id: str) -> Envelope:
    """The request with kept items in the place of references to them; what is not kept may be known to the upstream."""
    found: dict[int, msgspec.Raw] = {}
    for position, item_id in history.references(envelope):
        turn = await asked(partial(stored_responses.with_item, item_id, api_key_id))
        item = None if turn is None else history.item_of(turn.input, turn.response, item_id)
        if item is not None:
            found[position] = item
    return history.with_items(envelope, found) if found else envelope


async def find(response_id: str, api_key_id: str) -> Turn:
    """A kept turn of a key; raises :class:`ClientMistake` when there is none."""
    if not is_on():
        raise ClientMistake(SWITCHED_OFF, kind="not_found")
    turn = await asked(lambda: stored_responses.find(response_id, api_key_id))
    if turn is None:
        raise _missing(response_id)
    return turn


async def forget(response_id: str, api_key_id: str) -> None:
    """Delete a kept turn of a key; raises :class:`ClientMistake` when there is none."""
    if not is_on():
        raise ClientMistake(SWITCHED_OFF, kind="not_found")
    if not await asked(lambda: stored_responses.delete(response_id, api_key_id)):
        raise _missing(response_id)


async def input_page(turn: Turn, **query: str) -> dict[str, Any]:
    """One page of all items that a turn's model was given; ``query`` as in :func:`listing.page`."""
    before = await earlier_items(turn.previous_id, turn.api_key_id) if turn.previous_id else []
    return listing.page([*before, *_items.decode(turn.input)], turn.id, **query)


def _missing(response_id: str) -> ClientMistake:
    return ClientMistake(f"Response with id '{response_id}' not found.", kind="not_found")


async def asked(work: Callable[[], T]) -> T:
    """Ask the database; raises :class:`GatewayError` while it is away."""
    try:
        return await in_thread(work)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("stored responses cannot be read: %s", error)
        raise GatewayError(Failure(kind="overloaded", message="Stored responses cannot be read at the moment")) from error


async def in_thread(work: Callable[[], T]) -> T:
    """Do something with the database in a thread, which keeps no connection."""

    def done() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await asyncio.to_thread(done)
