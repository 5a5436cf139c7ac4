"""Blocks to canonical parts, one small function per block type."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import (
    CacheMark,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.dialects.anthropic.citations import citations
from proxy.translation.dialects.anthropic.tool_arguments import arguments
from proxy.translation.dialects.anthropic.wire import FAMILY, NOTHING, Block, Originals, Turn, present, words
from proxy.translation.errors import ClientMistake

_HISTORY = frozenset({"server_tool_use", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing", "fallback", "compaction", "tool_reference"})
"""Opaque blocks that may be lost elsewhere although a user turn holds them; so are all ``…_tool_result`` blocks."""


class _SourceFields(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = NOTHING


class _ToolChange(msgspec.Struct):
    tool: dict[str, Raw]


class _InnerBlock(msgspec.Struct):
    type: str
    text: str | None = None


_SOURCE = msgspec.json.Decoder(_SourceFields)
_TOOL_CHANGE = msgspec.json.Decoder(_ToolChange)
_INNER = msgspec.json.Decoder(str | list[_InnerBlock])


class PartReader:
    """Reads the blocks of one request; ``seal_key`` opens our carriers."""

    def __init__(self, messages: Raw, seal_key: bytes) -> None:
        self._place = _Place(Originals(messages), seal_key)

    def message(self, index: int, turn: Turn) -> Message:
        """Raises :class:`ClientMistake` for a block that does not belong where it stands."""
        if isinstance(turn.content, str):
            return Message(turn.role, (Text(turn.content),) if turn.content else ())
        place = self._place
        place.role, place.message = turn.role, index
        parts: list[Part] = []
        for position, block in enumerate(turn.content):
            if block.type == "text" and block.text is not None and not block.cache_control and not block.citations:
                parts.append(Text(block.text))
                continue
            place.block = position
            part = _decode(block, place)
            if part is not None:
                parts.append(part)
        return Message(turn.role, tuple(parts))


class _Place(msgspec.Struct):
    """Where the block that is being read stands: message, position, and position inside a tool result (-1: not inside one)."""

    originals: Originals
    seal_key: bytes
    role: str = ""
    message: int = 0
    block: int = 0
    inner: int = -1

    @property
    def at(self) -> str:
        path = f"messages.{self.message}.content.{self.block}"
        return f"{path}.content.{self.inner}" if self.inner >= 0 else path

    def inside(self, inner: int) -> _Place:
        return _Place(self.originals, self.seal_key, self.role, self.message, self.block, inner)

    @property
    def nested(self) -> bool:
        return self.inner >= 0

    def original(self) -> Raw:
        if self.inner >= 0:
            return self.originals.nested(self.message, self.block, self.inner)
        return self.originals.block(self.message, self.block)

    def mistake(self, words_: str, field: str = "") -> ClientMistake:
        path = f"{self.at}.{field}" if field else self.at
        return ClientMistake(f"{path}: {words_}", param=path)


def _decode(block: Block, place: _Place) -> Part | None:
    decode = _DECODERS.get(block.type)
    if decode is not None:
        return decode(block, place)
    if not block.type:
        raise place.mistake("a content block needs a type", "type")
    return _opaque(block, place)


def cache_mark(raw: Raw) -> CacheMark | None:
    """The breakpoint that a block's ``cache_control`` sets."""
    return CacheMark(raw) if present(raw) else None


def _text(block: Block, place: _Place) -> Text:
    if block.text is None:
        raise place.mistake("Field required", "text")
    return Text(block.text, cache_mark(block.cache_control), citations(block.citations, at=f"{place.at}.citations"))


def _source(block: Block, place: _Place) -> _SourceFields:
    if not present(block.source):
        raise place.mistake("Field required", "source")
    return json_wire.decode(block.source, _SOURCE, at=f"{place.at}.source")


def _image(block: Block, place: _Place) -> Image:
    fields = _source(block, place)
    return Image(_media_source(fields, place), None, cache_mark(block.cache_control), place.at)


def _media_source(fields: _SourceFields, place: _Place) -> Source:
    if fields.type == "base64" and fields.data is not None and fields.media_type:
        return Source("base64", fields.data, fields.media_type)
    if fields.type == "url" and fields.url is not None:
        return Source("url", fields.url)
    if fields.type == "file" and fields.file_id is not None:
        return Source("file", fields.file_id)
    raise place.mistake("a source of type base64 (media_type, data), url (url) or file (file_id) is required", "source")


class _NativeDocument(msgspec.Struct, omit_defaults=True):
    source: Raw
    title: str | None = None
    context: str | None = None
    citations: Raw = NOTHING
    type: str = msgspec.field(default_factory=lambda: "document")


