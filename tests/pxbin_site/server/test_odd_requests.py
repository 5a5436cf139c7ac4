"""What the real gateway answers to requests that are rare, misaddressed or no HTTP at all."""

import gzip
import json
import socket

import httpx
import pytest

from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
HELLO = {"model": "echo", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}


def ask(gateway, method, path, **options):
    return gateway.http.request(method, gateway.url + path, headers={**gateway.client_headers, **options.pop("headers", {})}, **options)


def raw(gateway, request_bytes: bytes) -> bytes:
    """All bytes until the server closes the connection or sends nothing more."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as connection:
        connection.sendall(request_bytes)
        return connection.recv(65536)


@pytest.mark.parametrize("path", ["/health", "/healthz", "/status", "/ready", "/health/detailed"])
def test_health_paths_work_with_and_without_a_trailing_slash(gateway, path):
    for requested_path in (path, f"{path}/"):
        answer = gateway.http.get(gateway.url + requested_path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert httpx.head(gateway.url + requested_path).status_code == 200
        assert [gateway.http.request(method, gateway.url + requested_path).status_code for method in ("POST", "OPTIONS", "DELETE")] == [
            405
        ] * 3


def test_the_root_answers_head_and_leads_browsers_to_the_admin(gateway):
    answers = {method: gateway.http.request(method, f"{gateway.url}/") for method in ("HEAD", "GET", "POST", "TRACE")}
    assert {method: answer.status_code for method, answer in answers.items()} == {"HEAD": 200, "GET": 302, "POST": 405, "TRACE": 405}
    assert answers["GET"].headers["location"] == "/admin/"
    assert gateway.http.get(f"{gateway.url}/admin").headers["location"] == "/admin/"


def test_options_of_the_whole_server(gateway):
    status, _, rest = raw(gateway, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").partition(b"\r\n")
    assert status == b"HTTP/1.1 204 No Content"
    assert rest.startswith(b"allow: GET, POST, ")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("GET", "/v1/realtime", 404, "invalid_request_error"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
    ],
)
def test_where_there_is_no_websocket_an_upgrade_is_ignored(gateway, method, path, status, kind):
    answer = ask(gateway, method, path, headers=UPGRADE)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert ask(gateway, "GET", "/v1/models", headers=UPGRADE).status_code == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/odd-prefix/v1/responses", "/odd-plain/v1/responses"])
def test_a_handshake_is_accepted_also_below_a_prefix(gateway, upstream, path):
    prefix = path.removesuffix("/v1/responses")
    if prefix:
        upstream_id = gateway.add_upstream(upstream, name=prefix[1:], format="passthrough" if "plain" in prefix else "openai")
        gateway.api("POST", "/models", json={"name": "m", "path_prefix": prefix, "upstream_id": upstream_id})
    lines = [f"GET {path} HTTP/1.1", "host: x", f"authorization: Bearer {gateway.client_key}", *map(": ".join, UPGRADE.items()), "", ""]
    assert raw(gateway, "\r\n".join(lines).encode()).startswith(b"HTTP/1.1 101 ")
    assert upstream.requests == []


def test_tls_at_the_plain_port_is_refused_at_once(gateway):
    answer = raw(gateway, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("This is TLS")


@pytest.mark.parametrize(
    ("path", "suggested_path"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/responses", "/v1/responses"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/v1/messages", "/v1/messages"),
        ("//v1/messages", "/v1/messages"),
        ("/v1//messages", "/v1/messages"),
    ],
)
def test_a_base_url_with_too_little_or_too_much_is_explained(gateway, path, suggested_path):
    answer = ask(gateway, "POST", path, json=HELLO)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == f"Unknown path: POST {path}; {suggested_path} may be meant: look at the client's base URL"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/model/m/invoke", "/v1/embeddings"])
def test_a_compressed_body_is_decoded_or_refused_with_a_reason(gateway, path):
    def answer_to(encoding, content):
        headers = {"content-encoding": encoding, "content-type": "application/json"}
        answer = ask(gateway, "POST", path, headers=headers, content=content)
        return answer.status_code, answer.text

    plain = json.dumps({**HELLO, "model": "no-such-model", "input": "Hello"}).encode()
    status, text = answer_to("identity", plain)
    assert "no-such-model" in text or path == "/model/m/invoke"
    assert answer_to("gzip", gzip.compress(plain))[0] == status
    assert "no-such-model" in answer_to("gzip", gzip.compress(plain))[1] or path == "/model/m/invoke"
    status, text = answer_to("compress", plain)
    assert (status, "Content-Encoding 'compress' is not supported" in text) == (415, True)
    status, text = answer_to("gzip", plain)
    assert (status, "The body does not match its Content-Encoding 'gzip'" in text) == (400, True)
    status, text = answer_to("gzip", gzip.compress(b" " * 33 * 1024 * 1024))
    assert (status, "Request body too large once it is decoded" in text) == (413, True)


def test_a_compressed_request_is_served(gateway):
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    answer = ask(gateway, "POST", "/v1/messages", headers=headers, content=gzip.compress(json.dumps(HELLO).encode()))
    assert (answer.status_code, answer.json()["content"]) == (200, [{"type": "text", "text": "Hello", "citations": None}])


@pytest.mark.slow
def test_a_request_with_a_wrong_key_is_refused_and_logged_before_its_body_is_sent():
    with Gateway.started() as gateway:  # one without models that are open to requests without a key
        expect_refusals_before_bodies(gateway)


def expect_refusals_before_bodies(gateway):
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\nx-request-id: %b\r\ncontent-length: 30000000\r\n"
    for name, key in ((b"wrong-key", b"pxb_wrong"), (b"without-key", b"")):
        answer = raw(gateway, head % (key, name) + b"expect: 100-continue\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b'"type":"authentication_error"' in answer
        row = gateway.row_of(name.decode())
        assert (row["status_code"], row["outcome"], row["path"]) == (401, "rejected", "/v1/messages")


def test_the_body_of_a_request_with_a_key_is_asked_for(gateway):
    head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: %b\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n"
    assert raw(gateway, head % gateway.client_key.encode()) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_key_of_the_other_kind_is_explained(gateway):
    refusal = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.management_headers, json=HELLO)
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (401, "authentication_error")
    assert refusal.json()["error"]["message"].startswith("Invalid API key: keys of the management API begin with pxm_")
    refusal = gateway.http.get(f"{gateway.url}/api/v1/keys", headers=gateway.client_headers)
    assert (refusal.status_code, refusal.json()["error"][:44]) == (401, "Invalid API key: client keys begin with pxb_")
