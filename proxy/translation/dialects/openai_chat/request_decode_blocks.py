"""Content blocks of the Messages API in a chat request (docs/wire-formats.md, section 7.3).

Cursor sends such blocks, and flat tools, to the chat endpoint. No Chat upstream accepts them: a request that has one is
translated for upstreams of this dialect, too (``Envelope.is_foreign``).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import json_wire, media
from proxy.translation.canonical import Document, Image, Part, Source, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_chat import wire_request as wire
from proxy.translation.dialects.openai_chat.request_decode_parts import cache_mark, client_mistake, decode_image_url

BLOCK_TYPES = frozenset({"tool_use", "tool_result", "image", "document"})
"""Types of blocks that Chat does not have."""


class _SourceFields(msgspec.Struct):
    type: str = ""
    media_type: str = ""
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


_STRING = msgspec.json.Decoder(str)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SOURCE = msgspec.json.Decoder(_SourceFields)
_CONTENT = msgspec.json.Decoder(str | list[wire.Part])


def is_foreign(body: wire.ChatBody) -> bool:
    """Whether a body has a flat tool, or a block of the Messages API."""
    if any(tool.name is not None and tool.function is None and tool.custom is None for tool in body.tools or ()):
        return True
    contents = (message.content for message in body.messages if isinstance(message.content, list))
    return any(part.type in BLOCK_TYPES and _is_block(part) for content in contents for part in content)


def _is_block(part: wire.Part) -> bool:
    return any(map(wire.is_present, (part.source, part.input, part.tool_use_id)))


def _required(raw: msgspec.Raw, at: str) -> str:
    value = json_wire.decode(raw, _STRING, at=at) if wire.is_present(raw) else ""
    if not value:
        raise client_mistake(at, "the field is required")
    return value


def _tool_use(part: wire.Part, at: str) -> ToolCall:
    call_id, name = _required(part.id, f"{at}.id"), _required(part.name, f"{at}.name")
    arguments = "{}"
    if wire.is_present(part.input):
        json_wire.decode(part.input, _OBJECT, at=f"{at}.input")
        arguments = json_wire.compact(part.input)
    return ToolCall(call_id, name, arguments, cache=cache_mark(part))


def _tool_result(part: wire.Part, at: str) -> ToolResult:
    call_id = _required(part.tool_use_id, f"{at}.tool_use_id")
    content = json_wire.decode(part.content, _CONTENT, at=f"{at}.content") if wire.is_present(part.content) else ""
    parts: tuple[Part, ...]
    if isinstance(content, str):
        parts = (Text(content),) if content else ()
    else:
        parts = tuple(_inner(inner, f"{at}.content.{index}") for index, inner in enumerate(content))
    return ToolResult(call_id, parts, part.is_error is True, cache=cache_mark(part))


def _inner(part: wire.Part, at: str) -> Part:
    if part.text is not None and part.type in (None, "text", "input_text"):
        return Text(part.text, cache_mark(part))
    if part.type == "image":
        return _image(part, at)
    if part.type == "document":
        return _document(part, at)
    if part.type == "image_url":
        return decode_image_url(part, at)
    raise client_mistake(f"{at}.type", f"{part.type!r} is not available in a tool result")


def _image(part: wire.Part, at: str) -> Part:
    return Image(_source(part, at), None, cache_mark(part), at)


def _document(part: wire.Part, at: str) -> Part:
    source = _source(part, at)
    if source.kind == "base64":
        source = media.as_text(source) or source
    return Document(source, cache=cache_mark(part), at=at)


def _source(part: wire.Part, at: str) -> Source:
    fields = json_wire.decode(part.source, _SOURCE, at=f"{at}.source") if wire.is_present(part.source) else _SourceFields()
    if fields.type == "base64" and fields.data and fields.media_type:
        return Source("base64", fields.data, media.media_type_of(fields.media_type))
    if fields.type == "url" and fields.url:
        return Source("url", fields.url, "" if part.type == "image" else "application/pdf")
    if fields.type == "file" and fields.file_id:
        return Source("file", fields.file_id)
    if fields.type == "text" and part.type == "document":
        return Source("text", fields.data or "", fields.media_type or "text/plain")
    raise client_mistake(f"{at}.source", "a source of type base64 (media_type, data), url (url) or file (file_id) is required")


DECODER_OF_BLOCK: dict[str, Callable[[wire.Part, str], Part]] = {
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image": _image,
    "document": _document,
}
"""The decoder of each block; ``at`` is its path."""
