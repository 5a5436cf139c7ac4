"""What Claude Code's model picker lists, and requests for the names that it shows."""

import uuid

import pytest

from tests.e2e.test_chaos import WELL
from tests.support.fake_upstream import json_reply

CLAUDE_CODE = {"user-agent": "claude-cli/2.1.200 (external, cli)"}
SAY = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def names(gateway, upstream):
    """Two models, ``(plain, long)``; the second has a window of a million tokens."""
    plain, long = (f"{word}-{uuid.uuid4().hex[:8]}" for word in ("plain", "long"))
    gateway.add_upstream(upstream, plain, name=plain)
    gateway.api("POST", "/models", json={"name": long, "upstream_id": gateway.id_of("/upstreams", plain), "context_window": 1_000_000})
    return plain, long


def key_for(gateway, *models):
    key = gateway.api("POST", "/keys", json={"name": uuid.uuid4().hex, "allowed_models": list(models)})
    return {"authorization": f"Bearer {key['key']}"}


def listed(gateway, headers, query="?limit=1000"):
    return gateway.http.get(f"{gateway.url}/v1/models{query}", headers=headers).json()


def test_claude_code_gets_further_names_in_anthropics_shape(gateway, upstream, names):
    plain, long = names
    upstream.otherwise(json_reply({"data": []}))
    page = listed(gateway, key_for(gateway, plain, long) | CLAUDE_CODE)
    expected = [long, plain, f"claude-pxbin/{long}", f"claude-pxbin/{long}[1m]", f"claude-pxbin/{plain}"]
    assert [model["id"] for model in page["data"]] == expected
    assert {model["type"] for model in page["data"]} == {"model"}
    assert [model["display_name"] for model in page["data"]] == [long, plain, long, long, plain]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, long, expected[-1])


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}, {"user-agent": "Anthropic/JS 1.0 claude-cli/2"}])
def test_other_clients_get_the_allowed_names_only(gateway, upstream, names, headers):
    upstream.otherwise(json_reply({"data": []}))
    page = listed(gateway, key_for(gateway, *names) | headers)
    assert [model["id"] for model in page["data"]] == sorted(names)


def test_every_name_of_the_picker_resolves_to_the_model_at_every_endpoint(gateway, upstream, names):
    _, long = names
    headers = key_for(gateway, long)
    upstream.otherwise(json_reply(WELL))
    for name in (f"claude-pxbin/{long}", f"claude-pxbin/{long}[1m]", f"{long}[1m]"):
        bodies = {
            "/v1/messages": {"max_tokens": 9, "messages": SAY},
            "/v1/chat/completions": {"messages": SAY},
            "/v1/responses": {"input": "Hi"},
            "/v1/messages/count_tokens": {"messages": SAY},
        }
        answers = {
            path: gateway.http.post(gateway.url + path, headers=headers, json={"model": name, **body}) for path, body in bodies.items()
        }
        assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(bodies, 200)
        assert [answer.json()["model"] for path, answer in answers.items() if "count" not in path] == [name] * 3
        invoked = gateway.http.post(f"{gateway.url}/model/{name}/invoke", headers=headers, json={"max_tokens": 9, "messages": SAY})
        assert invoked.status_code == 200
        listed_model = gateway.http.get(f"{gateway.url}/v1/models/{name}", headers=headers | CLAUDE_CODE).json()
        assert (listed_model["id"], listed_model["max_input_tokens"]) == (name, 1_000_000)
    assert {request.json()["model"] for request in upstream.requests if request.method == "POST"} == {long}


def test_a_name_of_the_picker_opens_no_model_that_the_key_may_not_use(gateway, upstream, names):
    plain, long = names
    for allowed in (long, "claude-*"):
        headers = key_for(gateway, allowed)
        name = f"claude-pxbin/{plain}"
        body = {"model": name, "max_tokens": 9, "messages": SAY}
        assert gateway.http.post(f"{gateway.url}/v1/messages", headers=headers, json=body).status_code == 404
        assert gateway.http.get(f"{gateway.url}/v1/models/{name}", headers=headers).status_code == 404
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models"])
@pytest.mark.parametrize("key", [{}, {"x-api-key": "pxb_" + "0" * 40}, {"api-key": "misplaced"}])
def test_a_wrong_key_has_the_header_x_should_retry_false(gateway, path, key):
    method = "GET" if path == "/v1/models" else "POST"
    answer = gateway.http.request(method, gateway.url + path, headers=key, json={"model": "echo", "messages": SAY})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")
