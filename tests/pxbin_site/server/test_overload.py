"""New requests are refused while the process cannot keep up: in the caller's dialect, before their bodies."""

import threading
from contextlib import suppress
from types import SimpleNamespace

import httpx
import pytest

from pxbin_site.server.http1.head import RefusedError
from pxbin_site.server.overload import Overload
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


def request(key, path="/v1/messages"):
    return SimpleNamespace(path=path, headers=[(b"x-api-key", key)])


def overload(running=(), *, max_running=0):
    return Overload(
        max_lag_seconds=1.0,
        max_running=max_running,
        running=lambda: [SimpleNamespace(head=request(key)) for key in running],
        is_sheddable=lambda path: path != "/ready",
    )


def refused(guard, key, number=100, path="/v1/messages"):
    """How many of so many requests are refused."""
    before = guard.shed
    for _ in range(number):
        with suppress(RefusedError):
            guard.check(request(key, path), 1)
    return guard.shed - before


def late(guard, samples):
    for _ in range(samples):
        guard.note_lag(1.5)


def test_one_late_sample_refuses_nothing():
    guard = overload([b"a"])
    late(guard, 2)
    assert refused(guard, b"a") == 0


def test_the_refused_share_grows_while_everything_is_late_and_is_gone_within_half_a_second():
    guard = overload([b"a"])
    late(guard, 3)
    few = refused(guard, b"a")
    late(guard, 6)
    assert 0 < few < refused(guard, b"a") == 100
    for _ in range(4):
        guard.note_lag(0.01)
    assert refused(guard, b"a") == 0


def test_the_busiest_keys_are_refused_first():
    guard = overload([b"busy"] * 9 + [b"quiet"])
    late(guard, 5)
    assert refused(guard, b"quiet") * 3 < refused(guard, b"busy")


def test_beyond_the_largest_number_all_are_refused_but_not_health_checks():
    guard = overload(max_running=1)
    assert refused(guard, b"a") == 100
    assert refused(guard, b"a", path="/ready") == 0


MESSAGE = "The gateway is overloaded; try again"


@pytest.mark.e2e
@pytest.mark.slow
def test_a_full_gateway_answers_in_the_callers_dialect_and_recovers_at_once():
    with Gateway.started(PXBIN_MAX_RUNNING_REQUESTS="2", PXBIN_METRICS_ENABLED="1") as gateway:
        slow = {"model": "echo", "max_tokens": 99, "messages": [{"role": "user", "content": "[echo hang=8] hello"}]}

        def ask(path="/v1/messages", body=slow):
            return httpx.post(f"{gateway.url}{path}", headers=gateway.client_headers, json=body, timeout=60)

        def occupy():
            eventually(lambda: ask().status_code == 200)  # one that meets a question of this test is refused, and comes again

        threads = [threading.Thread(target=occupy) for _ in range(2)]
        for thread in threads:
            thread.start()
        quick = {**slow, "messages": [{"role": "user", "content": "hi"}]}
        eventually(lambda: ask(body=quick).status_code == 529, every=0.5)
        anthropic = ask()
        assert (anthropic.status_code, anthropic.headers["retry-after"]) == (529, "2")
        assert anthropic.json()["error"] == {"type": "overloaded_error", "message": MESSAGE}
        chat = ask("/v1/chat/completions")
        assert (chat.status_code, chat.headers["retry-after"]) == (503, "2")
        assert (chat.json()["error"]["message"], chat.json()["error"]["code"]) == (MESSAGE, "overloaded")
        assert httpx.get(f"{gateway.url}/ready").status_code == 200
        assert "\nproxy_shed_requests_total 0\n" not in httpx.get(f"{gateway.url}/metrics").text
        for thread in threads:
            thread.join()
        assert ask(body=quick).status_code == 200
