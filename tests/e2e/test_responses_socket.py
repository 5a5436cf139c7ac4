"""The Responses API over a WebSocket, driven by the official SDK."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.fake_upstream import HANG, event, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.sizes import PROOF
from tests.support.waiting import PATIENCE, eventually

# The SDK calls the library in a form that a later release of it drops.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")

SOCKETS = 200 if PROOF else 20
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture
def model(gateway, upstream, request):
    """A model at a fake upstream of the Chat API, named after the test."""
    name = request.node.name
    gateway.add_upstream(upstream, name, name=f"socket-{name}"[:90])
    return name


def chat(*texts, before=0.0):
    """A streamed Chat answer."""
    frames = [event({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}) for text in texts]
    end = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
    return sse(*frames, event(end), event(usage), event("[DONE]"), before=before)


def client_of(gateway, key=""):
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key or gateway.client_key, max_retries=0)


def raw_socket(gateway, key="", path="/v1/responses"):
    url = gateway.url.replace("http", "ws") + path
    return connect(url, additional_headers={"authorization": f"Bearer {key or gateway.client_key}"}, open_timeout=PATIENCE)


def ended(connection):
    """The events up to the end of a turn."""
    events = []
    for item in connection:
        events.append(item)
        if item.type in ("response.completed", "error"):
            return events
    return events


def create(socket, **fields):
    socket.send(json.dumps({"type": "response.create", "store": False, **fields}))


def events_of(socket, lane=None):
    """The events of one lane up to the end of its turn, from a raw socket."""
    events = []
    while not events or events[-1]["type"] not in ("response.completed", "error"):
        item = json.loads(socket.recv(timeout=PATIENCE))
        if item.get("stream_id") == lane:
            events.append(item)
    return events


def test_a_turn_continues_the_one_before_it_at_an_upstream_of_another_dialect(gateway, upstream, model):
    upstream.reply(chat("Hel", "lo"), chat("Again"))
    with client_of(gateway).responses.connect() as connection:
        connection.response.create(model=model, input="First", store=False)
        first = ended(connection)
        connection.response.create(model=model, input="Second", store=False, previous_response_id=first[-1].response.id)
        second = ended(connection)
    assert [item.delta for item in first if item.type == "response.output_text.delta"] == ["Hel", "lo"]
    assert second[-1].response.output_text == "Again"
    assert second[-1].response.previous_response_id == first[-1].response.id
    assert upstream.requests[1].json()["messages"] == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Second"},
    ]


def test_each_response_has_a_row_of_its_own(gateway, upstream, model):
    upstream.otherwise(chat("Hello"))
    with client_of(gateway).responses.connect() as connection:
        for _ in range(2):
            connection.response.create(model=model, input="Hi")
            ended(connection)
    rows = gateway.logs(2, model=model)
    assert [(row["path"], row["outcome"], row["stream"], row["input_tokens"], row["output_tokens"]) for row in rows] == [
        ("/v1/responses", "finished", True, 5, 2)
    ] * 2
    assert len({row["request_id"] for row in rows}) == 2


def test_a_warm_up_generates_nothing_and_can_be_continued(gateway, upstream, model):
    upstream.reply(chat("Hello"))
    with client_of(gateway).responses.connect() as connection:
        connection.response.create(model=model, instructions="Be brief.", input="First", generate=False)
        warm = ended(connection)
        connection.response.create(model=model, input="Second", previous_response_id=warm[-1].response.id)
        ended(connection)
    assert [item.type for item in warm] == ["response.created", "response.in_progress", "response.completed"]
    assert warm[-1].response.output == []
    assert [message["content"] for message in upstream.requests[0].json()["messages"]] == ["First", "Second"]


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"type": "response.steer", "input": "x", "previous_response_id": "r"}, 400, None, "type"),
        ({"model": "no-such-model", "input": "x"}, 404, "model_not_found", "model"),
        ({"input": "x"}, 400, None, "model"),
        ({"model": "echo", "input": "x", "background": True}, 400, None, "background"),
        ({"model": "echo", "input": "x", "temperature": "warm"}, 400, None, "temperature"),
        (
            {"model": "echo", "input": "x", "previous_response_id": "resp_unknown"},
            400,
            "previous_response_not_found",
            "previous_response_id",
        ),
    ],
)
def test_a_bad_event_gets_an_error_event_and_the_connection_goes_on(gateway, fields, status, code, param):
    with raw_socket(gateway) as socket:
        create(socket, stream_id="lane", **fields)
        error = json.loads(socket.recv(timeout=PATIENCE))
        create(socket, model="echo", input="Still here")
        assert events_of(socket)[-1]["response"]["output"][0]["content"][0]["text"] == "Still here"
    assert (error["type"], error["status"], error["error"]["code"], error["error"]["param"]) == ("error", status, code, param)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '"text"', "{", '{"type":"response.create","model":"echo","model":"other"}'])
def test_what_is_no_event_gets_an_error_event(gateway, text):
    with raw_socket(gateway) as socket:
        socket.send(text)
        error = json.loads(socket.recv(timeout=PATIENCE))
    assert (error["type"], error["status"], error["error"]["type"]) == ("error", 400, "invalid_request_error")


def test_an_upstream_failure_before_the_first_event_is_an_error_event(gateway, upstream, model):
    upstream.otherwise(json_reply({"error": {"message": "slow down", "type": "rate_limit"}}, status=429, headers={"retry-after": "7"}))
    with raw_socket(gateway) as socket:
        create(socket, model=model, input="x")
        error = events_of(socket)[-1]
    assert (error["status"], error["error"]["message"], error["headers"]["retry-after"]) == (429, "slow down", "7")


def test_a_handshake_without_a_valid_key_is_refused_as_a_request_would_be(gateway):
    refused = httpx.get(f"{gateway.url}/v1/responses", headers={**UPGRADE, "authorization": "Bearer pxb_wrong"})
    plain = httpx.post(f"{gateway.url}/v1/responses", headers={"authorization": "Bearer pxb_wrong"}, json={"model": "echo", "input": "x"})
    assert (refused.status_code, refused.json()) == (401, plain.json())


def test_a_handshake_from_an_address_that_the_key_excludes_is_refused(gateway):
    made = gateway.api("POST", "/keys", json={"name": "elsewhere", "type": "llm", "allowed_ips": ["192.0.2.0/24"]})
    refused = httpx.get(f"{gateway.url}/v1/responses", headers={**UPGRADE, "authorization": f"Bearer {made['key']}"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "This API key may not be used from 127.0.0.1")


def test_turns_of_one_lane_wait_for_one_another_and_those_of_others_do_not(gateway, upstream, model):
    release = threading.Event()
    upstream.otherwise(lambda request: chat("slow", before=release.is_set) if "slow" in request.body.decode() else chat("quick"))
    with raw_socket(gateway) as socket:
        create(socket, model=model, input="slow", stream_id="a")
        create(socket, model=model, input="second", stream_id="a")
        create(socket, model=model, input="other", stream_id="b")
        assert events_of(socket, "b")[-1]["type"] == "response.completed"
        assert sorted(request.json()["messages"][0]["content"] for request in upstream.requests) == ["other", "slow"]
        release.set()
        texts = [events_of(socket, "a")[-1]["response"]["output"][0]["content"][0]["text"] for _ in range(2)]
    assert texts == ["slow", "quick"]


def test_a_client_that_leaves_cancels_its_turn(gateway, upstream, model):
    upstream.otherwise(sse(event({"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}}]}), HANG))
    with raw_socket(gateway) as socket:
        create(socket, model=model, input="x")
        while json.loads(socket.recv(timeout=PATIENCE))["type"] != "response.output_text.delta":
            pass
    eventually(upstream.requests[0].left_early.is_set, message="the call of the upstream was not closed")
    assert [row["outcome"] for row in gateway.logs(1, model=model)] == ["cancelled"]


def test_a_revoked_key_ends_its_connection(gateway):
    made = gateway.api("POST", "/keys", json={"name": "socket", "type": "llm"})
    with raw_socket(gateway, made["key"]) as socket:
        create(socket, model="echo", input="x")
        events_of(socket)
        gateway.api("DELETE", f"/keys/{made['id']}")
        error = json.loads(socket.recv(timeout=PATIENCE))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
    assert (error["type"], error["status"]) == ("error", 403)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3000


def test_many_connections_at_once_are_served(gateway):
    def talk(number):
        with raw_socket(gateway) as socket:
            create(socket, model="echo", input=f"number {number}")
            return events_of(socket)[-1]["response"]["output"][0]["content"][0]["text"]

    with ThreadPoolExecutor(SOCKETS) as threads:
        assert list(threads.map(talk, range(SOCKETS))) == [f"number {number}" for number in range(SOCKETS)]


def test_a_stop_of_the_gateway_lets_a_turn_end(upstream):
    with Gateway.started() as gateway:
        gateway.add_upstream(upstream, "m")
        release = threading.Event()
        upstream.otherwise(chat("late", before=release.is_set))
        with raw_socket(gateway) as socket:
            create(socket, model="m", input="x")
            upstream.wait_for(1)
            gateway.process.terminate()
            time.sleep(0.2)  # the drain has begun or is about to; the turn ends in both cases
            release.set()
            assert events_of(socket)[-1]["response"]["output"][0]["content"][0]["text"] == "late"


def test_where_it_is_switched_off_an_upgrade_is_answered_with_426(upstream):
    with Gateway.started(PXBIN_RESPONSES_WEBSOCKET="false") as gateway:
        response = httpx.get(f"{gateway.url}/v1/responses", headers={**gateway.client_headers, **UPGRADE})
    assert (response.status_code, response.headers["upgrade"]) == (426, "HTTP/1.1")
    assert upstream.requests == []
