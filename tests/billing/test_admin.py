"""Prices and the log in the admin."""

import html
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.admin.formatting import dollars, rounded_dollars
from billing.models import Price, RedactionRule, RequestLog
from billing.pricing import price_book
from billing.rates import CLASSES
from billing.request_log import writer
from billing.request_log.entry import AttemptEntry, PayloadEntry
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import FULL, write_entries
from upstreams.models import Model, Upstream

ENTRY_FIELDS = {**FULL, "routing": [{"upstream": "third", "key": "main", "model": "m", "skipped": "cooling for 3.0 s"}]}


@pytest.fixture
def admin(database) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x"))
    return client


def logged(spool, number: int) -> None:
    tries = [AttemptEntry(timestamp=1, upstream_name="first"), AttemptEntry(timestamp=2, upstream_name="second")]
    write_entries(
        spool,
        *(
            entry(**ENTRY_FIELDS, cost=1_234_567_000_000, tries=tries, payload=PayloadEntry(client_body='{"a": "<b>"}'))
            for _ in range(number)
        ),
    )
    writer.drain_spool(spool)


def queries_of(client: Client, path: str, database) -> int:
    with CaptureQueriesContext(database) as queries:
        assert client.get(path).status_code == 200
    return len(queries)


@pytest.mark.parametrize("table", ["requestlog", "price", "requestpayload"])
def test_a_list_takes_as_many_queries_for_three_rows_as_for_one(admin, database, spool, table):
    counts = []
    for number in (1, 2):
        logged(spool, number)
        for row_number in range(number):
            model = Model.objects.create(name=f"m{number}{row_number}")
            upstream = Upstream.objects.create(name=f"u{number}{row_number}")
            Price.objects.create(model=model, upstream=upstream, input=1)
        queries_of(admin, f"/admin/billing/{table}/", database)  # the session and content types are known from here on
        counts.append(queries_of(admin, f"/admin/billing/{table}/", database))
    assert counts[0] == counts[1]


def test_the_log_is_found_by_request_id_and_filtered_by_outcome(admin, spool):
    logged(spool, 1)
    write_entries(spool, entry(request_id="other", model="another-model"))
    writer.drain_spool(spool)
    page = admin.get("/admin/billing/requestlog/", {"q": "other"}).content.decode()
    assert ("another-model" in page, FULL["model"] in page) == (True, False)
    page = admin.get("/admin/billing/requestlog/", {"outcome__exact": "failed"}).content.decode()
    assert ("another-model" in page, FULL["model"] in page) == (False, True)


