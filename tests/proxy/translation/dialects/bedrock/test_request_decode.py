"""InvokeModel requests of clients: how they differ from Messages."""

import json

import pytest

from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.bedrock.samples import BODY, KEY, opened


def test_a_body_without_a_model_is_opened() -> None:
    assert DIALECT.open_request(json.dumps(BODY).encode()).model == ""


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{}", "messages"), (b'{"messages":[]}', "messages"), (b'{"messages":[{"role":"x","content":""}]}', "messages.0.role"), (b"", None)],
)
def test_opening_a_request_reports_the_path_of_an_invalid_field(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.open_request(body)
    assert caught.value.failure.param == param


def test_betas_that_are_not_a_list_of_strings_are_refused() -> None:
    with pytest.raises(ClientMistake, match="anthropic_beta"):
        DIALECT.decode_request(opened(anthropic_beta="a,b"), KEY)


def test_a_body_that_names_a_model_beside_the_path_is_refused() -> None:
    with pytest.raises(ClientMistake, match="model: the field is not part of this API; the path names the model") as raised:
        DIALECT.open_request(json.dumps({**BODY, "model": "m"}).encode())
    assert raised.value.failure.param == "model"
