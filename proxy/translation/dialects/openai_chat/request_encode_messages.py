"""Encodes the messages for a Chat upstream (docs/wire-formats.md, section 7.2).

Each tool result is a ``tool`` message directly after the calls. Media of a result follow in a ``user`` message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Request, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_chat.opaque_state import RestoredState
from proxy.translation.dialects.openai_chat.request_decode_messages import AUDIO_REFERENCE
from proxy.translation.dialects.openai_chat.request_encode_parts import JsonObject, PartsEncoder, as_parts, collapse_parts, non_empty_texts
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

replace = msgspec.structs.replace

_PLACEHOLDERS = {Image: "[image attached below]", Document: "[document attached below]", Audio: "[audio attached below]"}


def encode_messages(request: Request, quirks: Quirks, *, owner: str = "") -> list[JsonObject]:
    """The field ``messages``; raises :class:`ClientMistake` for content that Chat has no form for.

    ``owner``: the upstream to which its own opaque state returns.
    """
    return _MessagesEncoder(request, quirks, owner).encode()


class _MessagesEncoder:
    """Encodes the messages of one request into ``_encoded``.

    ``_dropped_assistant``: the assistant message before was dropped because nothing of it can be encoded; the user message that follows
    is then joined to the user message before it.
    """

    def __init__(self, request: Request, quirks: Quirks, owner: str) -> None:
        self._request = request
        self._owner = owner
        self._quirks = quirks
        self._system_role = "developer" if quirks.supports_developer else "system"
        self._hoist_late_system = quirks.late_system == "hoist"
        self._parts = PartsEncoder(quirks, same_family=request.family == FAMILY)
        self._encoded: list[JsonObject] = []
        self._dropped_assistant = False

    def encode(self) -> list[JsonObject]:
        leading = self._encode_leading()
        run: list[Message] = []
        for message in self._request.messages:
            if message.role == "assistant":
                run.append(message)
                continue
            if run:
                self._encode_assistants(run)
                run = []
            if message.role == "system":
                self._encode_late_system(message)
            else:
                self._encode_user(message)
        if run:
            self._encode_assistants(run)
        self._refuse_prefill()
        self._parts.drop_excess_breakpoints()
        return leading + self._encoded

    def _encode_leading(self) -> list[JsonObject]:
        """The system message in front, with the late system texts if the upstream supports none at other positions."""
        texts = list(self._request.system)
        if self._hoist_late_system:
            late = [message for message in self._request.messages if message.role == "system"]
            texts += [part for message in late for part in message.parts if isinstance(part, Text)]
        content = self._parts.text_content(non_empty_texts(texts, "\n\n"), "\n\n")
        return [{"role": self._system_role, "content": content}] if content else []

    def _refuse_prefill(self) -> None:
        if self._quirks.no_prefill and self._encoded and self._encoded[-1]["role"] == "assistant" and "tool_calls" not in self._encoded[-1]:
            raise ClientMistake("messages: this model's upstream does not continue a prefilled assistant message", param="messages")

    def _encode_late_system(self, message: Message) -> None:
        if self._hoist_late_system:
            return
        texts = [text for part in message.parts for text in self._parts.as_texts(part)]
        content = self._parts.text_content(non_empty_texts(texts, "\n\n"), "\n\n")
        if content:
            self._encoded.append({"role": self._system_role, "content": content})

    # --- users and tools -------------------------------------------------------------------------------------------

    def _encode_user(self, message: Message) -> None:
        single_part = message.parts[0] if len(message.parts) == 1 else None
        if isinstance(single_part, Text) and message.name is None and not (self._parts.has_markers or self._dropped_assistant):
            self._encoded.append({"role": "user", "content": single_part.text})
            return
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        other_parts = [part for part in message.parts if not isinstance(part, ToolResult)] if results else list(message.parts)
        moved_media: list[JsonObject] = []
        for result in results:
            self._encode_result(result, moved_media)
        if results and not other_parts and not moved_media:
            return
        parts = moved_media + self._parts.encode_parts(other_parts)
        if not parts and results:
            return
        content = collapse_parts(parts, self._parts.has_markers)
        last = self._encoded[-1] if self._encoded else None
        if self._dropped_assistant and last is not None and last["role"] == "user":
            last["content"] = collapse_parts([*as_parts(last["content"]), *as_parts(content)], self._parts.has_markers)
        else:
            encoded: JsonObject = {"role": "user", "content": content}
            if message.name is not None and self._request.family == FAMILY:
                encoded["name"] = message.name
            self._encoded.append(encoded)
        self._dropped_assistant = False

    def _encode_result(self, result: ToolResult, moved_media: list[JsonObject]) -> None:
        """Add the ``tool`` message of a result. Media that it cannot hold are added to ``moved_media``."""
        single_part = result.content[0] if len(result.content) == 1 else None
        if isinstance(single_part, Text) and not (self._parts.has_markers or result.is_error):
            self._encoded.append({"role": "tool", "tool_call_id": result.call_id, "content": single_part.text})
            return
        texts: list[Text] = []
        images: list[JsonObject] = []
        placeholder = ""
        for part in result.content:
            if isinstance(part, Image) and self._quirks.tool_image_parts:
                images.append(self._parts.encode_image(part))
            elif isinstance(part, Image | Audio) or (isinstance(part, Document) and part.source.kind != "text"):
                placeholder = placeholder or _PLACEHOLDERS[type(part)]
                moved_media.append({"type": "text", "text": f"[attached to the result of tool call {result.call_id}]"})
                moved_media += self._parts.encode_parts([part])
            else:
                texts += self._parts.as_texts(part)
        if placeholder and not images and not any(text.text for text in texts):
            texts = [Text(placeholder)]
        if result.is_error and not _starts_with_error(texts):
            first = texts[0] if texts else Text("")
            texts = [Text("Error: " + first.text, first.cache), *texts[1:]]
        if result.cache is not None and texts:
            texts[-1] = Text(texts[-1].text, result.cache)
        content = self._parts.text_content(non_empty_texts(texts, "\n"), "\n")
        if images:
            content = [*as_parts(content), *images]
        self._encoded.append({"role": "tool", "tool_call_id": result.call_id, "content": content})

    # --- assistants ------------------------------------------------------------------------------------------------

    def _encode_assistants(self, run: list[Message]) -> None:
        """Encode consecutive assistant messages: as they are if all have text only, otherwise joined to one message."""
        joined = len(run) > 1 and not all(_has_text_only(message) for message in run)
        if joined:
            run = [msgspec.structs.replace(run[0], parts=tuple(part for message in run for part in message.parts))]
        for message in run:
            encoded = self._encode_assistant(message.parts)
            if encoded is not None and message.name is not None and self._request.family == FAMILY:
                encoded["name"] = message.name
            if encoded is None:
                self._dropped_assistant = True
            else:
                self._encoded.append(encoded)
                self._dropped_assistant = False

    def _encode_assistant(self, parts: tuple[Part, ...]) -> JsonObject | None:
        state = RestoredState(parts, self._owner)
        tool_calls = (part for part in parts if isinstance(part, ToolCall))
        calls = [self._encode_call(call) | state.of_call(call, number) for number, call in enumerate(tool_calls)]
        content = self._encode_assistant_content(parts)
        audio = [part.native for part in parts if isinstance(part, Opaque) and part.type == AUDIO_REFERENCE]
        if not calls and not content and not audio:
            return None
        empty_content = "" if self._quirks.empty_assistant_content == "empty" else None
        encoded: JsonObject = {"role": "assistant", "content": content or empty_content}
        if self._quirks.reasoning_history != "omit":
            self._add_reasoning(encoded, state, has_calls=bool(calls))
        encoded |= state.message
        if audio:
            encoded["audio"] = audio[-1]
        if calls:
            encoded["tool_calls"] = calls
        return encoded

    def _add_reasoning(self, encoded: JsonObject, state: RestoredState, *, has_calls: bool) -> None:
        requires_text = has_calls and self._quirks.requires_reasoning_content
        texts = state.all_text if requires_text else state.text
        if texts:
            encoded["reasoning_content"] = "\n\n".join(texts)
        elif requires_text:
            encoded["reasoning_content"] = ""
        if state.details:
            encoded["reasoning_details"] = state.details

    def _encode_assistant_content(self, parts: tuple[Part, ...]) -> Any:
        texts: list[Text] = []
        native: list[Any] = []
        after_opaque = False
        for part in parts:
            if isinstance(part, Opaque) and part.family == FAMILY:
                if part.type != AUDIO_REFERENCE:
                    native.append(part.native)
            elif isinstance(part, Text | Opaque) and part.text:
                # What a host tool has returned is set apart from the words of the model by blank lines.
                is_opaque = isinstance(part, Opaque)
                text = Text(part.text) if isinstance(part, Opaque) else part
                texts.append(replace(text, text="\n\n" + text.text) if texts and (is_opaque or after_opaque) else text)
                after_opaque = is_opaque
            elif isinstance(part, Image | Document | Audio):
                problem = "an assistant message for this model's upstream can hold text and tool calls only"
                raise ClientMistake(f"{part.at}: {problem}", param=part.at)
        content = self._parts.text_content(non_empty_texts(texts, ""), "")
        return [*as_parts(content), *native] if native else content

    def _encode_call(self, call: ToolCall) -> JsonObject:
        if call.kind == "custom":
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": self._encode_arguments(call.arguments)}}

    def _encode_arguments(self, arguments: str) -> str:
        """The arguments as JSON text: compact for Anthropic clients, which send an object; unchanged for others, which send text."""
        if not arguments:
            return "{}"
        if self._request.family != "anthropic":
            return arguments
        try:
            return json_wire.compact(arguments.encode())
        except msgspec.DecodeError:
            return arguments


def _starts_with_error(texts: list[Text]) -> bool:
    return bool(texts) and texts[0].text.lstrip().lower().startswith("error")


def _has_text_only(message: Message) -> bool:
    """Whether an assistant message has text and no calls."""
    has_text = any(isinstance(part, Text) and part.text for part in message.parts)
    return has_text and not any(isinstance(part, ToolCall) for part in message.parts)
