"""Server-sent events in any split, by the WHATWG specification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.framing.sse import Frame, Reader, write


def frames_of(stream: bytes, size: int) -> list[Frame]:
    reader = Reader()
    frames: list[Frame] = []
    for start in range(0, len(stream), size):
        frames += reader.feed(stream[start : start + size])
    return frames + reader.close()


STREAMS = {
    "event and data lines": (b'event: ping\ndata: {"type":"ping"}\n\n', [Frame(b'{"type":"ping"}', "ping")]),
    "no space after the colon": (b"data:{}\n\n", [Frame(b"{}")]),
    "only one space is taken": (b"data:  x\n\n", [Frame(b" x")]),
    "CRLF": (b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [Frame(b"1", "a"), Frame(b"2")]),
    "lone CR": (b"data: 1\r\rdata: 2\r\r", [Frame(b"1"), Frame(b"2")]),
    "several data lines join": (b"data: a\ndata: b\n\n", [Frame(b"a\nb")]),
    "JSON on several data lines": (b'data: {"a":1,\ndata: "b":2}\n\n', [Frame(b'{"a":1, "b":2}')]),
    "comments, ids and retries": (b": OPENROUTER PROCESSING\n\nid: 3\nretry: 10\ndata: 1\n\n", [Frame(b"1")]),
    "an event line without data": (b"event: gone\n\ndata: 1\n\n", [Frame(b"1")]),
    "byte order mark": (b"\xef\xbb\xbfdata: 1\n\n", [Frame(b"1")]),
    "U+2028 and multi-byte text": (
        'data: {"t":"a\u2028b\u00e9\U0001f600"}\n\n'.encode(),
        [Frame('{"t":"a\u2028b\u00e9\U0001f600"}'.encode())],
    ),
    "a last event without its blank line": (b'data: {"a":1}\n\ndata: {"b":2}', [Frame(b'{"a":1}'), Frame(b'{"b":2}')]),
    "a last event cut in its JSON": (b'data: {"a":1}\n\ndata: {"b":', [Frame(b'{"a":1}')]),
    "DONE without its blank line": (b"data: [DONE]", [Frame(b"[DONE]")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_same_frames_in_any_split(name: str, size: int) -> None:
    stream, frames = STREAMS[name]
    assert frames_of(stream, size) == frames


@given(
    st.lists(
        st.tuples(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n")), st.sampled_from(["", "message_start", "x"]))
    ),
    st.integers(1, 50),
)
def test_written_frames_are_read_again_in_any_split(events: list[tuple[str, str]], size: int) -> None:
    frames = [Frame(f'"{data}"'.encode(), event) for data, event in events]
    assert frames_of(b"".join(write(frame) for frame in frames), size) == frames
