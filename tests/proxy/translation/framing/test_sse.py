"""Server-sent events in any split, by the WHATWG specification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.errors import UpstreamFailed
from proxy.translation.framing import sse
from proxy.translation.framing.sse import Frame, Reader, WholeEvents, write


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


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(st.tuples(st.sampled_from(["data: 1", "data:", "event: x", ": note", "", "\u2028"]), LINE_ENDS)), st.integers(1, 9))
def test_any_line_ends_give_the_same_frames_in_any_split(lines: list[tuple[str, str]], size: int) -> None:
    stream = "".join(line + end for line, end in lines).encode()
    assert frames_of(stream, size) == frames_of(stream, len(stream) or 1)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data: 1", b"x"])), st.integers(1, 9))
def test_whole_events_pass_unchanged_in_any_split(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    events = WholeEvents()
    passed = [events.feed(stream[start : start + size]) for start in range(0, len(stream), size)]
    assert b"".join(passed) + events.close() == stream
    assert all(piece.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) for piece in passed if piece)


class CountedBytes(bytes):
    """A read that counts how many bytes are copied together with it."""

    copied = 0

    def __radd__(self, other: bytes) -> bytes:
        CountedBytes.copied += len(other)
        return bytes(other) + bytes(self)


@pytest.mark.parametrize("feed", [lambda: Reader().feed, lambda: WholeEvents().feed], ids=["reader", "whole events"])
def test_no_byte_of_an_endless_line_is_copied_again_with_later_reads(feed) -> None:
    CountedBytes.copied = 0
    take = feed()
    for _ in range(1000):
        assert not take(CountedBytes(b"y" * 100))
    assert CountedBytes.copied <= 1000 * 3


@pytest.mark.parametrize("feed", [lambda: Reader().feed, lambda: WholeEvents().feed], ids=["reader", "whole events"])
@pytest.mark.parametrize("piece", [b"y" * 1000, b"data: y\n" * 125], ids=["one line", "many lines"])
def test_an_event_without_end_is_a_failure_of_the_upstream(feed, piece, monkeypatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 10_000)
    take = feed()
    for _ in range(10):
        assert not take(piece)
    with pytest.raises(UpstreamFailed) as caught:
        take(piece)
    assert (caught.value.failure.kind, caught.value.answered) == ("bad_gateway", True)


def test_an_event_of_the_largest_size_is_read_and_the_events_before_a_larger_one_too(monkeypatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 16)
    monkeypatch.setattr(sse, "MAX_EVENT_LINES", 3)
    reader = Reader()
    assert reader.feed(b"data: 0123456789\n\ndata: 01234567890") == [Frame(b"0123456789")]
    with pytest.raises(UpstreamFailed):
        reader.feed(b"1\n\n")


def test_an_event_of_too_many_lines_is_a_failure_and_an_unfinished_one_is_dropped(monkeypatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_LINES", 3)
    assert Reader().feed(b"data: [1,\ndata: 2,\ndata: 3]\n\n") == [Frame(b"[1, 2, 3]")]
    with pytest.raises(UpstreamFailed):
        Reader().feed(b"data: [1,\ndata: 2,\ndata: 3,\ndata: 4,\ndata: 5]\n\n")
    reader = Reader()
    assert (reader.feed(b"data: [1,\ndata: 2,\ndata: 3,\ndata: 4,\ndata: 5]"), reader.close()) == ([], [])
