"""``/api/v1/prices``."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.common.uuid7 import new_id
from billing.models import Price
from billing.pricing import price_book
from billing.pricing.price_book import PriceKey
from upstreams.models import Model, Upstream


@pytest.fixture
def call(database):
    """Calls the API with a management key; returns the status and the body."""
    token, _ = keys.issue("management", name="tests", permissions=["read", "write"])

    def send(method: str, path: str = "", body=None, **query):
        options = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        url = f"/api/v1/prices{path}" + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
        answer = Client().generic(method, url, headers={"x-api-key": token}, **options)
        return answer.status_code, answer.json()

    return send


@pytest.fixture
def here(database):
    return Upstream.objects.create(name="here", base_url="http://127.0.0.1:9/v1")


NO_RATES = dict.fromkeys(
    (
        "input", "output", "cache_read", "cache_write_5m", "cache_write_1h",
        "input_audio", "output_audio", "input_image", "output_image", "web_search",
    )
)  # fmt: skip


def find(name, where="", model=""):
    prices = price_book.load().find(PriceKey(str(model), str(where), name))
    return prices and prices.rates.input


def test_a_price_is_created_shown_and_listed(call, here):
    body = {
        "upstream_id": str(here.pk),
        "remote_name": "gpt-x",
        "input": "0.25",
        "output": "10",
        "cache_read": "0.025",
        "web_search": "10.00",
        "tiers": {"service": {"flex": {"input": "0.1"}}},
        "valid_from": "2026-01-01T00:00:00Z",
    }
    status, created = call("POST", body=body)
    item = created["data"]
    row = Price.objects.get()
    times = {name: item.pop(name) for name in ("created_at", "updated_at")}
    assert (status, item) == (
        201,
        {
            **NO_RATES,
            **body,
            "id": str(row.pk),
            "model_id": None,
            "source": "manual",
            "version": "",
            "valid_until": None,
            "web_search": "10",
        },
    )
    assert all(time.endswith("Z") for time in times.values())
    assert (row.input, row.cache_read) == (Decimal("0.25"), Decimal("0.025"))
    assert call("GET", f"/{row.pk}") == (200, {"data": {**item, **times}})
    assert call("GET") == (200, {"data": [{**item, **times}], "meta": {"total": 1, "page": 1, "per_page": 50}})
    assert find("gpt-x", here.pk) == Decimal("0.25")


def test_a_price_of_zero_is_free_and_of_any_upstream(call, here):
    assert call("POST", body={"remote_name": "local", "input": "0", "output": "0"})[0] == 201
    assert price_book.load().find(PriceKey("", str(here.pk), "local")).is_free


def test_all_models_of_an_upstream_may_have_one_price(call, here):
    assert call("POST", body={"upstream_id": str(here.pk), "remote_name": "*", "input": "0", "output": "0"})[0] == 201
    assert find("anything", here.pk) == 0
    assert call("POST", body={"remote_name": "*", "input": "0"}) == (
        400,
        {"error": {"type": "invalid_request", "message": "upstream_id is required for the remote_name *"}},
    )


def test_a_price_may_be_of_a_model(call):
    model = Model.objects.create(name="mine")
    status, created = call("POST", body={"model_id": str(model.pk), "input": "3", "output": "4"})
    assert (status, created["data"]["remote_name"], created["data"]["model_id"]) == (201, "", str(model.pk))
    assert find("", model=model.pk) == 3


def test_a_later_price_ends_the_one_before(call):
    for rate in ("1", "2"):
        assert call("POST", body={"remote_name": "m", "input": rate})[0] == 201
    assert [item["input"] for item in call("GET")[1]["data"]] == ["2"]
    first, second = Price.objects.order_by("valid_from")
    assert (first.valid_until, second.valid_until) == (second.valid_from, None)
    tomorrow = timezone.now() + timedelta(days=1)
    assert call("POST", body={"remote_name": "m", "input": "3", "valid_from": tomorrow.isoformat()})[0] == 201
    assert [item["input"] for item in call("GET")[1]["data"]] == ["3", "2"]
    assert find("m") == 2


def test_a_deleted_price_is_withdrawn(call):
    _, created = call("POST", body={"remote_name": "m", "input": "1"})
    path = f"/{created['data']['id']}"
    assert call("DELETE", path) == (200, {"data": {"status": "deleted"}})
    assert call("GET")[1]["data"] == []
    assert call("GET", path) == call("DELETE", path) == (404, {"error": {"type": "not_found", "message": "Price not found"}})
    row = Price.objects.get()
    assert (row.is_active, row.valid_until, find("m")) == (False, None, None)


def test_listed_prices_are_shown_and_filtered_with_manual_ones(call, here):
    model = Model.objects.create(name="claude-sonnet-4-5")
    call("POST", body={"upstream_id": str(here.pk), "remote_name": "m", "input": "1"})
    assert [(item["source"], item["input"]) for item in call("GET")[1]["data"]] == [("genai-prices", "3"), ("manual", "1")]
    assert [item["source"] for item in call("GET", model_id=model.pk)[1]["data"]] == ["genai-prices"]
    assert [item["source"] for item in call("GET", upstream_id=here.pk)[1]["data"]] == ["manual"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": "1"}, "remote_name is required"),
        ({"remote_name": " ", "input": "1"}, "remote_name is required"),
        ({"remote_name": "m"}, "Enter at least one price. 0 means free."),
        ({"remote_name": "m", "input": 1}, "Invalid JSON body: input: Input should be a valid string"),
        (
            {"remote_name": "m", "input": "-1"},
            'Invalid JSON body: input: must be a decimal number of at least 0, as a string such as "0.25"',
        ),
        (
            {"remote_name": "m", "input": "1e3"},
            'Invalid JSON body: input: must be a decimal number of at least 0, as a string such as "0.25"',
        ),
        ({"remote_name": "m", "input": "1", "tiers": {"geo": 1}}, 'tiers: "geo" maps the name of an inference geography to a factor.'),
        (
            {"remote_name": "m", "input": "1", "valid_from": "soon"},
            "valid_from: write it as in RFC 3339, for example 2030-01-31T12:00:00Z",
        ),
        ({"remote_name": "m", "input": "1", "upstream_id": "x"}, "Invalid ID format"),
    ],
)
def test_a_bad_body_is_refused_with_a_sentence(call, body, message):
    assert call("POST", body=body) == (400, {"error": {"type": "invalid_request", "message": message}})
    assert Price.objects.count() == 0


def test_an_upstream_that_does_not_exist_is_refused(call):
    assert call("POST", body={"remote_name": "m", "input": "1", "upstream_id": new_id()})[0] == 404
