"""The list of requests: search, filters, and pages without counting."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey
from billing.admin.paginator import UncountedPaginator
from billing.models import RequestLog, SavedView
from pxbin_site.templatetags import gateway
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


def test_pages_after_the_numbered_ones_begin_at_a_row_and_end_at_the_oldest(admin_client, monkeypatch):
    monkeypatch.setattr("billing.admin.paginator.NUMBERED_PAGES", 1)
    moment = timezone.now()
    expected = [logged(f"r{number}", timestamp=moment).request_id for number in range(120)]
    url, seen, pages = LOG + "?outcome__exact=finished", [], []
    while url:
        changelist = admin_client.get(url).context["cl"]
        seen += [row.request_id for row in changelist.result_list]
        pages.append(len(changelist.result_list))
        url = changelist.older_url and LOG + changelist.older_url
    assert (sorted(seen), pages) == (sorted(expected), [50, 50, 20])


def test_a_page_after_the_last_one_is_empty_instead_of_the_first(admin_client):
    logged("a")
    assert listed(admin_client, p=201) == []


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


def test_requests_are_found_by_every_id_that_a_client_holds_in_any_case_and_at_any_age(admin_client):
    old = timezone.now() - timedelta(days=60)
    logged("Req-1", response_id="chatcmpl-AbC", session_id="5f1e", timestamp=old)
    logged("req-2", response_id="", timestamp=old)
    ids = ("req-1", "REQ-1", "chatcmpl-AbC", "CHATCMPL-ABC", " 5f1e ", "5F1E")
    assert [listed(admin_client, q=text) for text in ids] == [["Req-1"]] * len(ids)


def test_names_of_keys_and_error_texts_are_searched_in_the_last_day_first(admin_client):
    logged("new", key_name="Anna's laptop", error_message="quota exceeded")
    logged("old", key_name="Anna's laptop", timestamp=timezone.now() - timedelta(days=3))
    assert listed(admin_client, q="anna") == ["new"]
    assert listed(admin_client, q="QUOTA") == ["new"]
    assert listed(admin_client, q="anna", all="1") == ["new", "old"]
    assert listed(admin_client, q="anna", period="7d") == ["new", "old"]
    assert "Search the whole log" in admin_client.get(LOG, {"q": "anna"}).content.decode()


def test_a_session_is_a_filter_and_a_deleted_key_still_is_one(admin_client):
    key = ApiKey.objects.create(name="gone", key_hash="0" * 64, key_prefix="pxb_gone")
    logged("a", session_id="s1", api_key_id=key.pk)
    logged("b")
    pk = str(key.pk)
    key.delete()
    assert (listed(admin_client, session="s1"), listed(admin_client, key=pk)) == (["a"], ["a"])
    page = admin_client.get(LOG, {"key": pk}).content.decode()
    assert "gone (pxb_gone…), deleted" in page
    assert listed(admin_client, key=str(uuid.uuid4())) == []


def test_active_filters_are_chips_that_remove_themselves(admin_client):
    page = admin_client.get(LOG, {"outcome__exact": "failed", "session": "s1", "period": "24h", "p": "2"})
    changelist = page.context["cl"]
    chips = gateway.filter_chips(changelist)["chips"]
    assert [tuple(chip) for chip in chips] == [
        ("Time", "Last 24 hours", "?outcome__exact=failed&session=s1"),
        ("Outcome", "Failed", "?period=24h&session=s1"),
        ("Session", "s1", "?outcome__exact=failed&period=24h"),
    ]


def test_totals_are_those_of_the_filtered_rows(admin_client):
    cost = {"cost": "0.5", "attempts": 1, "input_tokens": 10, "cache_read_tokens": 30, "output_tokens": 5}
    for number in range(3):
        logged(f"r{number}", **cost)
    logged("failed", outcome="failed", attempts=1)
    logged("old", timestamp=timezone.now() - timedelta(days=3), **cost)

    def figures(**query):
        page = admin_client.get(f"{LOG}totals/", query)
        return [value for _, value, _ in page.context["figures"]], page.context["is_recent"]

    assert figures() == (["4", "1", "120 → 15", "$1.50"], True)
    assert figures(all="1") == (["5", "1", "160 → 20", "$2.00"], False)
    assert figures(outcome__exact="failed") == (["1", "1", "0 → 0", "-"], True)


def test_columns_are_chosen_and_stay_chosen(admin_client):
    logged("a", response_id="msg_1")
    headings = [list(admin_client.get(LOG, query).context["cl"].list_display) for query in ({"columns": "response"}, {})]
    assert [[name for name in heading if name != "action_checkbox"] for heading in headings] == [["began", "response"]] * 2


def test_a_view_is_saved_shared_and_deleted_by_its_owner_only(admin_client, client, admin_user, django_user_model):
    other = django_user_model.objects.create_user("other", is_staff=True)
    other.user_permissions.add(*Permission.objects.filter(codename="view_requestlog"))
    client.force_login(other)
    saved = {"name": "Failures", "query": "outcome__exact=failed&p=3", "is_shared": "1"}
    assert admin_client.post(f"{LOG}views/", saved).headers["location"] == f"{LOG}?outcome__exact=failed"
    admin_client.post(f"{LOG}views/", {"name": "Mine", "query": "q=x"})
    assert [view.name for view in client.get(LOG).context["views"]] == ["Failures"]
    view = SavedView.objects.get(name="Failures")
    assert (view.owner, view.query, view.is_shared) == (admin_user, "outcome__exact=failed", True)
    client.post(f"{LOG}views/", {"delete": view.pk})
    assert SavedView.objects.count() == 2
    admin_client.post(f"{LOG}views/", {"delete": view.pk})
    assert [view.name for view in SavedView.objects.all()] == ["Mine"]


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
    assert len(listed(admin_client, period="nonsense", status="nonsense", key="nonsense", upstream="nonsense")) == 6


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
