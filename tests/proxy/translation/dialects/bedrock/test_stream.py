"""InvokeModel streams, read and written; botocore and Anthropic's SDK read them too."""

import json
from typing import Any

import pytest
from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import (
    Event,
    Failed,
    Finish,
    Finished,
    Message,
    PartDelta,
    PartEnded,
    PartStarted,
    Request,
    Response,
    Started,
    Text,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from tests.support.cases import SPLITS, events_of
from tests.support.grammar_anthropic import check_frames, message_of

ASKED = Request(model="claude", messages=(Message("user", (Text("Hi"),)),), family="anthropic", stream=True)
REPLY = EncodeContext(id="0" * 24, created=0, model="claude", request=ASKED, seal_key=b"a secret", input_estimate=5)
USAGE = Usage(fresh=3, cache_read=2, output=4, service_tier="standard")
EVENTS: list[Event] = [
    Started("x", "y", Usage(fresh=3, cache_read=2)),
    PartStarted(0, Text("")),
    PartDelta(0, "Hé"),
    PartEnded(0),
    UsageReported(USAGE),
    Finished(),
]


def frames_of(*events: Event) -> list[Frame]:
    machine = DIALECT.encoder(REPLY)
    return [frame for event in events for frame in machine.feed(event)]


def bytes_of(*events: Event) -> bytes:
    return b"".join(DIALECT.framing.write(frame) for frame in frames_of(*events))


def as_messages(frames: list[Frame]) -> list[Frame]:
    """The frames as a Messages client would get them."""
    return [Frame(frame.data, json.loads(frame.data)["type"]) for frame in frames]


def test_chunks_hold_the_messages_stream() -> None:
    events = check_frames(as_messages(frames_of(*EVENTS)))
    assert message_of(events)["content"] == [{"type": "text", "text": "Hé"}]
    assert {frame.event for frame in frames_of(*EVENTS)} == {"chunk"}


def test_the_last_chunk_counts_the_tokens() -> None:
    counts = {"inputTokenCount": 3, "outputTokenCount": 4, "cacheReadInputTokenCount": 2, "cacheWriteInputTokenCount": 0}
    assert json.loads(frames_of(*EVENTS)[-1].data) == {"type": "message_stop", "amazon-bedrock-invocationMetrics": counts}
    assert json.loads(frames_of(Started(), Finished())[-1].data) == {"type": "message_stop"}


@pytest.mark.parametrize("size", SPLITS)
def test_what_is_written_reads_back(size: int) -> None:
    told = accumulate(events_of(DIALECT, bytes_of(*EVENTS), DEFAULT, size=size))
    assert told == Response(id="msg_" + "0" * 24, model="claude", parts=(Text("Hé"),), finish=Finish(), usage=USAGE)


def test_anthropics_sdk_reads_it() -> None:
    stream = bytes_of(*EVENTS)
    told = [json.loads(event.data)["type"] for event in AWSEventStreamDecoder().iter_bytes(iter([stream]))]
    assert told == ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rate_limit", "throttlingException"),
        ("quota", "throttlingException"),
        ("invalid_request", "validationException"),
        ("context_length", "validationException"),
        ("timeout", "modelTimeoutException"),
        ("overloaded", "serviceUnavailableException"),
        ("network", "serviceUnavailableException"),
        ("internal", "internalServerException"),
        ("upstream_error", "internalServerException"),
        ("bad_gateway", "modelStreamErrorException"),
        ("upstream_auth", "modelStreamErrorException"),
    ],
)
def test_a_broken_stream_ends_in_an_exception(kind: Any, name: str) -> None:
    failure = Failure(kind=kind, message="prompt is too long")
    frames = frames_of(*EVENTS[:3], Failed(failure))
    assert [frame.event for frame in frames] == ["chunk", "chunk", "chunk", name]
    assert DIALECT.break_off(failure, 3) == frames[-1:]
    told = list(AWSEventStreamDecoder().iter_bytes(iter([DIALECT.framing.write(frames[-1])])))
    assert json.loads(told[0].data)["error"]["type"] == name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit"),
        ("modelStreamErrorException", "bad_gateway"),
        ("validationException", "invalid_request"),
        ("modelTimeoutException", "timeout"),
        ("internalServerException", "upstream_error"),
        ("serviceUnavailableException", "overloaded"),
        ("InternalFailure", "upstream_error"),
    ],
)
def test_an_exception_of_an_upstream_ends_the_stream(name: str, kind: str) -> None:
    machine = DIALECT.decoder(DEFAULT)
    told = machine.feed(Frame(b'{"message":"Oh"}', name))
    assert [(event.failure.kind, event.failure.message) for event in told if isinstance(event, Failed)] == [(kind, "Oh")]
    assert machine.feed(frames_of(*EVENTS)[0]) + machine.close() == []


def test_an_overflow_is_known_by_its_words() -> None:
    told = DIALECT.decoder(DEFAULT).feed(Frame(b'{"message":"Input is too long for requested model."}', "validationException"))
    assert isinstance(told[0], Failed)
    assert told[0].failure.kind == "context_length"


def test_an_exception_without_words_is_named() -> None:
    told = DIALECT.decoder(DEFAULT).feed(Frame(b"", "throttlingException"))
    assert told == [Failed(Failure(kind="rate_limit", message="The upstream ended the stream with throttlingException"))]


def test_an_exception_behind_the_end_changes_nothing() -> None:
    machine = DIALECT.decoder(DEFAULT)
    for frame in frames_of(*EVENTS):
        machine.feed(frame)
    assert machine.feed(Frame(b'{"message":"late"}', "throttlingException")) + machine.close() == []


@pytest.mark.parametrize("cut", range(1, len(bytes_of(*EVENTS)), 17))
def test_a_cut_stream_fails(cut: int) -> None:
    told = events_of(DIALECT, bytes_of(*EVENTS)[:cut], DEFAULT, size=1_000_000)
    assert [type(event) for event in told if isinstance(event, Finished | Failed)] == [Failed]


def test_the_relay_renames_inside_the_chunk() -> None:
    start, delta = frames_of(*EVENTS)[0], Frame(b'{"message":"Oh"}', "throttlingException")
    passed = DIALECT.relay("other", False)
    renamed = passed(start)
    assert renamed is not None
    assert (renamed.event, json.loads(renamed.data)["message"]["model"], passed(delta)) == ("chunk", "other", delta)


def test_the_keep_alive_is_a_ping_in_a_frame() -> None:
    assert DIALECT.framing.reader().feed(DIALECT.keepalive) == [Frame(b'{"type":"ping"}', "chunk")]
