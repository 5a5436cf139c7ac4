"""The life of client keys at a running gateway of two processes: rotation, expiry, addresses, tags."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.gateway import Gateway
from tests.support.waiting import eventually

WITHIN_SECONDS = 1.0
"""In which every process notices a change of a key."""


@pytest.fixture(scope="module")
def running():
    with Gateway.started(PXBIN_TRUSTED_PROXIES="127.0.0.1", PXBIN_WEB_PROCESSES="2") as gateway:
        yield gateway


def ask(gateway, key, **options):
    """A request on a connection of its own, which reaches any of the processes."""
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}], **options.pop("body", {})}
    headers = {"authorization": f"Bearer {key}", **options.pop("headers", {})}
    return gateway.http.post(f"{gateway.url}/v1/chat/completions", headers=headers, json=body)


def statuses(gateway, *keys, times=8):
    return [{ask(gateway, key).status_code for _ in range(times)} for key in keys]


def rotate(gateway, key, **body):
    return gateway.api("POST", f"/keys/{key['id']}/rotate", json=body)


def test_a_rotated_key_works_at_once_and_its_old_secret_ends_everywhere(running):
    first = running.api("POST", "/keys", json={"name": "rotated"})
    second = rotate(running, first, grace_seconds=60)
    assert statuses(running, first["key"], second["key"]) == [{200}, {200}]
    third = rotate(running, first)
    time.sleep(WITHIN_SECONDS)
    assert statuses(running, first["key"], second["key"], third["key"]) == [{401}, {401}, {200}]
    fourth = rotate(running, first, grace_seconds=60)
    running.api("DELETE", f"/keys/{first['id']}")
    time.sleep(WITHIN_SECONDS)
    assert statuses(running, third["key"], fourth["key"]) == [{403}, {403}]


def test_an_old_secret_ends_with_its_grace_period(running):
    first = running.api("POST", "/keys", json={"name": "grace"})
    second = rotate(running, first, grace_seconds=2)
    until = datetime.fromisoformat(second["old_key_valid_until"])
    assert statuses(running, first["key"]) == [{200}]
    time.sleep(max(0.0, (until - datetime.now(UTC)).total_seconds()))
    assert statuses(running, first["key"], second["key"]) == [{401}, {200}]


def test_the_rows_of_both_secrets_have_the_id_of_the_key(running):
    first = running.api("POST", "/keys", json={"name": "rows"})
    second = rotate(running, first, grace_seconds=60)
    for key in (first, second):
        assert ask(running, key["key"]).status_code == 200
    rows = running.logs(2, key_id=first["id"])
    assert sorted(row["key_prefix"] for row in rows) == sorted((first["key_prefix"], second["key_prefix"]))


def test_an_expired_key_is_refused(running):
    key = running.api("POST", "/keys", json={"name": "short", "expires_at": (datetime.now(UTC) + timedelta(seconds=2)).isoformat()})
    assert ask(running, key["key"]).status_code == 200
    eventually(lambda: ask(running, key["key"]).status_code == 401)
    assert ask(running, key["key"]).json()["error"]["message"] == "API key has expired"


def test_a_key_is_accepted_from_its_addresses_only(running):
    key = running.api("POST", "/keys", json={"name": "office", "allowed_ips": ["198.51.100.0/24", "2001:db8::7"]})

    def answer(address, method="POST", path="/v1/chat/completions"):
        headers = {"authorization": f"Bearer {key['key']}", **({"x-forwarded-for": address} if address else {})}
        body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
        return running.http.request(method, running.url + path, headers=headers, json=body)

    assert [answer(address).status_code for address in ("198.51.100.9", "2001:db8::7", "198.51.101.1", "")] == [200, 200, 403, 403]
    refused = answer("203.0.113.5").json()["error"]
    assert (refused["type"], refused["message"]) == ("permission_error", "This API key may not be used from 203.0.113.5")
    for method, path in (
        ("GET", "/v1/models"),
        ("GET", "/v1/models/echo"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/messages/count_tokens"),
    ):
        assert answer("203.0.113.5", method, path).status_code == 403


def test_an_address_that_the_client_claims_itself_does_not_count(running):
    key = running.api("POST", "/keys", json={"name": "spoof", "allowed_ips": ["198.51.100.9"]})
    assert ask(running, key["key"], headers={"x-forwarded-for": "198.51.100.9, 203.0.113.5"}).status_code == 403


def test_tags_sessions_and_traces_are_in_the_log(running):
    key = running.api("POST", "/keys", json={"name": "tagged", "metadata": {"team": "search", "color": "red"}})
    headers = {"x-pxbin-tag-team": "other", "x-pxbin-tag-user": "anna", "session-id": "s-1", "x-trace-id": "t-1"}
    assert ask(running, key["key"], headers=headers, body={"metadata": {"project": "p"}}).status_code == 200
    (row,) = running.logs(1, session_id="s-1")
    assert (row["tags"], row["trace_id"]) == ({"team": "search", "user": "anna", "project": "p"}, "t-1")
    assert [len(running.logs(0, tag=tag)) for tag in ("team:search,user:anna", "team:other")] == [1, 0]


def test_the_holder_of_a_key_sees_its_usage(running):
    key = running.api("POST", "/keys", json={"name": "holder"})
    for _ in range(3):
        assert ask(running, key["key"]).status_code == 200
    running.logs(3, key_id=key["id"])

    def shown():
        text = running.http.post(f"{running.url}/me", data={"key": key["key"]}).text
        return text if "<b>3</b>requests, 0 of them" in text else None

    text = eventually(shown)
    assert '<th scope="row">echo</th><td>3</td><td>0</td>' in text
    assert ("<dt>Requests per minute</dt><dd>unlimited</dd>" in text, key["key"] in text) == (True, False)
