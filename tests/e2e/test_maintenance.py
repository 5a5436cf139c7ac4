"""What a client and an admin learn of a request for a model that is not served."""

import pytest

WIRES = (
    ("messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
    ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    ("responses", {"input": "Hi"}),
)


def ask(gateway, path, body, model, key):
    answer = gateway.http.post(f"{gateway.url}/v1/{path}", headers={"authorization": f"Bearer {key}"}, json={**body, "model": model})
    (row, *_) = gateway.logs(1, request_id=answer.headers["x-request-id"])
    return answer.status_code, answer.headers.get("retry-after"), row["reason"], answer.text


@pytest.mark.parametrize(("path", "body"), WIRES)
def test_a_model_whose_upstreams_are_switched_off_is_in_maintenance(gateway, path, body):
    name = f"kept-{path.replace('/', '-')}"
    upstream = gateway.api("POST", "/upstreams", json={"name": f"up-{name}", "base_url": "http://127.0.0.1:9"})["id"]
    gateway.api("POST", "/models", json={"name": name, "upstream_id": upstream})
    refused = gateway.api("POST", "/keys", json={"name": name, "allowed_models": ["echo"]})["key"]
    gateway.api("PATCH", f"/upstreams/{upstream}", json={"is_active": False})
    off = f"up-{name}: the upstream is switched off"
    status, retry, reason, text = ask(gateway, path, body, name, gateway.client_key)
    assert (status, retry, reason) == (503, "30", f"No route of '{name}' is usable. {off}")
    assert f"up-{name}" not in text
    status, retry, reason, text = ask(gateway, path, body, name, refused)
    assert (status, retry, reason) == (404, None, f"The key may not use '{name}', and no route of it is usable. {off}")
    gateway.api("PATCH", f"/upstreams/{upstream}", json={"is_active": True})
    assert ask(gateway, path, body, name, refused)[::2] == (404, f"The key may not use '{name}'.")


def test_the_log_tells_a_switched_off_model_from_an_unknown_one(gateway):
    model = gateway.api("POST", "/models", json={"name": "sleeping"})["id"]
    path, body = WIRES[0]
    assert ask(gateway, path, body, "sleeping", gateway.client_key)[::2] == (404, "The model 'sleeping' has no route and no fallback.")
    gateway.api("PATCH", f"/models/{model}", json={"is_active": False})
    assert ask(gateway, path, body, "sleeping", gateway.client_key)[::2] == (404, "The model 'sleeping' is switched off.")
    unknown = ask(gateway, path, body, "nobody", gateway.client_key)[::2]
    assert unknown == (404, "No model has this name or alias, and no pattern matches it.")
