"""A running gateway refuses a request without a valid key before its body, in the client's dialect, and logs it."""

import json
import socket

import pytest

from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.slow

WRONG = "pxb_" + "0" * 40
BODY_BYTES = 20_000_000


def refused(gateway, path, *headers):
    """Status, headers and JSON of the response to a head whose body is never sent."""
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", f"content-length: {BODY_BYTES}", *headers]
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while data := client.recv(1 << 16):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    return int(first.split()[1]), dict(field.lower().split(": ", 1) for field in fields), json.loads(body)


@pytest.mark.parametrize(
    ("path", "header", "message"),
    [
        ("/v1/messages", f"x-api-key: {WRONG}", "Invalid API key"),
        ("/v1/chat/completions", f"authorization: Bearer {WRONG}", "Invalid API key"),
        ("/v1/responses", "x-none: 1", "Missing API key"),
        ("/v1/embeddings", "authorization: Bearer sk-other", "Invalid API key"),
        ("/v1/messages/count_tokens", "x-none: 1", "Missing API key"),
    ],
)
def test_a_wrong_or_missing_key_is_refused_before_the_body(gateway, path, header, message):
    status, headers, body = refused(gateway, path, header)
    assert (status, headers["connection"], body["error"]["message"]) == (401, "close", message)


def test_the_refusal_leaves_a_row(gateway):
    _, headers, _ = refused(gateway, "/v1/messages", f"x-api-key: {WRONG}")
    row = gateway.row_of(headers["x-pxbin-request-id"])
    assert (row["status_code"], row["error_message"]) == (401, "Invalid API key")


def test_a_new_key_is_looked_up_before_its_first_large_body(gateway):
    key = gateway.api("POST", "/keys", json={"name": "large-body"})["key"]
    text = "a" * 17_000_000
    message = {"model": "echo", "max_tokens": 10, "messages": [{"role": "user", "content": text}]}
    response = gateway.http.post(f"{gateway.url}/v1/messages", json=message, headers={"x-api-key": key}, timeout=PATIENCE)
    assert response.status_code == 200


def test_a_model_that_is_open_to_all_takes_bodies_without_a_key(gateway, upstream):
    gateway.api("POST", "/models", json={"name": "open-to-all", "upstream_id": gateway.add_upstream(upstream), "allow_anonymous": True})
    try:
        status, headers, _ = refused_after_body(gateway, "open-to-all-but-unknown")
        assert (status, "connection" in headers) == (401, False)
    finally:
        gateway.api("DELETE", f"/models/{gateway.id_of('/models', 'open-to-all')}")


def refused_after_body(gateway, model):
    message = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": "a" * 500_000}]}
    response = gateway.http.post(f"{gateway.url}/v1/messages", json=message, timeout=PATIENCE)
    return response.status_code, response.headers, response.json()
