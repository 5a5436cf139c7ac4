"""Streams and whole responses convert to each other."""

import pytest

from proxy.translation.accumulate import Accumulator, accumulate, replay
from proxy.translation.canonical import (
    Citation,
    Cited,
    Failed,
    Finish,
    Finished,
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
from proxy.translation.errors import Failure, UpstreamFailed

SEAL = Seal("anthropic", None, {"signature": "s"})
RESPONSE = Response(
    id="msg_1",
    model="m",
    parts=(
        Reasoning("think", SEAL),
        Reasoning("", Seal("anthropic", None, {"redacted": "d"})),
        Text("Hello", citations=(Citation(url="u"),), logprobs=({"token": "Hello"},)),
        Text("no", refusal=True),
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("b", "g", ""),
        Text(""),
    ),
    finish=Finish(reason="tool_calls"),
    usage=Usage(fresh=3, output=2, reasoning=1),
)


def test_a_response_replayed_accumulates_to_itself() -> None:
    assert accumulate(replay(RESPONSE)) == RESPONSE


def test_interleaved_parts_keep_the_order_in_which_they_started() -> None:
    events = [
        Started("i", "m"),
        PartStarted(0, ToolCall("a", "f", "")),
        PartStarted(1, ToolCall("b", "g", "")),
        PartDelta(1, '{"y":'),
        PartDelta(0, "{}"),
        PartDelta(1, "2}"),
        PartEnded(1),
        PartEnded(0),
        Finished(Finish(reason="tool_calls")),
    ]
    assert accumulate(events).parts == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"y":2}'))


def test_a_later_usage_replaces_an_earlier_one() -> None:
    events = [
        Started("i", "m", Usage(fresh=9)),
        UsageReported(Usage(fresh=9, output=1)),
        UsageReported(Usage(fresh=8, output=2)),
        Finished(),
    ]
    assert accumulate(events).usage == Usage(fresh=8, output=2)


def test_a_failed_stream_raises() -> None:
    accumulator = Accumulator()
    for event in (Started("i", "m"), PartStarted(0, Text("")), PartDelta(0, "Hel"), Cited(0, Citation(url="u"))):
        accumulator.feed(event)
    with pytest.raises(UpstreamFailed) as caught:
        accumulator.feed(Failed(Failure(kind="network", message="cut")))
    assert (caught.value.failure.message, caught.value.answered) == ("cut", True)
