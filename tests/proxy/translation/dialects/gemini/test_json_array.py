"""Streams as one JSON array."""

import json

import pytest

from proxy.translation.dialects.gemini.json_array import ARRAY, stream_form

EVENTS = [b'data: {"a":1}\n\n', b'data: {"b":"\\n\\n"}\n\ndata: {"c":3}\n\n']


def test_events_become_the_elements_of_an_array():
    writer = ARRAY.writer()
    written = b"".join([writer.feed(b""), *(writer.feed(piece) for piece in EVENTS), writer.close()])
    assert json.loads(written) == [{"a": 1}, {"b": "\n\n"}, {"c": 3}]


def test_white_space_between_them_keeps_an_array_valid():
    writer = ARRAY.writer()
    written = ARRAY.keepalive + writer.feed(EVENTS[0]) + ARRAY.keepalive + writer.feed(EVENTS[1]) + writer.close()
    assert len(json.loads(written)) == 3


def test_a_stream_without_events_is_an_empty_array():
    assert ARRAY.writer().close() == b"[]"


@pytest.mark.parametrize(("query", "form"), [({}, ARRAY), ({"alt": "json"}, ARRAY), ({"alt": "sse"}, None), ({"$alt": "SSE"}, None)])
def test_the_query_chooses_the_form(query, form):
    assert stream_form(query) is form
