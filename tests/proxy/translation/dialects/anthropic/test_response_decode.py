"""Response objects of Anthropic upstreams that are not messages (tests/cases/anthropic covers those that are)."""

import pytest

from proxy.translation.canonical import (
    Finish,
    Response,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from proxy.translation.quirks import DEFAULT


class TestInvalidResponses:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "Overloaded"),
            (b'{"error":"It broke"}', "It broke"),
            (b'{"error":{"code":5}}', "The upstream sent an error with status 200"),
            (b"{}", "The upstream response is not a message"),
            (b'{"choices":[]}', "The upstream response is not a message"),
            (b"", "The upstream response is not a valid message"),
            (b"<html>", "The upstream response is not a valid message"),
            (b"[]", "The upstream response is not a valid message"),
            (b'{"content":[{"type":"text","text":5}]}', "The upstream response is not a valid message (content.0.text)"),
            (b'{"content":[{}]}', "The upstream response is not a valid message (content.0.type)"),
        ],
    )
    def test_they_raise_a_bad_gateway_failure(self, body: bytes, message: str) -> None:
        with pytest.raises(UpstreamFailed) as caught:
            DIALECT.decode_response(body, DEFAULT)
        assert (caught.value.failure.kind, caught.value.failure.message, caught.value.answered) == ("bad_gateway", message, True)

    def test_an_error_of_null_beside_content_is_ignored(self) -> None:
        body = b'{"id":"msg_1","content":[],"error":null,"stop_reason":"end_turn"}'
        assert DIALECT.decode_response(body, DEFAULT) == Response(id="msg_1", model="", parts=(), finish=Finish())
