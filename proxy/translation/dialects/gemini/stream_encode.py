"""Canonical events to chunks for a client (docs/wire-formats.md, sections 16.5 and 16.6).

Texts and thoughts are sent piece by piece, a call as a whole at its end. The last chunk has the finish reason and the usage. Thoughts are
sent only to clients that set ``includeThoughts``; signatures always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import (
    Citation,
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
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.gemini.citations import encode_citations
from proxy.translation.dialects.gemini.errors import error_fields
from proxy.translation.dialects.gemini.finish_reasons import encode_finish
from proxy.translation.dialects.gemini.signatures import encode_carrier, place_of, signature_of
from proxy.translation.dialects.gemini.thinking import shows_thoughts
from proxy.translation.dialects.gemini.tool_arguments import encode_arguments
from proxy.translation.dialects.gemini.usage import encode_usage
from proxy.translation.dialects.gemini.wire import FAMILY, OBJECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_encode_string = msgspec.json.Encoder().encode
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
EMPTY_CHUNK = Frame(b'{"candidates":[{"content":{"role":"model","parts":[{"text":""}]},"index":0}]}')
"""The keep-alive: the SDKs read every line of a stream as a chunk, so that a comment would break it."""

EncodedPart = dict[str, Any]


class PartsEncoder:
    """Makes the parts of a response from its events, with signatures. ``citations``: those of the texts so far."""

    def __init__(self, context: EncodeContext) -> None:
        self.citations: list[Citation] = []
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self._context = context
        self._shows_thoughts = shows_thoughts(context.request)
        self._open: dict[int, Text | Reasoning | ToolCall | Opaque] = {}
        self._pieces: dict[int, list[str]] = {}
        self._pending: list[str] = []
        self._signatures: dict[int, list[str]] = {}
        self._running_calls: list[int] = []
        self._ended_calls: dict[int, EncodedPart] = {}
        self._calls = 0
        self._handlers: dict[type, Callable[[Any], list[EncodedPart]]] = {
            PartStarted: self._on_part,
            PartDelta: self._on_delta,
            PartEnded: self._on_ended,
            Cited: self._on_cited,
            Started: lambda _event: [],
            UsageReported: self._on_usage,
            Finished: self._on_finished,
        }

    def feed(self, event: Event) -> list[EncodedPart]:
        """The parts that an event completes."""
        return self._handlers[type(event)](event)

    def is_plain_text(self, index: int) -> bool:
        """Whether a delta of this part is sent as it is."""
        return isinstance(self._open.get(index), Text)

    def _on_part(self, event: PartStarted) -> list[EncodedPart]:
        if isinstance(event.part, Text | Reasoning | ToolCall | Opaque):
            self._open[event.index] = event.part
            self._pieces[event.index] = []
        if isinstance(event.part, ToolCall):
            self._running_calls.append(event.index)
            self._signatures[event.index], self._pending = self._pending, []
        return []

    def _on_delta(self, event: PartDelta) -> list[EncodedPart]:
        head = self._open.get(event.index)
        if isinstance(head, Text):
            return [{"text": event.text}]
        if head is not None:
            self._pieces[event.index].append(event.text)
        if isinstance(head, Reasoning) and self._shows_thoughts:
            return [{"text": event.text, "thought": True}]
        return []

    def _on_ended(self, event: PartEnded) -> list[EncodedPart]:
        head = self._open.pop(event.index, None)
        text = "".join(self._pieces.pop(event.index, ()))
        if isinstance(head, Reasoning):
            return self._end_reasoning(event.seal or head.seal, head.text + text)
        if isinstance(head, ToolCall):
            self._ended_calls[event.index] = self._encode_call(head, head.arguments + text)
            return self._take_calls()
        if isinstance(head, Opaque) and head.family == FAMILY:
            return [dict(OBJECT.decode(head.native))]
        return []

    def _take_calls(self) -> list[EncodedPart]:
        """The calls that have ended, in the order in which they started."""
        parts: list[EncodedPart] = []
        while self._running_calls and self._running_calls[0] in self._ended_calls:
            index = self._running_calls.pop(0)
            parts += _signed(self._ended_calls.pop(index), self._signatures.pop(index))
        return parts

    def _end_reasoning(self, seal: Seal | None, text: str) -> list[EncodedPart]:
        """Keep the signature for the next call, or else for the end; one of this family stands where the API puts it."""
        if seal is None or not (text or seal.fields):
            return []
        if seal.origin != FAMILY:
            self._pending.append(encode_carrier(seal, text, self._context.seal_key))
            return []
        signature, place = signature_of(seal), place_of(seal)
        if place == "call":
            self._pending.append(signature)
            return []
        if not signature:
            return []
        thought = {} if place == "text" else {"thought": True}
        return [{"text": "", **thought, "thoughtSignature": signature}]

    def _encode_call(self, call: ToolCall, arguments: str) -> EncodedPart:
        """A call. An empty id is filled in: clients return results by it."""
        self._calls += 1
        encoded = json_wire.encode({"input": arguments}) if call.kind == "custom" else encode_arguments(arguments)
        call_id = call.id or f"call_{self._context.id[:16]}{self._calls}"
        return {"functionCall": {"id": call_id, "name": call.name, "args": Raw(encoded)}}

    def _on_cited(self, event: Cited) -> list[EncodedPart]:
        self.citations.append(event.citation)
        return []

    def _on_usage(self, event: UsageReported) -> list[EncodedPart]:
        self.usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[EncodedPart]:
        self.finish = event.finish
        parts = [part for index in list(self._open) for part in self._on_ended(PartEnded(index))]
        return [*parts, *(_signed({"text": ""}, self._pending) if self._pending else [])]


def _signed(part: EncodedPart, signatures: list[str]) -> list[EncodedPart]:
    """A part with the signature of the reasoning before it; of several signatures the earlier ones are on empty texts."""
    if not signatures:
        return [part]
    *earlier, last = signatures
    return [*({"text": "", "thoughtSignature": signature} for signature in earlier), {**part, "thoughtSignature": last}]


class GeminiStreamEncoder:
    """A :class:`~proxy.translation.dialects.base.StreamEncoder`."""

    def __init__(self, context: EncodeContext) -> None:
        self._parts = PartsEncoder(context)
        self._head = chunk_head(context)
        self._prefix = b'{"candidates":[{"content":{"role":"model","parts":[{"text":'
        self._suffix = b'}]},"index":0}],' + json_wire.encode(self._head)[1:]

    def feed(self, event: Event) -> list[Frame]:
        if event.__class__ is PartDelta and self._parts.is_plain_text(event.index):
            return [Frame(self._prefix + _encode_string(event.text) + self._suffix)]
        if isinstance(event, Failed):
            return break_off(event.failure, 0)
        if isinstance(event, Started) and event.usage is not None:
            self._parts.usage = event.usage
        parts = self._parts.feed(event)
        if isinstance(event, Finished):
            # The SDK's chats forget a turn with a chunk that has no part.
            return [self._chunk(candidate(parts or [{"text": ""}], self._parts), usageMetadata=encode_usage(self._parts.usage))]
        return [self._chunk({"content": {"role": "model", "parts": [part]}, "index": 0}) for part in parts]

    def _chunk(self, encoded_candidate: dict[str, Any], **fields: Any) -> Frame:
        """A chunk. Native JSON in it may be indented: its line breaks, which are white space in JSON, become blanks."""
        return Frame(json_wire.encode({"candidates": [encoded_candidate], **fields, **self._head}).translate(_ONE_LINE))


def candidate(parts: list[EncodedPart], encoder: PartsEncoder) -> dict[str, Any]:
    """The candidate with the last parts, the finish reason and the citations."""
    finish = encoder.finish or Finish()
    return {"content": {"role": "model", "parts": parts}, **encode_finish(finish), "index": 0, **encode_citations(encoder.citations)}


def chunk_head(context: EncodeContext) -> dict[str, str]:
    """The fields that every chunk and response has."""
    return {"modelVersion": context.model, "responseId": context.id}


def encoder(context: EncodeContext) -> GeminiStreamEncoder:
    """An encoder for one client stream."""
    return GeminiStreamEncoder(context)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The ``error`` object that ends a broken stream."""
    return [Frame(json_wire.encode({"error": error_fields(failure)}))]
