"""Items and their parts as they stand on the wire, in requests and in replies.

One struct with every field that some kind of item has, because a closed union would refuse the kinds that come next year;
fields whose type differs between kinds stay open. What an item lacks is ``None``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake

FAMILY = "openai_responses"
NO_JSON = msgspec.Raw(b"null")
ENCRYPTED_CONTENT = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
DEFAULT_NAMESPACE = "functions"
"""The namespace that calls mean when they name none (Codex declares its tools in it and calls them without)."""
CONTINUES = "pxbin_continues"
"""Field of an envelope whose earlier turns the gateway has put in: the id of the response that it goes on from."""
KEEPS = "pxbin_keeps"
"""Field of an envelope whose answer the gateway will keep: the answer then says so."""
SUMMARY_SEPARATOR = "\n\n"
"""Between the summary parts of one reasoning item, which canonically are one text."""


class AudioData(msgspec.Struct, gc=False):
    """The inside of an ``input_audio`` part."""

    data: str
    format: str


class ContentPart(msgspec.Struct, gc=False):
    """A part of a message, of a tool's output, of a reasoning summary."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: AudioData | None = None
    annotations: msgspec.Raw = NO_JSON
    logprobs: msgspec.Raw = NO_JSON
    prompt_cache_breakpoint: msgspec.Raw = NO_JSON


class Item(msgspec.Struct, gc=False):
    """An item of ``input`` or ``output``."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    output: str | list[ContentPart] | dict[str, Any] | None = None
    summary: list[ContentPart] | None = None
    encrypted_content: str | None = None
    tools: msgspec.Raw = NO_JSON

    @property
    def kind(self) -> str:
        """The type; an item without one is a message, or a reference when it has nothing but an id."""
        if self.type is not None:
            return self.type
        return "item_reference" if self.role is None and self.id is not None else "message"


class _Head(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    id: str | None = None


KNOWN_ITEMS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "additional_tools",
        "compaction",
        "item_reference",
    }
)
"""Kinds whose fields are checked; of the others only type, role and id are looked at."""

_INPUT_DECODER: msgspec.json.Decoder[str | list[Item]] = msgspec.json.Decoder(str | list[Item])
_ITEM_DECODER = msgspec.json.Decoder(Item)
_HEAD_DECODER = msgspec.json.Decoder(_Head)
_RAW_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


def read_input(raw: msgspec.Raw) -> str | list[Item]:
    """The ``input`` field; raises :class:`ClientMistake` with the path of what has the wrong type."""
    try:
        return _INPUT_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Once more item by item: an unknown kind may use a known name for something else.
        if not bytes(raw).startswith(b"["):
            return json_wire.decode(raw, _INPUT_DECODER, at="input")
    return [_read_item(each, f"input.{position}") for position, each in enumerate(raw_items(raw))]


def _read_item(raw: msgspec.Raw, at: str) -> Item:
    head = json_wire.decode(raw, _HEAD_DECODER, at=at)
    item = Item(type=head.type, role=head.role, id=head.id)
    return json_wire.decode(raw, _ITEM_DECODER, at=at) if item.kind in KNOWN_ITEMS else item


def raw_items(raw: msgspec.Raw, at: str = "input") -> list[msgspec.Raw]:
    """The items of a list as they were written; ``at`` is its path."""
    return json_wire.decode(raw, _RAW_LIST_DECODER, at=at)


def is_absent(raw: msgspec.Raw | None) -> bool:
    """Whether an optional field is missing or ``null``."""
    return raw is None or raw == NO_JSON


def required(value: str | None, field: str, at: str) -> str:
    """A field that an item must have; raises :class:`ClientMistake`."""
    if value is None:
        raise ClientMistake(f"{at}.{field}: the field is required", param=f"{at}.{field}")
    return value
