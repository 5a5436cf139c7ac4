from datetime import UTC, datetime

import pytest

from proxy.translation.errors import Failure
from upstreams.routing.failure_policy import FailureAction, failure_action, retry_after_seconds

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "99999999"}, 86_400.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "0", "retry-after": "9"}, 0.0),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "8s"}, 8.0),
        (
            {"x-ratelimit-reset-requests": "9s", "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-tokens": "2s"},
            2.0,
        ),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset": str(NOW + 40)}, 40.0),
        ({"x-ratelimit-reset": str(int((NOW + 40) * 1000))}, 40.0),
        ({"anthropic-ratelimit-requests-reset": "2026-11-21T12:00:20Z", "anthropic-ratelimit-requests-remaining": "0"}, 20.0),
        ({"anthropic-ratelimit-requests-reset": "2026-11-21T12:00:20Z", "anthropic-ratelimit-requests-remaining": "3"}, None),
        ({"x-ratelimit-reset": "whenever"}, None),
        ({"retry-after": "3", "x-ratelimit-reset": "12"}, 3.0),
    ],
    ids=str,
)
def test_how_long_a_provider_asks_us_to_stay_away(headers, seconds):
    asked = retry_after_seconds(headers, NOW)
    assert asked == (None if seconds is None else pytest.approx(seconds))


def of(kind, status=0, message="so it goes"):
    return failure_action(Failure(kind=kind, status=status, message=message))


@pytest.mark.parametrize("status", [400, 413, 422, 405, 451])
def test_the_clients_mistakes_go_nowhere_else_and_cool_nothing(status):
    assert of("invalid_request", status) == FailureAction(failover=False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_disabled(status):
    assert of("upstream_auth", status) == FailureAction(disable_credential=True)


def test_rate_limits_cool_the_key_on_its_route_and_may_be_tried_again():
    assert of("rate_limit", 429) == FailureAction(retry_same=True, cooldown_scope="route")


def test_a_rate_limit_that_speaks_of_the_account_cools_the_upstream():
    assert of("rate_limit", 429, "The Free usage limit is reached") == FailureAction(retry_same=True, cooldown_scope="upstream")


def test_an_empty_account_cools_its_key_everywhere():
    assert (of("quota", 429), of("billing", 402)) == (
        FailureAction(retry_same=True, cooldown_scope="key"),
        FailureAction(cooldown_scope="key"),
    )


@pytest.mark.parametrize(("kind", "status"), [("upstream_error", 500), ("bad_gateway", 502), ("overloaded", 529)])
def test_broken_upstreams_cool_and_count(kind, status):
    assert of(kind, status) == FailureAction(cooldown_scope="route", trips_breaker=True)


def test_only_rate_limits_503_and_connections_are_tried_again():
    again = {status for status in range(400, 600) if of("upstream_error", status).retry_same}
    assert (again, of("connect").retry_same, of("timeout").retry_same) == ({429, 503}, True, False)


def test_timeouts_and_broken_connections_count_and_cool_nothing():
    assert [of(kind) for kind in ("timeout", "network", "bad_gateway")] == [FailureAction(trips_breaker=True)] * 3
