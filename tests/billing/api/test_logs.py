"""``/api/v1/logs``."""

from urllib.parse import quote

import pytest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.common.uuid7 import new_id
from billing.outcomes import Outcome
from billing.request_log import writer
from billing.request_log.entry import AttemptEntry
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import FULL, write_entries

SECOND = 1_000_000
BASE = 1_790_000_000 * SECOND
"""2026-09-21T14:13:20Z."""


@pytest.fixture
def ask(database):
    """Asks the API with a management key; returns the status and the body."""
    token, _ = keys.issue("management", name="tests")

    def get(path: str, **query):
        answer = Client().get(f"/api/v1/logs{path}", query, headers={"x-api-key": token})
        return answer.status_code, answer.json()

    return get


@pytest.fixture
def log(spool, database):
    def write(*entries) -> None:
        write_entries(spool, *entries)
        writer.drain_spool(spool)

    return write


def test_a_row_shows_everything(ask, log):
    log_entry = entry(**FULL, timestamp=BASE + 500_000, cost=1_500_000_000_000, reported_cost=1_000_001)
    log(log_entry)
    status, body = ask("")
    (item,) = body["data"]
    assert (status, body["meta"]) == (200, {"total": 1, "page": 1, "per_page": 50})
    created = item.pop("created_at")
    assert created.endswith("Z")
    hidden = {"api_key_id", "client_ip", "user_agent"}
    assert item == {
        **{name: value for name, value in FULL.items() if name not in hidden},
        "id": log_entry.id,
        "timestamp": "2026-09-21T14:13:20.5Z",
        "llm_key_id": FULL["api_key_id"],
        "cache_creation_tokens": 7,
        "cost": 1.5,
        "cost_usd": "1.5",
        "reported_cost": "0.000001000001",
        "over_budget": False,
        "usage_source": "estimated",
    }


def test_an_unknown_price_shows_as_zero_and_as_null(ask, log):
    log(entry(), entry(cost=0))
    items = ask("")[1]["data"]
    assert sorted((item["cost"], str(item["cost_usd"])) for item in items) == [(0, "0"), (0, "None")]


def test_the_newest_come_first_and_equal_times_by_id(ask, log):
    entries = [entry(timestamp=BASE + seconds * SECOND) for seconds in (2, 1, 2, 3)]
    log(*entries)
    expected = sorted(entries, key=lambda log_entry: (log_entry.timestamp, log_entry.id), reverse=True)
    assert [item["id"] for item in ask("")[1]["data"]] == [log_entry.id for log_entry in expected]


def test_pages_are_bounded_and_the_total_is_right_beyond_the_last_one(ask, log):
    log(*(entry() for _ in range(5)))
    assert [len(ask("", page=page, per_page=2)[1]["data"]) for page in (1, 2, 3, 4, 999)] == [2, 2, 1, 0, 0]
    assert ask("", page=999, per_page=2)[1] == {"data": [], "meta": {"total": 5, "page": 999, "per_page": 2}}
    assert [ask("", page=page, per_page=size)[1]["meta"] for page, size in ((0, 0), (-1, -5), ("x", "y"), (1, 10**6))] == [
        {"total": 5, "page": 1, "per_page": 50},
        {"total": 5, "page": 1, "per_page": 50},
        {"total": 5, "page": 1, "per_page": 50},
        {"total": 5, "page": 1, "per_page": 1000},
    ]


