"""Messages for a chat upstream (section 7.2): one tool message per result right behind its calls, media behind them."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Audio, Document, Image, Message, Opaque, Part, Reasoning, Request, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_chat.request_encode_parts import PartsEncoder, Wire, as_parts, plain, texts_of
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

_PLACEHOLDERS = {Image: "[image attached below]", Document: "[document attached below]", Audio: "[audio attached below]"}


def encode_messages(request: Request, quirks: Quirks) -> list[Wire]:
    """The ``messages``; raises :class:`ClientMistake` for content that chat cannot carry."""
    return _MessagesEncoder(request, quirks).encode()


class _MessagesEncoder:
    """Builds one request's messages."""

    def __init__(self, request: Request, quirks: Quirks) -> None:
        self._request = request
        self._quirks = quirks
        self._system_role = "developer" if quirks.supports_developer else "system"
        self._hoists = quirks.late_system == "hoist"
        self._parts = PartsEncoder(quirks, own=request.family == FAMILY)
        self._out: list[Wire] = []
        self._dropped_between = False

    def encode(self) -> list[Wire]:
        leading = self._leading()
        run: list[Message] = []
        for message in self._request.messages:
            if message.role == "assistant":
                run.append(message)
                continue
            if run:
                self._assistants(run)
                run = []
            if message.role == "system":
                self._late_system(message)
            else:
                self._user(message)
        if run:
            self._assistants(run)
        self._refuse_prefill()
        self._parts.keep_last_breakpoints()
        return leading + self._out

    def _leading(self) -> list[Wire]:
        """The one system message in front, with late system texts where the upstream takes no others."""
        texts = list(self._request.system)
        if self._hoists:
            late = [message for message in self._request.messages if message.role == "system"]
            texts += [part for message in late for part in message.parts if isinstance(part, Text)]
        content = self._parts.content(texts_of(texts, "\n\n"), "\n\n")
        return [{"role": self._system_role, "content": content}] if content else []

    def _refuse_prefill(self) -> None:
        if self._quirks.no_prefill and self._out and self._out[-1]["role"] == "assistant" and "tool_calls" not in self._out[-1]:
            raise ClientMistake("messages: this model's upstream does not continue a prefilled assistant message", param="messages")

    def _late_system(self, message: Message) -> None:
        if self._hoists:
            return
        texts = [part for part in message.parts if isinstance(part, Text)]
        content = self._parts.content(texts_of(texts, "\n\n"), "\n\n")
        if content:
            self._out.append({"role": self._system_role, "content": content})

    # --- users and tools -------------------------------------------------------------------------------------------

    def _user(self, message: Message) -> None:
        only = message.parts[0] if len(message.parts) == 1 else None
        if isinstance(only, Text) and message.name is None and not (self._parts.marks or self._dropped_between):
            self._out.append({"role": "user", "content": only.text})
            return
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)] if results else list(message.parts)
        moved: list[Wire] = []
        for result in results:
            self._result(result, moved)
        if results and not rest and not moved:
            return
        parts = moved + self._parts.user(rest)
        if not parts and results:
            return
        content = plain(parts, self._parts.marks)
        last = self._out[-1] if self._out else None
        if self._dropped_between and last is not None and last["role"] == "user":
            last["content"] = plain([*as_parts(last["content"]), *as_parts(content)], self._parts.marks)
        else:
            whole: Wire = {"role": "user", "content": content}
            if message.name is not None and self._request.family == FAMILY:
                whole["name"] = message.name
            self._out.append(whole)
        self._dropped_between = False

    def _result(self, result: ToolResult, moved: list[Wire]) -> None:
        """One tool message; the media that it may not hold are added to ``moved``."""
        only = result.content[0] if len(result.content) == 1 else None
        if isinstance(only, Text) and not (self._parts.marks or result.is_error):
            self._out.append({"role": "tool", "tool_call_id": result.call_id, "content": only.text})
            return
        words: list[Text] = []
        inside: list[Wire] = []
        placeholder = ""
        for part in result.content:
            if isinstance(part, Image) and self._quirks.tool_image_parts:
                inside.append(self._parts.image(part))
            elif isinstance(part, Image | Audio) or (isinstance(part, Document) and part.source.kind != "text"):
                placeholder = placeholder or _PLACEHOLDERS[type(part)]
                moved.append({"type": "text", "text": f"[attached to the result of tool call {result.call_id}]"})
                moved += self._parts.user([part])
            else:
                words += self._parts.readable(part)
        if placeholder and not inside and not any(word.text for word in words):
            words = [Text(placeholder)]
        if result.is_error and not _says_error(words):
            first = words[0] if words else Text("")
            words = [Text("Error: " + first.text, first.cache), *words[1:]]
        if result.cache is not None and words:
            words[-1] = Text(words[-1].text, result.cache)
        content = self._parts.content(texts_of(words, "\n"), "\n")
        if inside:
            content = [*as_parts(content), *inside]
        self._out.append({"role": "tool", "tool_call_id": result.call_id, "content": content})

    # --- assistants ------------------------------------------------------------------------------------------------

    def _assistants(self, run: list[Message]) -> None:
        """Consecutive assistant messages; those that make calls or only think are one turn."""
        joined = len(run) > 1 and not all(_is_plain(message) for message in run)
        for parts in [tuple(part for message in run for part in message.parts)] if joined else [message.parts for message in run]:
            whole = self._assistant(parts)
            if whole is None:
                self._dropped_between = True
            else:
                self._out.append(whole)
                self._dropped_between = False

    def _assistant(self, parts: tuple[Part, ...]) -> Wire | None:
        calls = [self._call(part) for part in parts if isinstance(part, ToolCall)]
        content = self._assistant_content(parts)
        thoughts = [part.text for part in parts if isinstance(part, Reasoning) and part.seal is not None and part.seal.origin == FAMILY]
        if not calls and not content:
            return None
        absent = "" if self._quirks.empty_assistant_content == "empty" else None
        whole: Wire = {"role": "assistant", "content": content or absent}
        if thoughts:
            whole["reasoning_content"] = "\n\n".join(thoughts)
        elif calls and self._quirks.requires_reasoning_content:
            whole["reasoning_content"] = ""
        if calls:
            whole["tool_calls"] = calls
        return whole

    def _assistant_content(self, parts: tuple[Part, ...]) -> Any:
        texts: list[Text] = []
        native: list[Any] = []
        for part in parts:
            if isinstance(part, Text):
                texts.append(part)
            elif isinstance(part, Opaque):
                if part.family == FAMILY:
                    native.append(part.native)
                elif part.text:
                    texts.append(Text(part.text))
        content = self._parts.content(texts_of(texts, ""), "")
        return [*as_parts(content), *native] if native else content

    def _call(self, call: ToolCall) -> Wire:
        if call.kind == "custom":
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": self._arguments(call.arguments)}}

    def _arguments(self, arguments: str) -> str:
        """Compact for clients whose own wire holds an object; text that the client wrote as text stays as it is."""
        if not arguments:
            return "{}"
        if self._request.family != "anthropic":
            return arguments
        try:
            return json_wire.compact(arguments.encode())
        except msgspec.DecodeError:
            return arguments


def _says_error(words: list[Text]) -> bool:
    return bool(words) and words[0].text.lstrip().lower().startswith("error")


def _is_plain(message: Message) -> bool:
    """Whether an assistant message has words and no calls, so that it can stand alone."""
    speaks = any(isinstance(part, Text) and part.text for part in message.parts)
    return speaks and not any(isinstance(part, ToolCall) for part in message.parts)
