"""SIGHUP replaces the processes of a gateway while they serve; `--workers` says how many there are."""

import signal
import threading
from collections import Counter

import httpx
import pytest

from tests.support.gateway import Gateway, failed_start
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
WORDS = "[echo chunks=150 pace_ms=100] hello"


def body(text, **fields):
    return {"model": "echo", "max_tokens": 500, "messages": [{"role": "user", "content": text}], **fields}


class Clients:
    """Threads that send requests until they are told to end: ``statuses`` and ``streams`` are what they got."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.statuses = Counter()
        self.streams = []
        self._has_ended = threading.Event()
        self._threads = [threading.Thread(target=self._stream) for _ in range(3)] + [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _stream(self):
        request = {"headers": self.gateway.client_headers, "json": body(WORDS, stream=True), "timeout": 60}
        with httpx.stream("POST", f"{self.gateway.url}/v1/messages", **request) as response:
            self.streams.append(response.read().decode())

    def _ask(self):
        with httpx.Client(timeout=60) as http:  # one connection, as long as the gateway keeps it open
            while not self._has_ended.is_set():
                answer = http.post(f"{self.gateway.url}/v1/messages", headers=self.gateway.client_headers, json=body("hi"))
                self.statuses[answer.status_code] += 1

    def end(self):
        self._has_ended.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_drops_no_request_and_loses_no_row(workers):
    with Gateway.started("--workers", str(workers), PXBIN_METRICS_ENABLED="1") as gateway:
        clients = Clients(gateway)
        eventually(lambda: clients.statuses[200] > 20)
        for number in range(2):
            gateway.process.send_signal(signal.SIGHUP)
            eventually(lambda expected=number + 1: gateway.output.count("Reloaded") == expected, seconds=60)
        clients.end()
        assert list(clients.statuses) == [200]
        assert [("event: message_stop" in stream, "event: error" in stream) for stream in clients.streams] == [(True, False)] * 3
        assert len(gateway.logs(clients.statuses[200] + 3)) == clients.statuses[200] + 3
        eventually(lambda: f"\nproxy_web_processes {workers}\n" in gateway.http.get(f"{gateway.url}/metrics").text)
        assert gateway.stop().endswith("pxbin has stopped\n")


def test_a_second_reload_at_the_same_time_is_ignored():
    with Gateway.started() as gateway:
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: "Reloading" in gateway.output)
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: "Reloaded" in gateway.output, seconds=60)
        assert "A reload is under way; this one is ignored" in gateway.output
        assert gateway.http.get(f"{gateway.url}/ready").status_code == 200


def test_workers_is_a_number(tmp_path):
    status, stderr = failed_start(tmp_path, "--workers", "0")
    assert (status, stderr.splitlines()[-1]) == (
        2,
        "manage.py serve: error: argument --workers: must be a whole number from 1 to 1024, not '0'",
    )
