"""The usage in untranslated responses, whole and streamed."""

import json

import pytest

from proxy.translation.canonical import Usage
from proxy.translation.untranslated.usage_tap import UsageTap


@pytest.mark.parametrize(
    ("answer", "usage", "seconds"),
    [
        ({"usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(fresh=8), None),
        (
            {"usage": {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3}}},
            Usage(fresh=5, cache_read=3, output=2),
            None,
        ),
        (
            {"usage": {"input_tokens": 14, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 4}}},
            Usage(fresh=14, output=5, reasoning=4),
            None,
        ),
        (
            {"usage": {"input_tokens": 1, "output_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9}},
            Usage(fresh=1, cache_read=7, cache_write_5m=9, output=5),
            None,
        ),
        ({"usage": {"total_tokens": 11}}, Usage(fresh=11), None),
        ({"usage": {"type": "duration", "seconds": 9}, "duration": 8.5}, None, 9.0),
        ({"duration": "8.47", "text": "hello"}, None, 8.47),
        ({"response": {"usage": {"input_tokens": 3, "output_tokens": 1}}}, Usage(fresh=3, output=1), None),
        ({"usage": {"prompt_tokens": -5, "completion_tokens": "x"}}, Usage(), None),
        ({"usage": None, "message": "words"}, None, None),
        ({"usage": {}}, None, None),
        ([1, 2], None, None),
    ],
)
def test_a_whole_answer(answer, usage, seconds):
    tap = UsageTap()
    tap.whole(json.dumps(answer).encode())
    assert (tap.usage, tap.seconds) == (usage, seconds)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"usage": {"prompt', b"\xff\xfe"])
def test_a_response_that_cannot_be_read_has_no_usage(body):
    tap = UsageTap()
    tap.whole(body)
    assert (tap.usage, tap.seconds) == (None, None)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_last_usage_of_a_stream_counts_however_it_is_cut(size):
    events = [
        {"usage": None},
        {"delta": '"usage"'},
        {"usage": {"prompt_tokens": 1}},
        {"usage": {"prompt_tokens": 2, "completion_tokens": 3}},
    ]
    stream = b"".join(b"data: %b\n\n" % json.dumps(value).encode() for value in events) + b"data: [DONE]\n\n"
    tap = UsageTap()
    for start in range(0, len(stream), size):
        tap.feed(stream[start : start + size])
    tap.close()
    assert tap.usage == Usage(fresh=2, output=3)
