"""Decodes the messages of a Chat client: system text, turns, tool calls and results, reasoning (docs/wire-formats.md, section 7.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Reasoning, Seal, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_chat import wire_request as wire
from proxy.translation.dialects.openai_chat.opaque_state import call_part, details_seal, message_part
from proxy.translation.dialects.openai_chat.reasoning_place import in_order
from proxy.translation.dialects.openai_chat.request_decode_blocks import DECODER_OF_BLOCK
from proxy.translation.dialects.openai_chat.request_decode_parts import DECODER_OF_TYPE, client_mistake, default_type, string_or_empty
from proxy.translation.dialects.openai_chat.wire_request import FAMILY

_AUDIO = DECODER_OF_TYPE["input_audio"]
AUDIO_REFERENCE = "audio reference"
"""The type of the part for ``audio`` of an assistant message: the id of an earlier response's audio."""
_PART_TYPES: dict[str, tuple[type, ...]] = {
    "assistant": (Text, Reasoning, ToolCall),
    "user": (Text, Image, Document, Audio, ToolResult),
}
_OTHER_PART_TYPES = (Text, Image, Document, Audio)
_CONTENT_FIELDS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_RAW_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


class MessagesDecoder:
    """Decodes the messages of one request in their order into ``system`` and ``messages``.

    ``raw`` is the JSON of the messages, for parts that become :class:`~proxy.translation.canonical.Opaque`. ``_calls_without_id``
    holds name and generated id of each tool call without an id, in their order, until a result takes it.
    """

    def __init__(self, raw: msgspec.Raw, seal_key: bytes) -> None:
        self._raw = raw
        self._seal_key = seal_key
        self._calls_without_id: list[tuple[str, str]] = []
        self._custom_call_ids: set[str] = set()
        self.system: list[Text] = []
        self.unread: set[str] = set()
        """Paths of fields that have no canonical place."""
        self._system_is_plain = False
        self.messages: list[Message] = []
        self._decode_role: dict[str, Callable[[wire.Message, int], None]] = {
            "system": self._decode_system,
            "developer": self._decode_system,
            "user": self._decode_user,
            "assistant": self._decode_assistant,
            "tool": self._decode_tool,
            "function": self._decode_function,
        }

    def decode(self, messages: list[wire.Message]) -> None:
        decode_role = self._decode_role
        for position, message in enumerate(messages):
            decode_role[message.role](message, position)

    # --- one role each ---------------------------------------------------------------------------------------------

    def _decode_system(self, message: wire.Message, position: int) -> None:
        parts = self._decode_parts(message, position)
        texts: list[Text] = []
        for index, part in enumerate(parts):
            if not isinstance(part, Text):
                raise client_mistake(f"messages.{position}.content.{index}", "a system message can hold text only")
            texts.append(part)
        if self.messages:
            if texts:
                self.messages.append(Message("system", tuple(texts), message.name))
            return
        if message.name is not None:
            self.unread.add("messages[].name")
        if isinstance(message.content, str) and self._system_is_plain and self.system and texts:
            # Strings are joined by blank lines; parts stay separate texts.
            self.system[-1] = Text(f"{self.system[-1].text}\n\n{texts[0].text}")
        else:
            self._system_is_plain = isinstance(message.content, str)
            self.system += texts

    def _decode_user(self, message: wire.Message, position: int) -> None:
        self.messages.append(Message("user", tuple(self._decode_parts(message, position)), message.name))

    def _decode_assistant(self, message: wire.Message, position: int) -> None:
        content = self._decode_parts(message, position)
        if message.refusal:
            content.append(Text(message.refusal, refusal=True))
        wire_calls = message.tool_calls or ()
        calls = [self._decode_call(call, position, index) for index, call in enumerate(wire_calls)]
        parts = in_order(self._decode_reasoning(message), content, calls)
        states = [call.state() for call in wire_calls]
        if any(states):
            parts = _with_call_states(parts, calls, states)
        if message.function_call is not None and message.function_call.name:
            call_id = self._generate_call_id(message.function_call.name, position, 0)
            parts.append(ToolCall(call_id, message.function_call.name, _arguments(message.function_call.arguments)))
        if wire.is_present(message.audio):
            parts.append(Opaque(FAMILY, AUDIO_REFERENCE, message.audio, history=True, at=f"messages.{position}.audio"))
        message_state = message.state()
        if message_state:
            parts.append(message_part(message_state, None))
        self.messages.append(Message("assistant", tuple(parts), message.name))

    def _decode_tool(self, message: wire.Message, position: int) -> None:
        call_id = message.tool_call_id
        if not call_id:
            if not self._calls_without_id:
                raise client_mistake(f"messages.{position}.tool_call_id", "the field is required")
            call_id = self._calls_without_id.pop(0)[1]
        parts = tuple(self._decode_parts(message, position))
        self._add_result(ToolResult(call_id, parts, kind="custom" if call_id in self._custom_call_ids else "function"))

    def _decode_function(self, message: wire.Message, position: int) -> None:
        """A message of the older role ``function``: the result of the oldest open call of that name."""
        if not message.name:
            raise client_mistake(f"messages.{position}.name", "the field is required")
        open_call = next((call for call in self._calls_without_id if call[0] == message.name), None)
        if open_call is None:
            raise client_mistake(f"messages.{position}", f"there is no open call of the function {message.name!r} before this message")
        self._calls_without_id.remove(open_call)
        self._add_result(ToolResult(open_call[1], tuple(self._decode_parts(message, position))))

    def _add_result(self, result: ToolResult) -> None:
        """Add a result to the message of results before it, or as a message of its own."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user" and last.parts and isinstance(last.parts[-1], ToolResult):
            self.messages[-1] = Message("user", (*last.parts, result))
        else:
            self.messages.append(Message("user", (result,)))

    # --- calls -----------------------------------------------------------------------------------------------------

    def _decode_call(self, call: wire.ToolCall, position: int, index: int) -> ToolCall:
        at = f"messages.{position}.tool_calls.{index}"
        if call.custom is not None:
            if not call.custom.name:
                raise client_mistake(f"{at}.custom.name", "the field is required")
            call_id = call.id or self._generate_call_id(call.custom.name, position, index)
            self._custom_call_ids.add(call_id)
            return ToolCall(call_id, call.custom.name, call.custom.input or "", "custom")
        function = call.function
        if function is None or not function.name:
            raise client_mistake(f"{at}.function.name", "the field is required")
        return ToolCall(call.id or self._generate_call_id(function.name, position, index), function.name, _arguments(function.arguments))

    def _generate_call_id(self, name: str, position: int, index: int) -> str:
        """An id for a call without one; the same in every request that repeats the conversation."""
        call_id = f"call_{hashlib.sha256(f'{position}:{index}:{name}'.encode()).hexdigest()[:24]}"
        self._calls_without_id.append((name, call_id))
        return call_id

    # --- reasoning -------------------------------------------------------------------------------------------------

    def _decode_reasoning(self, message: wire.Message) -> list[Reasoning]:
        details = message.reasoning_details
        text = message.reasoning_content
        if not text and isinstance(message.reasoning, str):
            text = message.reasoning
        if isinstance(details, list) and details:
            entries = [entry for entry in details if isinstance(entry, dict)]
            sealed_entries = [entry for entry in entries if _carrier_in(entry)]
            if sealed_entries:
                return self._unseal(sealed_entries, text or "")
            text = text or "".join(string_or_empty(entry.get("text") or entry.get("summary")) for entry in entries)
            return [Reasoning(text, details_seal(details, None))]
        return [Reasoning(text, Seal(FAMILY, None))] if text else []

    def _unseal(self, entries: list[dict[str, Any]], visible_text: str) -> list[Reasoning]:
        """The reasoning in our carriers. A carrier that the seal key does not open is dropped."""
        parts: list[Reasoning] = []
        for entry in entries:
            seal = reasoning_seal.unpack(_carrier_in(entry), self._seal_key)
            if seal is None:
                continue
            text = string_or_empty(entry.get("text"))
            if not text and len(entries) == 1 and entry.get("type") == "reasoning.text":
                text = visible_text
            parts.append(Reasoning(text, seal))
        return parts

    # --- content ---------------------------------------------------------------------------------------------------

    def _decode_parts(self, message: wire.Message, position: int) -> list[Part]:
        content = message.content
        if isinstance(content, str):
            return [Text(content)] if content else []
        return [self._decode_part(part, message, position, index) for index, part in enumerate(content or ())]

    def _decode_part(self, part: wire.Part, message: wire.Message, position: int, index: int) -> Part:
        kind = part.type or default_type(part)
        decode = DECODER_OF_TYPE.get(kind) or DECODER_OF_BLOCK.get(kind)
        if decode is _AUDIO and part.prompt_cache_breakpoint is not None:
            self.unread.add("messages[].content[].prompt_cache_breakpoint")
        decoded = None if decode is None else decode(part, f"messages.{position}.content.{index}")
        if decoded is None or not isinstance(decoded, _PART_TYPES.get(message.role, _OTHER_PART_TYPES)):
            return self._opaque(part, message, position, index)
        return decoded

    def _opaque(self, part: wire.Part, message: wire.Message, position: int, index: int) -> Opaque:
        at = f"messages.{position}.content.{index}"
        native = json_wire.decode(json_wire.decode(self._raw, _CONTENT_FIELDS, at="messages")[position]["content"], _RAW_PARTS, at=at)[
            index
        ]
        return Opaque(FAMILY, part.type or "", native, part.text or "", message.role == "assistant", at)


def _carrier_in(entry: dict[str, Any]) -> str:
    """Our carrier in an entry of ``reasoning_details``, or an empty string."""
    for key in ("signature", "data"):
        value = entry.get(key)
        if isinstance(value, str) and reasoning_seal.is_carrier(value):
            return value
    return ""


def _arguments(arguments: str | dict[str, msgspec.Raw] | None) -> str:
    """The arguments as JSON text; some clients send the object itself."""
    if isinstance(arguments, dict):
        return json_wire.compact(json_wire.encode(arguments))
    return arguments or ""


def _with_call_states(parts: list[Part], calls: list[ToolCall], states: list[dict[str, msgspec.Raw]]) -> list[Part]:
    """The parts of a message with the opaque state of each call before it; ``states``: one for each call, empty without state."""
    number_of = {id(call): number for number, call in enumerate(calls)}
    with_states: list[Part] = []
    for part in parts:
        number = number_of.get(id(part))
        if isinstance(part, ToolCall) and number is not None and states[number]:
            with_states.append(call_part(states[number], part.id, number, None))
        with_states.append(part)
    return with_states
