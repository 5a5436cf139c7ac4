"""Shapes of Messages bodies: messages and content blocks (docs/wire-formats.md, section 1.3).

One wide struct, :class:`Block`, has the fields of all block types that the canonical form knows (:data:`MAPPED_TYPES`), so that
a body is decoded in one pass. Blocks of other types stay JSON. Their fields may have types that ``Block`` does not allow; a body
that does not fit is therefore decoded a second time, block by block (:func:`read_messages`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

ABSENT = Raw(b"")
"""The value of a field that is not in the body."""


EncodedBlock = dict[str, Any]
"""A content block that is being encoded."""

EncodedTurn = dict[str, Any]
"""A message that is being encoded: ``role`` and ``content``, a list of :data:`EncodedBlock`."""


MAPPED_TYPES = frozenset({"text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"})
"""Block types that have canonical parts of their own. Blocks of all other types become ``Opaque``."""


class Block(msgspec.Struct, gc=False):
    """The fields of all types in :data:`MAPPED_TYPES`. An absent field is ``None`` or :data:`ABSENT`."""

    READ_TYPES: ClassVar[frozenset[str]] = MAPPED_TYPES

    type: str = ""
    text: str | None = None
    citations: Raw = ABSENT
    cache_control: Raw = ABSENT
    source: Raw = ABSENT
    title: str | None = None
    context: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = ABSENT
    tool_use_id: str | None = None
    content: str | list[Block] | None = None
    is_error: bool | None = None
    caller: Any = None
    toolset_name: Any = None
    transformations: Any = None


_CALL_FIELDS = ("caller", "toolset_name")
DIRECT_CALLER = {"type": "direct"}
"""``caller`` of a call that the model itself made, which is the default."""


def native_fields(block: Block) -> dict[str, Any]:
    """The fields of a call or result that only this family knows, with a value other than the default."""
    fields = {name: value for name in _CALL_FIELDS if (value := getattr(block, name)) is not None}
    if fields.get("caller") == DIRECT_CALLER:
        del fields["caller"]
    return fields


class MessageConfig(msgspec.Struct, gc=False):
    """``output_config`` of a system message: the effort of the turn that follows."""

    effort: str | None = None


class WireMessage(msgspec.Struct, gc=False):
    """A message with decoded content."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block] | None = None
    clear_at: str | None = None
    output_config: MessageConfig | None = None


class MessageHead(msgspec.Struct, gc=False):
    """A message whose content is not decoded."""

    role: Literal["user", "assistant", "system"]
    content: Raw = ABSENT
    clear_at: str | None = None
    output_config: MessageConfig | None = None


class _TypeOnly(msgspec.Struct):
    type: str


MESSAGES: NotingDecoder[list[WireMessage]] = NotingDecoder(list[WireMessage])
_HEADS = msgspec.json.Decoder(list[MessageHead])
_BLOCK = msgspec.json.Decoder(Block)
_TYPE_ONLY = msgspec.json.Decoder(_TypeOnly)
_CONTENT = msgspec.json.Decoder(str | list[Raw])
ARRAY = msgspec.json.Decoder(list[Raw])
OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()


def is_present(raw: Raw) -> bool:
    """Whether a field is in the body and not ``null``."""
    return bool(raw) and bytes(raw) != b"null"


def has_field(fields: dict[str, Raw], name: str) -> bool:
    """Whether ``fields`` has ``name`` and its value is not ``null``."""
    return name in fields and is_present(fields[name])


def read_heads(raw: Raw) -> list[MessageHead]:
    """The messages, their roles checked. Raises :class:`ClientMistake` with the path of an invalid field, and for an empty list."""
    heads = json_wire.decode(raw, _HEADS, at="messages")
    if not heads:
        raise ClientMistake("messages: at least one message is required", param="messages")
    for index, head in enumerate(heads):
        if not is_present(head.content):
            _require_settings(head, f"messages.{index}.content")
    return heads


def _require_settings(head: MessageHead, at: str) -> None:
    """Raise :class:`ClientMistake` for a message without content, unless it is a system message with settings."""
    if head.role != "system" or head.output_config is None or head.output_config.effort is None:
        raise ClientMistake(f"{at}: Field required", param=at)


def read_messages(raw: Raw, unread: set[str]) -> list[WireMessage]:
    """The messages with their blocks; adds the paths of the fields that are not read.

    Raises :class:`ClientMistake` with the path of an invalid field, and for an empty list.
    """
    try:
        messages = MESSAGES.decode(raw, unread, at="messages")
    except ClientMistake:
        # The field that did not fit may belong to a block that becomes Opaque. Decoding block by block shows whether it does.
        messages = [
            WireMessage(head.role, _read_content(head.content, at=f"messages.{i}.content"), head.clear_at, head.output_config)
            for i, head in enumerate(read_heads(raw))
        ]
        MESSAGES.note(raw, unread, at="messages")
    if not messages:
        raise ClientMistake("messages: at least one message is required", param="messages")
    return messages


def read_block(raw: Raw, *, at: str) -> Block:
    """One block. A block whose type is not in :data:`MAPPED_TYPES` has its type and no other field."""
    kind = json_wire.decode(raw, _TYPE_ONLY, at=at).type
    return json_wire.decode(raw, _BLOCK, at=at) if kind in MAPPED_TYPES else Block(type=kind)


def _read_content(raw: Raw, *, at: str) -> str | list[Block] | None:
    if not is_present(raw):
        return None
    content = json_wire.decode(raw, _CONTENT, at=at)
    if isinstance(content, str):
        return content
    return [read_block(block, at=f"{at}.{index}") for index, block in enumerate(content)]


class OriginalBlocks:
    """The JSON of single blocks, by index. It is decoded on first use: only requests with ``Opaque`` blocks need it."""

    def __init__(self, messages: Raw) -> None:
        self._messages = messages
        self._heads: list[MessageHead] | None = None

    def block(self, message: int, block: int) -> Raw:
        """The block at index ``block`` of the message at index ``message``."""
        return self._blocks(message)[block]

    def nested(self, message: int, block: int, inner: int) -> Raw:
        """The block at index ``inner`` of a tool result's content."""
        fields = json_wire.decode(self.block(message, block), OBJECT)
        return json_wire.decode(fields["content"], ARRAY)[inner]

    def _blocks(self, message: int) -> list[Raw]:
        if self._heads is None:
            self._heads = json_wire.decode(self._messages, _HEADS)
        return json_wire.decode(self._heads[message].content, ARRAY)


_TEXT_KEYS = ("title", "url", "text", "content", "stdout", "stderr", "tool_name")


def readable_text(native: Raw) -> str:
    """The text of an ``Opaque`` block for other families: titles, URLs and texts of results, one a line; no ids, no base64."""
    return "\n".join(_texts_in(json_wire.decode(native, _ANY)))


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        if value.get("type") == "search_result":
            yield from (text for key in ("title", "source") if isinstance(text := value.get(key), str))
            yield from _texts_in(value.get("content"))
            return
        for key in _TEXT_KEYS:
            yield from _texts_in(value.get(key))
        source = value.get("source")
        if isinstance(source, dict) and source.get("type") in ("text", "content"):
            yield from _texts_in(source.get("data") if source["type"] == "text" else source.get("content"))


FAMILY = "anthropic"
