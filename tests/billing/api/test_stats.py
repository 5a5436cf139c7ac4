"""``/api/v1/stats``: sums of all requests, in both databases."""

import csv
import time
from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts import keys
from accounts.common.uuid7 import new_id
from billing.money import MAX_PICO, from_pico
from billing.request_log import writer
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries

MINUTE = 60_000_000
NOW = time.time_ns() // 1000
KEY, OTHER_KEY, UPSTREAM = new_id(), new_id(), new_id()


@pytest.fixture
def ask(database):
    """Asks the API with a management key; returns the status and the body."""
    token, _ = keys.issue("management", name="tests")

    def get(path: str, **query):
        answer = Client().get(f"/api/v1/stats{path}", query, headers={"x-api-key": token})
        return answer.json() if answer["Content-Type"] == "application/json" else answer.content.decode()

    return get


@pytest.fixture
def log(spool, database):
    def write(*entries) -> None:
        write_entries(spool, *entries)
        writer.drain_spool(spool)

    return write


def answered(**fields):
    return entry(**{
        "timestamp": NOW, "api_key_id": KEY, "key_name": "laptop", "key_prefix": "pxb_1234", "upstream_id": UPSTREAM,
        "upstream_name": "openai", "attempts": 1, "latency_ms": 10, "overhead_us": 40, "ttft_ms": 5, "input_tokens": 30,
        "cache_read_tokens": 10, "output_tokens": 7, "cost": 1_500_000_000_000, "cost_source": "price", "owner": "ann",
        "tags": {"team": "a", "app": "x"}, "session_id": "s1", **fields,
    })  # fmt: skip


OF_SERVER = {"api_key_id": OTHER_KEY, "key_name": "server", "owner": "", "tags": None}
REFUSED = {"timestamp": NOW, "model": "", "status_code": 401, "outcome": "rejected", "latency_ms": 0, "overhead_us": 0}
"""A request without a valid key."""


@pytest.fixture
def day(log):
    """Three answered requests of two keys and two models, one of unknown cost, one refused, and one of yesterday."""
    log(
        answered(),
        answered(latency_ms=20, cost=None, cost_source=""),
        answered(
            api_key_id=OTHER_KEY, key_name="server", model="m2", latency_ms=60, overhead_us=60, cost=500_000_000_000, owner="", tags=None
        ),
        entry(**REFUSED),
        answered(timestamp=NOW - 25 * 60 * MINUTE, cost=250_000_000_000),
    )


def picked(item, *names):
    return {name: item[name] for name in names}


def test_the_overview_counts_all_requests_of_the_period_and_of_the_one_before(ask, day):
    overview = ask("/overview")["data"]
    previous = overview.pop("previous")
    assert overview == {
        "total_requests": 4,
        "total_input_tokens": 90,
        "total_output_tokens": 21,
        "total_cache_read_tokens": 30,
        "total_cache_creation_tokens": 0,
        "total_cache_write_5m_tokens": 0,
        "total_cache_write_1h_tokens": 0,
        "total_reasoning_tokens": 0,
        "cache_hit_rate": 0.25,
        "cache_savings": 0.0,
        "cache_savings_usd": "0",
        "total_cost": 2.0,
        "total_cost_usd": "2",
        "avg_latency_ms": 22,
        "avg_overhead_us": 35,
        "avg_ttft_ms": 5,
        "error_count": 1,
        "error_rate": 0.25,
        "failed_count": 0,
        "cancelled_count": 0,
        "rejected_count": 1,
        "priced_count": 2,
        "free_count": 0,
        "unpriced_count": 1,
        "estimated_count": 0,
    }
    assert picked(previous, "total_requests", "total_cost_usd") == {"total_requests": 1, "total_cost_usd": "0.25"}
    assert ask("/overview", period="7d")["data"]["total_requests"] == ask("/overview", period="30d")["data"]["total_requests"] == 5
    assert ask("/overview", period="a week")["data"]["total_requests"] == 4


def test_an_empty_log_has_zeros(ask):
    overview = ask("/overview")["data"]
    assert picked(overview, "total_requests", "cache_hit_rate", "error_rate", "avg_latency_ms", "total_cost_usd") == {
        "total_requests": 0, "cache_hit_rate": 0.0, "error_rate": 0.0, "avg_latency_ms": 0, "total_cost_usd": "0",
    }  # fmt: skip
    assert [ask(path)["data"] for path in ("/by-key", "/by-model", "/by-upstream", "/by-tag", "/by-session", "/timeseries")] == [[]] * 6
    assert set(ask("/latency")["data"].values()) == {0}


def test_keys_come_by_cost_with_their_names(ask, day):
    body = ask("/by-key")
    assert body["meta"] == {"total": 2, "page": 1, "per_page": 50}
    names = ("key_id", "key_prefix", "key_name", "total_requests", "total_cost", "error_count", "p50_latency_ms")
    assert [picked(item, *names) for item in body["data"]] == [
        dict(zip(names, (KEY, "pxb_1234", "laptop", 2, 1.5, 0, 15), strict=True)),
        dict(zip(names, (OTHER_KEY, "pxb_1234", "server", 1, 0.5, 0, 60), strict=True)),
    ]
    second = ask("/by-key", page="2", per_page="1")
    assert ([item["key_name"] for item in second["data"]], second["meta"]["total"]) == (["server"], 2)


