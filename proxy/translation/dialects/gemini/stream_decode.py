"""Chunks of a stream to canonical events. A whole response has the form of a single chunk (docs/wire-formats.md, section 16.5).

Every chunk holds the next parts of the candidate; texts and thoughts come in pieces, calls whole. The stream has no last event: it is
complete if a chunk had a ``finishReason``, or a ``promptFeedback`` without candidates. Usage is in any chunk, the last one counts.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Opaque,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Seal,
    Started,
    Text,
    ToolCall,
    UsageReported,
    settled,
)
from proxy.translation.dialects.gemini.citations import decode_citations
from proxy.translation.dialects.gemini.errors import failure_of_error
from proxy.translation.dialects.gemini.finish_reasons import blocked_prompt, decode_finish, failure_of_finish
from proxy.translation.dialects.gemini.signatures import call_signature, text_signature, thought_seal
from proxy.translation.dialects.gemini.tool_arguments import decode_arguments
from proxy.translation.dialects.gemini.usage import WireUsage, decode_usage
from proxy.translation.dialects.gemini.wire import FAMILY, HOST_PARTS, Part, is_present
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.lone_surrogates import replace_lone_surrogates
from proxy.translation.quirks import Quirks


class _Content(msgspec.Struct, gc=False):
    parts: list[Part] | None = None


class _Candidate(msgspec.Struct, gc=False):
    content: _Content | None = None
    index: int | None = None
    finishReason: str | None = None  # noqa: N815
    finishMessage: str | None = None  # noqa: N815
    groundingMetadata: Any = None  # noqa: N815
    citationMetadata: Any = None  # noqa: N815


class _Feedback(msgspec.Struct):
    blockReason: str | None = None  # noqa: N815
    blockReasonMessage: str | None = None  # noqa: N815


class _Chunk(msgspec.Struct, gc=False):
    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815
    usageMetadata: WireUsage | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_CHUNKS = msgspec.json.Decoder(list[Raw])


class GeminiStreamDecoder:
    """A :class:`~proxy.translation.dialects.base.StreamDecoder`."""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._next = 0
        self._open = -1
        self._open_kind = ""
        self._thought_signature = ""
        self._calls = 0
        self._call_ids: set[str] = set()
        self._finish: Finish | None = None
        self._failure: Failure | None = None
        self._usage: WireUsage | None = None

    def feed(self, frame: Frame) -> list[Event]:
        if self._ended:
            return []
        try:
            chunk = _CHUNK.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._feed_nonconforming(frame.data)
        return self._read(chunk)

    def close(self) -> list[Event]:
        if self._ended:
            return []
        if self._failure is not None:
            return self._fail(self._failure)
        if self._finish is None:
            return self._fail(Failure(kind="network", message="The upstream stream ended before the response was complete"))
        self._ended = True
        events = self._ensure_started()
        self._end_open(events)
        self._report_usage(events)
        events.append(Finished(settled(self._finish, has_calls=self._calls > 0)))
        return events

    def _feed_nonconforming(self, data: bytes) -> list[Event]:
        """A frame that is no chunk: several chunks in an array, a lone surrogate, ``[DONE]``; anything else fails the stream."""
        repaired = replace_lone_surrogates(data)
        try:
            if repaired.lstrip().startswith(b"[") and repaired.strip() != b"[DONE]":
                return [event for raw in _CHUNKS.decode(repaired) for event in self.feed(Frame(bytes(raw)))]
            if repaired.strip() in (b"", b"[DONE]"):
                return []
            return self._read(_CHUNK.decode(repaired))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._fail(Failure(kind="bad_gateway", message=f"The upstream response cannot be decoded: {error}"))

    def _read(self, chunk: _Chunk) -> list[Event]:
        if chunk.error:
            return self._fail(failure_of_error(chunk.error))
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(chunk.responseId or "", chunk.modelVersion or ""))
        if chunk.usageMetadata is not None and chunk.usageMetadata.has_counts():
            self._usage = chunk.usageMetadata
        candidate = next((candidate for candidate in chunk.candidates or () if not candidate.index), None)
        if candidate is not None:
            self._read_candidate(candidate, events)
        elif chunk.promptFeedback is not None and chunk.promptFeedback.blockReason:
            self._finish = blocked_prompt(chunk.promptFeedback.blockReason, chunk.promptFeedback.blockReasonMessage)
        return events

    def _read_candidate(self, candidate: _Candidate, events: list[Event]) -> None:
        for part in candidate.content.parts or () if candidate.content is not None else ():
            self._read_part(part, events)
        if candidate.groundingMetadata or candidate.citationMetadata:
            self._cite(candidate, events)
        if candidate.finishReason and candidate.finishReason != "FINISH_REASON_UNSPECIFIED":
            self._failure = failure_of_finish(candidate.finishReason, candidate.finishMessage)
            self._finish = decode_finish(candidate.finishReason, candidate.finishMessage)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _read_part(self, part: Part, events: list[Event]) -> None:
        if part.functionCall is not None:
            self._add_call(part, events)
        elif part.text is not None:
            self._add_text(part, events)
        else:
            self._add_native(part, events)

    def _add_text(self, part: Part, events: list[Event]) -> None:
        text, signature = part.text or "", part.thoughtSignature or ""
        if part.thought:
            if text or signature:
                self._ensure_open("thought", events)
            if text:
                events.append(PartDelta(self._open, text))
            if signature:
                self._thought_signature = signature
                self._end_open(events)
            return
        if text:
            self._ensure_open("text", events)
            events.append(PartDelta(self._open, text))
        if signature:
            self._end_open(events)
            self._add(text_signature(signature), events)

    def _add_call(self, part: Part, events: list[Event]) -> None:
        call = part.functionCall
        if call is None or not call.name:
            return
        self._end_open(events)
        call_id = call.id or ""
        call_id = "" if call_id in self._call_ids else call_id
        self._call_ids.add(call_id)
        if part.thoughtSignature:
            self._add(call_signature(part.thoughtSignature, call_id, self._calls), events)
        self._calls += 1
        index = self._take_index()
        events += [PartStarted(index, ToolCall(call_id, call.name, "")), PartDelta(index, decode_arguments(call.args)), PartEnded(index)]

    def _add_native(self, part: Part, events: list[Event]) -> None:
        """A part of the vendor's own tools, or media that the model made."""
        if part.inlineData is not None:
            fields = {"mimeType": part.inlineData.mimeType, "data": part.inlineData.data}
            self._end_open(events)
            self._add(Opaque(FAMILY, part.inlineData.mimeType, Raw(json_wire.encode({"inlineData": fields})), history=True), events)
            return
        for name in HOST_PARTS:
            raw = getattr(part, name)
            if is_present(raw):
                self._end_open(events)
                self._add(Opaque(FAMILY, name, Raw(json_wire.encode({name: raw})), history=True), events)
                return
        if part.thoughtSignature:
            self._end_open(events)
            self._add(text_signature(part.thoughtSignature), events)

    def _cite(self, candidate: _Candidate, events: list[Event]) -> None:
        citations = decode_citations(candidate.groundingMetadata, candidate.citationMetadata)
        if citations:
            self._ensure_open("text", events)
            events += [Cited(self._open, citation) for citation in citations]

    def _add(self, part: Opaque | Reasoning, events: list[Event]) -> None:
        index = self._take_index()
        events += [PartStarted(index, part), PartEnded(index)]

    def _ensure_open(self, kind: str, events: list[Event]) -> None:
        if self._open_kind == kind:
            return
        self._end_open(events)
        self._open, self._open_kind = self._take_index(), kind
        events.append(PartStarted(self._open, Reasoning("") if kind == "thought" else Text("")))

    def _end_open(self, events: list[Event]) -> None:
        if not self._open_kind:
            return
        seal: Seal | None = None
        if self._open_kind == "thought":
            seal, self._thought_signature = thought_seal(self._thought_signature), ""
        events.append(PartEnded(self._open, seal))
        self._open_kind = ""

    def _take_index(self) -> int:
        self._next += 1
        return self._next - 1

    # --- the end -----------------------------------------------------------------------------------------------------

    def _ensure_started(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started()]

    def _report_usage(self, events: list[Event]) -> None:
        if self._usage is not None:
            events.append(UsageReported(decode_usage(self._usage)))

    def _fail(self, failure: Failure) -> list[Event]:
        self._ended = True
        events: list[Event] = []
        if self._started:
            self._report_usage(events)
        events.append(Failed(failure))
        return events


def decoder(quirks: Quirks) -> GeminiStreamDecoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A decoder for one upstream stream; no quirk concerns one."""
    return GeminiStreamDecoder()
