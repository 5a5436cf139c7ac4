"""Streams of a Chat upstream that are not in tests/cases."""

from __future__ import annotations

import pytest

from proxy.translation.canonical import (
    Finished,
    PartDelta,
    Started,
)
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT


def test_nothing_follows_the_end() -> None:
    decoder = DIALECT.decoder(DEFAULT)
    assert [type(event) for event in decoder.feed(Frame(b"[DONE]"))] == [Started, Finished]
    assert decoder.feed(Frame(b'{"choices":[{"delta":{"content":"x"}}]}')) == []
    assert decoder.close() == []


@pytest.mark.parametrize("empty_value", ["null", "{}", '""', "false"])
def test_an_empty_error_is_none(empty_value: str) -> None:
    decoder = DIALECT.decoder(DEFAULT)
    assert decoder.feed(Frame(b'{"error":%b,"choices":[{"delta":{"content":"x"}}]}' % empty_value.encode()))[-1] == PartDelta(0, "x")


def test_a_lone_surrogate_in_a_chunk_is_replaced() -> None:
    decoder = DIALECT.decoder(DEFAULT)
    events = decoder.feed(Frame(b'{"id":"a","model":"m","choices":[{"delta":{"content":"\\ud83d"}}]}'))
    events += decoder.feed(Frame(b"[DONE]"))
    assert PartDelta(0, "\N{REPLACEMENT CHARACTER}") in events
