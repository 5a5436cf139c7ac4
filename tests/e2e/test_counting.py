"""`count_tokens` through a real gateway: counted by the upstream, or estimated."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.support.fake_upstream import FakeUpstream, json_reply
from tests.support.gateway import Gateway

ASK = {"messages": [{"role": "user", "content": "Hello, world"}], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}


SYSTEM = " ".join(["word"] * 30)


def model(gateway: Gateway, upstream: FakeUpstream, form: str, **fields: object) -> str:
    name = f"counted-{uuid.uuid4().hex[:8]}"
    upstream_fields = {"name": name, "base_url": upstream.url, "api_key": "k", "format": form, **fields}
    upstream_row = gateway.api("POST", "/upstreams", json=upstream_fields)
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream_row["id"], "remote_name": "theirs"})
    return name


def model_with_policies(gateway: Gateway, upstream: FakeUpstream, form: str) -> str:
    name = model(gateway, upstream, form)
    (row,) = [model_row for model_row in gateway.api("GET", "/models", params={"per_page": "1000"}) if model_row["name"] == name]
    gateway.api("PATCH", f"/models/{row['id']}", json={"system_append": SYSTEM, "temperature": 0.5})
    return name


def count(gateway: Gateway, name: str, **fields: object) -> httpx.Response:
    url = f"{gateway.url}/v1/messages/count_tokens"
    return gateway.http.post(url, headers=gateway.client_headers, json={"model": name, **ASK, **fields})


def test_an_anthropic_upstream_is_asked(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model(gateway, upstream, "anthropic")
    upstream.reply(json_reply({"input_tokens": 42}))
    assert count(gateway, name).json() == {"input_tokens": 42}
    assert [(received.path, received.json()) for received in upstream.requests] == [
        ("/v1/messages/count_tokens", {"model": "theirs", **ASK})
    ]


def test_a_responses_upstream_counts_tokens_in_its_own_dialect(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model(gateway, upstream, "openai_responses")
    upstream.reply(json_reply({"object": "response.input_tokens", "input_tokens": 17}))
    assert count(gateway, name).json() == {"input_tokens": 17}
    received = upstream.requests[0]
    assert (received.path, received.json()["model"], sorted(received.json())) == (
        "/v1/responses/input_tokens",
        "theirs",
        ["input", "model", "tools"],
    )


def test_a_chat_upstream_is_not_asked(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model(gateway, upstream, "openai")
    assert count(gateway, name).json() == {"input_tokens": 275}
    assert upstream.requests == []


@pytest.mark.parametrize("reply", [json_reply({}, status=404), json_reply({"error": "gone"}, status=500), json_reply({"no": "count"})])
def test_an_upstream_that_cannot_count_tokens_is_skipped(gateway: Gateway, upstream: FakeUpstream, reply: object) -> None:
    name = model(gateway, upstream, "anthropic")
    upstream.reply(reply)  # type: ignore[arg-type]
    assert count(gateway, name).json() == {"input_tokens": 275}


def test_an_invalid_count_request_is_refused(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model(gateway, upstream, "openai")
    refused = count(gateway, name, messages="no list")
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


def test_what_a_models_policies_add_counts_too(gateway: Gateway, upstream: FakeUpstream) -> None:
    plain, edited = model(gateway, upstream, "openai"), model_with_policies(gateway, upstream, "openai")
    frame = 4  # a system prompt has one, whatever stands in it
    assert [count(gateway, model_name).json()["input_tokens"] for model_name in (plain, edited)] == [275, 275 + 30 + frame]
    assert upstream.requests == []


def test_an_upstream_that_counts_is_asked_with_the_policies_and_only_what_a_count_has(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model_with_policies(gateway, upstream, "anthropic")
    upstream.reply(json_reply({"input_tokens": 42}))
    assert count(gateway, name, metadata={"user_id": "u"}, top_k=3).json() == {"input_tokens": 42}
    assert upstream.requests[0].json() == {"model": "theirs", "system": SYSTEM, **ASK}


def test_an_upstream_of_the_clients_own_key_is_asked_with_it(gateway: Gateway, upstream: FakeUpstream) -> None:
    name = model(gateway, upstream, "anthropic", pass_client_credentials=True)
    upstream.reply(json_reply({"input_tokens": 42}))
    headers = {"x-pxbin-key": gateway.client_key, "x-api-key": "sk-ant-own", "anthropic-beta": "one"}
    answer = gateway.http.post(f"{gateway.url}/v1/messages/count_tokens", headers=headers, json={"model": name, **ASK})
    assert (answer.json(), bool(answer.headers["x-pxbin-request-id"])) == ({"input_tokens": 42}, True)
    received = upstream.requests[0]
    assert [received.header(header) for header in ("x-api-key", "anthropic-beta", "x-pxbin-key")] == ["sk-ant-own", "one", None]
