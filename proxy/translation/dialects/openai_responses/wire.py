"""The structs of items and content parts, in requests and in responses (docs/wire-formats.md, section 3.3).

:class:`Item` has the fields of all kinds of items: a closed union would refuse the kinds that the API adds. Fields whose type differs
between kinds are ``Any`` or a union. A field that an item does not have is ``None``, or ``JSON_NULL`` if its JSON is not decoded.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

FAMILY = "openai_responses"
JSON_NULL = msgspec.Raw(b"null")
ENCRYPTED_CONTENT = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
DEFAULT_NAMESPACE = "functions"
"""The namespace of calls without ``namespace``: Codex declares its tools in it and calls them without."""
PREVIOUS_ID_FIELD = "pxbin_continues"
"""Field of an envelope into which the gateway has put the items of earlier turns: the ``previous_response_id`` of the request."""
STORED_FIELD = "pxbin_keeps"
"""Field of an envelope whose response the gateway will store; the response then has ``store: true``."""
CONTENT_FORM = "content"
"""Value of ``form`` in a seal: the text of the reasoning was the item's ``content``, not its summary."""
SUMMARY_SEPARATOR = "\n\n"
"""Separates the summary parts of a reasoning item in the canonical text."""


class AudioData(msgspec.Struct, gc=False):
    """``input_audio`` of a content part."""

    data: str
    format: str


class Breakpoint(msgspec.Struct, gc=False):
    """A cache breakpoint."""

    mode: Any = None


class ContentPart(msgspec.Struct, gc=False):
    """A part of a message, of a tool output or of a reasoning summary."""

    READ_TYPES: ClassVar = frozenset(
        {"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal", "input_image", "input_file", "input_audio"}
    )
    UNREAD: ClassVar = frozenset({"annotations", "logprobs"})

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
    annotations: msgspec.Raw = JSON_NULL
    logprobs: msgspec.Raw = JSON_NULL
    prompt_cache_breakpoint: Breakpoint | None = None


class Item(msgspec.Struct, gc=False):
    """An item of ``input`` or ``output``."""

    READ_TYPES: ClassVar = frozenset(
        {
            "message",
            "function_call",
            "function_call_output",
            "custom_tool_call",
            "custom_tool_call_output",
            "reasoning",
            "additional_tools",
            "compaction",
        }
    )

    type: str | None = None
    role: str | None = None
    id: str | None = None
    status: Any = None
    phase: Any = None
    content: str | list[ContentPart] | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    output: str | list[ContentPart] | dict[str, Any] | None = None
    summary: list[ContentPart] | None = None
    encrypted_content: str | None = None
    tools: msgspec.Raw = JSON_NULL

    @property
    def kind(self) -> str:
        """The type. An item without one is a message, or a reference if it has an id and no role."""
        if self.type is not None:
            return self.type
        return "item_reference" if self.role is None and self.id is not None else "message"


MAPPED_ITEMS = frozenset({"message", "function_call", "custom_tool_call", "reasoning"})
"""Kinds of output items with canonical parts of their own. Items of all other kinds become ``Opaque``."""


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
        "tool_search_output",
        "compaction",
        "item_reference",
    }
)
"""Kinds whose fields are validated; of all others only ``type``, ``role`` and ``id`` are."""

INPUT: NotingDecoder[str | list[Item]] = NotingDecoder(str | list[Item])
_INPUT_DECODER: msgspec.json.Decoder[str | list[Item]] = msgspec.json.Decoder(str | list[Item])
_ITEM_DECODER = msgspec.json.Decoder(Item)
_HEAD_DECODER = msgspec.json.Decoder(_Head)
_RAW_LIST_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


def decode_input(raw: msgspec.Raw) -> tuple[str | list[Item], bool]:
    """The field ``input``, and whether all of its fields are read.

    Raises :class:`ClientMistake` with the path of a value of the wrong type.
    """
    strictly = INPUT.decode_strictly(raw)
    if strictly is not None:
        return strictly, True
    try:
        return _INPUT_DECODER.decode(raw), False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Again, item by item: an unknown kind may have a known field of another type.
        if not bytes(raw).startswith(b"["):
            return json_wire.decode(raw, _INPUT_DECODER, at="input"), False
    return [_decode_item(raw_item, f"input.{position}") for position, raw_item in enumerate(raw_items(raw))], False


def _decode_item(raw: msgspec.Raw, at: str) -> Item:
    head = json_wire.decode(raw, _HEAD_DECODER, at=at)
    item = Item(type=head.type, role=head.role, id=head.id)
    return json_wire.decode(raw, _ITEM_DECODER, at=at) if item.kind in KNOWN_ITEMS else item


def raw_items(raw: msgspec.Raw, at: str = "input") -> list[msgspec.Raw]:
    """The JSON of each item of a list; ``at`` is the path of the list."""
    return json_wire.decode(raw, _RAW_LIST_DECODER, at=at)


def is_absent(raw: msgspec.Raw | None) -> bool:
    """Whether an optional field is missing or ``null``."""
    return raw is None or raw == JSON_NULL


def require(value: str | None, field: str, at: str) -> str:
    """The value of a required field; raises :class:`ClientMistake` if it is ``None``."""
    if value is None:
        raise ClientMistake(f"{at}.{field}: the field is required", param=f"{at}.{field}")
    return value
