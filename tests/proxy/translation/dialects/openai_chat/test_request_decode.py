"""Requests of a Chat client that are invalid, or were changed after they were opened."""

from __future__ import annotations

import msgspec
import pytest

from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_chat.samples import KEY, open_request


def test_a_body_whose_fields_were_changed_is_decoded_again() -> None:
    envelope = open_request({"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 1})
    changed = msgspec.structs.replace(envelope, fields={**envelope.fields, "temperature": msgspec.Raw(b"0.5")})
    assert DIALECT.decode_request(changed, KEY).temperature == 0.5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{", None),
        (b'{"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":1,"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"","messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"model":"m","messages":[1]}', "messages.0"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"5"}', "max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":"hot"}', "temperature"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":1}', "stream"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":{}}', "tools"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":3}]}]}', "messages.0.content.0.text"),
        (b"[" * 100_000, None),
    ],
)
def test_an_invalid_body_is_refused_with_its_path(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.open_request(body)
    assert (caught.value.failure.kind, caught.value.failure.param) == ("invalid_request", param)