KEY, UPSTREAM = FULL["api_key_id"], FULL["upstream_id"]
CHAT = {"dialect": "openai_chat", "input_format": "openai"}
RESPONSES = {"dialect": "openai_responses", "input_format": "openai"}
RED = {"session_id": "s", "trace_id": "t", "tags": {"team": "red", "project": "x, y"}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abcd"),
        ({"key_id": KEY}, "a"),
        ({"key_id": KEY.upper().replace("-", "")}, "a"),
        ({"upstream_id": UPSTREAM}, "b"),
        ({"model": "GPT"}, "bc"),
        ({"model": "gpt_5"}, "b"),
        ({"model": "g%5"}, "b"),
        ({"model": "\\"}, "d"),
        ({"model": "x" * 9999}, ""),
        ({"status_code": "200"}, "ab"),
        ({"status_code": "400"}, "c"),
        ({"status_code": "404"}, "c"),
        ({"status_code": "500"}, "d"),
        ({"status_code": "300"}, ""),
        ({"status_code": "529"}, "d"),
        ({"input_format": "anthropic"}, "ad"),
        ({"dialect": "openai_chat"}, "b"),
        ({"outcome": "failed"}, "d"),
        ({"request_id": "mine"}, "bc"),
        ({"request_id": "min"}, ""),
        ({"session_id": "s"}, "ab"),
        ({"trace_id": "t"}, "b"),
        ({"tag": "team"}, "abc"),
        ({"tag": "team:red"}, "ab"),
        ({"tag": "team:red,project:x, y"}, "b"),
        ({"tag": "team:"}, ""),
        ({"from": "2026-09-21T14:13:21Z"}, "bcd"),
        ({"to": "2026-09-21T16:13:21+02:00"}, "ab"),
        ({"from": "2026-09-21T14:13:21.000001Z", "to": "2026-09-21T14:13:22Z"}, "c"),
        ({"model": "", "status_code": "", "from": "", "key_id": "", "outcome": ""}, "abcd"),
        ({"model": "gpt", "status_code": "200"}, "b"),
        ({"model": "a\0a"}, "a"),
    ],
)
def test_filters(ask, log, query, expected):
    log(
        entry(timestamp=BASE, error_message="a", model="aA", api_key_id=KEY, session_id="s", tags={"team": "red", "project": "x"}),
        entry(timestamp=BASE + SECOND, error_message="b", model="gpt-5", upstream_id=UPSTREAM, request_id="mine", **CHAT, **RED),
        entry(
            timestamp=BASE + 2 * SECOND,
            error_message="c",
            model="Gpt-4o",
            status_code=404,
            request_id="mine",
            tags={"team": "blue"},
            **RESPONSES,
        ),
        entry(timestamp=BASE + 3 * SECOND, error_message="d", model="o\\x", status_code=529, outcome=Outcome.FAILED),
    )
    status, body = ask("", **query)
    assert (status, "".join(sorted(item["error_message"] for item in body["data"]))) == (200, expected)
    assert body["meta"]["total"] == len(expected)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"key_id": "x"}, "Invalid key_id format"),
        ({"upstream_id": "1"}, "Invalid upstream_id format"),
        ({"status_code": "4xx"}, "Invalid status_code"),
        ({"status_code": "-1"}, "Invalid status_code"),
        ({"status_code": "99999999999999999999"}, "Invalid status_code"),
        ({"from": "yesterday"}, "Invalid 'from' timestamp, use RFC3339"),
        ({"from": "2026-09-21"}, "Invalid 'from' timestamp, use RFC3339"),
        ({"to": "2026-09-21T10:00:00"}, "Invalid 'to' timestamp, use RFC3339"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "Invalid 'from' timestamp, use RFC3339"),
        ({"tag": "Team:red"}, "Invalid tag, use key:value"),
        ({"tag": "team__x:red"}, "Invalid tag, use key:value"),
        ({"outcome": "fine"}, "Invalid outcome, must be one of finished, failed, cancelled, rejected"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_400(ask, query, message):
    assert ask("", **query) == (400, {"error": {"type": "invalid_request", "message": message}})


def test_one_row_comes_with_its_tries(ask, log):
    failed = AttemptEntry(timestamp=BASE, upstream_name="a", status_code=529, outcome=Outcome.FAILED)
    tries = [failed, AttemptEntry(timestamp=BASE + 1, upstream_name="b", cost=10**12)]
    log_entry = entry(tries=tries)
    log(log_entry)
    status, body = ask(f"/{log_entry.id}")
    assert (status, body["data"]["id"]) == (200, log_entry.id)
    assert [
        (attempt["number"], attempt["upstream_name"], attempt["status_code"], attempt["cost_usd"]) for attempt in body["data"]["tries"]
    ] == [
        (1, "a", 529, None),
        (2, "b", None, "1"),
    ]


def test_one_row_that_does_not_exist(ask):
    assert ask("/nonsense") == (400, {"error": {"type": "invalid_request", "message": "Invalid ID format"}})
    assert ask(f"/{new_id()}") == (404, {"error": {"type": "not_found", "message": "Log not found"}})


def test_both_forms_of_the_path_answer(ask, log):
    log_entry = entry()
    log(log_entry)
    assert [ask(path)[0] for path in ("", "/", f"/{log_entry.id}", f"/{log_entry.id}/")] == [200] * 4


def test_a_list_takes_the_same_queries_however_long(ask, log, database):
    counts = []
    for _ in range(2):
        log(entry(), entry())
        with CaptureQueriesContext(database) as queries:
            ask("")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 4


@pytest.mark.parametrize("key", ["", "pxm_" + "0" * 40])
def test_without_a_management_key_it_is_401(database, key):
    assert Client().get("/api/v1/logs", headers={"x-api-key": key}).status_code == 401


def test_a_plus_sign_that_was_not_encoded_is_understood(database, ask):
    token, _ = keys.issue("management", name="tests")
    moments = "from=2026-09-21T14:13:21+02:00&to=" + quote("2026-09-21T14:13:21+02:00")
    answer = Client().get(f"/api/v1/logs?{moments}", headers={"x-api-key": token})
    assert answer.status_code == 200
