"""Encodes canonical events as the chunks for a Chat client (docs/wire-formats.md, sections 2.5 and 9.4)."""

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
from proxy.translation.dialects.openai_chat.finish_reasons import encode_finish_reason
from proxy.translation.dialects.openai_chat.native_fields import fields_of_message, fields_of_response
from proxy.translation.dialects.openai_chat.opaque_state import StreamedState, streamed_state
from proxy.translation.dialects.openai_chat.response_encode import (
    encode_annotation,
    encode_reasoning_detail,
    generate_call_id,
    uses_legacy_calls,
)
from proxy.translation.dialects.openai_chat.usage import encode_service_tier, encode_usage
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.dialects.openai_errors import error_fields
from proxy.translation.dialects.refusals import explanation
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_DONE = Frame(b"[DONE]")
_encode_json = msgspec.json.Encoder().encode


class _OpenPart:
    """A part between ``PartStarted`` and ``PartEnded``.

    ``number``: the index among the calls, or among the reasoning parts. ``head`` and ``tail``: the JSON of its deltas before and
    after the text. ``start``, ``calls_before``: the number of characters of content and of calls before it.
    """

    __slots__ = ("calls_before", "citations", "head", "number", "part", "pieces", "start", "tail")

    def __init__(self, part: Any, number: int, head: bytes, tail: bytes) -> None:
        self.part = part
        self.number = number
        self.head = head
        self.tail = tail
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.start = 0
        self.calls_before = 0


