"""InvokeModel streams for clients; Anthropic's SDK can read them."""

import json
from typing import Any

import pytest
from anthropic.lib.bedrock._stream_decoder import AWSEventStreamDecoder

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import (
    Failed,
    Finish,
    Finished,
    Response,
    Started,
    Text,
)
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from tests.proxy.translation.dialects.bedrock.stream_samples import EVENTS, USAGE, bytes_of, frames_of
from tests.support.cases import SPLITS, events_of
from tests.support.grammar_anthropic import check_frames, message_of


def as_messages(frames: list[Frame]) -> list[Frame]:
    """The frames as events of a Messages stream."""
    return [Frame(frame.data, json.loads(frame.data)["type"]) for frame in frames]


def test_chunks_contain_a_messages_stream() -> None:
    events = check_frames(as_messages(frames_of(*EVENTS)))
    assert message_of(events)["content"] == [{"type": "text", "text": "Hé", "citations": None}]
    assert {frame.event for frame in frames_of(*EVENTS)} == {"chunk"}


def test_the_last_chunk_has_the_token_counts() -> None:
    counts = {"inputTokenCount": 3, "outputTokenCount": 4, "cacheReadInputTokenCount": 2, "cacheWriteInputTokenCount": 0}
    assert json.loads(frames_of(*EVENTS)[-1].data) == {"type": "message_stop", "amazon-bedrock-invocationMetrics": counts}
    assert json.loads(frames_of(Started(), Finished())[-1].data) == {"type": "message_stop"}


@pytest.mark.parametrize("size", SPLITS)
def test_an_encoded_stream_is_decoded_again(size: int) -> None:
    events = accumulate(events_of(DIALECT, bytes_of(*EVENTS), DEFAULT, size=size))
    assert events == Response(id="msg_" + "0" * 24, model="claude", parts=(Text("Hé"),), finish=Finish(), usage=USAGE)


def test_anthropics_sdk_reads_an_encoded_stream() -> None:
    stream = bytes_of(*EVENTS)
    events = [json.loads(event.data)["type"] for event in AWSEventStreamDecoder().iter_bytes(iter([stream]))]
    assert events == ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"]


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
def test_a_failed_stream_ends_with_an_exception(kind: Any, name: str) -> None:
    failure = Failure(kind=kind, message="prompt is too long")
    frames = frames_of(*EVENTS[:3], Failed(failure))
    assert [frame.event for frame in frames] == ["chunk", "chunk", "chunk", name]
    assert DIALECT.break_off(failure, 3) == frames[-1:]
    events = list(AWSEventStreamDecoder().iter_bytes(iter([DIALECT.framing.write(frames[-1])])))
    assert json.loads(events[0].data)["error"]["type"] == name