def _document(block: Block, place: _Place) -> Part:
    fields = _source(block, place)
    cache = cache_mark(block.cache_control)
    keeps_native = fields.type == "content" or present(block.citations)
    native = NOTHING
    if keeps_native:
        cited = block.citations if present(block.citations) else NOTHING
        native = Raw(json_wire.encode(_NativeDocument(block.source, block.title, block.context, cited)))
    if fields.type == "content":
        text = _content_text(fields.content, place)
        if text is None:
            # Images among the words: nobody else can carry them inside a document.
            return Opaque(FAMILY, "document", place.original(), at=place.at)
        source = Source("text", text, "text/plain")
    elif fields.type == "text":
        source = Source("text", fields.data or "", fields.media_type or "text/plain")
    else:
        source = _media_source(fields, place)
        if source.kind == "url":
            source = Source("url", source.value, "application/pdf")
    return Document(source, block.title, block.context, None, cache, place.at, FAMILY if keeps_native else "", native)


def _content_text(raw: Raw, place: _Place) -> str | None:
    """The words of a document given as blocks; ``None`` if it holds anything else."""
    if not present(raw):
        raise place.mistake("Field required", "source.content")
    content = json_wire.decode(raw, _INNER, at=f"{place.at}.source.content")
    if isinstance(content, str):
        return content
    if any(inner.type != "text" for inner in content):
        return None
    return "\n".join(inner.text or "" for inner in content)


def _only(role: str, block: Block, place: _Place) -> None:
    if place.role != role or place.nested:
        raise place.mistake(f"`{block.type}` blocks stand only in {role} messages")


def _thinking(block: Block, place: _Place) -> Reasoning | None:
    _only("assistant", block, place)
    text, signature = block.thinking or "", block.signature or ""
    if not reasoning_seal.is_carrier(signature):
        return Reasoning(text, Seal(FAMILY, None, {"signature": signature}))
    return _unsealed(signature, text, place)


def _redacted(block: Block, place: _Place) -> Reasoning | None:
    _only("assistant", block, place)
    if block.data is None:
        raise place.mistake("Field required", "data")
    if not reasoning_seal.is_carrier(block.data):
        return Reasoning("", Seal(FAMILY, None, {"redacted": block.data}))
    return _unsealed(block.data, "", place)


def _unsealed(carrier: str, text: str, place: _Place) -> Reasoning | None:
    """The reasoning behind our carrier, with the text that was withheld from view; ``None`` for a forged carrier."""
    seal = reasoning_seal.unpack(carrier, place.seal_key)
    if seal is None:
        return None
    withheld = seal.fields.get("text", "")
    if withheld:
        seal = Seal(seal.origin, seal.upstream, {key: value for key, value in seal.fields.items() if key != "text"})
    return Reasoning(text or withheld, seal)


def _tool_use(block: Block, place: _Place) -> ToolCall:
    _only("assistant", block, place)
    if not block.id or not block.name:
        raise place.mistake("Field required", "name" if block.id else "id")
    return ToolCall(block.id, block.name, arguments(block.input, at=f"{place.at}.input"), cache=cache_mark(block.cache_control))


def _tool_result(block: Block, place: _Place) -> ToolResult:
    _only("user", block, place)
    if not block.tool_use_id:
        raise place.mistake("Field required", "tool_use_id")
    content: tuple[Part, ...]
    if isinstance(block.content, str):
        content = (Text(block.content),) if block.content else ()
    else:
        decoded = (_decode(inner, place.inside(index)) for index, inner in enumerate(block.content or ()))
        content = tuple(part for part in decoded if part is not None)
    return ToolResult(block.tool_use_id, content, bool(block.is_error), cache=cache_mark(block.cache_control))


def _opaque(block: Block, place: _Place) -> Opaque:
    native = place.original()
    history = place.role == "assistant" or _droppable(block.type, native, at=place.at)
    return Opaque(FAMILY, block.type, native, words(native), history, place.at)


def _droppable(kind: str, native: Raw, *, at: str) -> bool:
    """Whether another family may go without the block: the past of server tools, and switching declared tools on and off."""
    if kind in ("tool_addition", "tool_removal"):
        return b"tool_definition" not in bytes(json_wire.decode(native, _TOOL_CHANGE, at=at).tool.get("type", NOTHING))
    return kind in _HISTORY or (kind.endswith("_tool_result") and kind != "tool_result")


_DECODERS: dict[str, Callable[[Block, _Place], Part | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
