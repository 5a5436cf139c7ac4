"""Content blocks as they stand on the wire: one wide struct, read in one pass over the messages.

The struct holds every field that a block with a canonical place may have. A block of another kind is kept whole as JSON; its
fields may have any type, so a body that does not fit the struct is read again block by block (:func:`read_messages`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake

NOTHING = Raw(b"")


EncodedBlock = dict[str, Any]
"""A content block that is being encoded."""

EncodedTurn = dict[str, Any]
"""A message that is being encoded: ``role`` and ``content``, a list of :data:`EncodedBlock`."""


class Block(msgspec.Struct, gc=False):
    """Every field of the mapped block types; ``None`` or empty where absent."""

    type: str = ""
    text: str | None = None
    citations: Raw = NOTHING
    cache_control: Raw = NOTHING
    source: Raw = NOTHING
    title: str | None = None
    context: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = NOTHING
    tool_use_id: str | None = None
    content: str | list[Block] | None = None
    is_error: bool | None = None


class Turn(msgspec.Struct, gc=False):
    """A message with its content."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Head(msgspec.Struct, gc=False):
    """A message whose content is not looked at."""

    role: Literal["user", "assistant", "system"]
    content: Raw


class _Kind(msgspec.Struct):
    type: str


MAPPED = frozenset({"text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result"})
"""Block types with a canonical place; all others travel as ``Opaque``."""

_TURNS = msgspec.json.Decoder(list[Turn])
_HEADS = msgspec.json.Decoder(list[Head])
_BLOCK = msgspec.json.Decoder(Block)
_KIND = msgspec.json.Decoder(_Kind)
_CONTENT = msgspec.json.Decoder(str | list[Raw])
ARRAY = msgspec.json.Decoder(list[Raw])
OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ANY = msgspec.json.Decoder()


def present(raw: Raw) -> bool:
    """Whether an optional field was given; ``null`` means absent."""
    return bool(raw) and bytes(raw) != b"null"


def read_heads(raw: Raw) -> list[Head]:
    """The messages with their roles checked; raises :class:`ClientMistake`, also for an empty list."""
    heads = json_wire.decode(raw, _HEADS, at="messages")
    if not heads:
        raise ClientMistake("messages: at least one message is required", param="messages")
    return heads


def read_messages(raw: Raw) -> list[Turn]:
    """The messages with their blocks; raises :class:`ClientMistake` with the path of what is wrong."""
    try:
        turns = json_wire.decode(raw, _TURNS, at="messages")
    except ClientMistake:
        # Perhaps only a block that is not ours has a field of another type: the slow way tells.
        turns = [Turn(head.role, _read_content(head.content, at=f"messages.{i}.content")) for i, head in enumerate(read_heads(raw))]
    if not turns:
        raise ClientMistake("messages: at least one message is required", param="messages")
    return turns


def read_block(raw: Raw, *, at: str) -> Block:
    """One block; of a kind that is not ours, the type alone."""
    kind = json_wire.decode(raw, _KIND, at=at).type
    return json_wire.decode(raw, _BLOCK, at=at) if kind in MAPPED else Block(type=kind)


def _read_content(raw: Raw, *, at: str) -> str | list[Block]:
    content = json_wire.decode(raw, _CONTENT, at=at)
    if isinstance(content, str):
        return content
    return [read_block(block, at=f"{at}.{index}") for index, block in enumerate(content)]


class Originals:
    """The JSON of single blocks, read only for requests that hold a block of a kind that is not ours."""

    def __init__(self, messages: Raw) -> None:
        self._messages = messages
        self._heads: list[Head] | None = None

    def block(self, message: int, block: int) -> Raw:
        """A block of a message."""
        return self._blocks(message)[block]

    def nested(self, message: int, block: int, inner: int) -> Raw:
        """A block inside a tool result."""
        fields = json_wire.decode(self.block(message, block), OBJECT)
        return json_wire.decode(fields["content"], ARRAY)[inner]

    def _blocks(self, message: int) -> list[Raw]:
        if self._heads is None:
            self._heads = json_wire.decode(self._messages, _HEADS)
        return json_wire.decode(self._heads[message].content, ARRAY)


_KEYS_OF_WORDS = ("title", "url", "text", "content", "stdout", "stderr", "tool_name")


def words(native: Raw) -> str:
    """What of a block can be read: the texts of results, titles and addresses, in order; never ids or base64."""
    return "\n".join(_words(json_wire.decode(native, _ANY)))


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
    elif isinstance(value, dict):
        if value.get("type") == "search_result":
            yield from (each for key in ("title", "source") if isinstance(each := value.get(key), str))
            yield from _words(value.get("content"))
            return
        for key in _KEYS_OF_WORDS:
            yield from _words(value.get(key))
        source = value.get("source")
        if isinstance(source, dict) and source.get("type") in ("text", "content"):
            yield from _words(source.get("data") if source["type"] == "text" else source.get("content"))


FAMILY = "anthropic"
