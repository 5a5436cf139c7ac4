"""Events to the chunks of a chat client (sections 2.5 and 9.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation.canonical import (
    Citation,
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.response_encode import annotation, generated_call_id, reasoning_detail, wants_legacy_calls
from proxy.translation.dialects.openai_chat.usage import encode_usage, finish_word, service_tier
from proxy.translation.dialects.openai_errors import error_fields
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_DONE = Frame(b"[DONE]")
_json = msgspec.json.Encoder().encode


class _Part:
    """A part that is being told: ``number`` counts calls for calls, reasoning parts for reasoning; ``head`` opens each delta."""

    __slots__ = ("citations", "head", "number", "part", "pieces", "start", "tail")

    def __init__(self, part: Any, number: int, head: bytes, tail: bytes) -> None:
        self.part = part
        self.number = number
        self.head = head
        self.tail = tail
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.start = 0


class ChatStreamEncoder:
    """One client's stream. Parts may be interleaved: chat tells its calls apart by their index."""

    def __init__(self, reply: EncodeContext) -> None:
        self._reply = reply
        self._legacy = wants_legacy_calls(reply)
        head = {"id": f"chatcmpl-{reply.id}", "object": "chat.completion.chunk", "created": reply.created, "model": reply.model}
        self._head = _json(head)[:-1]
        self._usage_field = b',"usage":null' if reply.request.include_usage else b""
        self._before = self._head + b',"choices":[{"index":0,"delta":'
        self._after = b',"finish_reason":null}]' + self._usage_field + b"}"
        self._parts: dict[int, _Part] = {}
        self._started = False
        self._over = False
        self._calls = 0
        self._thoughts = 0
        self._shown_thought = False
        self._written = 0
        self._refused = False
        self._annotations: list[Any] = []
        self._usage: Usage | None = None
        self._on: dict[type, Callable[[Any], list[Frame]]] = {
            Started: self._on_started,
            PartStarted: self._on_part,
            PartDelta: self._on_delta,
            Cited: self._on_cited,
            PartEnded: self._on_ended,
            UsageReported: self._on_usage,
            Finished: self._on_finished,
            Failed: self._on_failed,
        }

    def feed(self, event: Event) -> list[Frame]:
        """The chunks that tell one event."""
        if self._over:
            return []
        return self._on[type(event)](event)

    def _delta(self, delta: bytes) -> Frame:
        return Frame(self._before + delta + self._after)

    # --- events ----------------------------------------------------------------------------------------------------

    def _on_started(self, event: Started | None) -> list[Frame]:  # the client's ids are our own
        if event is not None:
            self._usage = event.usage
        if self._started:
            return []
        self._started = True
        return [self._delta(b'{"role":"assistant","content":""}')]

    def _on_part(self, event: PartStarted) -> list[Frame]:
        frames = self._on_started(None)
        part = event.part
        if isinstance(part, ToolCall):
            frames += self._call(event.index, part)
        elif isinstance(part, Text):
            self._refused = self._refused or part.refusal
            told = _Part(part, 0, b'{"refusal":' if part.refusal else b'{"content":', b"}")
            told.start = self._written
            self._parts[event.index] = told
            if part.text:
                frames += self._on_delta(PartDelta(event.index, part.text, part.logprobs))
        elif isinstance(part, Reasoning):
            self._parts[event.index] = _Part(part, self._thoughts, b'{"reasoning_content":', b"}")
            self._thoughts += 1
            if part.text:
                frames += self._on_delta(PartDelta(event.index, part.text))
        return frames

    def _call(self, index: int, call: ToolCall) -> list[Frame]:
        if self._legacy and self._calls:
            return []  # the legacy form has room for one call
        number = self._calls
        self._calls += 1
        call_id = call.id or generated_call_id(self._reply, number)
        shape, field = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        if self._legacy:
            self._parts[index] = _Part(call, number, b'{"function_call":{"arguments":', b"}}")
            return [self._delta(_json({"function_call": {"name": call.name, "arguments": ""}}))]
        head = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (number, shape.encode(), field.encode())
        self._parts[index] = _Part(call, number, head, b"}}]}")
        told = {"index": number, "id": call_id, "type": shape, shape: {"name": call.name, field: ""}}
        return [self._delta(_json({"tool_calls": [told]}))]

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        told = self._parts.get(event.index)
        if told is None:
            return []
        text = event.text
        part = told.part
        if part.__class__ is Text:
            if not part.refusal:
                self._written += len(text)
            if event.logprobs:
                return [self._with_logprobs(told, event)]
        elif part.__class__ is Reasoning:
            if not told.pieces and self._shown_thought:
                text = "\n\n" + text
            self._shown_thought = True
            told.pieces.append(event.text)
        elif not told.pieces:
            told.pieces.append("")  # something of the arguments has been told
        return [Frame(self._before + told.head + _json(text) + told.tail + self._after)]

    def _with_logprobs(self, told: _Part, event: PartDelta) -> Frame:
        logprobs = {"content": None, "refusal": event.logprobs} if told.part.refusal else {"content": event.logprobs, "refusal": None}
        delta = told.head + _json(event.text) + told.tail
        return Frame(self._before + delta + b',"logprobs":' + _json(logprobs) + self._after)

    def _on_cited(self, event: Cited) -> list[Frame]:
        told = self._parts.get(event.index)
        if told is not None:
            told.citations.append(event.citation)
        return []

    def _on_ended(self, event: PartEnded) -> list[Frame]:
        told = self._parts.pop(event.index, None)
        if told is None:
            return []
        part = told.part
        if isinstance(part, ToolCall):
            if told.pieces or part.kind == "custom":
                return []
            return [Frame(self._before + told.head + b'"{}"' + told.tail + self._after)]
        if isinstance(part, Reasoning):
            whole = Reasoning("".join(told.pieces), event.seal or part.seal)
            detail = reasoning_detail(whole, told.number, self._reply.seal_key)
            return [self._delta(_json({"reasoning_details": [detail]}))] if detail else []
        self._annotations += [annotation(each, told.start, self._written) for each in (*part.citations, *told.citations) if each.url]
        return []

    def _on_usage(self, event: UsageReported) -> list[Frame]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[Frame]:
        frames = self._on_started(None)
        self._over = True
        if self._annotations:
            # All at once: OpenAI's stream helpers cannot add to a list whose entries have no index.
            frames.append(self._delta(_json({"annotations": self._annotations})))
        frames.append(self._finish(event.finish))
        if self._usage_field:
            frames.append(Frame(self._head + b',"choices":[],"usage":' + _json(encode_usage(self._usage)) + b"}"))
        frames.append(_DONE)
        return frames

    def _finish(self, finish: Finish) -> Frame:
        word = finish_word(finish, refused=self._refused)
        if self._legacy and word == "tool_calls":
            word = "function_call"
        tier = service_tier(self._usage)
        extra = b"" if tier is None else b',"service_tier":' + _json(tier)
        return Frame(self._before + b'{},"finish_reason":"' + word.encode() + b'"}]' + extra + self._usage_field + b"}")

    def _on_failed(self, event: Failed) -> list[Frame]:
        self._over = True
        return break_off(event.failure, 0)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 - only Responses numbers its events
    """The error chunk that ends a broken stream, without ``[DONE]``."""
    return [Frame(_json({"error": error_fields(failure)}))]
