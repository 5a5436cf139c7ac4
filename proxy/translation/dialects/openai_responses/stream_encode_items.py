"""Writers of the items in a stream for a Responses client (docs/wire-formats.md, section 3.5).

A writer makes the events of one part: ``open`` before its first delta, ``delta``, and ``end`` with the whole item. All its events have
the same item id and indices.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Citation, PartDelta, Reasoning, Seal, Text, ToolCall
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.event_sequencer import EventSequencer
from proxy.translation.dialects.openai_responses.response_encode_items import (
    encode_annotation,
    encode_call,
    encode_logprobs,
    encode_message,
    encode_reasoning,
    encode_summary,
    encode_text_part,
    non_empty_arguments,
)
from proxy.translation.framing.sse import Frame

_encode_string = msgspec.json.encode


class MessageWriter:
    """A message item with its content parts. It is closed when another item begins.

    ``closing``: no part may be added any more; the item ends with its open part.
    """

    def __init__(self, sequencer: EventSequencer) -> None:
        self._sequencer = sequencer
        self.index = sequencer.take_index()
        self.id = sequencer.item_id("message", self.index)
        self.content: list[Any] = []
        self.has_open_part = False
        self.closing = False

    def added(self) -> Frame:
        """``response.output_item.added``."""
        return self._sequencer.item_added(self.index, encode_message(self.id, [], "in_progress"))

    def close(self) -> list[Frame]:
        """The end of the item; if a part is still open, it follows with the end of that part."""
        self.closing = True
        if self.has_open_part:
            return []
        return [self._sequencer.item_done(self.index, encode_message(self.id, self.content))]


class TextWriter:
    """One content part of a message. It is opened by its first delta or citation."""

    def __init__(self, sequencer: EventSequencer, part: Text) -> None:
        self._sequencer = sequencer
        self._refusal = part.refusal
        self._kind = "response.refusal" if part.refusal else "response.output_text"
        self._delta_kind = self._kind + ".delta"
        self._pieces: list[str] = []
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []
        self._message: MessageWriter | None = None
        self._position = b""
        self._head = b""
        self._tail = b',"sequence_number":' if part.refusal else b',"logprobs":[],"sequence_number":'

    @property
    def is_open(self) -> bool:
        """Whether ``open`` was called."""
        return self._message is not None

    def open(self, message: MessageWriter) -> list[Frame]:
        """Start as the next part of ``message``."""
        self._message = message
        message.has_open_part = True
        self._position = b'"item_id":"%b","output_index":%d,"content_index":%d' % (message.id.encode(), message.index, len(message.content))
        self._head = b'{"type":"%b",%b,"delta":' % (self._delta_kind.encode(), self._position)
        part = encode_text_part("", refusal=self._refusal, annotations=[], logprobs=[])
        return [self._sequencer.event("response.content_part.added", b'%b,"part":%b' % (self._position, json_wire.encode(part)))]

    def delta(self, event: PartDelta) -> list[Frame]:
        """A text delta, with its log probabilities."""
        self._pieces.append(event.text)
        tail = self._tail
        if event.logprobs and not self._refusal:
            wire_logprobs = encode_logprobs(event.logprobs)
            self._logprobs += wire_logprobs
            tail = b',"logprobs":%b,"sequence_number":' % json_wire.encode(wire_logprobs)
        return [self._sequencer.delta(self._delta_kind, self._head, event.text, tail)]

    def cite(self, citation: Citation) -> list[Frame]:
        """An annotation of the text so far."""
        wire_annotation = encode_annotation(citation, sum(map(len, self._pieces)))
        if wire_annotation is None or self._refusal:
            return []
        self._annotations.append(wire_annotation)
        fields = b'%b,"annotation_index":%d,"annotation":%b' % (
            self._position,
            len(self._annotations) - 1,
            json_wire.encode(wire_annotation),
        )
        return [self._sequencer.event("response.output_text.annotation.added", fields)]

    def end(self) -> list[Frame]:
        """The end of the part, and of its message if that is closing."""
        message = self._message
        if message is None:
            return []
        text = "".join(self._pieces)
        part = encode_text_part(text, refusal=self._refusal, annotations=self._annotations, logprobs=self._logprobs)
        message.content.append(part)
        message.has_open_part = False
        if self._refusal:
            fields = b'%b,"refusal":%b' % (self._position, _encode_string(text))
        else:
            fields = b'%b,"text":%b,"logprobs":%b' % (self._position, _encode_string(text), json_wire.encode(self._logprobs))
        frames = [
            self._sequencer.event(self._kind + ".done", fields),
            self._sequencer.event("response.content_part.done", b'%b,"part":%b' % (self._position, json_wire.encode(part))),
        ]
        return frames + message.close() if message.closing else frames


class CallWriter:
    """The item of a call of a function or of a custom tool."""

    def __init__(self, sequencer: EventSequencer, call: ToolCall) -> None:
        custom = call.kind == "custom"
        self._sequencer = sequencer
        self._call = call
        self._index = sequencer.take_index()
        self._id = sequencer.item_id("custom_tool_call" if custom else "function_call", self._index)
        self._call_id = call.id or ids.item_id("call_", sequencer.context_id, self._index)
        self._pieces: list[str] = []
        self._kind = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        self._delta_kind = self._kind + ".delta"
        self._position = b'"item_id":"%b","output_index":%d' % (self._id.encode(), self._index)
        self._head = b'{"type":"%b",%b,"delta":' % (self._delta_kind.encode(), self._position)

    def open(self) -> list[Frame]:
        """``response.output_item.added``: the call with its id and name, and empty arguments."""
        return [self._sequencer.item_added(self._index, encode_call(self._id, self._call, self._call_id, "", "in_progress"))]

    def delta(self, text: str) -> list[Frame]:
        """A delta of the arguments."""
        self._pieces.append(text)
        return [self._sequencer.delta(self._delta_kind, self._head, text, b',"sequence_number":')]

    def end(self) -> list[Frame]:
        """The events with the whole arguments and the whole item."""
        arguments = "".join(self._pieces)
        whole_arguments = non_empty_arguments(self._call.kind, arguments)
        frames = [] if whole_arguments == arguments else self.delta(whole_arguments)
        if self._call.kind == "custom":
            fields = b'%b,"input":%b' % (self._position, _encode_string(whole_arguments))
        else:
            fields = b'%b,"name":%b,"arguments":%b' % (self._position, _encode_string(self._call.name), _encode_string(whole_arguments))
        frames.append(self._sequencer.event(self._kind + ".done", fields))
        frames.append(self._sequencer.item_done(self._index, encode_call(self._id, self._call, self._call_id, whole_arguments)))
        return frames


class ReasoningWriter:
    """A reasoning item with one summary part, or with none if it has no text."""

    def __init__(self, sequencer: EventSequencer, part: Reasoning) -> None:
        self._sequencer = sequencer
        self._seal = part.seal
        self._index = -1
        self._id = ""
        self._pieces: list[str] = []
        self._position = b""
        self._head = b""

    @property
    def is_open(self) -> bool:
        """Whether ``open`` was called."""
        return self._index >= 0

    def open(self) -> list[Frame]:
        """Start the item: before its first delta, or at its end if it has a seal alone."""
        self._index = self._sequencer.take_index()
        self._id = self._sequencer.item_id("reasoning", self._index)
        return [self._sequencer.item_added(self._index, encode_reasoning(self._id, "", None, b""))]

    def delta(self, text: str) -> list[Frame]:
        """A delta of the summary."""
        start_events = [] if self._pieces else self._begin_summary()
        self._pieces.append(text)
        return [*start_events, self._sequencer.delta("response.reasoning_summary_text.delta", self._head, text, b',"sequence_number":')]

    def _begin_summary(self) -> list[Frame]:
        self._position = b'"item_id":"%b","output_index":%d,"summary_index":0' % (self._id.encode(), self._index)
        self._head = b'{"type":"response.reasoning_summary_text.delta",%b,"delta":' % self._position
        return [
            self._sequencer.event("response.reasoning_summary_part.added", self._position + b',"part":{"type":"summary_text","text":""}')
        ]

    def take_seal(self, seal: Seal | None) -> bool:
        """Take the seal that came at the end; return whether the item has a seal or a text."""
        self._seal = seal or self._seal
        return self._seal is not None or bool(self._pieces)

    def end(self) -> list[Frame]:
        """The events with the whole summary and the item with its carrier."""
        text = "".join(self._pieces)
        frames: list[Frame] = []
        if text:
            part = json_wire.encode(encode_summary(text)[0])
            frames.append(
                self._sequencer.event("response.reasoning_summary_text.done", b'%b,"text":%b' % (self._position, _encode_string(text)))
            )
            frames.append(self._sequencer.event("response.reasoning_summary_part.done", b'%b,"part":%b' % (self._position, part)))
        return [*frames, self._sequencer.item_done(self._index, encode_reasoning(self._id, text, self._seal, self._sequencer.seal_key))]


Writer = TextWriter | CallWriter | ReasoningWriter
