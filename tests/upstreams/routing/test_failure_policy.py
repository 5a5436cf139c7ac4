from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.errors import Failure
from upstreams.routing.cooldowns import CooldownScope
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
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +9999999999999"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +9999999999999", "x-ratelimit-reset": "12"}, 12.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, 86_400.0),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0),
        ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "9" * 400}, 86_400.0),
        ({"retry-after": "\udcff\udcfe"}, None),
        ({"retry-after-ms": "9" * 400}, 86_400.0),
        ({"retry-after-ms": "-1"}, None),
        ({"x-ratelimit-reset-requests": "9" * 400 + "s"}, 86_400.0),
        ({"x-ratelimit-reset-requests": "9" * 400 + "h0ms"}, 86_400.0),
        ({"x-ratelimit-reset": "-1"}, None),
        ({"x-ratelimit-reset-requests": "0001-01-01T00:00:00+23:59"}, 0.0),
        ({"anthropic-ratelimit-tokens-reset": "9999-12-31T23:59:59-23:59"}, 86_400.0),
    ],
    ids=str,
)
def test_how_long_a_provider_asks_to_wait(headers, seconds):
    assert retry_after_seconds(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


def action_for(kind, status=0, message="so it goes"):
    return failure_action(Failure(kind=kind, status=status, message=message))


@pytest.mark.parametrize("status", [400, 413, 422, 405, 451])
def test_errors_of_the_client_are_not_retried_and_cool_nothing(status):
    assert action_for("invalid_request", status) == FailureAction(failover=False)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_credential_is_disabled_if_the_error_text_is_about_it(status):
    action = failure_action(Failure(kind="upstream_auth", status=status, message="so it goes", about="credential"))
    assert action == FailureAction(disable_credential=True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_without_a_text_cools_the_credential(status):
    assert action_for("upstream_auth", status) == FailureAction(cooldown_scope=CooldownScope.CREDENTIAL)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_of_the_request_cools_nothing_and_spares_the_other_credentials(status):
    action = failure_action(Failure(kind="permission", status=status, message="so it goes", about="request"))
    assert action == FailureAction(skip_credentials=True)


@pytest.mark.parametrize("status", [204, 301, 304, 308])
def test_a_redirect_and_an_empty_response_cool_nothing(status):
    assert action_for("bad_gateway", status) == FailureAction(skip_credentials=True)


def test_rate_limits_cool_the_credential_on_its_route_and_may_be_retried():
    assert action_for("rate_limit", 429) == FailureAction(retry_same=True, cooldown_scope=CooldownScope.ROUTE)


def test_a_rate_limit_of_the_whole_account_cools_the_upstream():
    action = action_for("rate_limit", 429, "The Free usage limit is reached")
    assert action == FailureAction(retry_same=True, cooldown_scope=CooldownScope.UPSTREAM)


def test_an_empty_account_cools_its_credential_on_all_routes():
    assert (action_for("quota", 429), action_for("billing", 402)) == (
        FailureAction(retry_same=True, cooldown_scope=CooldownScope.CREDENTIAL),
        FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    )


@pytest.mark.parametrize(("kind", "status"), [("upstream_error", 500), ("bad_gateway", 502), ("overloaded", 529)])
def test_server_errors_cool_the_route_and_trip_the_breaker(kind, status):
    assert action_for(kind, status) == FailureAction(cooldown_scope=CooldownScope.ROUTE, trips_breaker=True)


def test_only_rate_limits_503_and_failed_connections_are_retried():
    again = {status for status in range(400, 600) if action_for("upstream_error", status).retry_same}
    assert (again, action_for("connect").retry_same, action_for("timeout").retry_same) == ({429, 503}, True, False)


def test_timeouts_and_broken_connections_trip_the_breaker_and_cool_nothing():
    assert [action_for(kind) for kind in ("timeout", "network", "bad_gateway")] == [FailureAction(trips_breaker=True)] * 3


HEADER_NAMES = ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining", "anthropic-ratelimit-tokens-reset"]
PARTS = ["Wed, 21 Oct ", "9999", "0001", " 07:28:00 ", "+9999999999", "-2359", "T", "Z", "nan", "-", ".", "ms", "h", "\udcff", " GMT"]


@given(st.dictionaries(st.sampled_from(HEADER_NAMES), st.lists(st.one_of(st.sampled_from(PARTS), st.text(max_size=4))).map("".join)))
def test_any_headers_give_a_wait_of_a_day_at_most(headers):
    seconds = retry_after_seconds(headers, NOW)
    assert seconds is None or 0.0 <= seconds <= 86_400.0
