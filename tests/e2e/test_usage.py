"""What was used: for scripts, for the holder of a key and on the command line, through a running gateway."""

import csv
import json
import subprocess
import sys

import pytest

from tests.support.gateway import ROOT, Gateway, clean_environment

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_TAG_KEYS="team") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def used(gateway):
    """Three requests of the client key: two answered, one for an unknown model; and one without a valid key."""
    body = {"model": "echo", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {**gateway.client_headers, "x-pxbin-tag-team": "red"}
    for model, key in (("echo", headers), ("echo", headers), ("nonsense", headers), ("echo", {"x-api-key": "pxb_wrong"})):
        gateway.http.post(f"{gateway.url}/v1/messages", headers=key, json={**body, "model": model})
    return gateway.logs(4)


def usage(gateway, **query):
    return gateway.http.get(f"{gateway.url}/v1/usage", headers=gateway.client_headers, params=query)


def test_the_sums_of_rows_reports_and_commands_are_equal(gateway, used):
    own = [row for row in used if row["llm_key_id"]]
    rows = {
        "total_requests": len(used),
        "total_input_tokens": sum(row["input_tokens"] for row in used),
        "total_output_tokens": sum(row["output_tokens"] for row in used),
        "error_count": sum(row["status_code"] >= 400 for row in used),
    }
    overview = gateway.api("GET", "/stats/overview")
    command = json.loads(manage(gateway, "usage", "--json"))
    assert {name: overview[name] for name in rows} == {name: command[name] for name in rows} == rows
    assert (rows["error_count"], len(used), len(own)) == (2, 4, 3)
    by_model = {item["model"]: item["total_requests"] for item in gateway.api("GET", "/stats/by-model")}
    by_tag = {item["value"]: item["total_requests"] for item in gateway.api("GET", "/stats/by-tag")}
    assert (by_model, by_tag) == ({"echo": 2, "(unknown)": 1}, {"red": 3, "": 1})
    mine = usage(gateway).json()
    assert (mine["total_requests"], mine["error_count"], mine["by_model"][0]["model"]) == (3, 1, "echo")
    assert sum(day["total_requests"] for day in mine["by_day"]) == 3


def test_the_holder_of_a_key_sees_its_limits_and_a_table(gateway, used):
    mine = usage(gateway, period="7d").json()
    assert (mine["object"], mine["period"], mine["key"]["prefix"]) == ("usage", "7d", gateway.client_key[:8])
    assert mine["limits"] == {"rate_limit": None, "tokens_per_minute": None, "max_concurrency": None, "expires_at": None}
    table = usage(gateway, format="csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(table.text.splitlines()))
    assert {row["model"]: row["total_requests"] for row in rows} == {"echo": "2", "(unknown)": "1"}


def test_the_holder_of_a_key_sees_what_is_left_of_its_budgets(gateway, used):
    assert usage(gateway).json()["budgets"] == []
    key = gateway.api("POST", "/keys", json={"name": "budgeted", "budget_usd": "5.5", "budget_period": "total"})["key"]
    mine = gateway.http.get(f"{gateway.url}/v1/usage", headers={"x-api-key": key}).json()
    assert mine["budgets"] == [
        {
            "name": "key budgeted",
            "scope": "key",
            "period": "total",
            "mode": "hard",
            "amount_usd": "5.5",
            "spent_usd": "0",
            "remaining_usd": "5.5",
            "resets_at": None,
        }
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"period": "1y"}, "period: must be one of 24h, 7d, 30d"),
        ({"format": "xml"}, "format: must be one of json, csv"),
        ({"from": "x"}, "from: write a day or a time as in RFC 3339, for example 2026-12-01 or 2026-12-01T12:00:00Z"),
        ({"from": "2026-12-02", "to": "2026-12-01"}, "to: must not be before from"),
    ],
)
def test_a_wrong_parameter_is_named(gateway, query, message):
    answer = usage(gateway, **query)
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_without_a_key_nothing_is_shown(gateway):
    assert gateway.http.get(f"{gateway.url}/v1/usage").status_code == 401
    assert gateway.http.get(f"{gateway.url}/v1/usage", headers=gateway.management_headers).status_code == 401
    assert gateway.http.get(f"{gateway.url}/api/v1/stats/overview", headers=gateway.client_headers).status_code == 401


def test_the_command_prints_a_table(gateway, used):
    lines = manage(gateway, "usage", "--period", "24h", "--by", "status").splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [["status", "requests"], ["200", "2"], ["401", "1"], ["404", "1"]]
    assert lines[4].split()[:3] == ["total", "4", "2"]
    assert "There is no client key 'nobody'" in manage(gateway, "usage", "--key", "nobody")


def test_rebuilt_sums_are_the_same(gateway, used):
    before = gateway.api("GET", "/stats/overview")
    assert manage(gateway, "rebuild_rollups").splitlines()[-1] == "4 requests of 1 days"
    assert gateway.api("GET", "/stats/overview") == before


def manage(gateway, *arguments: str) -> str:
    """Run a command beside the gateway; what it prints."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=clean_environment(PXBIN_DATA_DIR=str(gateway.data_dir)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return run.stdout + run.stderr
