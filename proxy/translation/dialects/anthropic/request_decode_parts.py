"""Content blocks of a request to canonical parts, one function per block type (docs/wire-formats.md, sections 1.3 and 7)."""

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
from proxy.translation.dialects.anthropic.citations import decode_citations
from proxy.translation.dialects.anthropic.wire import (
    ABSENT,
    FAMILY,
    Block,
    OriginalBlocks,
    WireMessage,
    is_present,
    native_fields,
    readable_text,
)
from proxy.translation.errors import ClientMistake
from proxy.translation.unread import NotingDecoder

_HISTORY = frozenset({"server_tool_use", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing", "fallback", "compaction", "tool_reference"})
"""Types of ``Opaque`` blocks that other families may drop even from user messages, besides all ``…_tool_result`` blocks."""


class _SourceFields(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = ABSENT


class _ToolChange(msgspec.Struct):
    tool: dict[str, Raw]


class _InnerBlock(msgspec.Struct):
    type: str
    text: str | None = None


_SOURCE: NotingDecoder[_SourceFields] = NotingDecoder(_SourceFields)
_TOOL_CHANGE = msgspec.json.Decoder(_ToolChange)
_INNER = msgspec.json.Decoder(str | list[_InnerBlock])


class MessageDecoder:
    """Decodes the messages of one request. ``seal_key`` verifies reasoning carriers; ``unread`` gets the paths of unread fields."""

    def __init__(self, messages: Raw, seal_key: bytes, unread: set[str]) -> None:
        self._position = _Position(OriginalBlocks(messages), seal_key, unread)

    def decode(self, index: int, message: WireMessage) -> Message:
        """Raises :class:`ClientMistake` for an invalid block, and for one that is not allowed in a message of its role."""
        if message.content is None:
            return Message(message.role, ())
        if isinstance(message.content, str):
            return Message(message.role, (Text(message.content),) if message.content else ())
        position = self._position
        position.role, position.message = message.role, index
        parts: list[Part] = []
        for index_of_block, block in enumerate(message.content):
            if block.type == "text" and block.text is not None and not block.cache_control and not block.citations:
                parts.append(Text(block.text))
                continue
            position.block = index_of_block
            part = _decode_block(block, position)
            if part is not None:
                parts.append(part)
        return Message(message.role, tuple(parts))


class _Position(msgspec.Struct):
    """Indexes of the block that is being decoded: message, block, and block inside a tool result (-1: not inside one)."""

    originals: OriginalBlocks
    seal_key: bytes
    unread: set[str]
    role: str = ""
    message: int = 0
    block: int = 0
    inner: int = -1

    @property
    def at(self) -> str:
        path = f"messages.{self.message}.content.{self.block}"
        return f"{path}.content.{self.inner}" if self.inner >= 0 else path

    def inside(self, inner: int) -> _Position:
        return _Position(self.originals, self.seal_key, self.unread, self.role, self.message, self.block, inner)

    @property
    def nested(self) -> bool:
        return self.inner >= 0

    def original(self) -> Raw:
        if self.inner >= 0:
            return self.originals.nested(self.message, self.block, self.inner)
        return self.originals.block(self.message, self.block)

    def mistake(self, problem: str, field: str = "") -> ClientMistake:
        path = f"{self.at}.{field}" if field else self.at
        return ClientMistake(f"{path}: {problem}", param=path)


def _decode_block(block: Block, position: _Position) -> Part | None:
    decode = _DECODERS.get(block.type)
    if decode is not None:
        return decode(block, position)
    if not block.type:
        raise position.mistake("Field required", "type")
    return _decode_opaque(block, position)


def cache_mark(raw: Raw) -> CacheMark | None:
    """The breakpoint of a ``cache_control`` field; ``None`` if the field is absent."""
    return CacheMark(raw) if is_present(raw) else None


def _decode_text(block: Block, position: _Position) -> Text:
    if block.text is None:
        raise position.mistake("Field required", "text")
    return Text(block.text, cache_mark(block.cache_control), decode_citations(block.citations, at=f"{position.at}.citations"))


def _decode_source(block: Block, position: _Position) -> _SourceFields:
    if not is_present(block.source):
        raise position.mistake("Field required", "source")
    return _SOURCE.decode(block.source, position.unread, at=f"{position.at}.source")


def _decode_image(block: Block, position: _Position) -> Image:
    fields = _decode_source(block, position)
    native = {} if block.transformations is None else {"transformations": block.transformations}
    return Image(_media_source(fields, position), None, cache_mark(block.cache_control), position.at, native)


def _media_source(fields: _SourceFields, position: _Position) -> Source:
    if fields.type == "base64" and fields.data is not None and fields.media_type:
        return Source("base64", fields.data, fields.media_type)
    if fields.type == "url" and fields.url is not None:
        return Source("url", fields.url)
    if fields.type == "file" and fields.file_id is not None:
        return Source("file", fields.file_id)
    raise position.mistake("a source of type base64 (media_type, data), url (url) or file (file_id) is required", "source")


class _NativeDocument(msgspec.Struct, omit_defaults=True):
    source: Raw
    title: str | None = None
    context: str | None = None
    citations: Raw = ABSENT
    type: str = msgspec.field(default_factory=lambda: "document")


def _decode_document(block: Block, position: _Position) -> Part:
    fields = _decode_source(block, position)
    cache = cache_mark(block.cache_control)
    keeps_native = fields.type == "content" or is_present(block.citations)
    native = ABSENT
    if keeps_native:
        citations = block.citations if is_present(block.citations) else ABSENT
        native = Raw(json_wire.encode(_NativeDocument(block.source, block.title, block.context, citations)))
    if fields.type == "content":
        text = _content_text(fields.content, position)
        if text is None:
            # Other families have no documents with images inside.
            return Opaque(FAMILY, "document", position.original(), at=position.at)
        source = Source("text", text, "text/plain")
    elif fields.type == "text":
        source = Source("text", fields.data or "", fields.media_type or "text/plain")
    else:
        source = _media_source(fields, position)
        if source.kind == "url":
            source = Source("url", source.value, "application/pdf")
    return Document(source, block.title, block.context, None, cache, position.at, FAMILY if keeps_native else "", native)


def _content_text(raw: Raw, position: _Position) -> str | None:
    """The text of a document whose source is a list of blocks; ``None`` if one of them is not text."""
    if not is_present(raw):
        raise position.mistake("Field required", "source.content")
    content = json_wire.decode(raw, _INNER, at=f"{position.at}.source.content")
    if isinstance(content, str):
        return content
    if any(inner.type != "text" for inner in content):
        return None
    return "\n".join(inner.text or "" for inner in content)


def _require_role(role: str, block: Block, position: _Position) -> None:
    if position.role != role or position.nested:
        raise position.mistake(f"`{block.type}` blocks are allowed only in {role} messages")


def _decode_thinking(block: Block, position: _Position) -> Reasoning | None:
    _require_role("assistant", block, position)
    text, signature = block.thinking or "", block.signature or ""
    if not reasoning_seal.is_carrier(signature):
        return Reasoning(text, Seal(FAMILY, None, {"signature": signature}))
    return _open_carrier(signature, text, position)


def _decode_redacted(block: Block, position: _Position) -> Reasoning | None:
    _require_role("assistant", block, position)
    if block.data is None:
        raise position.mistake("Field required", "data")
    if not reasoning_seal.is_carrier(block.data):
        return Reasoning("", Seal(FAMILY, None, {"redacted": block.data}))
    return _open_carrier(block.data, "", position)


def _open_carrier(carrier: str, text: str, position: _Position) -> Reasoning | None:
    """The reasoning in a carrier, with the text that the client did not see; ``None`` if the MAC is not valid."""
    seal = reasoning_seal.unpack(carrier, position.seal_key)
    if seal is None:
        return None
    withheld = seal.fields.get("text", "")
    if withheld:
        seal = Seal(seal.origin, seal.upstream, {key: value for key, value in seal.fields.items() if key != "text"})
    return Reasoning(text or withheld, seal)


def _decode_tool_use(block: Block, position: _Position) -> ToolCall:
    _require_role("assistant", block, position)
    if not block.id or not block.name:
        raise position.mistake("Field required", "name" if block.id else "id")
    arguments = json_wire.compact_object(block.input, at=f"{position.at}.input")
    return ToolCall(block.id, block.name, arguments, cache=cache_mark(block.cache_control), native=native_fields(block))


def _decode_tool_result(block: Block, position: _Position) -> ToolResult:
    _require_role("user", block, position)
    if not block.tool_use_id:
        raise position.mistake("Field required", "tool_use_id")
    content: tuple[Part, ...]
    if isinstance(block.content, str):
        content = (Text(block.content),) if block.content else ()
    else:
        decoded = (_decode_block(inner, position.inside(index)) for index, inner in enumerate(block.content or ()))
        content = tuple(part for part in decoded if part is not None)
    cache = cache_mark(block.cache_control)
    return ToolResult(block.tool_use_id, content, bool(block.is_error), cache=cache, native=native_fields(block))


def _decode_opaque(block: Block, position: _Position) -> Opaque:
    native = position.original()
    history = position.role == "assistant" or _droppable(block.type, native, at=position.at)
    return Opaque(FAMILY, block.type, native, readable_text(native), history, position.at, block.type == "compaction")


def _droppable(kind: str, native: Raw, *, at: str) -> bool:
    """Whether other families may drop the block: results of host tools, and declared tools that are switched on or off."""
    if kind in ("tool_addition", "tool_removal"):
        return b"tool_definition" not in bytes(json_wire.decode(native, _TOOL_CHANGE, at=at).tool.get("type", ABSENT))
    return kind in _HISTORY or (kind.endswith("_tool_result") and kind != "tool_result")


_DECODERS: dict[str, Callable[[Block, _Position], Part | None]] = {
    "text": _decode_text,
    "image": _decode_image,
    "document": _decode_document,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_tool_use,
    "tool_result": _decode_tool_result,
}
