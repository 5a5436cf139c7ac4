"""Every endpoint below a path prefix, and what its paths do when an upstream fails: as without a prefix."""

import json
import socket
import uuid

import pytest

from proxy.urls import FAST_PATH_PATTERNS, FAST_PATHS
from tests.e2e.test_chaos import STREAM, WELL, error
from tests.support.fake_upstream import CLOSE, HANG, RESET, Reply, bytes_reply, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_RESPONSES_STORE_SECONDS="60") as running:
        yield running


def group(gateway, *upstreams, patience=None, **fields):
    """A prefix with one model of the same name, whose routes lead to the upstreams in their order; the first may take so long."""
    name = f"g-{uuid.uuid4().hex[:8]}"
    ids = [
        gateway.add_upstream(upstream, name=f"{name}-{priority}", priority=priority, **fields)
        for priority, upstream in enumerate(upstreams)
    ]
    if patience:
        gateway.api("PATCH", f"/upstreams/{ids[0]}", json={"first_byte_timeout_seconds": patience})
    model = gateway.api("POST", "/models", json={"name": name, "upstream_id": ids[0], "path_prefix": f"/{name}"})
    for upstream_id in ids[1:]:
        gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": upstream_id})
    return name


WIRE = sorted({(method, path) for method, path in FAST_PATHS if path.startswith("/v1/")})


NEW_OBJECTS = ("/v1/containers", "/v1/conversations", "/v1/files")


@pytest.mark.parametrize(("method", "path"), WIRE, ids=[f"{method} {path}" for method, path in WIRE])
def test_every_path_is_there_below_a_prefix_too(gateway, upstream, method, path):
    """An endpoint that exists answers an empty body with what is missing, not with "unknown path"."""
    name = group(gateway, upstream)
    if path in NEW_OBJECTS:  # without a model, the only upstream of the prefix would be asked
        path += "?model=none"
    upstream.otherwise(json_reply(WELL))
    answer = gateway.http.request(
        method, f"{gateway.url}/{name}{path}", headers=gateway.client_headers, content=b"" if method == "GET" else b"{}"
    )
    bare = gateway.http.request(method, f"{gateway.url}{path}", headers=gateway.client_headers, content=b"" if method == "GET" else b"{}")
    assert answer.status_code == bare.status_code
    assert "Unknown path" not in answer.text


def test_the_paths_with_names_in_them_are_there_too():
    assert {method for method, _, _ in FAST_PATH_PATTERNS} >= {"GET", "POST"}


FAILURES = {
    "reset": Reply(instead=RESET),
    "hang": Reply(instead=HANG),
    "429": error(429, retry_after="30"),
    "401": error(401),
    "500": error(500),
    "529": error(529),
    "half a body": Reply(200, {"content-type": "application/json", "content-length": "400"}, (b'{"id":', CLOSE), chunked=False),
    "truncated stream": sse(0.01, RESET),
}
PLACES = {
    "chat": ("/v1/chat/completions", {}, {"messages": [{"role": "user", "content": "Hi"}]}),
    "embeddings": ("/v1/embeddings", {}, {"input": "Hi"}),
    "plain": ("/anything/at/all", {"format": "passthrough"}, {"x": 1}),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
def test_another_upstream_answers_when_the_first_fails(gateway, upstream, second_upstream, place, failure):
    path, fields, body = PLACES[place]
    name = group(gateway, upstream, second_upstream, patience=1.5 if failure == "hang" else None, cooldown_seconds=30, **fields)
    upstream.otherwise(FAILURES[failure])
    second_upstream.otherwise(json_reply(WELL))
    answer = gateway.http.post(f"{gateway.url}/{name}{path}", headers=gateway.client_headers, json={"model": name, **body})
    assert (answer.status_code, answer.json()["id"], len(second_upstream.requests)) == (200, WELL["id"], 1)
    (row,) = gateway.logs(1, model=name)
    tries = gateway.api("GET", f"/logs/{row['id']}")["tries"]
    assert ([attempt["outcome"] for attempt in tries][-2:], row["outcome"]) == (["failed", "finished"], "finished")
    if failure in ("429", "500", "529"):  # it cools here as anywhere
        gateway.http.post(f"{gateway.url}/{name}{path}", headers=gateway.client_headers, json={"model": name, **body})
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_ends_the_call(gateway, upstream, place, stream):
    path, fields, body = PLACES[place]
    name = group(gateway, upstream, **fields)
    upstream.otherwise(sse(*STREAM[:2], HANG) if stream else Reply(instead=HANG))
    request_body = json.dumps({"model": name, "stream": stream, **body}).encode()
    head = f"POST /{name}{path} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {gateway.client_key}\r\ncontent-length: {len(request_body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE) as client:
        client.sendall(head.encode() + request_body)
        (request,) = upstream.wait_for(1)
    assert request.left_early.wait(PATIENCE)
    (row,) = gateway.logs(1, model=name)
    assert (row["outcome"], row["attempts"]) == ("cancelled", 1)
    upstream.otherwise(bytes_reply(b"{}", headers={"content-type": "application/json"}))
    gateway.http.post(f"{gateway.url}/{name}{path}", headers=gateway.client_headers, json={"model": name, **body})
    assert upstream.wait_for(2)[1].answered.wait(PATIENCE)  # nothing of the first call is in the way of the next one
