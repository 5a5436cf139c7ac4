"""Stored turns: the items that a later request refers to, and their insertion into that request.

A client that sends ``previous_response_id`` sends only its new items. The items of the earlier turns (input and output, in order) are
put before them, so that an upstream of any dialect gets the whole conversation. An ``item_reference`` is replaced by its item.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.openai_responses.wire import PREVIOUS_ID_FIELD, STORED_FIELD, is_absent, raw_items
from proxy.translation.json_wire import Envelope

_STRING_DECODER = msgspec.json.Decoder(str)

REFERENCE = "item_reference"
_BARE_REFERENCE = re.compile(rb'\{\s*"id"\s*:\s*"[^"]*"\s*\}')
_SLICE_BYTES, _LONGEST_REFERENCE = 65_536, 1024
"""A text is searched in slices, between which other threads run."""


class _Head(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None


_HEAD_DECODER = msgspec.json.Decoder(_Head)


class _StoredResponse(msgspec.Struct):
    output: list[msgspec.Raw] = []


_OUTPUT_DECODER = msgspec.json.Decoder(_StoredResponse)


def previous_response_id(envelope: Envelope) -> str | None:
    """The field ``previous_response_id``; raises :class:`~proxy.translation.errors.ClientMistake` if it is not a string."""
    raw_id = envelope.fields.get("previous_response_id")
    return None if raw_id is None or is_absent(raw_id) else json_wire.decode(raw_id, _STRING_DECODER, at="previous_response_id")


def input_items(envelope: Envelope) -> list[msgspec.Raw]:
    """The JSON of the items in a request's input; a string is one user message."""
    raw_input = envelope.fields.get("input")
    if raw_input is None or is_absent(raw_input):
        return []
    if bytes(raw_input).lstrip().startswith(b'"'):
        return [msgspec.Raw(b'{"type":"message","role":"user","content":%b}' % bytes(raw_input))]
    return [msgspec.Raw(bytes(item)) for item in raw_items(raw_input)]


def item_references(envelope: Envelope) -> list[tuple[int, str]]:
    """The position and the id of each ``item_reference`` in a request's input."""
    raw_input = envelope.fields.get("input")
    if raw_input is None or not _may_refer(bytes(raw_input)):
        return []
    heads = [json_wire.decode(item, _HEAD_DECODER, at=f"input.{position}") for position, item in enumerate(raw_items(raw_input))]
    return [(position, head.id) for position, head in enumerate(heads) if head.id and (head.type or head.role or REFERENCE) == REFERENCE]


def _may_refer(raw_input: bytes) -> bool:
    if raw_input[:1] != b"[":
        return False
    starts = range(0, len(raw_input), _SLICE_BYTES)
    return b"item_reference" in raw_input or any(
        _BARE_REFERENCE.search(raw_input, start, start + _SLICE_BYTES + _LONGEST_REFERENCE) for start in starts
    )


def find_item(stored_input: str, stored_response: str, item_id: str) -> msgspec.Raw | None:
    """The item with this id in a stored turn; ``stored_input`` is a JSON list of items, ``stored_response`` a response object."""
    items = [*output_items(stored_response.encode()), *msgspec.json.decode(stored_input, type=list[msgspec.Raw])]
    heads = (msgspec.json.decode(item, type=_Head) for item in items)
    return next((item for item, head in zip(items, heads, strict=True) if head.id == item_id and head.type != REFERENCE), None)


def replace_references(envelope: Envelope, items_by_position: Mapping[int, msgspec.Raw]) -> Envelope:
    """The request with its references replaced by items; the keys are the positions in the input."""
    items = [items_by_position.get(position, item) for position, item in enumerate(input_items(envelope))]
    fields = {**envelope.fields, "input": msgspec.Raw(json_wire.encode(items))}
    return Envelope(fields=fields, model=envelope.model, stream=envelope.stream)


def output_items(response: bytes) -> list[msgspec.Raw]:
    """The JSON of the items in a response object; none if the body is not one."""
    try:
        return [msgspec.Raw(bytes(item)) for item in _OUTPUT_DECODER.decode(response).output]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def mark_as_stored(envelope: Envelope) -> Envelope:
    """The request, marked as one whose response will be stored."""
    return msgspec.structs.replace(envelope, fields={**envelope.fields, STORED_FIELD: msgspec.Raw(b"true")})


def prepend_items(envelope: Envelope, earlier: Sequence[msgspec.Raw]) -> Envelope:
    """The request with ``earlier`` items before its own; its ``previous_response_id`` is kept for the response, which echoes it."""
    fields = {name: value for name, value in envelope.fields.items() if name != "previous_response_id"}
    fields["input"] = msgspec.Raw(json_wire.encode([*earlier, *input_items(envelope)]))
    if "previous_response_id" in envelope.fields:
        fields[PREVIOUS_ID_FIELD] = envelope.fields["previous_response_id"]
    return Envelope(fields=fields, model=envelope.model, stream=envelope.stream)
