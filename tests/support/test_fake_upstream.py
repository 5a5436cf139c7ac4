"""The scripted provider sends what its script says, also what violates HTTP."""

import httpx
import pytest

from tests.support.fake_upstream import CLOSE, HANG, RESET, Reply, event, json_reply, sse
from tests.support.waiting import PATIENCE


def test_it_records_requests_and_answers_in_order(upstream):
    upstream.reply(json_reply({"n": 1}), json_reply({"n": 2}, status=429, headers={"retry-after": "3"}))
    with httpx.Client(base_url=upstream.url) as client:
        first = client.post("/v1/messages?beta=true", json={"a": 1}, headers={"x-api-key": "k"})
        second = client.post("/v1/messages", content=iter([b'{"b"', b": 2}"]))
    assert (first.status_code, first.json()) == (200, {"n": 1})
    assert (second.status_code, second.json(), second.headers["retry-after"]) == (429, {"n": 2}, "3")
    assert [(received.method, received.path, received.json()) for received in upstream.requests] == [
        ("POST", "/v1/messages?beta=true", {"a": 1}),
        ("POST", "/v1/messages", {"b": 2}),
    ]
    assert upstream.requests[0].header("X-API-Key") == "k"


def test_without_an_answer_it_says_so(upstream):
    assert httpx.get(upstream.url).status_code == 599
    upstream.otherwise(lambda request: json_reply({"path": request.path}))
    assert httpx.get(upstream.url + "/x").json() == {"path": "/x"}


def test_a_stream_arrives_in_its_pieces(upstream):
    upstream.reply(sse(event({"a": 1}, name="one"), 0.01, event("[DONE]")))
    with httpx.stream("GET", upstream.url) as stream:
        pieces = list(stream.iter_raw())
    assert pieces == [b'event: one\ndata: {"a": 1}\n\n', b"data: [DONE]\n\n"]
    assert upstream.requests[0].answered.wait(PATIENCE)


@pytest.mark.parametrize("ending", [CLOSE, RESET])
def test_a_stream_is_cut(upstream, ending):
    upstream.reply(sse(b"data: 1\n\n", 0.05, ending))
    with httpx.stream("GET", upstream.url) as stream, pytest.raises(httpx.RemoteProtocolError if ending is CLOSE else httpx.ReadError):
        list(stream.iter_raw())


def test_it_refuses_to_answer_at_all(upstream):
    upstream.reply(Reply(instead=RESET), Reply(instead=CLOSE), Reply(instead=HANG))
    with pytest.raises(httpx.ReadError):
        httpx.get(upstream.url)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(upstream.url)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(upstream.url, timeout=0.2)


def test_it_sees_a_client_leave(upstream):
    upstream.reply(sse(b"data: 1\n\n", HANG))
    with httpx.stream("GET", upstream.url) as stream:
        pieces = stream.iter_raw()
        assert next(pieces) == b"data: 1\n\n"
        assert not upstream.requests[0].left_early.is_set()
    assert upstream.requests[0].left_early.wait(PATIENCE)
    assert not upstream.requests[0].answered.is_set()


def test_it_can_send_invalid_http(upstream):
    upstream.reply(Reply(headers={"content-length": "10"}, pieces=(b"short",), chunked=False))
    with httpx.stream("GET", upstream.url, timeout=0.3) as stream, pytest.raises(httpx.ReadTimeout):
        stream.read()
