"""Streams whose bytes are split and truncated at any position."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.accumulate import replay
from proxy.translation.canonical import Event, Failed, Finish, Finished, Reasoning, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.framing.sse import Reader, write
from tests.proxy.translation.dialects.openai_responses.samples import QUIRKS, context

ANSWER = Response(
    id="x",
    model="up",
    parts=(
        Reasoning("th\u00efnk", Seal("anthropic", "anthropic", {"signature": "s"})),
        Text("w\u00f6rds \N{GRINNING FACE}"),
        ToolCall("c1", "f", '{"a":"\u00fc"}'),
        ToolCall("c2", "patch", "***", kind="custom"),
    ),
    finish=Finish(reason="tool_calls"),
    usage=Usage(fresh=3, output=7),
)


def stream() -> bytes:
    encoder = DIALECT.encoder(context())
    return b"".join(write(frame) for event in replay(ANSWER) for frame in encoder.feed(event))


def events_in(pieces: list[bytes]) -> list[Event]:
    reader, decoder = Reader(), DIALECT.decoder(QUIRKS)
    frames = [frame for piece in pieces for frame in reader.feed(piece)] + reader.close()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


STREAM = stream()


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_events(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert events_in([STREAM[start:end] for start, end in pairwise(places)]) == events_in([STREAM])


@given(st.integers(0, len(STREAM) - 3))
def test_any_truncation_ends_in_one_failure(length: int) -> None:
    events = events_in([STREAM[:length]])
    assert [event for event in events if isinstance(event, Failed | Finished)] == [events[-1]]
    assert isinstance(events[-1], Failed)
