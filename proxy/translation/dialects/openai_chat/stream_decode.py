"""Chat Completions streams: chunks to events here, events to chunks in ``encode_stream`` (sections 2.5 and 9)."""

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
from proxy.translation.dialects.openai_chat.stream_decode_calls import Calls
from proxy.translation.dialects.openai_chat.think_tags import ThinkTags
from proxy.translation.dialects.openai_chat.usage import WireUsage, decode_finish, decode_usage
from proxy.translation.dialects.openai_chat.wire_response import SEAL, Logprobs, Said, WireCall, citations_of, content_of, thought_of
from proxy.translation.dialects.openai_errors import failure_from_error
from proxy.translation.errors import ClientMistake, Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks

_DONE = b"[DONE]"
_LEGACY_NUMBER = -1
_HEADS: dict[str, Part] = {"text": Text(""), "reasoning": Reasoning(""), "refusal": Text("", refusal=True)}


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None
    usage: WireUsage | None = None


class _Groq(msgspec.Struct):
    usage: WireUsage | None = None


class _Chunk(msgspec.Struct):
    id: str | int | None = None
    object: Any = None
    model: str | None = None
    choices: list[_Choice | None] | None = None
    usage: WireUsage | None = None
    error: Any = None
    service_tier: Any = None
    x_groq: _Groq | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_NOTHING = frozenset({b"", b"null"})
"""Data of frames that say nothing."""


class ChatStreamDecoder:
    """One upstream stream. At most one of text, reasoning and refusal is open at a time, beside any number of calls."""

    def __init__(self, quirks: Quirks) -> None:
        self._parts = count()
        self._calls = Calls(self._parts, names_in_pieces=quirks.names_in_pieces)
        self._tags = ThinkTags() if quirks.split_think_tags else None
        self._started = False
        self._over = False
        self._kind = ""
        self._part = -1
        self._refused = False
        self._thinks_plainly = False
        self._finish_word: str | None = None
        self._usage: WireUsage | None = None
        self._service_tier: Any = None

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one chunk; ``Finished`` waits for ``[DONE]`` or the end of the bytes, because usage may still come."""
        if self._over or frame.data in _NOTHING:
            return []
        try:
            chunk = _CHUNK.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if frame.data.strip() == _DONE:
                return self._finish()
            try:
                chunk = decode_leniently(frame.data, _CHUNK)
            except ClientMistake:
                return self._fail(_unreadable(frame, error))
        if chunk.error or frame.event == "error" or chunk.object == "error":
            return self._fail(failure_from_error(chunk.error or error_object(frame.data)))
        events: list[Event] = []
        if not self._started and (chunk.choices or chunk.id):
            self._start(chunk, events)
        self._note_usage(chunk)
        for choice in chunk.choices or ():
            if choice is None or choice.index:
                continue
            if choice.error or choice.finish_reason == "error":
                return events + self._fail(failure_from_error(choice.error))
            self._choice(choice, events)
        return events

    def close(self) -> list[Event]:
        """The end of the bytes: a stream that named its finish is whole, also without ``[DONE]``."""
        if self._over:
            return []
        if self._finish_word is not None:
            return self._finish()
        return self._fail(Failure(kind="network", message="the upstream's stream ended unexpectedly"))

    # --- chunks ----------------------------------------------------------------------------------------------------

    def _start(self, chunk: _Chunk, events: list[Event]) -> None:
        self._started = True
        events.append(Started("" if chunk.id is None else str(chunk.id), chunk.model or ""))

    def _note_usage(self, chunk: _Chunk) -> None:
        """The last usage counts, wherever it stands."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        elif chunk.x_groq is not None and chunk.x_groq.usage is not None:
            self._usage = chunk.x_groq.usage
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        if choice.usage is not None:
            self._usage = choice.usage
        said = choice.delta or choice.message
        if said is not None:
            self._said(said, choice.logprobs, events)
        if choice.finish_reason and self._finish_word is None:
            self._finish_word = choice.finish_reason

    def _said(self, said: Said, logprobs: Logprobs | None, events: list[Event]) -> None:
        content = said.content
        plainly = said.reasoning_content or said.reasoning
        # Details behind plain words only say the same again.
        if plainly or (said.reasoning_details and not self._thinks_plainly):
            self._thinks_plainly = self._thinks_plainly or bool(plainly)
            thought = thought_of(said)
            if thought:
                self._say("reasoning", thought, events)
        if content:
            told = tuple(logprobs.content or ()) if logprobs is not None else ()
            if content.__class__ is str and self._tags is None:
                self._say("text", content, events, told)
            else:
                self._content(content, events, told)
        if said.refusal:
            self._refused = True
            self._say("refusal", said.refusal, events, tuple(logprobs.refusal or ()) if logprobs is not None else ())
        if said.annotations and self._kind == "text":
            events += [Cited(self._part, citation) for citation in citations_of(said.annotations)]
        if said.tool_calls:
            self._fragments(said.tool_calls, events)
        elif said.function_call is not None:
            self._fragments([WireCall(index=_LEGACY_NUMBER, function=said.function_call)], events)

    def _content(self, content: Any, events: list[Event], logprobs: tuple[Any, ...]) -> None:
        for kind, words in content_of(content):
            pieces = self._tags.feed(words) if self._tags is not None and kind == "text" else [(kind, words)]
            for piece_kind, piece in pieces:
                self._say(piece_kind, piece, events, logprobs if piece_kind == "text" else ())

    def _say(self, kind: str, words: str, events: list[Event], logprobs: tuple[Any, ...] = ()) -> None:
        if self._kind != kind:
            self._end_words(events)
            self._calls.settle(events)
            self._kind = kind
            self._part = next(self._parts)
            events.append(PartStarted(self._part, _HEADS[kind]))
        events.append(PartDelta(self._part, words, logprobs))

    def _end_words(self, events: list[Event]) -> None:
        if self._kind:
            events.append(PartEnded(self._part, SEAL if self._kind == "reasoning" else None))
            self._kind = ""

    def _fragments(self, fragments: list[WireCall | None], events: list[Event]) -> None:
        for fragment in fragments:
            if fragment is None:
                continue
            told: list[Event] = []
            self._calls.feed(fragment, told)
            if self._kind and any(isinstance(event, PartStarted) for event in told):
                self._flush_tags(events)
                self._end_words(events)
            events += told

    def _flush_tags(self, events: list[Event]) -> None:
        if self._tags is not None:
            for kind, words in self._tags.close():
                self._say(kind, words, events)

    # --- the end ---------------------------------------------------------------------------------------------------

    def _finish(self) -> list[Event]:
        self._over = True
        events: list[Event] = [] if self._started else [Started()]
        self._flush_tags(events)
        self._end_words(events)
        self._calls.close(events)
        self._report_usage(events)
        finish = decode_finish(self._finish_word, refused=self._refused)
        events.append(Finished(settled(finish, has_calls=self._calls.any_started)))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self._over = True
        events: list[Event] = []
        if self._started:
            self._report_usage(events)
        events.append(Failed(failure))
        return events

    def _report_usage(self, events: list[Event]) -> None:
        usage = None if self._usage is None else decode_usage(self._usage, self._service_tier)
        if usage is not None:
            events.append(UsageReported(usage))


def _unreadable(frame: Frame, why: Exception) -> Failure:
    """A frame that is no chunk; plain words after ``event: error`` are the upstream's own."""
    if frame.event == "error":
        return failure_from_error(frame.data.decode("utf-8", "replace"))
    return Failure(kind="bad_gateway", message=f"the upstream's stream cannot be read: {why}")
