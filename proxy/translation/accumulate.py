"""Conversion between canonical events and a canonical response.

``accumulate(events) -> Response`` and ``replay(response) -> events`` are inverses: ``accumulate(replay(r)) == r`` for every
response whose finish is :func:`~proxy.translation.canonical.settled`. For a stream and a whole response with the same content
``accumulate(decode_stream(s)) == decode_response(r)`` holds.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from proxy.translation.canonical import (
    Citation,
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Part,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Response,
    Seal,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.errors import UpstreamFailed


class _OpenPart:
    """A part that is being assembled from events."""

    __slots__ = ("citations", "fragments", "head", "logprobs", "seal")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.fragments: list[str] = []
        self.logprobs: list[object] = []
        self.citations: list[Citation] = []
        self.seal: Seal | None = None

    def to_part(self) -> Part:
        head = self.head
        text = "".join(self.fragments)
        if isinstance(head, Text):
            return msgspec.structs.replace(
                head,
                text=head.text + text,
                citations=head.citations + tuple(self.citations),
                logprobs=head.logprobs + tuple(self.logprobs),
            )
        if isinstance(head, Reasoning):
            return Reasoning(head.text + text, self.seal or head.seal)
        if isinstance(head, ToolCall):
            return msgspec.structs.replace(head, arguments=head.arguments + text)
        return head


class Accumulator:
    """Collects events; :meth:`response` after :class:`Finished`."""

    def __init__(self) -> None:
        self.started = Started()
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self._parts: dict[int, _OpenPart] = {}

    def feed(self, event: Event) -> None:
        """Add one event. Raises :class:`UpstreamFailed` for :class:`Failed`."""
        if isinstance(event, PartDelta):
            part = self._parts[event.index]
            part.fragments.append(event.text)
            part.logprobs.extend(event.logprobs)
        elif isinstance(event, PartStarted):
            self._parts[event.index] = _OpenPart(event.part)
        elif isinstance(event, PartEnded):
            self._parts[event.index].seal = event.seal
        elif isinstance(event, Cited):
            self._parts[event.index].citations.append(event.citation)
        elif isinstance(event, UsageReported):
            self.usage = event.usage
        elif isinstance(event, Started):
            self.started = event
            self.usage = event.usage
        elif isinstance(event, Finished):
            self.finish = event.finish
        elif isinstance(event, Failed):
            raise UpstreamFailed(event.failure, answered=True)

    def response(self) -> Response:
        """The response, its parts in the order in which they started. Allowed only after :class:`Finished`."""
        assert self.finish is not None, "the decoder ended its stream without Finished or Failed"
        return Response(
            id=self.started.id,
            model=self.started.model,
            parts=tuple(part.to_part() for part in self._parts.values()),
            finish=self.finish,
            usage=self.usage,
        )


def accumulate(events: Iterable[Event]) -> Response:
    """The response of a whole stream. Raises :class:`UpstreamFailed` if it ends with :class:`Failed`."""
    accumulator = Accumulator()
    for event in events:
        accumulator.feed(event)
    return accumulator.response()


def replay(response: Response) -> list[Event]:
    """The shortest stream that has the content of ``response``."""
    events: list[Event] = [Started(response.id, response.model, None)]
    for index, part in enumerate(response.parts):
        events += _replay_part(index, part)
    if response.usage is not None:
        events.append(UsageReported(response.usage))
    events.append(Finished(response.finish))
    return events


def _replay_part(index: int, part: Part) -> list[Event]:
    if isinstance(part, Text):
        head = Text("", part.cache, refusal=part.refusal)
        content: list[Event] = [PartDelta(index, part.text, part.logprobs)] if part.text else []
        content += [Cited(index, citation) for citation in part.citations]
        return [PartStarted(index, head), *content, PartEnded(index)]
    if isinstance(part, Reasoning):
        if not part.text:
            return [PartStarted(index, part), PartEnded(index)]
        return [PartStarted(index, Reasoning("")), PartDelta(index, part.text), PartEnded(index, part.seal)]
    if isinstance(part, ToolCall):
        head_call = msgspec.structs.replace(part, arguments="")
        deltas: list[Event] = [PartDelta(index, part.arguments)] if part.arguments else []
        return [PartStarted(index, head_call), *deltas, PartEnded(index)]
    return [PartStarted(index, part), PartEnded(index)]
