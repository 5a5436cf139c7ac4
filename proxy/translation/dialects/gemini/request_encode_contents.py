"""Canonical messages to contents (docs/wire-formats.md, sections 16.3 to 16.6).

Consecutive messages of one role become one content. Results come first in the user's. System messages between turns have no form:
the caller moves them to ``systemInstruction``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, media
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.gemini.signatures import UNSIGNED_CALL, CallSignatures, is_own, place_of, signature_of
from proxy.translation.dialects.gemini.tool_arguments import encode_arguments, is_object
from proxy.translation.dialects.gemini.wire import FAMILY, generation
from proxy.translation.errors import ClientMistake

NO_MESSAGE = "(no message)"
"""The user's turn before a conversation that begins with the model's, which the API refuses."""
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_IMAGE_TYPES = {"png": "image/png", "gif": "image/gif", "webp": "image/webp", "heic": "image/heic"}

EncodedPart = dict[str, Any]


class ContentsEncoder:
    """Encodes the messages of one request. ``late_system``: system texts between turns. ``native``: the client is of this family."""

    def __init__(self, target: EncodeTarget, *, native: bool) -> None:
        self.late_system: list[Text] = []
        self._target = target
        self._native = native
        self._generation = generation(target.model)
        self._names: dict[str, str] = {}
        self._encoders: dict[type, Callable[[Any], list[Any]]] = {
            Text: lambda part: [{"text": part.text}] if part.text else [],
            Image: lambda part: [_encode_image(part, native=native)],
            Document: lambda part: [_encode_document(part)],
            Audio: lambda part: [_inline(part.data, _AUDIO_TYPES.get(part.format, f"audio/{part.format}"))],
            Opaque: self._encode_opaque,
        }

    def encode(self, messages: tuple[Message, ...]) -> list[EncodedPart]:
        """The contents. Raises :class:`ClientMistake` for content that the API cannot express."""
        contents: list[EncodedPart] = []
        for message in messages:
            if message.role == "system":
                self._add_system(message)
                continue
            role = "model" if message.role == "assistant" else "user"
            parts = self._encode_model(message.parts) if role == "model" else self._encode_user(message.parts)
            if contents and parts and contents[-1]["role"] == role:
                contents[-1]["parts"] += parts
            elif parts:
                contents.append({"role": role, "parts": parts})
        for content in contents:
            if content["role"] == "user":
                content["parts"].sort(key=_sort_results_first)
        if contents and contents[0]["role"] == "model" and not self._native:
            contents.insert(0, {"role": "user", "parts": [{"text": NO_MESSAGE}]})
        return contents

    def require(self, contents: list[EncodedPart]) -> None:
        """Raise :class:`ClientMistake` for a conversation without content."""
        if not contents:
            raise ClientMistake("messages: at least one message with content is required", param="messages")

    def _add_system(self, message: Message) -> None:
        for part in message.parts:
            if isinstance(part, Text):
                self.late_system.append(part)
            elif isinstance(part, Opaque) and not part.history:
                raise _unsupported(part.at, f"content of type {part.type!r} is not available for this model")

    # --- the model's turns -------------------------------------------------------------------------------------------

    def _encode_model(self, message_parts: tuple[Part, ...]) -> list[Any]:
        parts: list[Any] = []
        signatures, number = CallSignatures(message_parts, self._target.upstream), 0
        text_signatures: list[str] = []
        for part in message_parts:
            if isinstance(part, Reasoning):
                self._add_thought(part, parts, text_signatures)
            elif isinstance(part, ToolCall):
                parts.append(self._encode_call(part, signatures.of(part, number), is_first=number == 0))
                number += 1
            else:
                parts += self._encode(part)
        for signature in text_signatures:
            _sign_text(parts, signature)
        return parts

    def _add_thought(self, part: Reasoning, parts: list[Any], text_signatures: list[str]) -> None:
        seal = part.seal
        if seal is None or not is_own(seal, self._target.upstream):
            return
        place, signature = place_of(seal), signature_of(seal)
        if place == "text":
            text_signatures.append(signature)
        elif not place and (part.text or signature):
            parts.append({"text": part.text, "thought": True, **({"thoughtSignature": signature} if signature else {})})

    def _encode_call(self, call: ToolCall, signature: str, *, is_first: bool) -> EncodedPart:
        self._names[call.id] = call.name
        if not signature and is_first and not self._native and self._generation >= 3:
            signature = UNSIGNED_CALL
        fields = {"id": call.id} if call.id else {}
        encoded: EncodedPart = {"functionCall": {**fields, "name": call.name, "args": encode_arguments(call.arguments)}}
        return encoded | ({"thoughtSignature": signature} if signature else {})

    # --- the user's turns --------------------------------------------------------------------------------------------

    def _encode_user(self, message_parts: tuple[Part, ...]) -> list[Any]:
        parts: list[Any] = []
        for part in message_parts:
            parts += self._encode_result(part) if isinstance(part, ToolResult) else self._encode(part)
        return parts

    def _encode(self, part: Part) -> list[Any]:
        encode = self._encoders.get(type(part))
        return encode(part) if encode is not None else []

    def _encode_result(self, result: ToolResult) -> list[Any]:
        """A result, with its media inside from generation 3 on, else behind it."""
        texts, others = _split_result(result)
        inner = [encoded for part in others for encoded in self._encode(part)]
        response: EncodedPart = {
            **({"id": result.call_id} if result.call_id else {}),
            "name": self._names.get(result.call_id, result.call_id or "unknown"),
            "response": _encode_response(texts, is_error=result.is_error),
        }
        if inner and self._generation >= 3 and all("inlineData" in encoded for encoded in inner):
            return [{"functionResponse": {**response, "parts": inner}}]
        return [{"functionResponse": response}, *inner]

    def _encode_opaque(self, part: Opaque) -> list[Any]:
        if part.family == FAMILY:
            return [_Native(part.native)]
        if part.text:
            return [{"text": part.text}]
        if part.history:
            return []
        raise _unsupported(part.at, f"this model's upstream does not support content of type {part.type!r}")


class _Native(dict[str, Any]):
    """A part of this family as it came, opened so that it can stand beside the encoded ones."""

    def __init__(self, native: Raw) -> None:
        super().__init__(json_wire.decode(native, msgspec.json.Decoder(dict[str, Raw])))


def _sort_results_first(part: Any) -> bool:
    return "functionResponse" not in part


def _sign_text(parts: list[Any], signature: str) -> None:
    """Put a signature on the last text that has none, else on an empty one."""
    for part in reversed(parts):
        if "text" in part and not part.get("thought") and "thoughtSignature" not in part:
            part["thoughtSignature"] = signature
            return
    parts.append({"text": "", "thoughtSignature": signature})


def _split_result(result: ToolResult) -> tuple[list[str], list[Part]]:
    """The texts of a result, and its media."""
    texts: list[str] = []
    others: list[Part] = []
    for part in result.content:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Document) and part.source.kind == "text":
            texts.append(_document_text(part))
        elif isinstance(part, Opaque) and part.family != FAMILY and part.text:
            texts.append(part.text)
        else:
            others.append(part)
    return texts, others


def _encode_response(texts: list[str], *, is_error: bool) -> Any:
    """The object of a result: a text that is an object stands for itself, any other is the ``output`` or the ``error``."""
    text = "\n".join(texts)
    if not is_error and text.startswith("{") and is_object(text.encode(errors="replace")):
        return Raw(text.encode(errors="replace"))
    return {"error" if is_error else "output": text}


def _inline(data: str, media_type: str) -> EncodedPart:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _encode_image(part: Image, *, native: bool) -> EncodedPart:
    source = part.source
    settings = part.native if native else {}
    if source.kind == "base64":
        return {**_inline(source.value, source.media_type), **settings}
    if source.kind == "url":
        extension = source.value.partition("?")[0].rpartition(".")[2].lower()
        media_type = source.media_type or _IMAGE_TYPES.get(extension, "image/jpeg")
        return {"fileData": {"mimeType": media_type, "fileUri": source.value}, **settings}
    raise _unsupported(part.at, "this model's upstream does not support images by file id")


def _encode_document(part: Document) -> EncodedPart:
    source = part.source
    if source.kind == "text":
        return {"text": _document_text(part)}
    if source.kind == "base64":
        text = media.as_text(source)
        if text is not None and text.kind == "text":
            return {"text": _document_text(msgspec.structs.replace(part, source=text))}
        return _inline(source.value, source.media_type)
    if source.kind == "url":
        return {"fileData": {"mimeType": source.media_type or "application/pdf", "fileUri": source.value}}
    raise _unsupported(part.at, "this model's upstream does not support documents by file id; send the content inline")


def _document_text(part: Document) -> str:
    return "\n".join(line for line in (part.title or part.filename, part.context, part.source.value) if line)


def _unsupported(at: str, message: str) -> ClientMistake:
    return ClientMistake(f"{at}: {message}" if at else message, param=at or None)
