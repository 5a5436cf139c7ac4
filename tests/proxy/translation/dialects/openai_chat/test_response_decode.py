"""Whole responses of a Chat upstream."""

from __future__ import annotations

import pytest

from proxy.translation.canonical import Text
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from proxy.translation.quirks import DEFAULT


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"Too busy","code":429}}', "Too busy"),
        (b'{"error":"broken"}', "broken"),
        (b'{"object":"error","message":"No such model","code":404}', "No such model"),
        (b'{"choices":[]}', "The upstream response has no choices."),
        (b'{"choices":[null]}', "The upstream response has no choices."),
        (b'{"choices":[{"message":null}]}', "The upstream response has no choices."),
        (b"{}", "The upstream response has no choices."),
        (b"<html>", "The upstream response cannot be decoded: JSON is malformed: invalid character (byte 0)"),
        (b"", "The upstream response cannot be decoded: Input data was truncated"),
        (b'{"choices":[{"message":{"content":3}}]}', None),
        (b"[" * 100_000, "The upstream response cannot be decoded: Expected `object`, got `array`"),
        (b'{"choices":' + b"[" * 100_000, None),
        (
            b'{"choices":[{"finish_reason":"error","error":{"message":"Provider died","code":502},"message":{"content":""}}]}',
            "Provider died",
        ),
    ],
)
def test_an_unusable_200_is_a_bad_gateway(body: bytes, message: str | None) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        DIALECT.decode_response(body, DEFAULT)
    assert caught.value.failure.kind == "bad_gateway"
    assert caught.value.answered
    if message is not None:
        assert caught.value.failure.message == message


def test_a_lone_surrogate_in_a_response_is_replaced() -> None:
    body = b'{"choices":[{"message":{"content":"a\\ud83d"}}]}'
    assert DIALECT.decode_response(body, DEFAULT).parts == (Text("a\N{REPLACEMENT CHARACTER}"),)
