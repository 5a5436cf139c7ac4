"""The start page: first steps, the last day, and issues."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from accounts import keys
from billing.models import RequestLog
from pxbin_site import dashboard
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


def test_the_last_day_is_counted_by_outcome(django_assert_num_queries):
    for outcome, cost in (("finished", Decimal("0.5")), ("finished", None), ("failed", Decimal("0.25")), ("rejected", None)):
        logged(outcome, cost=cost)
    logged("finished", hours=25, cost=Decimal(100))
    with django_assert_num_queries(1):
        day = dashboard.last_day()
    assert [(outcome["word"], outcome["number"]) for outcome in day["outcomes"]] == [
        ("finished", "2"), ("failed", "1"), ("cancelled", "0"), ("rejected", "1"),
    ]  # fmt: skip
    assert (day["total"], day["cost"], day["unknown"]) == ("4", "$0.75", 1)
    logged("finished", cost=Decimal("0.0194727"))
    RequestLog.objects.exclude(cost=Decimal("0.0194727")).delete()
    day = dashboard.last_day()
    assert (day["cost"], day["cost_exactly"]) == ("$0.01947", "$0.0194727")


@pytest.mark.parametrize(("outcome", "cost"), [("finished", "unknown"), ("rejected", "-")])
def test_unknown_prices_are_not_shown_as_zero(outcome, cost):
    logged(outcome)
    assert dashboard.last_day()["cost"] == cost


def test_only_the_newest_requests_are_counted(monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 2)
    for _ in range(3):
        logged("finished")
    day = dashboard.last_day()
    assert (day["total"], day["is_part"]) == ("2+", True)


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
