"""Sessions: the newest ones with their sums, and the calls of one."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from billing.models import RequestLog

pytestmark = pytest.mark.django_db

PAGE = "/admin/sessions/"
FIELDS = {"method": "POST", "path": "/", "input_format": "anthropic", "latency_ms": 12, "overhead_us": 1, "status_code": 200}


def logged(session, number, **fields):
    moment = fields.pop("timestamp", timezone.now() - timedelta(minutes=60 - number))
    values = {"outcome": "finished", "model": "large", "cost": "0.25", "input_tokens": 10, "cache_read_tokens": 30, **FIELDS, **fields}
    return RequestLog.objects.create(request_id=f"{session}-{number}", session_id=session, timestamp=moment, **values)


def test_the_newest_sessions_come_first_with_their_sums(admin_client):
    for number in range(3):
        logged("a", number, outcome="failed" if number else "finished")
    logged("b", 5, model="small", cost=None)
    logged("", 6)
    logged("old", 0, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    shown = [
        (session["session_id"], session["calls"], session["failed"], session["models"], session["cost"], session["cache"])
        for session in admin_client.get(PAGE).context["sessions"]
    ]
    assert shown == [("b", 1, 0, 1, "-", "75%"), ("a", 3, 2, 1, "$0.75", "75%")]


def test_the_calls_of_a_session_show_switches_of_the_model(admin_client):
    for number, model in enumerate(("large", "large", "small", "large")):
        logged("a", number, model=model)
    context = admin_client.get(PAGE, {"id": "a"}).context
    assert [(call.switch, call.is_side, call.cache) for call in context["calls"]] == [
        ("large", False, "75%"),
        ("", False, "75%"),
        ("small", True, "75%"),
        ("large", False, "75%"),
    ]
    assert dict(context["figures"]) == {
        "Calls": "4",
        "Cost": "$1.00",
        "Input from a cache": "75%",
        "Models": "large (3), small (1)",
        "Model switches": "2",
        "Failed": "0",
    }


def test_an_unknown_session_says_so(admin_client):
    assert "No request has this session." in admin_client.get(PAGE, {"id": "nobody"}).content.decode()
