"""How upstreams and keys are, in a word and a sentence."""

from datetime import UTC, datetime

import pytest

from upstreams.admin.status import Status, of_key, of_upstream
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing.live_state import RoutingState

NOW = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC).timestamp()


class Clock:
    now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def known(clock):
    return RoutingState(breaker_threshold=2, breaker_seconds=30.0, clock=clock)


def key(**fields):
    return UpstreamCredential(**{"secret_encrypted": "v2:x", **fields})


UPSTREAM = Upstream(name="u", answered_at=datetime(2026, 3, 1, tzinfo=UTC))
LATER = datetime(2026, 3, 2, 12, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (key(), Status("ready")),
        (key(is_active=False), Status("off", "Switched off by hand.")),
        (key(secret_encrypted=""), Status("missing", "No key is stored.")),
        (key(disabled_reason="401: revoked"), Status("disabled", "401: revoked")),
        (key(cooling_until=LATER), Status("cooling", "Until 12:01:00 UTC, 60 s from now.")),
        (key(cooling_until=datetime(2026, 3, 2, 11, 0, 0, tzinfo=UTC)), Status("ready")),
    ],
)
def test_a_key(row, expected, known):
    assert of_key(row, known) == expected


def test_a_key_that_only_this_process_has_seen_cooling(known):
    row = key()
    known.start_cooldown(f"key:{row.pk}@some-route", 5)
    assert of_key(row, known) == Status("cooling", "Until 12:00:05 UTC, 5 s from now.")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], Status("healthy", "Called without a key.")),
        ([key()], Status("healthy")),
        ([key(), key(disabled_reason="no")], Status("healthy", "1 of 2 keys are ready.")),
        ([key(disabled_reason="401: revoked"), key(is_active=False)], Status("no usable key", "401: revoked")),
        ([key(is_active=False)], Status("no key", "All keys are switched off.")),
        ([key(cooling_until=LATER), key(disabled_reason="no")], Status("cooling", "Until 12:01:00 UTC, 60 s from now.")),
    ],
)
def test_an_upstream_by_its_keys(keys, expected, known):
    assert of_upstream(UPSTREAM, keys, known) == expected


AT_11 = datetime(2026, 3, 2, 11, 0, 0, tzinfo=UTC)
YESTERDAY = datetime(2026, 3, 1, 11, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Status("untried", "No answered request is known yet.")),
        ({"tested_at": AT_11}, Status("healthy", "It was well when it was tested, 11:00 UTC.")),
        ({"tested_at": AT_11, "test_error": "x refused"}, Status("test failed", "Tested 11:00 UTC: x refused")),
        ({"tested_at": YESTERDAY, "test_error": "no"}, Status("test failed", "Tested 2026-03-01 11:00 UTC: no")),
        ({"tested_at": AT_11, "test_error": "no", "answered_at": YESTERDAY}, Status("test failed", "Tested 11:00 UTC: no")),
        ({"tested_at": YESTERDAY, "test_error": "no", "answered_at": AT_11}, Status("healthy")),
    ],
)
def test_an_upstream_by_its_last_test_and_its_last_answer(fields, expected, known):
    assert of_upstream(Upstream(name="u", **fields), [key()], known) == expected


def test_an_upstream_that_is_switched_off(known):
    assert of_upstream(Upstream(is_active=False), [key()], known) == Status("off", "Switched off by hand.")


def test_an_upstream_that_rests_as_a_whole(known):
    known.start_cooldown(f"upstream:{UPSTREAM.pk}", 90)
    assert of_upstream(UPSTREAM, [key()], known) == Status("cooling", "Until 12:01:30 UTC, 90 s from now.")


def test_a_circuit_breaker_opens_and_is_tried(known, clock):
    for _ in range(2):
        known.record_failure(str(UPSTREAM.pk))
    told = "After failures in a row, until 12:00:30 UTC. Then one request is let through."
    assert of_upstream(UPSTREAM, [key()], known) == Status("breaker open", told)
    clock.now = NOW + 31
    assert of_upstream(UPSTREAM, [key()], known).word == "probing"
    known.breakers.begin_probe(str(UPSTREAM.pk))
    assert of_upstream(UPSTREAM, [key()], known) == Status("breaker open", "A request is under way that decides.")


def test_words_have_colours():
    assert [Status(word).level for word in ("healthy", "cooling", "breaker open", "off")] == ["success", "warning", "danger", ""]
