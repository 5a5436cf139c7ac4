"""Contents of a request to canonical messages (docs/wire-formats.md, sections 16.3, 16.5 and 16.6).

Consecutive contents of one role are one message: the SDKs keep a turn as one content for each chunk of its stream. Calls without ids
get ids by their position, and results without ids belong to the first call of their name that has no result.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, media
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Reasoning, Role, Source, Text, ToolCall, ToolResult
from proxy.translation.dialects.gemini import wire
from proxy.translation.dialects.gemini.signatures import (
    call_signature,
    decode_carrier,
    is_carrier,
    text_signature,
    thought_seal,
)
from proxy.translation.dialects.gemini.wire import CONTENTS, FAMILY, OBJECT, is_present, standard_base64
from proxy.translation.errors import ClientMistake

_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "tool": "user"}
_AUDIO_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}
_FILES_API = "generativelanguage.googleapis.com/"
_MEDIA_SETTINGS = ("mediaResolution", "videoMetadata")
_STRING = msgspec.json.Decoder(str)


class _Call(msgspec.Struct):
    """A call of the history. ``answered``: a result has named it."""

    id: str
    name: str
    answered: bool = False


class ContentsDecoder:
    """Decodes the contents of one request. ``seal_key`` verifies reasoning carriers; ``unread`` gets the paths of unread fields."""

    def __init__(self, seal_key: bytes, unread: set[str]) -> None:
        self._seal_key = seal_key
        self._unread = unread
        self._calls: list[_Call] = []
        self._number = 0

    def decode(self, raw: Raw) -> tuple[Message, ...]:
        """The messages. Raises :class:`ClientMistake` with the path of the first invalid field."""
        contents = CONTENTS.decode(raw, self._unread, at="contents")
        roles: list[Role] = []
        turns: list[list[Part]] = []
        for index, content in enumerate(contents):
            role = _ROLES.get(content.role or "user")
            if role is None:
                raise ClientMistake(f"contents.{index}.role: must be user or model", param=f"contents.{index}.role")
            if not roles or roles[-1] != role:
                roles.append(role)
                turns.append([])
                self._number = 0
            for place, part in enumerate(content.parts or ()):
                self._add(turns[-1], part, role, f"contents.{index}.parts.{place}")
        return tuple(Message(role, tuple(parts)) for role, parts in zip(roles, turns, strict=True))

    def _add(self, parts: list[Part], part: wire.Part, role: Role, at: str) -> None:
        if role == "assistant" and part.thoughtSignature and is_carrier(part.thoughtSignature):
            self._add_carried(parts, part.thoughtSignature)
            part.thoughtSignature = None
            if part.text == "":
                return
        if part.functionCall is not None:
            self._add_call(parts, part.functionCall, part.thoughtSignature, role, at)
        elif part.functionResponse is not None:
            parts.append(self._result(part.functionResponse, role, at))
        elif part.text is not None:
            _add_text(parts, part, role)
        else:
            parts.append(_decode_other(part, at, history=role == "assistant"))

    def _add_carried(self, parts: list[Part], signature: str) -> None:
        """Add another provider's reasoning before the texts that end the turn so far: its carrier is behind them, on a call or at the end.

        The carrier has the text, so that the thoughts before it, which show the same, are left out.
        """
        reasoning = decode_carrier(signature, self._seal_key)
        if reasoning is None:
            return
        place = len(parts)
        while place and isinstance(parts[place - 1], Text):
            place -= 1
        while reasoning.text and place and _is_bare_thought(parts[place - 1]):
            place -= 1
            del parts[place]
        parts.insert(place, reasoning)

    def _add_call(self, parts: list[Part], call: wire.FunctionCall, signature: str | None, role: Role, at: str) -> None:
        if role != "assistant":
            raise ClientMistake(f"{at}.functionCall: allowed only in contents of the model", param=f"{at}.functionCall")
        if not call.name:
            raise ClientMistake(f"{at}.functionCall.name: Field required", param=f"{at}.functionCall.name")
        call_id = call.id or f"call_{len(self._calls) + 1}"
        if signature:
            parts.append(call_signature(signature, call_id, self._number, None))
        parts.append(ToolCall(call_id, call.name, json_wire.compact_object(call.args, at=f"{at}.functionCall.args")))
        self._calls.append(_Call(call_id, call.name))
        self._number += 1

    def _result(self, result: wire.FunctionResponse, role: Role, at: str) -> ToolResult:
        at = f"{at}.functionResponse"
        if role != "user":
            raise ClientMistake(f"{at}: allowed only in contents of the user", param=at)
        call_id = self._call_of(result)
        if call_id is None:
            raise ClientMistake(f"{at}: there is no function call {result.name!r} without a response before it", param=at)
        content, is_error = _decode_response(result.response, f"{at}.response")
        parts: list[Part] = [content] if content is not None else []
        for index, part in enumerate(result.parts or ()):
            inner = wire.Part(inlineData=part.inlineData, fileData=part.fileData)
            parts.append(_decode_other(inner, f"{at}.parts.{index}", history=False))
        return ToolResult(call_id, tuple(parts), is_error)

    def _call_of(self, result: wire.FunctionResponse) -> str | None:
        open_calls = [call for call in self._calls if not call.answered]
        by_id = [call for call in open_calls if result.id and call.id == result.id]
        by_name = [call for call in open_calls if call.name == result.name]
        call = next(iter(by_id or by_name or (open_calls if not result.name else [])), None)
        if call is None:
            return None
        call.answered = True
        return call.id


def _is_bare_thought(part: Part) -> bool:
    """Whether a part is a thought without a signature."""
    return isinstance(part, Reasoning) and part.seal == thought_seal(None, None)


def _add_text(parts: list[Part], part: wire.Part, role: Role) -> None:
    text, signature = part.text or "", part.thoughtSignature
    last = parts[-1] if parts else None
    if part.thought and role == "assistant":
        if isinstance(last, Reasoning) and _is_bare_thought(last):  # another piece of the same thought
            parts[-1] = Reasoning(last.text + text, thought_seal(signature, None))
        elif text or signature:
            parts.append(Reasoning(text, thought_seal(signature, None)))
        return
    if text:
        if isinstance(last, Text) and role == "assistant":
            parts[-1] = Text(last.text + text)
        else:
            parts.append(Text(text))
    if signature and role == "assistant":
        parts.append(text_signature(signature, None))


def _decode_other(part: wire.Part, at: str, *, history: bool) -> Part:
    """Media, and parts of the vendor's own tools."""
    if history and (part.inlineData is not None or part.fileData is not None):  # made by the model
        name, value = ("inlineData", part.inlineData) if part.inlineData is not None else ("fileData", part.fileData)
        return Opaque(FAMILY, name, _native(part, name, value), history=True, at=at)
    if part.inlineData is not None:
        return _decode_inline(part.inlineData, part, f"{at}.inlineData")
    if part.fileData is not None:
        return _decode_file(part.fileData, part, f"{at}.fileData")
    for name in wire.HOST_PARTS:
        raw = getattr(part, name)
        if is_present(raw):
            return Opaque(FAMILY, name, Raw(json_wire.encode({name: raw})), _readable(raw), history=True, at=at)
    raise ClientMistake(f"{at}: the part has no content", param=at)