def test_a_row_is_shown_whole_and_cannot_be_changed(admin, spool):
    logged(spool, 1)
    row = RequestLog.objects.get()
    page = admin.get(f"/admin/billing/requestlog/{row.pk}/change/").content.decode()
    for text in ("$1.234567", "first", "second", "1,234", "genai-prices 1", "cooling", FULL["key_name"], "0.46 ms"):
        assert text in page, text
    assert admin.post(f"/admin/billing/requestlog/{row.pk}/change/", {"model": "x"}).status_code == 403
    assert admin.get("/admin/billing/requestlog/add/").status_code == 403
    assert admin.post(f"/admin/billing/requestlog/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_bodies_are_shown_escaped(admin, spool):
    logged(spool, 1)
    page = admin.get(f"/admin/billing/requestpayload/{RequestLog.objects.get().pk}/change/", follow=True).content.decode()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_a_price_entered_by_hand_is_manual(admin, database):
    model = Model.objects.create(name="m")
    fields = {"model": str(model.pk), "input": "0.25", "output": "1.5", "tiers": "{}", "is_active": "on"}
    answer = admin.post("/admin/billing/price/add/", fields)
    assert answer.status_code == 302, answer.content.decode()
    row = Price.objects.get()
    assert (row.input, row.output, row.cache_read, row.source) == (Decimal("0.25"), Decimal("1.5"), None, "manual")


def test_a_price_from_data_that_is_changed_by_hand_becomes_manual(admin, database):
    row = Price.objects.create(name="m", input=1, output=2, source="genai-prices", version="genai-prices 1")
    admin.post(f"/admin/billing/price/{row.pk}/change/", {"name": "m", "input": "1", "output": "2", "tiers": "{}"})
    row.refresh_from_db()
    assert (row.is_active, row.source) == (False, "genai-prices")
    admin.post(f"/admin/billing/price/{row.pk}/change/", {"name": "m", "input": "3", "output": "2", "tiers": "{}", "is_active": "on"})
    row.refresh_from_db()
    assert (row.input, row.source, row.version) == (3, "manual", "")


def test_invalid_prices_are_refused_with_messages(admin, database):
    page = admin.post("/admin/billing/price/add/", {"input": "-1", "tiers": '{"prompt": 1}', "is_active": "on"}).content.decode()
    assert "Choose a model or enter a name." in page or "greater than or equal to 0" in page
    assert "is a list of objects" in page
    assert Price.objects.count() == 0


def test_a_price_without_rates_is_refused(admin, database):
    answer = admin.post("/admin/billing/price/add/", {"name": "m", "tiers": "{}", "is_active": "on"})
    assert answer.context["adminform"].form.non_field_errors() == ["Enter at least one price. 0 means free."]
    assert Price.objects.count() == 0


def test_amounts_have_inputs_like_other_numbers(admin, database):
    form = admin.get("/admin/billing/price/add/").context["adminform"].form
    assert {name: (form[name].field.widget.attrs["step"], "border" in str(form[name])) for name in CLASSES} == dict.fromkeys(
        CLASSES, ("any", True)
    )


def test_of_two_prices_for_the_same_model_the_other_one_is_marked_as_overruled(admin, database):
    for source in ("manual", "genai-prices"):
        Price.objects.create(name="m", input=1, source=source)
    price_book.refresh()
    page = admin.get("/admin/billing/price/").content.decode()
    assert (page.count("in force"), page.count("overruled")) == (1, 1)


def test_prices_before_and_after_their_time_are_marked(admin, database):
    now = timezone.now()
    Price.objects.create(name="m", input=1, valid_from=now - timedelta(days=2), valid_until=now - timedelta(days=1))
    Price.objects.create(name="m", input=2, valid_from=now + timedelta(days=1))
    price_book.refresh()
    page = admin.get("/admin/billing/price/").content.decode()
    assert [page.count(state) for state in ("replaced", "announced", "in force")] == [1, 1, 0]


def test_the_time_of_a_price_must_not_end_before_it_begins(admin, database):
    fields = {"name": "m", "input": "1", "tiers": "{}", "is_active": "on"}
    fields |= {"valid_from_0": "2026-02-01", "valid_from_1": "00:00:00", "valid_until_0": "2026-01-01", "valid_until_1": "00:00:00"}
    answer = admin.post("/admin/billing/price/add/", fields)
    assert answer.context["adminform"].form.errors == {"valid_until": ["Must be later than the beginning."]}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal(0), "$0.00"),
        (Decimal("0.0194727"), "$0.01947"),
        (Decimal("0.5"), "$0.50"),
        (Decimal("12.345678"), "$12.35"),
        (Decimal("123456.789"), "$123,457"),
    ],
)
def test_rounded_amounts_are_short(amount, text):
    assert rounded_dollars(amount) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.00"),
        (Decimal("1234.5"), "$1,234.50"),
        (Decimal("0.000125"), "$0.000125"),
        (Decimal("0.0000001"), "$0.0000001"),
    ],
)
def test_amounts_have_at_least_two_decimal_places(amount, text):
    assert dollars(amount) == text


def test_the_page_of_a_request_shows_its_bodies(admin, spool):
    logged(spool, 1)
    row = RequestLog.objects.get()
    page = admin.get(f"/admin/billing/requestlog/{row.pk}/change/").content.decode()
    titles = ("What the client sent", "What the upstream got", "What the upstream answered", "What the client got")
    assert [title in page for title in titles] == [True] * 4
    assert "curl -X POST http://testserver/v1/messages" in html.unescape(page)
    download = admin.get(f"/admin/billing/requestpayload/{row.pk}/client_body.txt")
    assert (download.content, download["Content-Disposition"]) == (b'{"a": "<b>"}', f'attachment; filename="{row.pk}-client_body.txt"')
    assert admin.get(f"/admin/billing/requestpayload/{row.pk}/truncated.txt").status_code == 404


def test_a_redaction_rule_is_checked(admin, database):
    form = {"name": "mail", "pattern": "(a+)+$", "replacement": "***", "is_active": "on"}
    assert "takes too long" in admin.post("/admin/billing/redactionrule/add/", form).content.decode()
    assert admin.post("/admin/billing/redactionrule/add/", {**form, "pattern": "[a-z]+@[a-z.]+"}).status_code == 302
    assert [rule.pattern for rule in RedactionRule.objects.all()] == ["[a-z]+@[a-z.]+"]
