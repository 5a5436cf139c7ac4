"""The two folds between a stream and a whole answer.

``accumulate(events) -> Response`` and ``replay(response) -> events``; ``accumulate(replay(r)) == r`` for every settled
response, and ``accumulate(decode_stream(s)) == decode_response(r)`` for recorded twins.
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
    """A part under construction."""

    __slots__ = ("citations", "head", "logprobs", "pieces", "seal")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.pieces: list[str] = []
        self.logprobs: list[object] = []
        self.citations: list[Citation] = []
        self.seal: Seal | None = None

    def whole(self) -> Part:
        head = self.head
        words = "".join(self.pieces)
        if isinstance(head, Text):
            return msgspec.structs.replace(
                head,
                text=head.text + words,
                citations=head.citations + tuple(self.citations),
                logprobs=head.logprobs + tuple(self.logprobs),
            )
        if isinstance(head, Reasoning):
            return Reasoning(head.text + words, self.seal or head.seal)
        if isinstance(head, ToolCall):
            return msgspec.structs.replace(head, arguments=head.arguments + words)
        return head


class Accumulator:
    """Takes events one by one; ``response()`` once the stream has finished."""

    def __init__(self) -> None:
        self.started = Started()
        self.usage: Usage | None = None
        self.finish: Finish | None = None
        self._parts: dict[int, _OpenPart] = {}

    def feed(self, event: Event) -> None:
        """Fold one event in; raises :class:`UpstreamFailed` on :class:`Failed`."""
        if isinstance(event, PartDelta):
            part = self._parts[event.index]
            part.pieces.append(event.text)
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
        """The whole answer, its parts in the order in which they began; only after :class:`Finished`."""
        assert self.finish is not None, "the decoder ended its stream without Finished or Failed"
        return Response(
            id=self.started.id,
            model=self.started.model,
            parts=tuple(part.whole() for part in self._parts.values()),
            finish=self.finish,
            usage=self.usage,
        )


def accumulate(events: Iterable[Event]) -> Response:
    """Fold a whole stream; raises :class:`UpstreamFailed` where it ends in :class:`Failed`."""
    accumulator = Accumulator()
    for event in events:
        accumulator.feed(event)
    return accumulator.response()


def replay(response: Response) -> list[Event]:
    """The stream that tells ``response`` in as few events as the grammar allows."""
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
        told: list[Event] = [PartDelta(index, part.text, part.logprobs)] if part.text else []
        told += [Cited(index, citation) for citation in part.citations]
        return [PartStarted(index, head), *told, PartEnded(index)]
    if isinstance(part, Reasoning):
        if not part.text:
            return [PartStarted(index, part), PartEnded(index)]
        return [PartStarted(index, Reasoning("")), PartDelta(index, part.text), PartEnded(index, part.seal)]
    if isinstance(part, ToolCall):
        head_call = msgspec.structs.replace(part, arguments="")
        fragments: list[Event] = [PartDelta(index, part.arguments)] if part.arguments else []
        return [PartStarted(index, head_call), *fragments, PartEnded(index)]
    return [PartStarted(index, part), PartEnded(index)]
