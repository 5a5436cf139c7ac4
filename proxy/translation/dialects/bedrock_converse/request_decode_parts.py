"""Messages of a request to canonical messages (docs/wire-formats.md, section 17.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import canonical as form
from proxy.translation import json_wire, media
from proxy.translation.dialects.bedrock_converse import wire
from proxy.translation.dialects.bedrock_converse.citations import decode_citation
from proxy.translation.dialects.bedrock_converse.seals import decode_client_reasoning
from proxy.translation.dialects.bedrock_converse.wire import ARRAY, DOCUMENT_TYPES, FAMILY, IMAGE_FORMATS, OBJECT, is_present
from proxy.translation.errors import ClientMistake

_ROLES: dict[str, form.Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_ANY = msgspec.json.Decoder()


class MessageDecoder:
    """Decodes the messages of one request. ``messages``: their JSON, from which blocks without a canonical part are taken."""

    def __init__(self, messages: Raw, seal_key: bytes) -> None:
        self._messages = messages
        self._seal_key = seal_key

    def decode(self, messages: list[wire.Message]) -> tuple[form.Message, ...]:
        """The messages. Raises :class:`ClientMistake` with the path of the first invalid field."""
        return tuple(self._decode_message(index, message) for index, message in enumerate(messages))

    def _decode_message(self, index: int, message: wire.Message) -> form.Message:
        role = _ROLES.get(message.role)
        if role is None:
            raise ClientMistake(f"messages.{index}.role: must be user, assistant or system", param=f"messages.{index}.role")
        parts: list[form.Part] = []
        for place, block in enumerate(message.content):
            at = f"messages.{index}.content.{place}"
            if is_present(block.cachePoint):
                _mark_last(parts, block.cachePoint)
                continue
            part = self._decode_block(block, role, at, (index, place))
            if part is not None:
                parts.append(part)
        return form.Message(role, tuple(parts))

    def _decode_block(self, block: wire.Block, role: form.Role, at: str, position: tuple[int, int]) -> form.Part | None:
        if block.text is not None:
            return form.Text(block.text) if block.text else None
        if block.toolUse is not None:
            return self._decode_call(block.toolUse, role, at, position)
        if block.toolResult is not None:
            return self._decode_result(block.toolResult, role, at, position)
        if block.reasoningContent is not None:
            if role != "assistant":
                raise ClientMistake(f"{at}.reasoningContent: allowed only in assistant messages", param=f"{at}.reasoningContent")
            return decode_client_reasoning(block.reasoningContent, self._seal_key)
        if block.citationsContent is not None:
            return decode_cited_text(block.citationsContent)
        decoded = _decode_media(block.image, block.document, block.audio, at)
        if decoded is not None and role == "user":
            return decoded
        native = self._original(position)
        kind = wire.kind_of(native, at=at)
        if decoded is None and kind not in (*wire.NATIVE_BLOCKS, "image", "document", "audio"):
            raise ClientMistake(f"{at}: the block has no content", param=at)
        history = role == "assistant" or kind in wire.HISTORY_BLOCKS
        return form.Opaque(FAMILY, kind, native, _readable(native), history, at)

    def _decode_call(self, call: wire.ToolUse, role: form.Role, at: str, position: tuple[int, int]) -> form.Part:
        if role != "assistant":
            raise ClientMistake(f"{at}.toolUse: allowed only in assistant messages", param=f"{at}.toolUse")
        if call.type is not None:  # a tool that ran at the provider
            return form.Opaque(FAMILY, call.type, self._original(position), history=True, at=at)
        return form.ToolCall(call.toolUseId, call.name, json_wire.compact_object(call.input, at=f"{at}.toolUse.input"))

    def _decode_result(self, result: wire.ToolResult, role: form.Role, at: str, position: tuple[int, int]) -> form.Part:
        if role != "user":
            if result.type is not None:
                return form.Opaque(FAMILY, result.type, self._original(position), history=True, at=at)
            raise ClientMistake(f"{at}.toolResult: allowed only in user messages", param=f"{at}.toolResult")
        content: list[form.Part] = []
        for index, block in enumerate(result.content):
            inner_at = f"{at}.toolResult.content.{index}"
            if block.text is not None:
                content += [form.Text(block.text)] if block.text else []
            elif is_present(block.json):
                content.append(form.Text(json_wire.compact(block.json)))
            elif (decoded := _decode_media(block.image, block.document, None, inner_at)) is not None:
                content.append(decoded)
            else:
                content.append(self._opaque_result(position, index, inner_at))
        return form.ToolResult(result.toolUseId, tuple(content), result.status == "error")

    def _opaque_result(self, position: tuple[int, int], index: int, at: str) -> form.Opaque:
        result = json_wire.decode(json_wire.decode(self._original(position), OBJECT)["toolResult"], OBJECT)
        native = json_wire.decode(result["content"], ARRAY)[index]
        kind = wire.kind_of(native, at=at)
        if not kind:
            raise ClientMistake(f"{at}: the block has no content", param=at)
        return form.Opaque(FAMILY, kind, native, _readable(native), at=at)

    def _original(self, position: tuple[int, int]) -> Raw:
        message = json_wire.decode(json_wire.decode(self._messages, ARRAY)[position[0]], OBJECT)
        return json_wire.decode(message["content"], ARRAY)[position[1]]


def _mark_last(parts: list[form.Part], mark: Raw) -> None:
    """Set a cache point on the part before it that can have one."""
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, form.Text | form.Image | form.Document | form.ToolCall | form.ToolResult):
            parts[index] = msgspec.structs.replace(part, cache=form.CacheMark(mark))
            return


def decode_cited_text(content: wire.CitationsContent) -> form.Text | None:
    """Text with its citations; ``None`` without text."""
    text = "".join(entry["text"] for entry in content.content if isinstance(entry.get("text"), str))
    return form.Text(text, citations=tuple(decode_citation(citation) for citation in content.citations)) if text else None


def _decode_media(image: wire.Media | None, document: wire.Media | None, audio: wire.Media | None, at: str) -> form.Part | None:
    """The part of inline media; ``None`` for none, and for media in S3, which other providers cannot read."""
    if image is not None and image.source.bytes is not None:
        if image.format not in IMAGE_FORMATS:
            raise ClientMistake(f"{at}.image.format: must be png, jpeg, gif or webp", param=f"{at}.image.format")
        return form.Image(form.Source("base64", image.source.bytes, f"image/{image.format}"), at=at)
    if document is not None:
        return _decode_document(document, at)
    if audio is not None and audio.source.bytes is not None and audio.format in ("wav", "mp3"):
        return form.Audio(audio.source.bytes, audio.format, at=at)
    return None


def _decode_document(document: wire.Media, at: str) -> form.Document | None:
    source = document.source
    if source.content is not None:
        text = "\n".join(entry["text"] for entry in source.content if isinstance(entry.get("text"), str))
        decoded = form.Source("text", text, "text/plain")
    elif source.text is not None:
        decoded = form.Source("text", source.text, "text/plain")
    elif source.bytes is not None:
        media_type = DOCUMENT_TYPES.get(document.format or "pdf")
        if media_type is None:
            raise ClientMistake(f"{at}.document.format: {document.format!r} is not a document format", param=f"{at}.document.format")
        as_text = media.as_text(form.Source("base64", source.bytes, media_type))
        if as_text is None:
            raise ClientMistake(f"{at}.document.source.bytes: must be UTF-8 text", param=f"{at}.document.source.bytes")
        decoded = as_text
    else:
        return None
    return form.Document(decoded, title=document.name, context=document.context, at=at)


def _readable(native: Raw) -> str:
    """The texts in a block, one a line."""
    return "\n".join(_texts_in(_ANY.decode(native)))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and key in ("title", "source", "text") and item:
                yield item
            elif not isinstance(item, str):
                yield from _texts_in(item)
