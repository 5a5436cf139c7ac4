"""Messages of a chat client: system text, turns, tool calls and results, and the reasoning that comes back (section 7.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Reasoning, Seal, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_chat import wire_request
from proxy.translation.dialects.openai_chat.request_decode_parts import PART_OF_TYPE, guessed_type, mistake, words_of
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

_ASSISTANT_PARTS = (Text, Reasoning)
_READ_PARTS = (Text, Image, Document, Audio)
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
        self._system_is_plain = False
        self.messages: list[Message] = []
        self._of_role: dict[str, Callable[[wire_request.Message, int], None]] = {
            "system": self._system,
            "developer": self._system,
            "user": self._user,
            "assistant": self._assistant,
            "tool": self._tool,
            "function": self._function,
        }

    def decode(self, messages: list[wire_request.Message]) -> None:
        """Read them all into ``system`` and ``messages``."""
        of_role = self._of_role
        for position, message in enumerate(messages):
            of_role[message.role](message, position)

    # --- one role each ---------------------------------------------------------------------------------------------

    def _system(self, message: wire_request.Message, position: int) -> None:
        parts = self._parts(message, position)
        texts: list[Text] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                raise mistake(f"messages.{position}.content.{index}", "system messages hold text only")
            texts.append(part)
        if self.messages:
            if texts:
                self.messages.append(Message("system", tuple(texts), message.name))
        elif isinstance(message.content, str) and self._system_is_plain and self.system and texts:
            # Plain texts are one text with blank lines between them; parts stay blocks of their own.
            self.system[-1] = Text(f"{self.system[-1].text}\n\n{texts[0].text}")
        else:
            self._system_is_plain = isinstance(message.content, str)
            self.system += texts

    def _user(self, message: wire_request.Message, position: int) -> None:
        self.messages.append(Message("user", tuple(self._parts(message, position)), message.name))

    def _assistant(self, message: wire_request.Message, position: int) -> None:
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

    def _tool(self, message: wire_request.Message, position: int) -> None:
        call_id = message.tool_call_id
        if not call_id:
            if not self._unnamed:
                raise mistake(f"messages.{position}.tool_call_id", "a tool message needs the id of its tool call")
            call_id = self._unnamed.pop(0)[1]
        parts = tuple(self._parts(message, position))
        self._result(ToolResult(call_id, parts, kind="custom" if call_id in self._custom else "function"))

    def _function(self, message: wire_request.Message, position: int) -> None:
        """The legacy role: its result belongs to the last open call of that name."""
        if not message.name:
            raise mistake(f"messages.{position}.name", "a function message needs the name of its function")
        found = next((each for each in self._unnamed if each[0] == message.name), None)
        if found is None:
            raise mistake(f"messages.{position}", f"no function call of {message.name!r} comes before this function message")
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

    def _call(self, call: wire_request.Call, position: int, index: int) -> ToolCall:
        at = f"messages.{position}.tool_calls.{index}"
        if call.custom is not None:
            if not call.custom.name:
                raise mistake(f"{at}.custom.name", "a tool call needs the name of its tool")
            call_id = call.id or self._generated(call.custom.name, position, index)
            self._custom.add(call_id)
            return ToolCall(call_id, call.custom.name, call.custom.input or "", "custom")
        function = call.function
        if function is None or not function.name:
            raise mistake(f"{at}.function.name", "a tool call needs the name of its function")
        return ToolCall(call.id or self._generated(function.name, position, index), function.name, _arguments(function.arguments))

    def _generated(self, name: str, position: int, index: int) -> str:
        """An id for a call that has none, the same in every turn of the conversation."""
        call_id = f"call_{hashlib.sha256(f'{position}:{index}:{name}'.encode()).hexdigest()[:24]}"
        self._unnamed.append((name, call_id))
        return call_id

    # --- reasoning -------------------------------------------------------------------------------------------------

    def _reasoning(self, message: wire_request.Message) -> list[Part]:
        details = message.reasoning_details
        visible = message.reasoning_content
        if not visible and isinstance(message.reasoning, str):
            visible = message.reasoning
        if isinstance(details, list) and details:
            entries = [entry for entry in details if isinstance(entry, dict)]
            carried = [entry for entry in entries if _carrier(entry)]
            if carried:
                return self._unpacked(carried, visible or "")
            visible = visible or "".join(words_of(entry.get("text") or entry.get("summary")) for entry in entries)
        return [Reasoning(visible, Seal(FAMILY, None))] if visible else []

    def _unpacked(self, entries: list[dict[str, Any]], visible: str) -> list[Part]:
        """The reasoning that our carriers seal; one whose seal is not ours is dropped."""
        parts: list[Part] = []
        for entry in entries:
            seal = reasoning_seal.unpack(_carrier(entry), self._seal_key)
            if seal is None:
                continue
            text = words_of(entry.get("text"))
            if not text and len(entries) == 1 and entry.get("type") == "reasoning.text":
                text = visible
            parts.append(Reasoning(text, seal))
        return parts

    # --- content ---------------------------------------------------------------------------------------------------

    def _parts(self, message: wire_request.Message, position: int) -> list[Part]:
        content = message.content
        if isinstance(content, str):
            return [Text(content)] if content else []
        return [self._part(part, message, position, index) for index, part in enumerate(content or ())]

    def _part(self, part: wire_request.Part, message: wire_request.Message, position: int, index: int) -> Part:
        decode = PART_OF_TYPE.get(part.type or guessed_type(part))
        decoded = None if decode is None else decode(part, f"messages.{position}.content.{index}")
        if decoded is None or not isinstance(decoded, _ASSISTANT_PARTS if message.role == "assistant" else _READ_PARTS):
            return self._opaque(part, message, position, index)
        return decoded

    def _opaque(self, part: wire_request.Part, message: wire_request.Message, position: int, index: int) -> Opaque:
        at = f"messages.{position}.content.{index}"
        native = json_wire.decode(json_wire.decode(self._raw, _CONTENTS, at="messages")[position]["content"], _PARTS, at=at)[index]
        return Opaque(FAMILY, part.type or "", native, part.text or "", message.role == "assistant", at)


def _carrier(entry: dict[str, Any]) -> str:
    """Our carrier in an entry of ``reasoning_details``, or nothing."""
    for key in ("signature", "data"):
        value = entry.get(key)
        if isinstance(value, str) and reasoning_seal.is_carrier(value):
            return value
    return ""


def _arguments(arguments: str | dict[str, msgspec.Raw] | None) -> str:
    """Arguments as JSON text; an object (which some clients send) is written out."""
    if isinstance(arguments, dict):
        return json_wire.compact(json_wire.encode(arguments))
    return arguments or ""
