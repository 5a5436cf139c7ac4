"""The start page: first steps, the last day, and issues."""

import csv
import os
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from msgspec.structs import replace as msgspec_replace

from accounts import keys
from accounts.common.uuid7 import new_id
from billing.models import RequestLog
from billing.request_log import writer
from pxbin_site import dashboard
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from upstreams.models import Model, Route, Upstream, UpstreamCredential

pytestmark = pytest.mark.django_db

PLAIN = {
    "method": "POST",
    "path": "/",
    "input_format": "anthropic",
    "latency_ms": 1,
    "overhead_us": 1,
    "status_code": 200,
    "request_id": "r",
}


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def logged(outcome, *, hours=0, cost=None):
    RequestLog.objects.create(outcome=outcome, timestamp=timezone.now() - timedelta(hours=hours), cost=cost, **PLAIN)


def add_route(name, *, base_url="http://x", upstream="u"):
    row, _ = Upstream.objects.get_or_create(name=upstream, defaults={"base_url": base_url})
    return Route.objects.create(model=Model.objects.create(name=name), upstream=row)


def test_steps_that_are_done_are_marked():
    assert [bool(step.done) for step in dashboard.steps()] == [False, False, False, False]
    keys.issue("llm", name="laptop")
    add_route("echo", base_url="echo://openai", upstream="echo")
    assert [bool(step.done) for step in dashboard.steps()] == [True, False, False, False]
    add_route("m")
    logged("finished")
    assert [bool(step.done) for step in dashboard.steps()] == [True, True, True, True]


def start_page(client, **query):
    return client.get("/admin/", query).context["figures"]


