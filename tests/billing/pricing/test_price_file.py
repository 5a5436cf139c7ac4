"""The price file that the settings name."""

import json
import os
from decimal import Decimal

import msgspec
import pytest

from billing import tasks
from billing.models import Price
from billing.pricing import price_file, sync
from billing.pricing.fetch import FetchFailed
from billing.pricing.sources import Place
from upstreams.models import Model

NOWHERE = Place()


def content(rate: float) -> bytes:
    return json.dumps({"m": {"input_cost_per_token": rate, "output_cost_per_token": 1e-06}}).encode()


@pytest.fixture
def set_url(settings, tmp_path):
    def set_to(url: str) -> None:
        settings.PXBIN = msgspec.structs.replace(settings.PXBIN, price_url=url, data_dir=tmp_path)

    return set_to


def rate(name="m"):
    price = price_file.look_up_price_file(name, NOWHERE)
    return price and price.rates["input"]


def test_without_a_file_there_is_no_price(set_url):
    set_url("")
    price_file.refresh()
    assert rate() is None


def test_a_path_is_read_again_when_the_file_has_changed(set_url, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(content(1e-06))
    set_url(str(path))
    price_file.refresh()
    assert [rate(), rate("other")] == [1, None]
    path.write_bytes(content(2e-06))
    os.utime(path, (1, 1))
    assert rate() == 2


def test_a_file_that_cannot_be_read_is_logged_and_has_no_prices(set_url, tmp_path, caplog):
    path = tmp_path / "mine.json"
    set_url(str(path))
    assert rate() is None
    path.write_text("<html>")
    assert rate() is None
    assert [record.message.partition("mine.json")[2] for record in caplog.records] == [
        " cannot be read",
        " cannot be read: not a price file: JSON is malformed: invalid character (byte 0)",
    ]


def test_an_address_is_fetched_and_the_last_good_file_stays(set_url, monkeypatch):
    set_url("https://prices.example/prices.json")
    assert rate() is None
    monkeypatch.setattr(price_file, "fetch_price_file", lambda url: content(3e-06))
    price_file.refresh()
    assert rate() == 3
    monkeypatch.setattr(price_file, "fetch_price_file", lambda url: b"<html>")
    with pytest.raises(FetchFailed, match=r"^Failed to fetch pricing: not a price file"):
        price_file.refresh()
    assert rate() == 3
    set_url("https://prices.example/others.json")
    assert rate() is None


@pytest.mark.usefixtures("database")
def test_its_prices_come_before_the_bundled_ones(set_url, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"gpt-5": {"input_cost_per_token": 7e-06}}))
    set_url(str(path))
    sync.sync_model(Model.objects.create(name="gpt-5"))
    assert [(row.source, row.input, row.version) for row in Price.objects.filter(is_active=True)] == [("litellm", 7, str(path)[:64])]


@pytest.mark.usefixtures("database")
def test_the_task_updates_prices_also_when_the_file_cannot_be_fetched(set_url, monkeypatch, caplog, tmp_path):
    Model.objects.create(name="m")
    set_url("https://prices.example/prices.json")
    monkeypatch.setattr(price_file, "fetch_price_file", lambda url: content(5e-06))
    assert tasks.sync_prices() == {"models_updated": 1, "models_not_found": 0, "total_models": 1}

    def fail(url):
        raise FetchFailed("Failed to fetch pricing: away")

    monkeypatch.setattr(price_file, "fetch_price_file", fail)
    assert tasks.sync_prices()["models_updated"] == 1
    assert caplog.text == ""  # the file is younger than a day
    (fetched,) = tmp_path.glob("prices-*.json")
    os.utime(fetched, (1, 1))
    assert tasks.sync_prices()["models_updated"] == 1
    assert "Failed to fetch pricing: away" in caplog.text
    assert Price.objects.get(is_active=True).input == Decimal(5)