@pytest.mark.parametrize(
    ("path", "field", "expected"),
    [
        ("/by-model", "model", {"m1": 2, "m2": 1}),
        ("/by-upstream", "upstream_name", {"openai": 3, "": 1}),
        ("/by-owner", "owner", {"ann": 2, "": 2}),
        ("/by-dialect", "dialect", {"anthropic": 4}),
        ("/by-status", "status_code", {200: 3, 401: 1}),
        ("/by-outcome", "outcome", {"finished": 3, "rejected": 1}),
        ("/by-session", "session_id", {"s1": 3}),
    ],
)
def test_requests_are_counted_by_every_dimension(ask, day, path, field, expected):
    assert {item[field]: item["total_requests"] for item in ask(path)["data"]} == expected


def test_requests_are_counted_by_tag_and_by_the_values_of_one(ask, day):
    def counts(**query):
        return {(item["tag"], item["value"]): item["total_requests"] for item in ask("/by-tag", **query)["data"]}

    assert counts() == {("team", "a"): 2, ("app", "x"): 2, ("", ""): 2}
    assert counts(tag="team") == {("team", "a"): 2, ("team", ""): 2}
    assert ask("/overview", tag="team:a")["data"]["total_requests"] == 2
    assert ask("/overview", tag="team:b")["data"]["total_requests"] == 0


def test_filters_select_requests(ask, day):
    def requests(**query):
        return ask("/overview", **query)["data"]["total_requests"]

    assert [requests(key_id=KEY), requests(model="m2"), requests(upstream_id=UPSTREAM), requests(owner="ann", model="m2")] == [2, 1, 3, 0]
    moment = datetime.fromtimestamp(NOW / 1e6 - 26 * 3600, UTC)
    assert requests(**{"from": moment.isoformat()}) == 5
    assert requests(**{"from": moment.isoformat(), "to": datetime.fromtimestamp(NOW / 1e6 - 24 * 3600, UTC).isoformat()}) == 1
    assert ask("/overview", key_id="x") == {"error": {"type": "invalid_request", "message": "Invalid key_id format"}}
    assert ask("/overview", **{"from": "x"})["error"]["message"].startswith("from: write it as in RFC 3339")


@pytest.mark.parametrize(("interval", "seconds"), [("5m", 300), ("1h", 3600), ("1d", 86_400), ("odd", 3600)])
def test_a_time_series_has_real_buckets(ask, log, interval, seconds):
    moments = [NOW, NOW - 7 * MINUTE, NOW - 7 * MINUTE, NOW - 3 * 60 * MINUTE]
    log(*(answered(timestamp=moment, latency_ms=12) for moment in moments))
    expected: dict[str, int] = {}
    for moment in sorted(moments):
        start = datetime.fromtimestamp(moment // 1_000_000 // seconds * seconds, UTC)
        text = f"{start:%Y-%m-%dT%H:%M:%SZ}"
        expected[text] = expected.get(text, 0) + 1
    rows = ask("/timeseries", interval=interval)["data"]
    assert {row["bucket"]: row["requests"] for row in rows} == expected
    assert picked(rows[0], "p50_latency_ms", "p99_latency_ms", "avg_latency_ms", "errors") == {
        "p50_latency_ms": 12, "p99_latency_ms": 12, "avg_latency_ms": 12, "errors": 0,
    }  # fmt: skip


def test_percentiles_are_continuous(ask, log):
    log(*(answered(latency_ms=latency, overhead_us=latency, ttft_ms=latency // 2) for latency in (10, 20, 30, 41)))
    assert ask("/latency")["data"] == {
        "p50": 25, "p95": 39, "p99": 41, "overhead_p50_us": 25, "overhead_p95_us": 39, "overhead_p99_us": 41,
        "ttft_p50_ms": 12, "ttft_p95_ms": 19, "ttft_p99_ms": 20,
    }  # fmt: skip
    assert ask("/latency", key_id=KEY)["data"]["p50"] == 25
    assert ask("/latency", key_id=KEY, model="m1")["error"]["type"] == "invalid_request"


def test_a_breakdown_can_be_exported(ask, log):
    log(answered(model="=cmd()"), answered(model="m2", cost=123_456_789_012_345))
    rows = list(csv.DictReader(ask("/by-model", format="csv").splitlines()))
    assert [(row["model"], row["total_requests"], row["total_cost_usd"]) for row in rows] == [
        ("m2", "1", "123.456789012345"),
        ("'=cmd()", "1", "1.5"),
    ]


def test_the_forecast_goes_on_with_the_mean_of_seven_days(ask, log):
    log(answered(cost=7_000_000_000_000))
    forecast = ask("/forecast")["data"]
    assert (forecast["month_to_date_usd"], forecast["per_day_usd"]) == ("7", "1")
    assert 7 <= forecast["month"] <= 7 + 31


def test_sums_of_sessions_are_larger_than_a_column(ask, log):
    log(*(answered(cost=MAX_PICO) for _ in range(4)))
    (session,) = ask("/by-session")["data"]
    assert (session["total_cost_usd"], session["total_requests"]) == (f"{from_pico(4 * MAX_PICO):f}", 4)
    assert ask("/overview")["data"]["total_cost_usd"] == session["total_cost_usd"]
