"""Streams in small pieces, and calls in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import (
    Failed,
    Finish,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.errors import Failure
from proxy.translation.policies.stream_transforms import PIECE_CHARS, CallBuffer, Chain, Smoother, split_text, stream_transform

CALL = ToolCall("c1", "t", "")
OTHER_CALL = ToolCall("c2", "u", "")
BROKEN = Failed(Failure(kind="network", message="cut"))


def transformed(transform, *events):
    return [sent_event for event in events for sent_event in transform.feed(event)]


@given(st.text(alphabet=st.sampled_from("ab 日\n\t.,"), max_size=300))
def test_the_pieces_of_a_text_are_the_text(text):
    assert "".join(split_text(text)) == text


@given(st.text(alphabet=st.sampled_from("ab 日\n"), max_size=300))
def test_no_piece_is_long(text):
    assert all(0 < len(piece) <= PIECE_CHARS + 2 for piece in split_text(text))


def test_words_stay_whole():
    assert split_text("The quick brown fox jumps over the lazy dog.") == ["The quick brown fox ", "jumps over the lazy dog."]


def test_texts_and_reasoning_are_cut_and_arguments_are_not():
    long = "one two three four five six seven"
    cut = ["one two three four five ", "six seven"]
    events = [PartStarted(0, Reasoning("")), PartDelta(0, long), PartEnded(0), PartStarted(1, CALL), PartDelta(1, long), PartEnded(1)]
    expected = [events[0], *(PartDelta(0, piece) for piece in cut), *events[2:]]
    assert transformed(Smoother(), *events) == expected
    short = [PartStarted(0, Text("")), PartDelta(0, "short"), PartDelta(0, long, ({"token": long},))]
    assert transformed(Smoother(), *short) == short


def test_interleaved_calls_come_one_by_one_when_each_is_complete():
    events = [
        PartStarted(0, CALL),
        PartStarted(1, OTHER_CALL),
        PartDelta(0, '{"a'),
        PartDelta(1, "{}"),
        PartEnded(1),
        PartDelta(0, '":1}'),
        PartEnded(0),
    ]
    expected = [PartStarted(1, OTHER_CALL), PartDelta(1, "{}"), PartEnded(1), PartStarted(0, CALL), PartDelta(0, '{"a":1}'), PartEnded(0)]
    assert transformed(CallBuffer(), *events) == expected


def test_a_call_without_arguments_and_an_open_text_are_sent_in_order():
    events = [PartStarted(0, Text("")), PartDelta(0, "a"), PartStarted(1, CALL), PartDelta(0, "b"), PartEnded(1), PartEnded(0)]
    expected = [PartStarted(0, Text("")), PartDelta(0, "a"), PartDelta(0, "b"), PartStarted(1, CALL), PartEnded(1), PartEnded(0)]
    assert transformed(CallBuffer(), *events) == expected


def test_an_unfinished_call_of_a_broken_stream_is_not_sent():
    assert transformed(CallBuffer(), PartStarted(0, CALL), PartDelta(0, '{"rm'), BROKEN) == [BROKEN]


@pytest.mark.parametrize(("buffered", "smooth"), [(True, False), (False, True), (True, True)])
def test_the_meaning_of_a_stream_stays_the_same(buffered, smooth):
    events = [
        Started("r", "m"),
        PartStarted(0, Text("")),
        PartDelta(0, "some words that are rather many, all in one piece"),
        PartEnded(0),
        PartStarted(1, CALL),
        PartDelta(1, "{"),
        PartDelta(1, "}"),
        PartEnded(1),
        UsageReported(Usage(fresh=1, output=2)),
        Finished(Finish(reason="tool_calls")),
    ]
    transform = stream_transform(None, buffered=buffered, smooth=smooth)
    assert transform is not None
    assert accumulate(transformed(transform, *events)) == accumulate(events)


def test_without_settings_there_is_no_further_transform():
    restorer = CallBuffer()
    assert stream_transform(None, buffered=False, smooth=False) is None
    assert stream_transform(restorer, buffered=False, smooth=False) is restorer
    assert isinstance(stream_transform(restorer, buffered=True, smooth=False), Chain)
