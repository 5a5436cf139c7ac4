"""Hostile bytes of upstream streams: each framer returns frames or fails the upstream, and never raises anything else."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.canonical import Failed, Finished
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import UpstreamFailed
from proxy.translation.framing import eventstream, sse
from proxy.translation.framing.sse import Frame, WholeEvents
from proxy.translation.quirks import DEFAULT
from tests.support.sizes import fuzzed

SSE_PIECES = [
    b"data: ",
    b"event: ",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b": x",
    b"[DONE]",
    b"\xef\xbb\xbf",
    b'{"a":1}',
    b"\x00",
    b"\xff",
    b"id: 1",
    b"data",
]
HEADERS = [
    b"\x0b:event-type\x07\x00\x05chunk", b"\x0d:message-type\x07\x00\x05event", b"\x0d:message-type\x07\x00\x09exception",
    b"\x0f:exception-type\x07\x00\x01\xff", b"\x01a\x00", b"\x01a\x08" + bytes(8), b"\x01a\x09" + bytes(16),
    b"\x01a\x63", b"\x00", b"\xff", b"\x01a\x07\xff\xff",
]  # fmt: skip
PAYLOADS = [
    b"",
    b"{}",
    b'{"bytes":"e30="}',
    b'{"bytes":"%%%"}',
    b'{"bytes":5}',
    b'{"bytes":"/w=="}',
    b"\xff",
    b"[" * 3000,
    b'{"message":1e999}',
]


def message(headers: bytes, payload: bytes, *, is_damaged: bool) -> bytes:
    """An event-stream message with right checksums, unless it is damaged."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    without_checksum = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return without_checksum + struct.pack(">I", zlib.crc32(without_checksum) ^ is_damaged)


MESSAGES = st.builds(
    message,
    st.lists(st.sampled_from(HEADERS), max_size=3).map(b"".join),
    st.sampled_from(PAYLOADS),
    is_damaged=st.sampled_from([False, False, True]),
)
SSE_STREAMS = st.lists(st.sampled_from(SSE_PIECES) | st.binary(max_size=8), max_size=12).map(b"".join)
EVENT_STREAMS = st.lists(MESSAGES | st.binary(max_size=20), max_size=4).map(b"".join)


def frames_of(reader: sse.Reader | eventstream.EventStreamReader, stream: bytes, size: int) -> list[Frame]:
    frames: list[Frame] = []
    with suppress(UpstreamFailed):
        for start in range(0, len(stream), size):
            frames += reader.feed(stream[start : start + size])
        frames += reader.close()
    return frames


@given(stream=SSE_STREAMS, size=st.integers(1, 20))
@fuzzed()
def test_sse_of_any_bytes_has_the_same_frames_in_any_split(stream: bytes, size: int) -> None:
    assert frames_of(sse.Reader(), stream, size) == frames_of(sse.Reader(), stream, max(len(stream), 1))


@given(stream=SSE_STREAMS, size=st.integers(1, 20))
@fuzzed()
def test_whole_events_lose_no_bytes(stream: bytes, size: int) -> None:
    events = WholeEvents()
    pieces = [events.feed(stream[start : start + size]) for start in range(0, len(stream), size)]
    assert b"".join([*pieces, events.close()]) == stream


@given(stream=EVENT_STREAMS, size=st.integers(1, 40))
@fuzzed()
def test_an_event_stream_of_any_bytes_has_the_same_frames_in_any_split(stream: bytes, size: int) -> None:
    assert frames_of(eventstream.EventStreamReader(), stream, size) == frames_of(
        eventstream.EventStreamReader(), stream, max(len(stream), 1)
    )


@pytest.mark.parametrize("upstream", sorted(REGISTRY))
@given(
    datas=st.lists(
        st.tuples(st.sampled_from(PAYLOADS) | st.binary(max_size=20), st.sampled_from(["", "chunk", "error", "message_start"])), max_size=4
    )
)
@fuzzed()
def test_decoders_of_streams_take_any_frame(upstream: str, datas: list[tuple[bytes, str]]) -> None:
    decoder = REGISTRY[upstream].decoder(DEFAULT)
    events = [event for data, name in datas for event in decoder.feed(Frame(data, name))] + decoder.close()
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
