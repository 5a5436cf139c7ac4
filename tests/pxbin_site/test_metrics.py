"""`/metrics` of a running gateway with several web processes."""

import re

import httpx
import pytest

from pxbin_site.metrics import PathPatterns
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/team-a/v1/messages", "/v1/messages"),
        ("/a/b/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/responses/resp_1", "/v1/responses/{response_id}"),
        ("/nowhere", "(other)"),
    ],
)
def test_paths_are_counted_by_their_pattern(path, pattern):
    assert PathPatterns()(path) == pattern


def values(gateway):
    text = httpx.get(f"{gateway.url}/metrics").text
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


@pytest.mark.e2e
@pytest.mark.slow
def test_the_processes_of_a_gateway_are_summed():
    with Gateway.started(PXBIN_METRICS_ENABLED="1", PXBIN_WEB_PROCESSES="2") as gateway:
        body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        eventually(lambda: values(gateway)["proxy_web_processes"] == 2)
        for _ in range(30):  # a new connection each, so that both processes get some
            assert httpx.post(f"{gateway.url}/v1/messages", headers={"x-api-key": gateway.client_key}, json=body).status_code == 200
        found = values(gateway)
        labels = '{format="anthropic",method="POST",path="/v1/messages",status_code="200"}'
        assert found[f"proxy_requests_total{labels}"] == 30
        assert found['proxy_tokens_total{model="echo",type="output",upstream="echo"}'] == 30
        assert found['proxy_circuit_breaker_state{upstream="echo"}'] == 0
        assert found["proxy_database_reachable"] == 1
        assert found["process_resident_memory_bytes"] > 2**20


def test_metrics_are_not_served_by_default(gateway):
    assert gateway.http.get(f"{gateway.url}/metrics").status_code == 404
