"""The status of upstreams and credentials as a label and a sentence."""

from datetime import UTC, datetime

import pytest

from upstreams.admin.status import LEVELS, Label, Status, credential_status, upstream_status
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
def state(clock):
    return RoutingState(breaker_threshold=2, breaker_seconds=30.0, clock=clock)


def credential(**fields):
    return UpstreamCredential(**{"secret_encrypted": "v2:x", **fields})


UPSTREAM = Upstream(name="u", answered_at=datetime(2026, 3, 1, tzinfo=UTC))
LATER = datetime(2026, 3, 2, 12, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (credential(), Status(Label.READY)),
        (credential(is_active=False), Status(Label.OFF, "Switched off.")),
        (credential(secret_encrypted=""), Status(Label.MISSING, "No secret is stored.")),
        (credential(disabled_reason="401: revoked"), Status(Label.DISABLED, "401: revoked")),
        (credential(cooling_until=LATER), Status(Label.COOLING, "Until 12:01:00 UTC, 60 s from now.")),
        (credential(cooling_until=datetime(2026, 3, 2, 11, 0, 0, tzinfo=UTC)), Status(Label.READY)),
    ],
)
def test_a_credential(row, expected, state):
    assert credential_status(row, state) == expected


def test_a_credential_that_cools_only_in_this_process(state):
    row = credential()
    state.start_cooldown(f"key:{row.pk}@some-route", 5)
    assert credential_status(row, state) == Status(Label.COOLING, "Until 12:00:05 UTC, 5 s from now.")


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        ([], Status(Label.HEALTHY, "Called without a credential.")),
        ([credential()], Status(Label.HEALTHY)),
        ([credential(), credential(disabled_reason="no")], Status(Label.HEALTHY, "1 of 2 credentials are ready.")),
        ([credential(disabled_reason="401: revoked"), credential(is_active=False)], Status(Label.UNUSABLE, "401: revoked")),
        ([credential(is_active=False)], Status(Label.ALL_OFF, "All credentials are switched off.")),
        ([credential(cooling_until=LATER), credential(disabled_reason="no")], Status(Label.COOLING, "Until 12:01:00 UTC, 60 s from now.")),
    ],
)
def test_an_upstream_by_its_credentials(credentials, expected, state):
    assert upstream_status(UPSTREAM, credentials, state) == expected


AT_11 = datetime(2026, 3, 2, 11, 0, 0, tzinfo=UTC)
YESTERDAY = datetime(2026, 3, 1, 11, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Status(Label.UNTRIED, "It has not answered a request yet.")),
        ({"tested_at": AT_11}, Status(Label.HEALTHY, "The health check at 11:00 UTC passed.")),
        ({"tested_at": AT_11, "test_error": "x refused"}, Status(Label.CHECK_FAILED, "Checked 11:00 UTC: x refused")),
        ({"tested_at": YESTERDAY, "test_error": "no"}, Status(Label.CHECK_FAILED, "Checked 2026-03-01 11:00 UTC: no")),
        ({"tested_at": AT_11, "test_error": "no", "answered_at": YESTERDAY}, Status(Label.CHECK_FAILED, "Checked 11:00 UTC: no")),
        ({"tested_at": YESTERDAY, "test_error": "no", "answered_at": AT_11}, Status(Label.HEALTHY)),
    ],
)
def test_an_upstream_by_its_last_health_check_and_its_last_response(fields, expected, state):
    assert upstream_status(Upstream(name="u", **fields), [credential()], state) == expected


def test_an_upstream_that_is_switched_off(state):
    assert upstream_status(Upstream(is_active=False), [credential()], state) == Status(Label.OFF, "Switched off.")


def test_an_upstream_that_cools(state):
    state.start_cooldown(f"upstream:{UPSTREAM.pk}", 90)
    assert upstream_status(UPSTREAM, [credential()], state) == Status(Label.COOLING, "Until 12:01:30 UTC, 90 s from now.")


def test_a_circuit_breaker_opens_and_is_probed(state, clock):
    for _ in range(2):
        state.record_failure(str(UPSTREAM.pk))
    detail = "After consecutive failures, until 12:00:30 UTC. Then one request is let through."
    assert upstream_status(UPSTREAM, [credential()], state) == Status(Label.BREAKER_OPEN, detail)
    clock.now = NOW + 31
    assert upstream_status(UPSTREAM, [credential()], state).label is Label.PROBING
    state.breakers.begin_probe(str(UPSTREAM.pk))
    assert upstream_status(UPSTREAM, [credential()], state) == Status(
        Label.BREAKER_OPEN, "One request is running; it closes the breaker or opens it again."
    )


def test_every_label_has_a_colour():
    assert set(LEVELS) == set(Label)
    levels = [Status(label).level for label in (Label.HEALTHY, Label.COOLING, Label.BREAKER_OPEN, Label.OFF)]
    assert levels == ["success", "warning", "danger", ""]


def test_only_disabled_and_cooling_credentials_can_be_enabled():
    assert [label.name for label in Label if Status(label).can_be_enabled] == ["COOLING", "DISABLED"]