def _decode_inline(blob: wire.Blob, part: wire.Part, at: str) -> Part:
    if not blob.mimeType:
        raise ClientMistake(f"{at}.mimeType: Field required", param=f"{at}.mimeType")
    media_type = media.media_type_of(blob.mimeType)
    source = Source("base64", standard_base64(blob.data), media_type)
    if media_type.startswith("image/"):
        return Image(source, at=at, native=_media_settings(part))
    if media_type in _AUDIO_FORMATS:
        return Audio(source.value, _AUDIO_FORMATS[media_type], at=at)
    if media_type == "application/pdf":
        return Document(source, filename=blob.displayName, at=at)
    if media.is_text(media_type):
        text = media.as_text(source)
        if text is None:
            raise ClientMistake(f"{at}.data: must be UTF-8 text in base64", param=f"{at}.data")
        return Document(text, filename=blob.displayName, at=at)
    return Opaque(FAMILY, media_type, _native(part, "inlineData", blob), at=at)


def _decode_file(file: wire.FileData, part: wire.Part, at: str) -> Part:
    if not file.fileUri:
        raise ClientMistake(f"{at}.fileUri: Field required", param=f"{at}.fileUri")
    media_type = media.media_type_of(file.mimeType)
    is_web = media.is_web_url(file.fileUri) and _FILES_API not in file.fileUri
    if is_web and media_type.startswith("image/"):
        return Image(Source("url", file.fileUri, media_type), at=at, native=_media_settings(part))
    if is_web and media_type == "application/pdf":
        return Document(Source("url", file.fileUri, media_type), filename=file.displayName, at=at)
    return Opaque(FAMILY, "fileData", _native(part, "fileData", file), at=at)


def _native(part: wire.Part, name: str, value: Any) -> Raw:
    fields = {field: item for field, item in msgspec.structs.asdict(value).items() if item}
    return Raw(json_wire.encode({name: fields, **_media_settings(part)}))


def _media_settings(part: wire.Part) -> dict[str, Any]:
    return {name: raw for name in _MEDIA_SETTINGS if is_present(raw := getattr(part, name))}


def _readable(raw: Raw) -> str:
    """The code, or the output of the code, in a part of the vendor's code execution; empty for others."""
    value = json_wire.decode_value(raw, at="contents")
    if not isinstance(value, dict):
        return ""
    return next((text for name in ("code", "output") if isinstance(text := value.get(name), str)), "")


def _decode_response(raw: Raw, at: str) -> tuple[Text | None, bool]:
    """The text of a result, and whether it is an error: of ``{"output": "text"}`` and ``{"error": "text"}`` the text, else the JSON."""
    if not is_present(raw):
        return None, False
    text = json_wire.compact_object(raw, at=at)
    fields = json_wire.decode(raw, OBJECT, at=at)
    if len(fields) == 1 and (name := next(iter(fields))) in ("output", "error"):
        value = fields[name]
        if bytes(value).startswith(b'"'):
            value_text = json_wire.decode(value, _STRING, at=at)
            return (Text(value_text) if value_text else None), name == "error"
        return Text(json_wire.compact(value)), name == "error"
    return (Text(text) if fields else None), False
