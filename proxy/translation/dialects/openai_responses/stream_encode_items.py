"""The writers of the items in a stream (wire formats, section 3.5).

A writer tells one part: it opens when there is something to tell, passes every delta on, and closes with the whole item.
Ids and indices are the same in all its events.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Citation, PartDelta, Reasoning, Seal, Text, ToolCall
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.event_sequencer import EventSequencer
from proxy.translation.dialects.openai_responses.response_encode_items import (
    annotation,
    call_item,
    message_item,
    reasoning_item,
    summary_parts,
    text_part,
    told_logprobs,
    whole_arguments,
)
from proxy.translation.framing.sse import Frame

_string = msgspec.json.encode


class MessageItem:
    """A message under construction: one content part after the other, closed when something else follows."""

    def __init__(self, sequencer: EventSequencer) -> None:
        self._sequencer = sequencer
        self.index = sequencer.take_index()
        self.id = sequencer.item_id("message", self.index)
        self.content: list[Any] = []
        self.has_open_part = False
        self.sealed = False

    def added(self) -> Frame:
        """The beginning of the item."""
        return self._sequencer.item_added(self.index, message_item(self.id, [], "in_progress"))

    def close(self) -> list[Frame]:
        """The end of the item, as soon as its last part has ended."""
        self.sealed = True
        if self.has_open_part:
            return []
        return [self._sequencer.item_done(self.index, message_item(self.id, self.content))]


class TextWriter:
    """One content part of a message; opened by its first words."""

    def __init__(self, sequencer: EventSequencer, part: Text) -> None:
        self._sequencer = sequencer
        self._refusal = part.refusal
        self._kind = "response.refusal" if part.refusal else "response.output_text"
        self._delta_kind = self._kind + ".delta"
        self._pieces: list[str] = []
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []
        self._message: MessageItem | None = None
        self._place = b""
        self._head = b""
        self._tail = b',"sequence_number":' if part.refusal else b',"logprobs":[],"sequence_number":'

    @property
    def is_open(self) -> bool:
        """Whether the part has begun."""
        return self._message is not None

    def open(self, message: MessageItem) -> list[Frame]:
        """Begin as the next part of ``message``."""
        self._message = message
        message.has_open_part = True
        self._place = b'"item_id":"%b","output_index":%d,"content_index":%d' % (message.id.encode(), message.index, len(message.content))
        self._head = b'{"type":"%b",%b,"delta":' % (self._delta_kind.encode(), self._place)
        part = text_part("", refusal=self._refusal, annotations=[], logprobs=[])
        return [self._sequencer.event("response.content_part.added", b'%b,"part":%b' % (self._place, json_wire.encode(part)))]

    def delta(self, event: PartDelta) -> list[Frame]:
        """More words, with their log probabilities."""
        self._pieces.append(event.text)
        tail = self._tail
        if event.logprobs and not self._refusal:
            told = told_logprobs(event.logprobs)
            self._logprobs += told
            tail = b',"logprobs":%b,"sequence_number":' % json_wire.encode(told)
        return [self._sequencer.delta(self._delta_kind, self._head, event.text, tail)]

    def cite(self, citation: Citation) -> list[Frame]:
        """An annotation of the words so far."""
        told = annotation(citation, sum(map(len, self._pieces)))
        if told is None or self._refusal:
            return []
        self._annotations.append(told)
        fields = b'%b,"annotation_index":%d,"annotation":%b' % (self._place, len(self._annotations) - 1, json_wire.encode(told))
        return [self._sequencer.event("response.output_text.annotation.added", fields)]

    def end(self) -> list[Frame]:
        """The end of the part, and of its message if that was only waiting for it."""
        message = self._message
        if message is None:
            return []
        text = "".join(self._pieces)
        part = text_part(text, refusal=self._refusal, annotations=self._annotations, logprobs=self._logprobs)
        message.content.append(part)
        message.has_open_part = False
        if self._refusal:
            told = b'%b,"refusal":%b' % (self._place, _string(text))
        else:
            told = b'%b,"text":%b,"logprobs":%b' % (self._place, _string(text), json_wire.encode(self._logprobs))
        frames = [
            self._sequencer.event(self._kind + ".done", told),
            self._sequencer.event("response.content_part.done", b'%b,"part":%b' % (self._place, json_wire.encode(part))),
        ]
        return frames + message.close() if message.sealed else frames


class CallWriter:
    """A call of a function or of a custom tool."""

    def __init__(self, sequencer: EventSequencer, call: ToolCall) -> None:
        custom = call.kind == "custom"
        self._sequencer = sequencer
        self._call = call
        self._index = sequencer.take_index()
        self._id = sequencer.item_id("custom_tool_call" if custom else "function_call", self._index)
        self._call_id = call.id or ids.make("call_", sequencer.reply_id, self._index)
        self._pieces: list[str] = []
        self._kind = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
        self._delta_kind = self._kind + ".delta"
        self._place = b'"item_id":"%b","output_index":%d' % (self._id.encode(), self._index)
        self._head = b'{"type":"%b",%b,"delta":' % (self._delta_kind.encode(), self._place)

    def open(self) -> list[Frame]:
        """The call with its id and name, and no arguments yet."""
        return [self._sequencer.item_added(self._index, call_item(self._id, self._call, self._call_id, "", "in_progress"))]

    def delta(self, text: str) -> list[Frame]:
        """More of the arguments."""
        self._pieces.append(text)
        return [self._sequencer.delta(self._delta_kind, self._head, text, b',"sequence_number":')]

    def end(self) -> list[Frame]:
        """The whole arguments, and the whole item."""
        given = "".join(self._pieces)
        whole = whole_arguments(self._call.kind, given)
        frames = [] if whole == given else self.delta(whole)
        if self._call.kind == "custom":
            told = b'%b,"input":%b' % (self._place, _string(whole))
        else:
            told = b'%b,"name":%b,"arguments":%b' % (self._place, _string(self._call.name), _string(whole))
        frames.append(self._sequencer.event(self._kind + ".done", told))
        frames.append(self._sequencer.item_done(self._index, call_item(self._id, self._call, self._call_id, whole)))
        return frames


class ReasoningWriter:
    """A reasoning item with one summary part, or with none where there are no words."""

    def __init__(self, sequencer: EventSequencer, part: Reasoning) -> None:
        self._sequencer = sequencer
        self._seal = part.seal
        self._index = -1
        self._id = ""
        self._pieces: list[str] = []
        self._place = b""
        self._head = b""

    @property
    def is_open(self) -> bool:
        """Whether the item has begun."""
        return self._index >= 0

    def open(self) -> list[Frame]:
        """Begin the item; it is opened by its first words, or at its end by its seal alone."""
        self._index = self._sequencer.take_index()
        self._id = self._sequencer.item_id("reasoning", self._index)
        return [self._sequencer.item_added(self._index, reasoning_item(self._id, "", None, b""))]

    def delta(self, text: str) -> list[Frame]:
        """More of the summary."""
        begun = [] if self._pieces else self._begin_summary()
        self._pieces.append(text)
        return [*begun, self._sequencer.delta("response.reasoning_summary_text.delta", self._head, text, b',"sequence_number":')]

    def _begin_summary(self) -> list[Frame]:
        self._place = b'"item_id":"%b","output_index":%d,"summary_index":0' % (self._id.encode(), self._index)
        self._head = b'{"type":"response.reasoning_summary_text.delta",%b,"delta":' % self._place
        return [self._sequencer.event("response.reasoning_summary_part.added", self._place + b',"part":{"type":"summary_text","text":""}')]

    def sealed(self, seal: Seal | None) -> bool:
        """Take the seal that came at the end; whether there is anything to tell."""
        self._seal = seal or self._seal
        return self._seal is not None or bool(self._pieces)

    def end(self) -> list[Frame]:
        """The whole summary, and the item with its carrier."""
        text = "".join(self._pieces)
        frames: list[Frame] = []
        if text:
            part = json_wire.encode(summary_parts(text)[0])
            frames.append(self._sequencer.event("response.reasoning_summary_text.done", b'%b,"text":%b' % (self._place, _string(text))))
            frames.append(self._sequencer.event("response.reasoning_summary_part.done", b'%b,"part":%b' % (self._place, part)))
        return [*frames, self._sequencer.item_done(self._index, reasoning_item(self._id, text, self._seal, self._sequencer.seal_key))]


Writer = TextWriter | CallWriter | ReasoningWriter
