"""Decodes the stream of a Chat upstream, chunk by chunk (docs/wire-formats.md, sections 2.5 and 9)."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec

from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finished,
    Part,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    UsageReported,
    settled,
)
from proxy.translation.dialects.base import error_object
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.dialects.openai_chat.finish_reasons import decode_finish_reason, failure_of_finish
from proxy.translation.dialects.openai_chat.native_fields import NativeFields, NativeResponse
from proxy.translation.dialects.openai_chat.opaque_state import DetailsCollector, message_part
from proxy.translation.dialects.openai_chat.plain_chunks import decode_plain_chunk
from proxy.translation.dialects.openai_chat.stream_decode_calls import CallAssembler
from proxy.translation.dialects.openai_chat.surrogate_halves import HalvesJoiner
from proxy.translation.dialects.openai_chat.think_tags import ThinkTags
from proxy.translation.dialects.openai_chat.wire_response import (
    Logprobs,
    ResponseMessage,
    WireCall,
    has_base_error,
    read_citations,
    read_content,
    read_reasoning,
)
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.errors import ClientMistake, Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks
from proxy.translation.usage_counters import has_counts, read_usage

_DONE = b"[DONE]"
MAX_MISSES = 4
"""So many chunks of a stream may turn out not to be plain; then the server sends fields that plain chunks do not have."""
_LEGACY_CALL_INDEX = -1
_EMPTY_PARTS: dict[str, Part] = {"text": Text(""), "reasoning": Reasoning(""), "refusal": Text("", refusal=True)}


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: ResponseMessage | None = None
    message: ResponseMessage | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None
    usage: Any = None


class _Groq(msgspec.Struct):
    usage: Any = None


class _Chunk(NativeResponse):
    id: str | int | None = None
    object: Any = None
    model: str | None = None
    choices: list[_Choice | None] | None = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None
    x_groq: _Groq | None = None
    base_resp: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_EMPTY_DATA = frozenset({b"", b"null"})
"""Data of frames without a chunk."""


class ChatStreamDecoder:
    """Decodes one stream.

    At most one part of text, reasoning or refusal is open at a time (``_open_part``, of ``_open_kind``), and any number of tool
    calls beside it.
    """

    def __init__(self, quirks: Quirks) -> None:
        self._parts = count()
        self._calls = CallAssembler(self._parts, names_in_pieces=quirks.names_in_pieces)
        self._think_tags = ThinkTags() if quirks.split_think_tags else None
        self._started = False
        self._ended = False
        self._open_kind = ""
        self._open_part = -1
        self._plain_part = -1
        """The open part, if it is text and chunks are tried as plain ones first."""
        self._misses = 0
        self._refused = False
        self._has_reasoning_text = False
        self._details = DetailsCollector()
        self._halves = HalvesJoiner()
        self._sent = dict.fromkeys(_EMPTY_PARTS, 0)
        self._cited = False
        self._message_state: dict[str, msgspec.Raw] = {}
        self._native = NativeFields()
        self._finish_reason: str | None = None
        self._usage: dict[str, Any] | None = None
        self._service_tier: Any = None

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one chunk. ``Finished`` is withheld until ``[DONE]`` or the end of the bytes, because the usage may come last."""
        if self._ended:
            return []
        if self._plain_part >= 0 and not frame.event and (piece := self._plain_piece(frame.data)) is not None:
            return [piece]
        if frame.data in _EMPTY_DATA:
            return []
        try:
            chunk = _CHUNK.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._read_undecodable(frame, error)
        return self._read_chunk(chunk, frame)

    def _read_undecodable(self, frame: Frame, error: Exception) -> list[Event]:
        """The events of ``[DONE]``, or of a chunk with an error that a lenient decoder accepts."""
        if frame.data.strip() == _DONE:
            return self._finish()
        try:
            chunk = decode_leniently(self._halves.joined(frame.data) or frame.data, _CHUNK)
        except ClientMistake:
            return self._fail(_undecodable_chunk(frame, error))
        return self._read_chunk(chunk, frame)

    def _read_chunk(self, chunk: _Chunk, frame: Frame) -> list[Event]:
        if chunk.error or frame.event == "error" or chunk.object == "error" or (chunk.base_resp and has_base_error(chunk.base_resp)):
            return self._fail(failure_from_error(chunk.error or error_object(frame.data)))
        events: list[Event] = []
        if not self._started and (chunk.choices or chunk.id):
            self._start(chunk, events)
        self._keep_totals(chunk)
        for choice in chunk.choices or ():
            if choice is None or choice.index:
                continue
            if choice.error or choice.finish_reason == "error":
                return events + self._fail(failure_from_error(choice.error))
            self._read_choice(choice, events)
        if self._open_kind == "text" and self._think_tags is None and self._misses < MAX_MISSES:
            self._plain_part = self._open_part
        return events

    def _plain_piece(self, data: bytes) -> PartDelta | None:
        """The text of a chunk that has nothing else. ``None``: it may have; the decoder of any chunk reads it."""
        try:
            chunk = decode_plain_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._plain_part = -1
            self._misses += 1
            return None
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        text = chunk.choices[0].delta.content
        self._sent["text"] += len(text)
        return PartDelta(self._plain_part, text)

    def close(self) -> list[Event]:
        """The events at the end of the bytes. A stream that sent a ``finish_reason`` is complete, also without ``[DONE]``."""
        if self._ended:
            return []
        if self._finish_reason is not None:
            return self._finish()
        return self._fail(Failure(kind="network", message="The upstream stream ended without a finish_reason."))

    # --- chunks ----------------------------------------------------------------------------------------------------

    def _start(self, chunk: _Chunk, events: list[Event]) -> None:
        self._started = True
        events.append(Started("" if chunk.id is None else str(chunk.id), chunk.model or ""))

    def _keep_totals(self, chunk: _Chunk) -> None:
        """Keep what later chunks replace: fields of the response, and the usage, in the chunk, in a choice or (Groq) in ``x_groq``."""
        if chunk.citations is not None or chunk.search_results is not None:
            self._native.add_response(chunk)
        if chunk.usage is not None:
            self._set_usage(chunk.usage)
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._set_usage(chunk.x_groq.usage)
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier

    def _set_usage(self, usage: Any) -> None:
        """Replace the usage, but not by zeros, which some servers send after the real one."""
        if isinstance(usage, dict) and (self._usage is None or has_counts(usage)):
            self._usage = usage

    def _read_choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.usage is not None:
            self._set_usage(choice.usage)
        message = choice.delta
        if message is None and choice.message is not None:
            message = self._rest_of(choice.message)
        if message is not None:
            self._read_message(message, choice.logprobs, events)
            if message.audio is not None or message.executed_tools is not None:
                self._native.add_message(message)
        if choice.finish_reason and self._finish_reason is None:
            self._finish_reason = choice.finish_reason

    def _read_message(self, message: ResponseMessage, logprobs: Logprobs | None, events: list[Event]) -> None:
        content = message.content
        reasoning_text = message.reasoning_content or message.reasoning
        # Details that follow a reasoning text repeat it.
        if message.reasoning_details or message.extra_content or message.reasoning_opaque:
            self._details.add(message.reasoning_details)
            self._message_state |= message.state()
        if reasoning_text or (message.reasoning_details and not self._has_reasoning_text):
            self._has_reasoning_text = self._has_reasoning_text or bool(reasoning_text)
            reasoning = read_reasoning(message)
            if reasoning:
                self._add_text("reasoning", reasoning, events)
        if content:
            text_logprobs = tuple(logprobs.content or ()) if logprobs is not None else ()
            if content.__class__ is str and self._think_tags is None:
                self._add_text("text", content, events, text_logprobs)
            else:
                self._read_content(content, events, text_logprobs)
        if message.refusal:
            self._refused = True
            self._add_text("refusal", message.refusal, events, tuple(logprobs.refusal or ()) if logprobs is not None else ())
        if message.annotations:
            self._cite(message.annotations, events)
        if message.tool_calls:
            self._read_calls(message.tool_calls, events)
        elif message.function_call is not None:
            self._read_calls([WireCall(index=_LEGACY_CALL_INDEX, function=message.function_call)], events)

    def _cite(self, annotations: Any, events: list[Event]) -> None:
        """Cite the open text; citations in front of the text (OpenRouter) open it."""
        citations = list(read_citations(annotations))
        self._cited = self._cited or bool(citations)
        if citations and self._open_kind != "text":
            self._open_text("text", events)
        events += [Cited(self._open_part, citation) for citation in citations]

    def _rest_of(self, message: ResponseMessage) -> ResponseMessage:
        """What a whole message, which some servers send in the last chunk, has beyond the deltas so far."""
        content = message.content
        if isinstance(content, str) and self._think_tags is None:
            content = content[self._sent["text"] :]
        elif self._sent["text"] or self._sent["reasoning"]:
            content = None
        return msgspec.structs.replace(
            message,
            content=content,
            reasoning_content=read_reasoning(message)[self._sent["reasoning"] :],
            reasoning=None,
            reasoning_details=None if self._has_reasoning_text or self._details else message.reasoning_details,
            refusal=(message.refusal or "")[self._sent["refusal"] :],
            tool_calls=None if self._calls.any else message.tool_calls,
            function_call=None if self._calls.any else message.function_call,
            annotations=None if self._cited else message.annotations,
        )

    def _read_content(self, content: Any, events: list[Event], logprobs: tuple[Any, ...]) -> None:
        for kind, text in read_content(content):
            pieces = self._think_tags.feed(text) if self._think_tags is not None and kind == "text" else [(kind, text)]
            for piece_kind, piece in pieces:
                self._add_text(piece_kind, piece, events, logprobs if piece_kind == "text" else ())

    def _add_text(self, kind: str, text: str, events: list[Event], logprobs: tuple[Any, ...] = ()) -> None:
        if self._open_kind != kind:
            self._open_text(kind, events)
        self._sent[kind] += len(text)
        events.append(PartDelta(self._open_part, text, logprobs))

    def _open_text(self, kind: str, events: list[Event]) -> None:
        self._end_open_part(events)
        if kind != "reasoning" and self._details:
            self._flush_details(events)
        self._calls.end_complete(events)
        self._open_kind = kind
        self._open_part = next(self._parts)
        events.append(PartStarted(self._open_part, _EMPTY_PARTS[kind]))

    def _end_open_part(self, events: list[Event]) -> None:
        if self._open_kind:
            events.append(PartEnded(self._open_part, self._details.take() if self._open_kind == "reasoning" else None))
            self._open_kind = ""

    def _flush_details(self, events: list[Event]) -> None:
        """A reasoning part without text for the details that came after the reasoning text, or without any."""
        self._add_part(Reasoning("", self._details.take()), events)

    def _add_part(self, part: Part, events: list[Event]) -> None:
        index = next(self._parts)
        events += [PartStarted(index, part), PartEnded(index)]

    def _read_calls(self, fragments: list[WireCall | None], events: list[Event]) -> None:
        for fragment in fragments:
            if fragment is None:
                continue
            call_events: list[Event] = []
            self._calls.feed(fragment, call_events)
            if (self._open_kind or self._details) and any(isinstance(event, PartStarted) for event in call_events):
                self._flush_tags(events)
                self._end_open_part(events)
                if self._details:
                    self._flush_details(events)
            events += call_events

    def _flush_tags(self, events: list[Event]) -> None:
        if self._think_tags is not None:
            for kind, text in self._think_tags.close():
                self._add_text(kind, text, events)

    # --- the end ---------------------------------------------------------------------------------------------------

    def _finish(self) -> list[Event]:
        broken_off = failure_of_finish(self._finish_reason)
        if broken_off is not None:  # not before the end: the usage comes after the finish_reason
            return self._fail(broken_off)
        self._ended = True
        events: list[Event] = [] if self._started else [Started()]
        self._flush_tags(events)
        if self._halves.has_lost_text:
            self._add_text("text", "\N{REPLACEMENT CHARACTER}", events)
        self._end_open_part(events)
        if self._details:
            self._flush_details(events)
        self._calls.close(events)
        if self._message_state:
            self._add_part(message_part(self._message_state), events)
        self._report_usage(events)
        finish = self._native.kept_in(decode_finish_reason(self._finish_reason, refused=self._refused))
        events.append(Finished(settled(finish, has_calls=self._calls.any_started)))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self._ended = True
        events: list[Event] = []
        if self._started:
            self._report_usage(events)
        events.append(Failed(failure))
        return events

    def _report_usage(self, events: list[Event]) -> None:
        usage = None if self._usage is None else read_usage(self._usage, self._service_tier)
        if usage is not None:
            events.append(UsageReported(usage))


def _undecodable_chunk(frame: Frame, error: Exception) -> Failure:
    """The failure for a frame that is no JSON chunk; the data of an ``event: error`` is the upstream's message as plain text."""
    if frame.event == "error":
        return failure_from_error(frame.data.decode("utf-8", "replace"))
    return Failure(kind="bad_gateway", message=f"A chunk of the upstream stream cannot be decoded: {error}")
