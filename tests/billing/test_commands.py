"""`manage.py logs` and `sync_prices`, as they print."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.management.commands import logs
from billing.models import RequestLog
from tests.billing.conftest import entry
from upstreams.models import Model

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def run(*arguments, **options):
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def row(**fields):
    columns = ("id", "timestamp", "request_id", "method", "path", "dialect", "input_format", "model", "latency_ms", "overhead_us")
    values = {name: getattr(entry(), name) for name in columns}
    return RequestLog.objects.create(**{**values, "timestamp": NOON, "status_code": 200, "outcome": "finished", **fields})


def test_a_line_tells_of_each_request_the_newest_last():
    row(upstream_name="acme", key_name="laptop", input_tokens=10, cache_read_tokens=5, output_tokens=7, outcome="finished")
    failed = {"status_code": 502, "outcome": "failed", "error_type": "upstream_error", "error_message": "refused\nthe connection\x1b[2J"}
    row(timestamp=NOON + timedelta(minutes=1), model="m2", **failed)
    row(timestamp=NOON - timedelta(minutes=1), model="oldest")
    assert run("logs", "-n", "2").splitlines() == [
        "2026-11-01 12:00:00  200  finished   m1  -> acme  key laptop  15+7 tokens  unpriced  12 ms",
        "2026-11-01 12:01:00  502  failed     m2  -> -  key -  0+0 tokens  unpriced  12 ms  upstream_error: refused the connection [2J",
    ]


def test_json_has_one_object_a_line():
    rows = [row(timestamp=NOON + timedelta(seconds=second), model=f"m{second}") for second in range(3)]
    items = [json.loads(line) for line in run("logs", "--json").splitlines()]
    assert [(item["id"], item["model"], item["cost_usd"]) for item in items] == [(str(row.pk), row.model, None) for row in rows]


def test_filters_are_those_of_the_management_api():
    row(model="gpt-5", status_code=404, outcome="failed")
    row(model="gpt-5")
    row(model="claude")
    assert [json.loads(line)["model"] for line in run("logs", "--json", "--model", "gpt", "--status", "400").splitlines()] == ["gpt-5"]
    assert run("logs", "--since", "2026-11-02T00:00:00Z") == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--status", "many"), "Invalid status_code"),
        (("--key", "laptop"), "Invalid key_id format"),
        (("--since", "yesterday"), "Invalid 'from' timestamp, use RFC3339"),
        (("--outcome", "good"), "Invalid outcome"),
        (("-n", "-1"), "--limit must be 0 or more"),
        (("-n", "x"), "argument -n/--limit: invalid int value: 'x'"),
    ],
)
def test_an_invalid_filter_is_an_error(options, message):
    with pytest.raises(CommandError, match=message):
        run("logs", *options)


def test_following_prints_each_further_row_once(monkeypatch):
    first = row(model="first", timestamp=datetime.now(UTC))
    written = []

    def write_more(_seconds):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(row(model=f"further {len(written)}", timestamp=datetime.now(UTC)))

    monkeypatch.setattr(logs.time, "sleep", write_more)
    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("logs", "--follow", "--json", stdout=out)
    models = [json.loads(line)["model"] for line in out.getvalue().splitlines()]
    assert models == [first.model, "further 0", "further 1", "further 2"]


def test_following_without_earlier_rows_begins_with_the_next_one(monkeypatch):
    row(model="first", timestamp=datetime.now(UTC))
    monkeypatch.setattr(logs.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("logs", "--follow", "-n", "0", stdout=out)
    assert out.getvalue() == ""


def test_numbers_of_priced_models_in_json():
    Model.objects.create(name="unheard-of")
    assert json.loads(run("sync_prices", "--json")) == {"models_updated": 0, "models_not_found": 1, "total_models": 1}
