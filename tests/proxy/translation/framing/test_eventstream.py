"""Amazon's event stream, checked against botocore's own reader."""

import json
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.framing.eventstream import BROKEN, CHUNK, EVENT_STREAM, EventStreamReader, write
from proxy.translation.framing.sse import Frame

EVENT = Frame(b'{"type":"ping"}', CHUNK)
EXCEPTION = Frame(b'{"message":"Slow down"}', "throttlingException")


def read(data: bytes, *, size: int = 1_000_000) -> list[Frame]:
    reader = EventStreamReader()
    frames = [frame for start in range(0, len(data), size) for frame in reader.feed(data[start : start + size])]
    return frames + reader.close()


def header(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def text(name: str, value: str) -> bytes:
    return header(name, 7, len(value).to_bytes(2, "big") + value.encode())


def message(headers: bytes, payload: bytes) -> bytes:
    lengths = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    without_checksum = lengths + zlib.crc32(lengths).to_bytes(4, "big") + headers + payload
    return without_checksum + zlib.crc32(without_checksum).to_bytes(4, "big")


CHUNK_HEADERS = text(":message-type", "event") + text(":event-type", "chunk")


def test_the_bytes_of_a_chunk() -> None:
    headers = text(":event-type", "chunk") + text(":content-type", "application/json") + text(":message-type", "event")
    assert write(EVENT) == message(headers, b'{"bytes":"eyJ0eXBlIjoicGluZyJ9"}')


def test_botocore_reads_written_frames() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(write(EVENT) + write(EXCEPTION))
    messages: list[Any] = [(message.headers, json.loads(message.payload)) for message in buffer]
    assert messages == [
        (
            {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"},
            {"bytes": "eyJ0eXBlIjoicGluZyJ9"},
        ),
        (
            {":exception-type": "throttlingException", ":content-type": "application/json", ":message-type": "exception"},
            {"message": "Slow down"},
        ),
    ]


frames = st.lists(st.builds(Frame, st.binary(max_size=300), st.just(CHUNK)) | st.just(EXCEPTION), max_size=6)


@given(frames, st.integers(1, 40))
def test_written_frames_are_read_again_in_any_split(given_frames: list[Frame], size: int) -> None:
    assert read(b"".join(write(frame) for frame in given_frames), size=size) == given_frames


@given(frames, st.data())
def test_a_cut_stream_is_damaged(given_frames: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(write(frame) for frame in given_frames)
    cut = data.draw(st.integers(0, len(stream)))
    ends, complete_frames = 0, []
    for frame in given_frames:
        ends += len(write(frame))
        if ends > cut:
            break
        complete_frames.append(frame)
    complete = cut == sum(len(write(frame)) for frame in complete_frames)
    assert read(stream[:cut]) == complete_frames + ([] if complete else [BROKEN])


@given(st.integers(0, len(write(EVENT)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_read_as_an_event(position: int, change: int) -> None:
    damaged = bytearray(write(EVENT))
    damaged[position] ^= change
    assert read(bytes(damaged) + write(EVENT)) == [BROKEN]


@given(st.binary(max_size=100))
def test_any_bytes_are_frames_or_a_damaged_stream(data: bytes) -> None:
    assert read(data) in ([], [BROKEN])


def test_headers_of_every_type_are_skipped() -> None:
    other_headers = b"".join(
        [
            header("t", 0, b""),
            header("f", 1, b""),
            header("b", 2, b"\x01"),
            header("s", 3, b"\x00\x01"),
            header("i", 4, b"\x00" * 4),
            header("l", 5, b"\x00" * 8),
            header("y", 6, b"\x00\x02ab"),
            header("d", 8, b"\x00" * 8),
            header("u", 9, b"\x00" * 16),
        ]
    )
    assert read(message(other_headers + CHUNK_HEADERS, b'{"bytes":"e30=","p":"abc"}')) == [Frame(b"{}", CHUNK)]


@pytest.mark.parametrize(
    "headers", [header("x", 10, b""), text("x", "abc")[:-1], b"\x05ab", header("x", 7, b"\x00"), header("x", 7, b"\x00\x01\xff")]
)
def test_headers_with_wrong_lengths_are_a_damaged_stream(headers: bytes) -> None:
    assert read(message(headers, b"{}")) == [BROKEN]


def test_events_of_other_names_are_ignored() -> None:
    assert read(message(text(":message-type", "event") + text(":event-type", "initial-response"), b"{}")) == []


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"bytes":5}', b'{"bytes":"%%"}'])
def test_a_chunk_without_bytes_is_a_damaged_stream(payload: bytes) -> None:
    assert read(message(CHUNK_HEADERS, payload)) == [BROKEN]


def test_exceptions_and_errors_have_their_names() -> None:
    exception = message(text(":message-type", "exception") + text(":exception-type", "validationException"), b'{"message":"No"}')
    error = message(text(":message-type", "error") + text(":error-code", "InternalFailure") + text(":error-message", "Oh"), b"")
    assert read(exception + error) == [Frame(b'{"message":"No"}', "validationException"), Frame(b'{"message":"Oh"}', "InternalFailure")]


def test_a_frame_above_the_size_limit_is_a_damaged_stream() -> None:
    lengths = (2**31).to_bytes(4, "big") + (0).to_bytes(4, "big")
    assert read(lengths + zlib.crc32(lengths).to_bytes(4, "big")) == [BROKEN]


def test_nothing_is_read_after_a_damaged_frame() -> None:
    reader = EventStreamReader()
    assert reader.feed(b"x" * 12) == [BROKEN]
    assert reader.feed(write(EVENT)) + reader.close() == []


def test_the_framing() -> None:
    assert EVENT_STREAM.media_type == "application/vnd.amazon.eventstream"
    assert EVENT_STREAM.reader().feed(EVENT_STREAM.write(EVENT)) == [EVENT]
