"""``/api/v1/sessions``."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import RequestLog
from tests.billing.conftest import entry
from tests.support.management import ManagementClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


def write(session_id, model, *, minutes):
    columns = ("id", "request_id", "method", "path", "dialect", "input_format", "latency_ms", "overhead_us")
    values = {name: getattr(entry(), name) for name in columns} | {"status_code": 200, "outcome": "finished"}
    begin = timezone.now() - timedelta(minutes=minutes)
    RequestLog.objects.create(timestamp=begin, session_id=session_id, model=model, **values)


def test_a_session_has_its_totals_and_its_requests_in_order(script):
    write("a/b", "second", minutes=1)
    write("a/b", "first", minutes=2)
    write("c", "other", minutes=1)
    write("", "none", minutes=1)
    listed = script.send("GET", "/sessions").body
    assert listed == script.send("GET", "/stats/by-session").body
    assert {(item["session_id"], item["total_requests"]) for item in listed["data"]} == {("a/b", 2), ("c", 1)}
    body = script.send("GET", "/sessions/a/b?per_page=1").body
    assert (body["meta"], [item["model"] for item in body["data"]]) == ({"total": 2, "page": 1, "per_page": 1}, ["first"])
    assert [item["model"] for item in script.get("/sessions/a/b")] == ["first", "second"]


def test_an_unknown_session_is_not_found(script):
    assert script.send("GET", "/sessions/x").error == (404, "not_found", "Session not found")
