"""The list of requests: search, filters, and pages without counting."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey
from billing.admin.paginator import UncountedPaginator
from billing.models import RequestLog
from tests.support.settings import with_config
from upstreams.models import Model, Upstream

pytestmark = pytest.mark.django_db

LOG = "/admin/billing/requestlog/"
PLAIN = {
    "method": "POST",
    "path": "/v1/messages",
    "dialect": "anthropic",
    "input_format": "anthropic",
    "latency_ms": 10,
    "overhead_us": 500,
}


def logged(request_id, **fields):
    defaults = {"request_id": request_id, "timestamp": timezone.now(), "model": "m", "status_code": 200, "outcome": "finished", **PLAIN}
    return RequestLog.objects.create(**{**defaults, **fields})


def listed(admin_client, **query):
    return [row.request_id for row in admin_client.get(LOG, query).context["cl"].result_list]


def test_nothing_is_counted(admin_client, connection_of_tests):
    logged("a")
    admin_client.get(LOG)
    with CaptureQueriesContext(connection_of_tests) as queries:
        admin_client.get(LOG, {"outcome__exact": "finished", "_facets": "True"})
    log_queries = [query["sql"] for query in queries if "billing_requestlog" in query["sql"]]
    assert (len(log_queries), [sql for sql in log_queries if "COUNT" in sql.upper()]) == (1, [])


def test_a_row_shows_the_kind_of_the_failure(admin_client):
    logged("a", outcome="rejected", status_code=404, error_type="model_not_found")
    assert "model not found" in admin_client.get(LOG).content.decode()


@pytest.fixture
def connection_of_tests():
    from django.db import connection

    return connection


def test_pages_follow_one_another_until_there_are_no_more_rows(admin_client):
    begin = timezone.now()
    for number in range(101):
        logged(f"r{number}", timestamp=begin - timedelta(seconds=number))
    assert [len(listed(admin_client, p=page)) for page in (1, 2, 3)] == [50, 50, 1]
    first, last = (admin_client.get(LOG, {"p": page}).content.decode() for page in (1, 3))
    assert ("Older" in first, "Newer" in first, "Older" in last, "Newer" in last) == (True, False, False, True)
    assert "10000" not in first


def test_a_page_reads_one_row_more_than_it_shows():
    pages = UncountedPaginator(list(range(7)), 3)
    assert [(list(pages.page(number)), pages.has_more) for number in (1, 2, 3)] == [([0, 1, 2], True), ([3, 4, 5], True), ([6], False)]


def test_requests_are_found_by_id_and_by_parts_of_names_of_models(admin_client):
    Model.objects.create(name="claude-haiku", aliases=["small-one"])
    row = logged("req-1", model="claude-haiku")
    logged("req-2", model="small-one")
    logged("req-3", model="other")
    assert listed(admin_client, q="req-3") == ["req-3"]
    assert listed(admin_client, q=str(row.pk)) == ["req-1"]
    assert listed(admin_client, q="haiku") == ["req-1"]
    assert listed(admin_client, q="small") == ["req-2"]
    assert listed(admin_client, q="other") == ["req-3"]
    assert listed(admin_client, q="req") == []


def test_requests_are_filtered(admin_client):
    key, upstream = ApiKey.objects.create(name="k", key_hash="0" * 64), Upstream.objects.create(name="u", base_url="http://x")
    Model.objects.create(name="a")
    old = timezone.now() - timedelta(days=3)
    logged("old", timestamp=old)
    logged("key", api_key_id=key.pk, timestamp=old)
    logged("upstream", upstream_id=upstream.pk, timestamp=old)
    logged("model", model="a", timestamp=old)
    logged("broken", status_code=503, outcome="failed", timestamp=old)
    logged("new")
    assert listed(admin_client, period="24h") == ["new"]
    assert listed(admin_client, key=str(key.pk)) == ["key"]
    assert listed(admin_client, upstream=str(upstream.pk)) == ["upstream"]
    assert listed(admin_client, asked="a") == ["model"]
    assert listed(admin_client, status="5xx") == ["broken"]
    assert listed(admin_client, outcome__exact="failed") == ["broken"]
    assert len(listed(admin_client, period="nonsense", status="nonsense", key="nonsense")) == 6


def test_a_day_without_a_time_is_the_whole_day(admin_client):
    for hour, day in ((0, 2), (23, 2), (12, 1), (12, 3)):
        logged(f"{day}-{hour}", timestamp=datetime(2026, 3, day, hour, 30, tzinfo=UTC))
    assert listed(admin_client, timestamp_from_0="2026-03-02", timestamp_to_0="2026-03-02") == ["2-23", "2-0"]
    assert listed(admin_client, timestamp_from_0="2026-03-02", timestamp_from_1="12:00:00", timestamp_to_0="2026-03-02") == ["2-23"]
    assert len(listed(admin_client, timestamp_from_0="yesterday")) == 4


def test_rows_describe_requests_for_people(admin_client):
    logged(
        "a",
        timestamp=datetime(2026, 3, 2, 13, 14, 15, tzinfo=UTC),
        upstream_dialect="openai_chat",
        stream=True,
        attempts=2,
        upstream_name="u",
    )
    page = " ".join(admin_client.get(LOG).content.decode().split())
    for text in ("2026-03-02 13:14:15", "finished 200", "Messages → Chat, stream", "2 attempts", "unknown", "overhead 0.5 ms"):
        assert text in page, text
    assert "openai_chat" not in page


def test_an_empty_log_explains_what_to_do(admin_client):
    assert "No requests yet" in admin_client.get(LOG).content.decode()
    assert "No results" in admin_client.get(LOG, {"outcome__exact": "failed"}).content.decode()


def test_the_page_of_a_missing_row_redirects_to_the_list(admin_client):
    for name in ("nonsense", str(uuid.uuid4())):
        assert admin_client.get(f"{LOG}{name}/change/").status_code == 302


def test_the_page_says_how_long_rows_are_stored(admin_client):
    assert (
        "Requests are stored for 90 days (PXBIN_LOG_RETENTION_DAYS), the bodies of keys and models that capture them for 7 days "
        "(PXBIN_PAYLOAD_RETENTION_DAYS)."
    ) in admin_client.get(LOG).content.decode()
    with with_config(log_retention_days=0, payload_retention_days=1):
        text = admin_client.get(LOG).content.decode()
    assert "stored for ever (PXBIN_LOG_RETENTION_DAYS)" in text
    assert "for 1 day (PXBIN_PAYLOAD_RETENTION_DAYS)" in text
