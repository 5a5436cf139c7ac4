"""Bodies of requests whose key or model captures them: stored redacted and cut, shown on the page of the request; of no others."""

import json

import pytest

from tests.e2e.test_chaos import answering, error
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

SECRET = "sk-upstream-secret"
"""The credential of upstreams made by `Gateway.add_upstream`."""
PASTED = "sk-proj-" + "Ab1" * 12


@pytest.fixture(scope="module")
def running():
    with Gateway.started() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(running):
    return running.api("POST", "/keys", json={"name": "captured", "capture_payloads": True})["key"]


def ask(gateway, key, path="/v1/messages", **body):
    body = {"model": "echo", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}], **body}
    return gateway.http.post(gateway.url + path, headers={"x-api-key": key}, json=body)


def payload_of(gateway, response):
    row = gateway.row_of(response.headers["x-request-id"])
    return gateway.api("GET", f"/logs/{row['id']}")["payload"]


def stored_payload(gateway, response):
    return eventually(lambda: payload_of(gateway, response))


def test_all_four_bodies_of_a_translated_request_are_stored(running, key):
    response = ask(running, key)
    payload = stored_payload(running, response)
    bodies = {name: json.loads(payload[name]) for name in ("client_body", "sent_body", "upstream_answer", "delivered_answer")}
    assert bodies["client_body"] == json.loads(response.request.content)
    assert bodies["sent_body"]["messages"] == [{"role": "user", "content": "Hello"}]
    assert bodies["upstream_answer"]["choices"][0]["message"]["content"] == bodies["delivered_answer"]["content"][0]["text"]
    assert bodies["delivered_answer"] == response.json()
    assert payload["truncated"] is False


@pytest.mark.parametrize(
    ("path", "model"), [("/v1/messages", "echo"), ("/v1/chat/completions", "echo"), ("/v1/messages", "echo-anthropic")]
)
def test_of_a_stream_the_beginning_of_its_text_is_stored(running, key, path, model):
    prompt = "word " * 200
    response = ask(running, key, path, model=model, stream=True, messages=[{"role": "user", "content": prompt}], max_tokens=5000)
    assert response.status_code == 200
    payload = stored_payload(running, response)
    assert payload["delivered_answer"] == payload["upstream_answer"] == prompt[:256]
    assert payload["truncated"] is True


def test_credentials_are_not_stored(running, key, upstream):
    upstream.otherwise(lambda request: error(400, f"bad {SECRET} for {request.json()['messages'][0]['content']}"))
    running.add_upstream(upstream, "leaky")
    response = ask(running, key, "/v1/chat/completions", model="leaky", messages=[{"role": "user", "content": f"use {PASTED} or {key}"}])
    payload = stored_payload(running, response)
    assert [text for text in payload.values() if isinstance(text, str) and (SECRET in text or PASTED in text or key in text)] == []
    assert json.loads(payload["client_body"])["messages"][0]["content"] == "use *** or ***"
    assert "bad *** for use ***" in payload["upstream_answer"]


def test_long_bodies_are_cut(running, key):
    payload = stored_payload(running, ask(running, key, messages=[{"role": "user", "content": "x" * 10_000}]))
    assert (len(payload["client_body"]), len(payload["sent_body"]), payload["truncated"]) == (4096, 4096, True)


def test_a_refused_request_has_the_bodies_of_the_client_alone(running, key):
    payload = stored_payload(running, ask(running, key, model="nobody-knows-this"))
    assert json.loads(payload["client_body"])["model"] == "nobody-knows-this"
    assert json.loads(payload["delivered_answer"])["type"] == "error"
    assert (payload["sent_body"], payload["upstream_answer"]) == ("", "")


def test_a_model_captures_too_and_others_do_not(running, upstream):
    upstream.otherwise(answering)
    running.add_upstream(upstream, "watched", name="watched-upstream")
    (model,) = [row for row in running.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == "watched"]
    assert model["capture_payloads"] is False
    running.api("PATCH", f"/models/{model['id']}", json={"capture_payloads": True})
    plain = ask(running, running.client_key)
    watched = eventually(lambda: payload_of(running, ask(running, running.client_key, model="watched")))
    assert json.loads(watched["sent_body"])["model"] == "watched"
    assert payload_of(running, plain) is None


def test_bodies_that_are_not_translated_are_captured(running, key, upstream):
    upstream.otherwise(lambda _request: error(200))
    running.add_upstream(upstream, "embedder", name="embedder-upstream")
    response = running.http.post(f"{running.url}/v1/embeddings", headers={"x-api-key": key}, json={"model": "embedder", "input": "Hi"})
    payload = stored_payload(running, response)
    assert json.loads(payload["sent_body"])["input"] == "Hi"
    assert payload["upstream_answer"] == payload["delivered_answer"] == response.text


def test_with_zero_characters_nothing_is_stored():
    with Gateway.started(PXBIN_LOG_BODY_MAX_CHARS="0", PXBIN_LOG_STREAM_TEXT_PREVIEW_CHARS="0") as gateway:
        key = gateway.api("POST", "/keys", json={"name": "captured", "capture_payloads": True})["key"]
        for stream in (False, True):
            response = ask(gateway, key, stream=stream)
            assert response.status_code == 200
            assert payload_of(gateway, response) is None
        assert list((gateway.data_dir / "spool").glob("*.bodies")) == []