class ChatStreamEncoder:
    """Encodes one stream. Parts may be interleaved, because the fragments of calls have an index."""

    def __init__(self, context: EncodeContext, choice: int = 0) -> None:
        """``choice``: the index of the choice that is encoded."""
        self._context = context
        self._legacy = uses_legacy_calls(context)
        head = {"id": f"chatcmpl-{context.id}", "object": "chat.completion.chunk", "created": context.created, "model": context.model}
        self._head = _encode_json(head)[:-1]
        self._usage_field = b',"usage":null' if context.request.include_usage else b""
        self._chunk_start = self._head + b',"choices":[{"index":%d,"delta":' % choice
        self._chunk_end = b',"finish_reason":null}]' + self._usage_field + b"}"
        self._parts: dict[int, _OpenPart] = {}
        self._started = False
        self._ended = False
        self._call_count = 0
        self._call_numbers: dict[str, int] = {}
        self._call_states: list[StreamedState] = []
        self._reasoning_count = 0
        self._reasoning_written = False
        self._characters_written = 0
        self._refused = False
        self._annotations: list[Any] = []
        self._usage: Usage | None = None
        # Every encoder has this table of its own methods: a common base class would tie the dialects to one another.
        self._handlers: dict[type, Callable[[Any], list[Frame]]] = {
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
        """The chunks of one event; none after ``Finished`` or ``Failed``."""
        if self._ended:
            return []
        return self._handlers[type(event)](event)

    def _chunk(self, delta: bytes) -> Frame:
        return Frame(self._chunk_start + delta + self._chunk_end)

    # --- events ----------------------------------------------------------------------------------------------------

    def _on_started(self, event: Started | None) -> list[Frame]:  # the client gets ids of the gateway
        if event is not None:
            self._usage = event.usage
        if self._started:
            return []
        self._started = True
        return [self._chunk(b'{"role":"assistant","content":""}')]

    def _on_part(self, event: PartStarted) -> list[Frame]:
        frames = self._on_started(None)
        part = event.part
        if isinstance(part, ToolCall):
            frames += self._start_call(event.index, part)
        elif isinstance(part, Text):
            self._refused = self._refused or part.refusal
            open_part = _OpenPart(part, 0, b'{"refusal":' if part.refusal else b'{"content":', b"}")
            open_part.start = self._characters_written
            self._parts[event.index] = open_part
            if part.text:
                frames += self._on_delta(PartDelta(event.index, part.text, part.logprobs))
        elif isinstance(part, Reasoning):
            open_part = self._parts[event.index] = _OpenPart(part, self._reasoning_count, b'{"reasoning_content":', b"}")
            open_part.start, open_part.calls_before = self._characters_written, self._call_count
            self._reasoning_count += 1
            if part.text:
                frames += self._on_delta(PartDelta(event.index, part.text))
        return frames

    def _start_call(self, index: int, call: ToolCall) -> list[Frame]:
        if self._legacy and self._call_count:
            return []  # the older form has one call only
        number = self._call_count
        self._call_count += 1
        call_id = call.id or generate_call_id(self._context, number)
        type_, field = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        if self._legacy:
            self._parts[index] = _OpenPart(call, number, b'{"function_call":{"arguments":', b"}}")
            return [self._chunk(_encode_json({"function_call": {"name": call.name, "arguments": ""}}))]
        head = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (number, type_.encode(), field.encode())
        self._parts[index] = _OpenPart(call, number, head, b"}}]}")
        self._call_numbers[call.id] = number
        wire_call = {"index": number, "id": call_id, "type": type_, type_: {"name": call.name, field: ""}} | self._take_call_state(
            call, number
        )
        return [self._chunk(_encode_json({"tool_calls": [wire_call]}))]

    def _take_call_state(self, call: ToolCall, number: int) -> dict[str, Any]:
        """The opaque state that has come for a call before the call itself."""
        for state in self._call_states:
            if state.call_id == call.id if state.call_id else state.call_number == number:
                self._call_states.remove(state)
                return dict(state.call)
        return {}

    def _encode_state(self, state: StreamedState) -> list[Frame]:
        """The chunk with the opaque state of a Chat upstream, in the fields that it came in; that of a later call waits for the call."""
        deltas: list[dict[str, Any]] = [{"reasoning_details": state.details}] if state.details else []
        if state.message:
            deltas.append(dict(state.message))
        number = self._call_numbers.get(state.call_id) if state.call_id else state.call_number
        if state.call and (number is None or number >= self._call_count):
            self._call_states.append(state)
        elif state.call and not self._legacy:
            deltas.append({"tool_calls": [{"index": number, **state.call}]})
        return [self._chunk(_encode_json(delta)) for delta in deltas]

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        open_part = self._parts.get(event.index)
        if open_part is None:
            return []
        text = event.text
        part = open_part.part
        if part.__class__ is Text:
            if not part.refusal:
                self._characters_written += len(text)
            if event.logprobs:
                return [self._with_logprobs(open_part, event)]
        elif part.__class__ is Reasoning:
            if not open_part.pieces and self._reasoning_written:
                text = "\n\n" + text
            self._reasoning_written = True
            open_part.pieces.append(event.text)
        elif not open_part.pieces:
            open_part.pieces.append("")  # marks that arguments were sent
        return [Frame(self._chunk_start + open_part.head + _encode_json(text) + open_part.tail + self._chunk_end)]

    def _with_logprobs(self, open_part: _OpenPart, event: PartDelta) -> Frame:
        logprobs = {"content": None, "refusal": event.logprobs} if open_part.part.refusal else {"content": event.logprobs, "refusal": None}
        delta = open_part.head + _encode_json(event.text) + open_part.tail
        return Frame(self._chunk_start + delta + b',"logprobs":' + _encode_json(logprobs) + self._chunk_end)

    def _on_cited(self, event: Cited) -> list[Frame]:
        open_part = self._parts.get(event.index)
        if open_part is not None:
            open_part.citations.append(event.citation)
        return []

    def _on_ended(self, event: PartEnded) -> list[Frame]:
        open_part = self._parts.pop(event.index, None)
        if open_part is None:
            return []
        part = open_part.part
        if isinstance(part, ToolCall):
            if open_part.pieces or part.kind == "custom":
                return []
            return [Frame(self._chunk_start + open_part.head + b'"{}"' + open_part.tail + self._chunk_end)]
        if isinstance(part, Reasoning):
            reasoning = Reasoning("".join(open_part.pieces), event.seal or part.seal)
            if reasoning.seal is not None and reasoning.seal.origin == FAMILY and reasoning.seal.fields:
                return self._encode_state(streamed_state(reasoning.seal))
            place = (open_part.calls_before, open_part.start)
            detail = encode_reasoning_detail(reasoning, open_part.number, place, self._context.seal_key)
            return [self._chunk(_encode_json({"reasoning_details": [detail]}))] if detail else []
        self._annotations += [
            encode_annotation(citation, open_part.start, self._characters_written)
            for citation in (*part.citations, *open_part.citations)
            if citation.url
        ]
        return []

    def _on_usage(self, event: UsageReported) -> list[Frame]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[Frame]:
        frames = self._on_started(None)
        self._ended = True
        if self._annotations:
            # In one chunk: the stream helpers of OpenAI's SDK cannot extend a list whose entries have no index.
            frames.append(self._chunk(_encode_json({"annotations": self._annotations})))
        reason = "" if self._refused else explanation(event.finish)
        if reason:
            frames.append(self._chunk(_encode_json({"refusal": reason})))
        native = fields_of_message(event.finish)
        if native:
            frames.append(self._chunk(_encode_json(native)))
        frames.append(self._finish_chunk(event.finish))
        if self._usage_field:
            frames.append(Frame(self._head + b',"choices":[],"usage":' + _encode_json(encode_usage(self._usage)) + b"}"))
        frames.append(_DONE)
        return frames

    def _finish_chunk(self, finish: Finish) -> Frame:
        finish_reason = encode_finish_reason(finish, refused=self._refused)
        if self._legacy and finish_reason == "tool_calls":
            finish_reason = "function_call"
        tier = encode_service_tier(self._usage)
        fields = fields_of_response(finish) if tier is None else {**fields_of_response(finish), "service_tier": tier}
        extra = b"," + _encode_json(fields)[1:-1] if fields else b""
        return Frame(self._chunk_start + b'{},"finish_reason":"' + finish_reason.encode() + b'"}]' + extra + self._usage_field + b"}")

    def _on_failed(self, event: Failed) -> list[Frame]:
        self._ended = True
        return break_off(event.failure, 0)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 - only Responses numbers its events
    """The error chunk that ends a stream after a failure; no ``[DONE]`` follows."""
    return [Frame(_encode_json({"error": error_fields(failure)}))]
