"""Rating rows again."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from billing.models import Price, RequestLog
from billing.request_log import writer
from billing.request_log.entry import AttemptEntry
from billing.request_log.rerate import Change, Report, rerate
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.usefixtures("database")
BEGAN = datetime.fromtimestamp(1_790_000_000, UTC)
SINCE = BEGAN - timedelta(days=1)


@pytest.fixture
def where() -> Upstream:
    return Upstream.objects.create(name="u", base_url="http://127.0.0.1:9/v1")


@pytest.fixture
def log(spool, where):
    def write(**fields) -> RequestLog:
        facts = {"upstream_id": str(where.pk), "upstream_name": "u", "remote_model": "m", "attempts": 1, "input_tokens": 1_000_000}
        facts |= {"cost_source": "price"} if fields.get("cost") is not None else {}
        made = entry(**{**facts, **fields})
        write_entries(spool, made)
        writer.drain_spool(spool)
        return RequestLog.objects.get(pk=made.id)

    return write


def price(amount, *, since=SINCE, **fields) -> Price:
    return Price.objects.create(**{"name": "m", "input": amount, "output": amount, "valid_from": since, **fields})


def rated(row: RequestLog) -> tuple:
    row = RequestLog.objects.get(pk=row.pk)
    return row.cost, row.cost_source, row.price_id


def test_a_row_gets_the_price_that_was_valid_when_its_request_began(log):
    row = log(cost=1)
    then = price(2, valid_until=BEGAN + timedelta(hours=1), is_active=False)
    price(3, since=BEGAN + timedelta(hours=1))
    assert rerate(SINCE) == Report(
        rows=1,
        changed=1,
        cost_before=Decimal("0.000000000001"),
        cost_after=Decimal(2),
        changes=[Change(upstream="u", model="m", rows=1, cost_before=Decimal("0.000000000001"), cost_after=Decimal(2))],
    )
    assert rated(row) == (2, "price", then.pk)
    assert rerate(SINCE).changed == 0


def test_an_unpriced_row_gets_the_first_price_that_came_later(log):
    row = log()
    later = price(4, since=BEGAN + timedelta(days=3))
    report = rerate(SINCE)
    assert (report.unpriced_before, report.unpriced_after, rated(row)) == (1, 0, (4, "price", later.pk))


def test_nothing_is_written_in_a_dry_run(log):
    row = log()
    price(4)
    assert rerate(SINCE, dry_run=True).changed == 1
    assert rated(row) == (None, "", None)


def test_only_rows_of_the_period_are_rated(log):
    row = log()
    price(4)
    assert [rerate(BEGAN + timedelta(seconds=1)).rows, rerate(SINCE, BEGAN).rows, rerate(BEGAN, BEGAN + timedelta(seconds=1)).rows] == [
        0,
        0,
        1,
    ]
    assert rated(row)[0] == 4


def test_a_row_without_any_price_keeps_its_cost_unless_its_price_was_withdrawn(log):
    unpriced_row, withdrawn_row = log(cost=7, price_id=None), log(cost=7, price_id=str(price(1, is_active=False, name="other").pk))
    rerate(SINCE)
    assert (rated(unpriced_row)[0], rated(withdrawn_row)) == (Decimal("0.000000000007"), (None, "", None))


def test_the_reported_cost_counts_where_no_price_does(log):
    row = log(reported_cost=5_000_000_000_000, cost=1, price_id=str(price(1, is_active=False, name="other").pk))
    rerate(SINCE)
    assert rated(row) == (5, "reported_cost", None)
    ours = price(2)
    rerate(SINCE)
    assert rated(row) == (2, "price", ours.pk)


def test_prices_of_models_are_found_by_the_route_of_the_attempt(log, where):
    model = Model.objects.create(name="mine")
    route = Route.objects.create(model=model, upstream=where)
    own = price(9, model=model, name="")
    attempt = AttemptEntry(timestamp=1, upstream_id=str(where.pk), route_id=str(route.pk), remote_model="m", input_tokens=1_000_000)
    row = log(tries=[attempt])
    rerate(SINCE)
    assert rated(row) == (9, "price", own.pk)
    assert [(rated_attempt.cost, rated_attempt.price_id) for rated_attempt in row.tries.all()] == [(9, own.pk)]


def test_tiers_modalities_searches_parts_and_the_factor_are_rated(log, where):
    where.price_factor = Decimal("0.5")
    where.save()
    price(1, input_audio=40, web_search=10, tiers={"service": {"fast": {"input": "6"}}, "geo": {"us": "1.1"}})
    price(5, name="advisor")
    row = log(
        input_tokens=3_000_000,
        input_audio_tokens=1_000_000,
        server_tool_use={"web_search_requests": 100},
        usage_parts=[{"kind": "advisor_message", "model": "advisor", "input_tokens": 1_000_000}],
        speed="fast",
        inference_geo="us",
    )
    unknown = log(usage_parts=[{"kind": "advisor_message", "model": "?", "input_tokens": 1_000}])
    Price.objects.filter(name="advisor").update(tiers={"service": {"fast": {"input": "7"}}})
    rerate(SINCE)
    assert (rated(row)[0], rated(unknown)[0]) == ((6 + 40 + 1) * Decimal("1.1") / 2 + Decimal(7) / 2, None)


def test_each_attempt_is_rated_and_the_row_costs_their_sum(log, where):
    price(1)
    price(2, name="n", tiers={"service": {"flex": {"input": "8"}}})
    base = {"upstream_id": str(where.pk), "input_tokens": 1_000_000}
    tries = [
        AttemptEntry(timestamp=1, remote_model="m", **base),
        AttemptEntry(timestamp=1, remote_model="n", usage_details={"service_tier": "flex"}, **base),
        AttemptEntry(timestamp=1, remote_model="gone"),
    ]
    row = log(tries=tries, attempts=3, remote_model="gone", input_tokens=2_000_000)
    Price.objects.filter(name="m").update(input=3)
    rerate(SINCE)
    assert (rated(row)[0], [attempt.cost for attempt in row.tries.order_by("number")]) == (11, [3, 8, None])
    Price.objects.filter(name="n").update(name="renamed")
    rerate(SINCE)
    assert rated(row)[0] == 11


def test_rows_without_tokens_are_left_alone(log):
    price(1)
    row = log(input_tokens=0)
    rerate(SINCE)
    assert rated(row) == (None, "", None)


def test_many_rows_are_rated_in_batches(log, monkeypatch):
    monkeypatch.setattr("billing.request_log.rerate.BATCH_ROWS", 2)
    rows = [log() for _ in range(5)]
    price(1)
    assert rerate(SINCE).changed == 5
    assert {rated(row)[0] for row in rows} == {1}


class TestTheCommand:
    def test_prints_a_report(self, log, capsys):
        log()
        price(4)
        call_command("rerate", "--since", "2026-09-01", "--dry-run")
        assert capsys.readouterr().out == (
            "1 rows, 1 would change\ncost: 0 USD before, 4 USD after\nunpriced: 1 before, 0 after\n  m at u: 1 rows, 0 -> 4 USD\n"
        )

    def test_prints_json(self, log, capsys):
        log()
        price("0.1")
        call_command("rerate", "--since", "2026-09-01", "--json")
        assert json.loads(capsys.readouterr().out) == {
            "since": "2026-09-01T00:00:00+00:00",
            "until": None,
            "dry_run": False,
            "rows": 1,
            "changed": 1,
            "unpriced_before": 1,
            "unpriced_after": 0,
            "cost_before": "0",
            "cost_after": "0.1",
            "changes": [{"upstream": "u", "model": "m", "rows": 1, "cost_before": "0", "cost_after": "0.1"}],
        }

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ([], "the following arguments are required: --since"),
            (["--since", "soon"], "'soon' is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z"),
            (["--since", "2026-11-02", "--until", "2026-11-01"], "--until must be later than --since"),
        ],
    )
    def test_refuses_what_is_no_period(self, arguments, complaint):
        with pytest.raises(CommandError, match=complaint):
            call_command("rerate", *arguments)