@pytest.fixture
def admin(spool):
    """A browser in which an admin is logged in, with three requests of the last day and one of the day before in the log."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="x"))
    now = time.time_ns() // 1000
    answered = {"timestamp": now, "attempts": 1, "upstream_id": new_id(), "upstream_name": "openai", "input_tokens": 10, "latency_ms": 40}
    write_entries(
        spool,
        entry(**answered, cost=1_500_000_000_000, cache_read_tokens=30),
        entry(**answered, model="cheap", cost=None),
        entry(timestamp=now, status_code=401, outcome="rejected", model="", latency_ms=0),
        entry(**{**answered, "timestamp": now - 30 * 3_600_000_000}, cost=500_000_000_000),
    )
    writer.drain_spool(spool)
    return client


def test_figures_are_those_of_the_period_compared_with_the_one_before(admin):
    cards = {card.title: (card.value, card.note, card.change) for card in start_page(admin)["cards"]}
    assert {title: cards[title] for title in ("Requests", "Errors", "Cost", "Cache hits", "Input tokens", "Latency, median")} == {
        "Requests": ("3", "", "+200 %"),
        "Errors": ("1", "33.3 % of all requests", ""),
        "Cost": ("$1.50", "without 1 unpriced requests (33.3 %)", "+200 %"),
        "Cache hits": ("60.0 %", "30 tokens, $0.00 saved", ""),
        "Input tokens": ("50", "cached ones included", "+400 %"),
        "Latency, median": ("40 ms", "95 %: 40 ms; first token 0 ms", "-32 %"),
    }
    assert {card.title: card.value for card in start_page(admin, period="7d")["cards"]}["Requests"] == "4"


def test_the_largest_values_have_shares_and_lead_to_the_log(admin):
    keys, models, upstreams = start_page(admin)["tops"]
    assert [(row.name, row.number, row.share, row.percent) for row in models.rows] == [
        ("m1", "$1.50", "100.0 %", 100), ("no model", "$0.00", "0.0 %", 0), ("cheap", "unpriced", "0.0 %", 0),
    ]  # fmt: skip
    assert [row.name for row in upstreams.rows] == ["openai", "no upstream was called"]
    for row in (*keys.rows, *models.rows, *upstreams.rows):
        assert not row.url or admin.get(row.url).status_code == 200
    assert len(admin.get(models.rows[0].url).context["cl"].result_list) == 1


def test_every_bar_leads_to_its_requests(admin):
    for chart in start_page(admin)["charts"]:
        urls = [bar.url for bar in chart.bars if bar.url]
        assert urls
        assert sum(len(admin.get(url).context["cl"].result_list) for url in urls) == 3


def test_models_without_a_price_and_a_log_that_is_behind_are_issues(admin, monkeypatch, tmp_path):
    waiting = tmp_path / "spool" / f"{'a' * 32}.sealed"
    waiting.parent.mkdir(exist_ok=True)
    waiting.write_bytes(b"")
    os.utime(waiting, (0, time.time() - 100))
    monkeypatch.setattr(dashboard.settings, "PXBIN", msgspec_replace(dashboard.settings.PXBIN, data_dir=tmp_path))
    issues = admin.get("/admin/").context["issues"]
    assert [(issue.name, issue.word) for issue in issues] == [("Request log", "behind"), ("cheap", "unpriced")]


def test_the_page_takes_as_many_queries_for_a_month_as_for_a_day(admin):
    numbers = []
    for period in ("24h", "7d", "30d"):
        with CaptureQueriesContext(connection) as queries:
            admin.get("/admin/", {"period": period})
        numbers.append(len(queries))
    assert len(set(numbers)) == 1


def test_an_empty_log_has_neither_charts_nor_invented_zeros():
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="x"))
    figures = start_page(client)
    assert (figures["charts"], figures["tops"], figures["cards"][0].value) == ([], [], "0")


@pytest.mark.parametrize("by", ["key", "model", "upstream", "owner", "tag", "session", "dialect", "status", "error"])
def test_the_usage_page_shows_every_dimension(admin, by):
    page = admin.get("/admin/usage/", {"by": by, "measure": "requests"})
    assert page.status_code == 200
    assert page.context["total"]["requests"] == ("0" if by == "session" else "3")


def test_the_usage_page_can_be_downloaded_as_it_is_shown(admin):
    query = {"by": "model", "period": "7d", "measure": "requests"}
    shown = [(row["name"], row["requests"].replace(",", "")) for row in admin.get("/admin/usage/", query).context["rows"]]
    table = admin.get("/admin/usage/", {**query, "format": "csv"})
    rows = list(csv.DictReader(table.content.decode().splitlines()))
    assert [(row["model"], row["total_requests"]) for row in rows] == shown
    assert shown == [("m1", "2"), ("cheap", "1"), ("no model", "1")]


def test_the_usage_page_needs_the_permission_to_view_the_log():
    client = Client()
    client.force_login(User.objects.create_user("clerk", password="x", is_staff=True))
    assert client.get("/admin/usage/").status_code == 403


def test_issues_are_listed(django_assert_num_queries):
    route = add_route("m")
    Route.objects.filter(pk=route.pk).update(vanished_at=timezone.now())
    for number in range(3):
        UpstreamCredential.objects.create(
            upstream=route.upstream, name=f"k{number}", secret_encrypted="v2:x", disabled_reason="revoked" if number else ""
        )
    with django_assert_num_queries(3):
        issues = [(issue.name, issue.word, issue.detail) for issue in dashboard.issues()]
    assert issues == [
        ("u: k1", "disabled", "revoked"),
        ("u: k2", "disabled", "revoked"),
        ("m", "vanished", "u no longer lists m."),
    ]


def test_the_start_page_shows_what_the_user_may_view():
    clerk = User.objects.create_user("clerk", password="x", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client = Client()
    client.force_login(clerk)
    page = client.get("/admin/").content.decode()
    assert [
        text for text in ("last 24 hours", "Needs attention", '/admin/upstreams/upstream/"', '/admin/accounts/apikey/"') if text in page
    ] == ['/admin/accounts/apikey/"']
