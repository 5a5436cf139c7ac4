"""`manage.py serve` and its processes: restarts, signals, the drain, processes that die."""

import json
import re
import signal as signals
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.pxbin_site.processes.asking import HELLO, ask
from tests.support.fake_upstream import HANG, Reply
from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.slow

SLOW = {
    "model": "echo",
    "stream": True,
    "messages": [{"role": "user", "content": "[echo chunks=20 pace_ms=200] one two three"}],
}
STOPPING = "The gateway is stopping"
SECRETS = re.compile(r"pxb_[0-9a-f]{40}|pxm_[0-9a-f]{40}|password: \S+")


@pytest.fixture(scope="module")
def own_gateway():
    with Gateway.started() as running:
        yield running


@pytest.fixture
def server(own_gateway):
    """A gateway that tests of this file may stop and kill: it runs when one begins."""
    if own_gateway.process.poll() is not None:
        own_gateway.restart()
    return own_gateway


def statuses(gateway, *answers):
    """The status codes in the rows of these answers."""
    return [gateway.row_of(answer.headers["x-request-id"])["status_code"] for answer in answers]


def test_a_restart_keeps_everything_and_prints_no_secret(server):
    first = ask(server)
    server.stop()
    before = len(server.output)
    server.restart()
    assert SECRETS.search(server.output, before) is None
    assert statuses(server, first, ask(server)) == [200, 200]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_signal_lets_running_streams_end_and_their_rows_be_written(server, signal):
    url = f"{server.url}/v1/chat/completions"
    with server.http.stream("POST", url, headers=server.client_headers, json=SLOW) as stream:
        pieces = stream.iter_text()
        first_piece = next(pieces)
        server.process.send_signal(getattr(signals, signal))
        stream_text = first_piece + "".join(pieces)
    assert stream_text.endswith("data: [DONE]\n\n")
    assert stream_text.count('"finish_reason":"stop"') == 1
    output = server.wait()
    assert server.process.returncode == 0
    assert output.splitlines()[-2:] == [
        "pxbin is stopping: no new requests, 1 running response has 15 s to finish (a second signal cuts them off)",
        "pxbin has stopped",
    ]
    with pytest.raises(httpx.ConnectError):
        ask(server)
    assert not list((server.data_dir / "spool").glob("*.sealed"))
    server.restart()
    assert statuses(server, stream) == [200]


def test_a_response_that_does_not_end_in_time_gets_an_error_and_is_logged_as_failed(upstream):
    endless = {**SLOW, "messages": [{"role": "user", "content": "[echo chunks=1000 pace_ms=50] one two three"}], "max_tokens": 5000}
    endless["input"] = endless["messages"]
    silent = {**HELLO, "model": "silent", "input": "Hello"}
    upstream.otherwise(Reply(instead=HANG))
    paths = ["/v1/chat/completions", "/v1/messages", "/v1/responses"]
    with Gateway.started(PXBIN_DRAIN_SECONDS="1") as gateway, ThreadPoolExecutor() as pool, ExitStack() as opened:
        gateway.add_upstream(upstream, "silent")
        requests = [gateway.http.stream("POST", gateway.url + path, headers=gateway.client_headers, json=endless) for path in paths]
        streams = [opened.enter_context(stream).iter_lines() for stream in requests]
        assert all(next(stream) for stream in streams)
        waiting = [pool.submit(ask, gateway, silent, path) for path in [*paths, "/v1/embeddings"]]
        upstream.wait_for(len(waiting))
        gateway.process.send_signal(signals.SIGTERM)
        chat, messages, responses = [json.loads(list(stream)[-2].removeprefix("data: ")) for stream in streams]
        assert chat == {"error": {"message": STOPPING, "type": "server_error", "param": None, "code": "overloaded"}}
        assert messages == {"type": "error", "error": {"type": "overloaded_error", "message": STOPPING}}
        assert (responses["type"], responses["response"]["error"]["message"]) == ("response.failed", STOPPING)
        answers = [future.result() for future in waiting]
        errors = [(answer.status_code, answer.headers["retry-after"], answer.json()["error"]["message"]) for answer in answers]
        assert errors == [(status, "5", STOPPING) for status in (503, 529, 503, 503)]
        gateway.wait()
        gateway.restart()
        rows = gateway.logs(7)
        assert {(row["outcome"], row["error_type"], row["error_message"]) for row in rows} == {("failed", "overloaded", STOPPING)}
        assert sorted(row["status_code"] for row in rows) == [200, 200, 200, 503, 503, 503, 529]
        assert [row["output_tokens"] > 0 for row in rows] == [row["stream"] for row in rows]


def test_a_connection_that_stays_open_gets_no_new_request_through_while_the_server_drains(server):
    with (
        httpx.Client(limits=httpx.Limits(max_connections=1), headers=server.client_headers, timeout=PATIENCE) as client,
        server.http.stream("POST", f"{server.url}/v1/chat/completions", headers=server.client_headers, json=SLOW) as stream,
    ):
        pieces = stream.iter_text()
        next(pieces)
        assert client.post(f"{server.url}/v1/messages", json=HELLO).status_code == 200
        printed = len(server.output)
        server.process.send_signal(signals.SIGTERM)
        assert eventually(lambda: "is stopping" in server.output[printed:])
        refused = client.post(f"{server.url}/v1/messages", json=HELLO)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "overloaded_error")
        assert "".join(pieces).endswith("data: [DONE]\n\n")
    server.wait()


def test_a_killed_server_ends_its_children_and_loses_no_row(server):
    children = psutil.Process(server.process.pid).children()
    assert children
    answers = [ask(server) for _ in range(20)]
    server.kill()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    server.restart()
    assert statuses(server, *answers) == [200] * 20


def test_a_child_that_exits_is_replaced(server):
    [child] = psutil.Process(server.process.pid).children()
    child.kill()
    assert statuses(server, ask(server)) == [200]
    [new_child] = psutil.Process(server.process.pid).children()
    assert new_child.pid != child.pid


def test_several_web_processes_share_the_address():
    with Gateway.started(PXBIN_WEB_PROCESSES="3") as gateway:
        family = psutil.Process(gateway.process.pid).children(recursive=True)
        assert sorted(process.cmdline()[2] for process in family) == ["web", "web", "work"]
        results = []
        askers = [threading.Thread(target=lambda: results.extend(ask(gateway).status_code for _ in range(5))) for _ in range(8)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert results == [200] * 40
        assert len(gateway.logs(40)) == 40
        gateway.stop()
        assert not [process for process in family if process.is_running()]
