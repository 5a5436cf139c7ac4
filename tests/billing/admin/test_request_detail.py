"""The page of one request."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils.html import strip_tags

from accounts.models import ApiKey
from billing.admin.request_detail import build_request_detail, figures
from billing.models import Price, RequestAttempt, RequestLog
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 3, 2, 13, 14, 15, 678_000, tzinfo=UTC)
PLAIN = {
    "method": "POST",
    "path": "/v1/messages",
    "dialect": "anthropic",
    "input_format": "anthropic",
    "latency_ms": 1234,
    "overhead_us": 560,
}
SKIPS = [
    {"upstream": "first", "key": "main", "model": "m-1", "skipped": "cooling for 3.0 s"},
    {"upstream": "third", "key": "", "model": "m", "skipped": "takes no images"},
]


def request(**fields):
    defaults = {"request_id": "r", "timestamp": MOMENT, "model": "m", "status_code": 200, "outcome": "finished", **PLAIN}
    return RequestLog.objects.create(**{**defaults, **fields})


def attempt(row, number, name, **fields):
    defaults = {"log": row, "number": number, "timestamp": MOMENT, "upstream_name": name, "outcome": "finished", "latency_ms": 100}
    return RequestAttempt.objects.create(**{**defaults, **fields})


def plain(rows):
    return [[" ".join(strip_tags(str(cell)).split()) for cell in row] for row in rows]


CHOSEN = {"upstream": "first", "key": "main", "model": "m-1", "chosen": "strategy latency"}


def test_the_page_shows_all_attempts_all_skips_and_the_reason_of_the_first_choice():
    row = request(attempts=2, upstream_name="second", routing=[CHOSEN, *SKIPS])
    attempt(row, 1, "first", credential_name="main", remote_model="m-1", outcome="failed", status_code=503, error_type="overloaded")
    attempt(row, 2, "second", remote_model="m-2", status_code=200, ttft_ms=40, input_tokens=10, output_tokens=5, cost=Decimal("0.25"))
    detail = build_request_detail(row)
    assert detail["sentence"] == "second answered at attempt 2, after first. 2 targets were skipped."
    assert plain(detail["attempts"]["rows"]) == [
        ["1", "first", "main", "m-1", "failed 503", "overloaded", "100 ms", "-", "0 → 0", "-"],
        ["2", "second", "-", "m-2", "finished 200", "-", "100 ms", "40 ms", "10 → 5", "$0.25"],
    ]
    assert ("First choice", "first (main): strategy latency") in dict(detail["facts"])["Upstream"]
    assert plain(detail["skipped"]["rows"]) == [
        ["first", "main", "m-1", "cooling for 3.0 s", "called later"],
        ["third", "-", "m", "takes no images", "not called"],
    ]


def test_what_the_translation_left_out_is_listed():
    metadata = {"dropped": ["messages[].content[].cache_control", "top_k"], "dropped_details": ["tool web_search"], "audio_seconds": 3}
    facts = dict(build_request_detail(request(request_metadata=metadata))["facts"])
    assert facts["Left out by the translation"] == [
        ("Fields of the request", "messages[].content[].cache_control, top_k"),
        ("Types and numbers", "tool web_search"),
    ]
    assert dict(facts["Request"])["Metadata"] == {"audio_seconds": 3}


def test_a_request_of_which_everything_was_sent_has_no_such_list():
    assert "Left out by the translation" not in dict(build_request_detail(request())["facts"])


def test_a_single_attempt_without_a_row_is_shown_from_the_log_row():
    detail = build_request_detail(request(attempts=1, upstream_name="u", upstream_status=200, remote_model="m-1", output_tokens=3))
    assert detail["sentence"] == "u answered at the first attempt."
    assert plain(detail["attempts"]["rows"]) == [["1", "u", "-", "m-1", "finished 200", "-", "1,234 ms", "-", "0 → 3", "unknown"]]
    assert detail["skipped"] is None


def test_a_rejected_request_called_no_upstream_and_has_no_cost():
    detail = build_request_detail(request(outcome="rejected", status_code=404, error_type="not_found", error_message="no such model"))
    assert (detail["sentence"], detail["attempts"], detail["tokens"]) == ("No upstream was called.", None, None)
    assert [(figure.title, figure.value) for figure in detail["figures"]] == [
        ("Latency", "1,234 ms"), ("First token", "-"), ("pxbin overhead", "-"), ("Tokens", "0 → 0"), ("Cost", "-"),
    ]  # fmt: skip


def test_a_model_without_a_route_is_mentioned():
    model = Model.objects.create(name="m")
    refused = {"outcome": "rejected", "status_code": 404, "error_type": "model_not_found"}
    assert build_request_detail(request(**refused))["sentence"] == "No upstream was called. The model has no route."
    Route.objects.create(model=model, upstream=Upstream.objects.create(name="u", base_url="http://x"))
    assert build_request_detail(request(**refused, request_id="2"))["sentence"] == "No upstream was called."


@pytest.mark.parametrize(("cost", "expected"), [(None, "unknown"), (Decimal(0), "$0.00"), (Decimal("0.000125"), "$0.000125")])
def test_an_unknown_cost_is_not_shown_as_zero(cost, expected):
    assert {figure.title: figure.value for figure in figures(request(attempts=1, cost=cost))}["Cost"] == expected


def test_tokens_are_listed_by_class_with_their_prices():
    price = Price.objects.create(name="m", input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"))
    row = request(
        attempts=1, price_id=price.pk, input_tokens=1, cache_read_tokens=2, cache_write_5m_tokens=3, cache_write_1h_tokens=4,
        output_tokens=5000, reasoning_tokens=6,
    )  # fmt: skip
    assert build_request_detail(row)["tokens"]["rows"] == [
        ["Input, not cached", "1", "$3.00"],
        ["Read from a cache", "2", "$0.30"],
        ["Written to a cache for 5 minutes", "3", "as input"],
        ["Written to a cache for 1 hour", "4", "as input"],
        ["Output, including reasoning", "5,000", "$15.00"],
        ["of which reasoning", "6", ""],
    ]


def test_rarer_classes_and_what_was_served_are_listed_where_there_are_any():
    price = Price.objects.create(name="m", input=1, output=2, input_audio=30)
    row = request(
        attempts=1,
        price_id=price.pk,
        input_tokens=9,
        input_audio_tokens=4,
        input_image_tokens=5,
        server_tool_use={"web_search_requests": 1200},
        speed="fast",
        inference_geo="us",
        reported_cost=Decimal("0.5"),
    )
    detail = build_request_detail(row)
    assert detail["tokens"]["rows"][6:] == [["of the input: audio", "4", "$30.00"], ["of the input: images", "5", "as input"]]
    facts = dict(detail["facts"])
    assert {("Speed", "fast"), ("Inference geography", "us"), ("Server tools", "web_search_requests: 1,200")} <= set(facts["Request"])
    assert ("Reported cost", "$0.50") in facts["Upstream"]
    assert figures(row)[-1] == ("Cost", "unknown", "the price lacks a rate for what was used")


def test_a_cost_that_the_upstream_reported_is_marked():
    row = request(attempts=1, cost=Decimal("0.5"), cost_source="reported_cost")
    assert figures(row)[-1] == ("Cost", "$0.50", "USD, as the upstream reported: this model has no price")


def test_existing_objects_are_linked(django_assert_num_queries):
    key, model = ApiKey.objects.create(name="laptop", key_hash="0" * 64), Model.objects.create(name="m")
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    row = request(attempts=1, upstream_id=upstream.pk, upstream_name="u", api_key_id=key.pk, key_name="laptop", key_prefix="pxb_1234")
    with django_assert_num_queries(5):
        facts = {name: value for _, group in build_request_detail(row)["facts"] for name, value in group}
    for name, path in (
        ("Model", f"upstreams/model/{model.pk}"),
        ("API key", f"accounts/apikey/{key.pk}"),
        ("Answered by", f"upstreams/upstream/{upstream.pk}"),
    ):
        assert f'href="/admin/{path}/change/"' in facts[name]
    assert facts["Began"] == "2026-03-02 13:14:15.678"


def test_deleted_objects_are_shown_without_a_link():
    row = request(attempts=1, upstream_id=uuid.uuid4(), upstream_name="gone", api_key_id=uuid.uuid4(), key_name="lost")
    facts = {name: value for _, group in build_request_detail(row)["facts"] for name, value in group}
    assert (facts["Answered by"], facts["API key"], facts["Model"]) == ("gone", "lost", "m")


def test_names_from_clients_are_escaped(admin_client):
    row = request(
        model="<script>x</script>", error_type="e", error_message="<b>no</b>", attempts=1, upstream_name="<i>u</i>", routing=SKIPS
    )
    page = admin_client.get(f"/admin/billing/requestlog/{row.pk}/change/").content.decode()
    assert [text for text in ("<script>x", "<b>no", "<i>u") if text in page] == []
    assert "&lt;b&gt;no" in page
