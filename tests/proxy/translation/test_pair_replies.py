"""All pairs on the way back: an upstream's answer, whole and streamed, as every kind of client gets it.

An upstream's wire is made by its own dialect's encoder. What the client gets is judged by the strict grammar of its dialect and
by the official SDK's types, and read once more: it must have the meaning of the upstream's response, whether it was streamed or not.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.exchange.stream_pipeline import StreamPipeline
from proxy.translation.accumulate import accumulate, replay
from proxy.translation.canonical import (
    Event,
    Finish,
    Finished,
    Message,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    ReasoningSetting,
    Request,
    Response,
    Started,
    Text,
    ToolCall,
)
from proxy.translation.dialects.base import Dialect, EncodeContext
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import DEFAULT
from proxy.translation.reasoning_seal import bound_response
from tests.support.cases import events_of
from tests.support.conversations import TOOL_NAMES, arguments, responses
from tests.support.sizes import examples
from tests.support.wires import JUDGES

KEY = b"the secret of the pairs"
PAIRS = [(upstream, client) for upstream in REGISTRY for client in REGISTRY]
RELAXED = settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def reply(dialect: Dialect) -> EncodeContext:
    """What the encoder of a dialect must know; chat clients ask for usage here, and all for reasoning."""
    shown = ReasoningSetting(mode="adaptive", display="summarized")
    hi = (Message("user", (Text("Hi"),)),)
    request = Request(model="m", messages=hi, family=dialect.family, stream=True, include_usage=True, reasoning=shown)
    return EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="m", request=request, seal_key=KEY)


def wire_stream(dialect: Dialect, events: list[Event]) -> bytes:
    """A whole stream of a dialect."""
    encoder = dialect.encoder(reply(dialect))
    return b"".join(dialect.framing.write(frame) for event in events for frame in encoder.feed(event))


def piped(source: Dialect, sink: Dialect, pieces: list[bytes]) -> tuple[bytes, str | None]:
    """What a client gets of an upstream's bytes, and how it ended."""
    pipe = StreamPipeline(source, sink, quirks=DEFAULT, context=reply(sink), restorer=None, upstream="up-1")
    client_stream = b"".join(pipe.feed(piece) for piece in pieces) + pipe.close()
    return client_stream, pipe.outcome


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces."""
    ends = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(ends)]


def comparable(response: Response) -> dict[str, Any]:
    """What every dialect can express: ids of messages and calls, and the split of usage, differ by dialect."""
    refused = any(isinstance(part, Text) and part.refusal for part in response.parts) or response.finish.reason == "refusal"
    return {
        "reasoning": "".join(part.text for part in response.parts if isinstance(part, Reasoning)),
        "text": "".join(part.text for part in response.parts if isinstance(part, Text)),
        "calls": [(part.id, part.name, json.loads(part.arguments)) for part in response.parts if isinstance(part, ToolCall)],
        "finish": "refusal" if refused else response.finish.reason,
        "tokens": response.usage and (response.usage.total_input, response.usage.cache_read, response.usage.output),
    }


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(data=st.data())
@RELAXED
def test_an_answer_arrives_whole_and_streamed_alike(upstream: str, client: str, data: st.DataObject) -> None:
    source, sink = REGISTRY[upstream], REGISTRY[client]
    answer = data.draw(responses(source.family))
    decoded = source.decode_response(source.encode_response(answer, reply(source)), DEFAULT)
    assert comparable(decoded) == comparable(answer)
    stream = wire_stream(source, replay(answer))
    assert comparable(accumulate(events_of(source, stream, DEFAULT, size=len(stream)))) == comparable(answer)

    body = sink.encode_response(bound_response(decoded, "up-1", "openai_responses"), reply(sink))
    JUDGES[client].check_answer(body)
    client_stream, outcome = piped(source, sink, [stream])
    assert outcome == "finished"
    JUDGES[client].check_whole(client_stream)
    streamed = accumulate(events_of(sink, client_stream, DEFAULT, size=len(client_stream)))
    assert comparable(sink.decode_response(body, DEFAULT)) == comparable(answer)
    assert comparable(streamed) == comparable(answer)


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(data=st.data(), places=st.lists(st.integers(0, 100_000), max_size=12))
@RELAXED
def test_any_split_of_the_bytes_gives_the_same_stream(upstream: str, client: str, data: st.DataObject, places: list[int]) -> None:
    source, sink = REGISTRY[upstream], REGISTRY[client]
    stream = wire_stream(source, replay(data.draw(responses(source.family))))
    assert piped(source, sink, cut(stream, places)) == piped(source, sink, [stream])


@pytest.mark.parametrize(("upstream", "client"), PAIRS)
@given(data=st.data(), place=st.integers(0, 100_000))
@RELAXED
def test_any_truncation_is_one_error_and_never_a_success(upstream: str, client: str, data: st.DataObject, place: int) -> None:
    source, sink = REGISTRY[upstream], REGISTRY[client]
    stream = wire_stream(source, replay(data.draw(responses(source.family))))
    client_stream, outcome = piped(source, sink, [stream[: place % len(stream)]])
    if outcome == "finished":
        # The upstream had said that it was done: only bytes without meaning are missing.
        complete_stream, _ = piped(source, sink, [stream])
        assert _without_usage(sink, client_stream) == _without_usage(sink, complete_stream)
        JUDGES[client].check_whole(client_stream)
    else:
        assert outcome == "failed"
        JUDGES[client].check_broken(client_stream)


def _without_usage(sink: Dialect, stream: bytes) -> dict[str, Any]:
    """Chat sends usage after the finish reason, so a stream that ends between the two is complete."""
    return comparable(accumulate(events_of(sink, stream, DEFAULT, size=len(stream)))) | {"tokens": None}


@st.composite
def interleaved(draw: st.DrawFn) -> tuple[list[ToolCall], list[Event]]:
    """Parallel calls whose fragments arrive in any order, each in its own."""
    calls = [
        ToolCall(f"call_{number}", name, draw(arguments))
        for number, name in enumerate(draw(st.lists(st.sampled_from(TOOL_NAMES), min_size=2, max_size=4)))
    ]
    waiting = {index: _call_events(index, call, draw(st.integers(1, 4))) for index, call in enumerate(calls)}
    events: list[Event] = [Started("up", "m")]
    started = 0
    while any(waiting.values()):
        # Parts begin in the order of their indices; what follows is free.
        ready = [index for index, missing in waiting.items() if missing and index <= started]
        index = draw(st.sampled_from(ready))
        started += index == started
        events.append(waiting[index].pop(0))
    return calls, [*events, Finished(Finish(reason="tool_calls"))]


def _call_events(index: int, call: ToolCall, size: int) -> list[Event]:
    text = call.arguments
    fragments: list[Event] = [PartDelta(index, text[start : start + size]) for start in range(0, len(text), size)]
    return [PartStarted(index, ToolCall(call.id, call.name, "")), *fragments, PartEnded(index)]


@pytest.mark.parametrize("client", REGISTRY)
@given(drawn=interleaved())
@RELAXED
def test_interleaved_calls_arrive_valid_and_complete(client: str, drawn: tuple[list[ToolCall], list[Event]]) -> None:
    calls, events = drawn
    sink = REGISTRY[client]
    stream = wire_stream(sink, events)
    JUDGES[client].check_whole(stream)
    response = accumulate(events_of(sink, stream, DEFAULT, size=len(stream)))
    assert comparable(response)["calls"] == [(call.id, call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize(
    ("upstream", "client"), [(upstream, client) for upstream in ("openai_chat", "openai_responses") for client in REGISTRY]
)
@given(drawn=interleaved())
@RELAXED
def test_calls_interleaved_on_the_wire_arrive_too(upstream: str, client: str, drawn: tuple[list[ToolCall], list[Event]]) -> None:
    calls, events = drawn
    client_stream, outcome = piped(REGISTRY[upstream], REGISTRY[client], [wire_stream(REGISTRY[upstream], events)])
    assert outcome == "finished"
    JUDGES[client].check_whole(client_stream)
    response = accumulate(events_of(REGISTRY[client], client_stream, DEFAULT, size=len(client_stream)))
    assert comparable(response)["calls"] == [(call.id, call.name, json.loads(call.arguments)) for call in calls]
