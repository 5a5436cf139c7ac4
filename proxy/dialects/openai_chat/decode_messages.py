"""Messages of a chat client: system text, turns, tool calls and results, and the reasoning that comes back (section 7.3)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from proxy import media, reasoning, wire
from proxy.canonical import Audio, CacheMark, Document, Image, Message, Opaque, Part, Reasoning, Seal, Source, Text, ToolCall, ToolResult
from proxy.dialects.openai_chat import shapes
from proxy.errors import ClientMistake

FAMILY = "openai_chat"

_FILE_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
}
"""Types of files whose content comes without one, by the ending of their name."""
_ASSISTANT_PARTS = (Text, Reasoning)
_READ_PARTS = (Text, Image, Document, Audio)
_PDF_IN_BASE64 = "JVBERi0"
_CONTENTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


class MessagesDecoder:
    """Reads one request's messages in order; ``raw`` is their JSON, for blocks that only chat knows."""

    def __init__(self, raw: msgspec.Raw, seal_key: bytes) -> None:
        self._raw = raw
        self._seal_key = seal_key
        self._unnamed: list[tuple[str, str]] = []
        self._custom: set[str] = set()
        self.system: list[Text] = []
        self.messages: list[Message] = []
        self._of_role: dict[str, Callable[[shapes.Message, int], None]] = {
            "system": self._system,
            "developer": self._system,
            "user": self._user,
            "assistant": self._assistant,
            "tool": self._tool,
            "function": self._function,
        }

    def decode(self, messages: list[shapes.Message]) -> None:
        """Read them all into ``system`` and ``messages``."""
        of_role = self._of_role
        for position, message in enumerate(messages):
            of_role[message.role](message, position)

    # --- one role each ---------------------------------------------------------------------------------------------

    def _system(self, message: shapes.Message, position: int) -> None:
        parts = self._parts(message, position)
        texts: list[Text] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                raise _mistake(f"messages.{position}.content.{index}", "system messages hold text only")
            texts.append(part)
        if self.messages:
            if texts:
                self.messages.append(Message("system", tuple(texts), message.name))
        else:
            self.system += texts

    def _user(self, message: shapes.Message, position: int) -> None:
        self.messages.append(Message("user", tuple(self._parts(message, position)), message.name))

    def _assistant(self, message: shapes.Message, position: int) -> None:
        parts = self._reasoning(message)
        parts += self._parts(message, position)
        if message.refusal:
            parts.append(Text(message.refusal, refusal=True))
        for index, call in enumerate(message.tool_calls or ()):
            parts.append(self._call(call, position, index))
        if message.function_call is not None and message.function_call.name:
            call_id = self._generated(message.function_call.name, position, 0)
            parts.append(ToolCall(call_id, message.function_call.name, _arguments(message.function_call.arguments)))
        self.messages.append(Message("assistant", tuple(parts), message.name))

    def _tool(self, message: shapes.Message, position: int) -> None:
        call_id = message.tool_call_id
        if not call_id:
            if not self._unnamed:
                raise _mistake(f"messages.{position}.tool_call_id", "a tool message needs the id of its tool call")
            call_id = self._unnamed.pop(0)[1]
        parts = tuple(self._parts(message, position))
        self._result(ToolResult(call_id, parts, kind="custom" if call_id in self._custom else "function"))

    def _function(self, message: shapes.Message, position: int) -> None:
        """The legacy role: its result belongs to the last open call of that name."""
        if not message.name:
            raise _mistake(f"messages.{position}.name", "a function message needs the name of its function")
        found = next((each for each in self._unnamed if each[0] == message.name), None)
        if found is None:
            raise _mistake(f"messages.{position}", f"no function call of {message.name!r} comes before this function message")
        self._unnamed.remove(found)
        self._result(ToolResult(found[1], tuple(self._parts(message, position))))

    def _result(self, result: ToolResult) -> None:
        """Consecutive results stand in one message."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user" and last.parts and isinstance(last.parts[-1], ToolResult):
            self.messages[-1] = Message("user", (*last.parts, result))
        else:
            self.messages.append(Message("user", (result,)))

    # --- calls -----------------------------------------------------------------------------------------------------

    def _call(self, call: shapes.Call, position: int, index: int) -> ToolCall:
        at = f"messages.{position}.tool_calls.{index}"
        if call.custom is not None:
            if not call.custom.name:
                raise _mistake(f"{at}.custom.name", "a tool call needs the name of its tool")
            call_id = call.id or self._generated(call.custom.name, position, index)
            self._custom.add(call_id)
            return ToolCall(call_id, call.custom.name, call.custom.input or "", "custom")
        function = call.function
        if function is None or not function.name:
            raise _mistake(f"{at}.function.name", "a tool call needs the name of its function")
        return ToolCall(call.id or self._generated(function.name, position, index), function.name, _arguments(function.arguments))

    def _generated(self, name: str, position: int, index: int) -> str:
        """An id for a call that has none, the same in every turn of the conversation."""
        call_id = f"call_{hashlib.sha256(f'{position}:{index}:{name}'.encode()).hexdigest()[:24]}"
        self._unnamed.append((name, call_id))
        return call_id

    # --- reasoning -------------------------------------------------------------------------------------------------

    def _reasoning(self, message: shapes.Message) -> list[Part]:
        details = message.reasoning_details
        visible = message.reasoning_content
        if not visible and isinstance(message.reasoning, str):
            visible = message.reasoning
        if isinstance(details, list) and details:
            entries = [entry for entry in details if isinstance(entry, dict)]
            carried = [entry for entry in entries if _carrier(entry)]
            if carried:
                return self._unpacked(carried, visible or "")
            visible = visible or "".join(_words(entry.get("text") or entry.get("summary")) for entry in entries)
        return [Reasoning(visible, Seal(FAMILY, None))] if visible else []

    def _unpacked(self, entries: list[dict[str, Any]], visible: str) -> list[Part]:
        """The reasoning that our carriers seal; one whose seal is not ours is dropped."""
        parts: list[Part] = []
        for entry in entries:
            seal = reasoning.unpack(_carrier(entry), self._seal_key)
            if seal is None:
                continue
            text = _words(entry.get("text"))
            if not text and len(entries) == 1 and entry.get("type") == "reasoning.text":
                text = visible
            parts.append(Reasoning(text, seal))
        return parts

    # --- content ---------------------------------------------------------------------------------------------------

    def _parts(self, message: shapes.Message, position: int) -> list[Part]:
        content = message.content
        if isinstance(content, str):
            return [Text(content)] if content else []
        return [self._part(part, message, position, index) for index, part in enumerate(content or ())]

    def _part(self, part: shapes.Part, message: shapes.Message, position: int, index: int) -> Part:
        decode = _PART_OF_TYPE.get(part.type or _guessed_type(part))
        decoded = None if decode is None else decode(part, f"messages.{position}.content.{index}")
        if decoded is None or not isinstance(decoded, _ASSISTANT_PARTS if message.role == "assistant" else _READ_PARTS):
            return self._opaque(part, message, position, index)
        return decoded

    def _opaque(self, part: shapes.Part, message: shapes.Message, position: int, index: int) -> Opaque:
        at = f"messages.{position}.content.{index}"
        native = wire.decode(wire.decode(self._raw, _CONTENTS, at="messages")[position]["content"], _PARTS, at=at)[index]
        return Opaque(FAMILY, part.type or "", native, part.text or "", message.role == "assistant", at)


def _mistake(at: str, words: str) -> ClientMistake:
    return ClientMistake(f"{at}: {words}", param=at)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _carrier(entry: dict[str, Any]) -> str:
    """Our carrier in an entry of ``reasoning_details``, or nothing."""
    for key in ("signature", "data"):
        value = entry.get(key)
        if isinstance(value, str) and reasoning.is_carrier(value):
            return value
    return ""


def _arguments(arguments: str | dict[str, msgspec.Raw] | None) -> str:
    """Arguments as JSON text; an object (which some clients send) is written out."""
    if isinstance(arguments, dict):
        return wire.compact(wire.encode(arguments))
    return arguments or ""


# --- parts by type ---------------------------------------------------------------------------------------------------


def _cache(part: shapes.Part) -> CacheMark | None:
    if shapes.given(part.cache_control):
        return CacheMark(part.cache_control)
    return CacheMark() if shapes.given(part.prompt_cache_breakpoint) else None


def _guessed_type(part: shapes.Part) -> str:
    return "" if part.text is None else "text"


def _text(part: shapes.Part, at: str) -> Part:
    if part.text is None:
        raise _mistake(f"{at}.text", "a text part needs its text")
    return Text(part.text, _cache(part))


def _refusal(part: shapes.Part, at: str) -> Part:
    if part.refusal is None:
        raise _mistake(f"{at}.refusal", "a refusal part needs its text")
    return Text(part.refusal, _cache(part), refusal=True)


def _image(part: shapes.Part, at: str) -> Part:
    link = part.image_url
    if link is None:
        raise _mistake(f"{at}.image_url", "an image_url part needs its image_url")
    url, detail = (link, None) if isinstance(link, str) else (link.url, link.detail)
    if media.is_web_url(url):
        return Image(Source("url", url), detail, _cache(part), at)
    source = media.parse_data_url(url)
    if source is None:
        raise _mistake(f"{at}.image_url.url", "an http(s) URL or a base64 data URL is expected")
    if source.media_type == "application/pdf":
        return Document(source, cache=_cache(part), at=at)
    if not source.media_type.startswith("image/"):
        raise _mistake(f"{at}.image_url.url", f"{source.media_type} is not an image type")
    return Image(source, detail, _cache(part), at)


def _audio(part: shapes.Part, at: str) -> Part:
    if part.input_audio is None:
        raise _mistake(f"{at}.input_audio", "an input_audio part needs its data and format")
    return Audio(part.input_audio.data, part.input_audio.format, at)


def _file(part: shapes.Part, at: str) -> Part:
    file = part.file
    if file is None or not (file.file_data or file.file_id):
        raise _mistake(f"{at}.file", "a file part needs file_data or file_id")
    source = _file_source(file.file_data, file.filename or "", at) if file.file_data else Source("file", file.file_id or "")
    if source.kind == "base64" and source.media_type.startswith("image/"):
        return Image(source, None, _cache(part), at)
    return Document(source, title=file.filename, filename=file.filename, cache=_cache(part), at=at)


def _file_source(data: str, filename: str, at: str) -> Source:
    """A file's content from its data URL, or from bare base64 with the type told by its name."""
    if data[:5].lower() == "data:":
        source = media.parse_data_url(data)
    else:
        media_type = _FILE_TYPES.get(filename.rpartition(".")[2].lower(), "")
        if not media_type and data.startswith(_PDF_IN_BASE64):
            media_type = "application/pdf"
        source = Source("base64", data, media_type) if media_type and _is_base64(data) else None
    readable = None if source is None else media.as_text(source)
    if readable is None:
        raise _mistake(f"{at}.file.file_data", "a data URL with base64 content is expected")
    return readable


def _is_base64(data: str) -> bool:
    try:
        base64.b64decode(data[:64], validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _thinking(part: shapes.Part, at: str) -> Part | None:  # noqa: ARG001 - the table's signature
    """Mistral's reasoning part: a text, or text parts."""
    thinking = part.thinking
    if isinstance(thinking, list):
        thinking = "".join(_words(each.get("text")) for each in thinking if isinstance(each, dict))
    return Reasoning(thinking, Seal(FAMILY, None)) if isinstance(thinking, str) else None


_PART_OF_TYPE: dict[str, Callable[[shapes.Part, str], Part | None]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "thinking": _thinking,
}
