"""Turns that the gateway keeps: what a response leaves for the next one, and how that one takes it up.

A client that names a ``previous_response_id`` sends only what is new. The items of the earlier turns (their input and their
output, in order) are put before it, and the request is then one like any other, for an upstream of any dialect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.openai_responses.wire import CONTINUES, KEEPS, is_absent, raw_items
from proxy.translation.json_wire import Envelope

_STRING_DECODER = msgspec.json.Decoder(str)


REFERENCE = "item_reference"
_REFERENCE = re.compile(rb'item_reference|\{\s*"id"\s*:\s*"[^"]*"\s*\}')


class _Head(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None


_HEAD_DECODER = msgspec.json.Decoder(_Head)


class _Answer(msgspec.Struct):
    output: list[msgspec.Raw] = []


_ANSWER_DECODER = msgspec.json.Decoder(_Answer)


def previous_id(envelope: Envelope) -> str | None:
    """The response that a request goes on from; raises :class:`~proxy.translation.errors.ClientMistake` for what is no id."""
    given = envelope.fields.get("previous_response_id")
    return None if given is None or is_absent(given) else json_wire.decode(given, _STRING_DECODER, at="previous_response_id")


def input_items(envelope: Envelope) -> list[msgspec.Raw]:
    """The items of a request's input as the client wrote them; a text is the message that it stands for."""
    given = envelope.fields.get("input")
    if given is None or is_absent(given):
        return []
    if bytes(given).lstrip().startswith(b'"'):
        return [msgspec.Raw(b'{"type":"message","role":"user","content":%b}' % bytes(given))]
    return [msgspec.Raw(bytes(item)) for item in raw_items(given)]


def references(envelope: Envelope) -> list[tuple[int, str]]:
    """Position and id of every reference to a stored item in a request's input."""
    given = envelope.fields.get("input")
    if given is None or _REFERENCE.search(bytes(given)) is None or not bytes(given).lstrip().startswith(b"["):
        return []
    heads = [json_wire.decode(item, _HEAD_DECODER, at=f"input.{position}") for position, item in enumerate(raw_items(given))]
    return [(position, head.id) for position, head in enumerate(heads) if head.id and (head.type or head.role or REFERENCE) == REFERENCE]


def item_of(given: str, answer: str, item_id: str) -> msgspec.Raw | None:
    """The item of that id in a kept turn: its answer, or its input as a JSON list."""
    items = [*output_items(answer.encode()), *msgspec.json.decode(given, type=list[msgspec.Raw])]
    heads = (msgspec.json.decode(item, type=_Head) for item in items)
    return next((item for item, head in zip(items, heads, strict=True) if head.id == item_id and head.type != REFERENCE), None)


def with_items(envelope: Envelope, found: Mapping[int, msgspec.Raw]) -> Envelope:
    """The request with items in the place of the references to them, by their positions."""
    items = [found.get(position, item) for position, item in enumerate(input_items(envelope))]
    fields = {**envelope.fields, "input": msgspec.Raw(json_wire.encode(items))}
    return Envelope(fields=fields, model=envelope.model, stream=envelope.stream)


def output_items(answer: bytes) -> list[msgspec.Raw]:
    """The items of a response object of ours; none for anything else."""
    try:
        return [msgspec.Raw(bytes(item)) for item in _ANSWER_DECODER.decode(answer).output]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def kept(envelope: Envelope) -> Envelope:
    """The request, marked as one whose answer will be kept."""
    return msgspec.structs.replace(envelope, fields={**envelope.fields, KEEPS: msgspec.Raw(b"true")})


def continued(envelope: Envelope, earlier: Sequence[msgspec.Raw]) -> Envelope:
    """The request with the ``earlier`` items before its own; its answer still names the response that it goes on from."""
    fields = {name: value for name, value in envelope.fields.items() if name != "previous_response_id"}
    fields["input"] = msgspec.Raw(json_wire.encode([*earlier, *input_items(envelope)]))
    if "previous_response_id" in envelope.fields:
        fields[CONTINUES] = envelope.fields["previous_response_id"]
    return Envelope(fields=fields, model=envelope.model, stream=envelope.stream)
