"""``/api/v1/logs/export``."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.test import AsyncClient

from accounts import keys
from billing.api import log_export
from billing.models import RequestLog
from tests.billing.conftest import entry

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def rows():
    columns = ("request_id", "method", "path", "dialect", "input_format", "latency_ms", "overhead_us")
    values = {name: getattr(entry(), name) for name in columns} | {"status_code": 200, "outcome": "finished"}
    names = ["=HYPERLINK(1)", 'm, "1"\n', "m2", "m3", "m4"]
    return [
        RequestLog.objects.create(id=entry().id, timestamp=NOON + timedelta(seconds=second // 2), model=name, **values)
        for second, name in enumerate(names)
    ]


@pytest.fixture
def token():
    return keys.issue("management", name="tests")[0]


async def export(token, query=""):
    response = await AsyncClient().get(f"/api/v1/logs/export{query}", headers={"x-api-key": token})
    content = b"".join([piece async for piece in response]) if response.streaming else response.content
    return response, content.decode()


async def test_csv_has_every_request_once_with_exact_amounts_and_no_formulas(rows, token, monkeypatch):
    monkeypatch.setattr(log_export, "ROWS_PER_READ", 2)
    response, text = await export(token)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="requests.csv"'
    lines = list(csv.DictReader(io.StringIO(text)))
    newest_first = sorted(rows, key=lambda row: (row.timestamp, row.pk), reverse=True)
    assert [line["id"] for line in lines] == [str(row.pk) for row in newest_first]
    assert {line["model"] for line in lines} == {"'=HYPERLINK(1)", 'm, "1"\n', "m2", "m3", "m4"}
    assert "cost_usd" in lines[0]
    assert "cost" not in lines[0]


async def test_lines_are_the_items_of_the_log(rows, token):
    response, text = await export(token, "?format=jsonl&model=m3")
    listed = (await AsyncClient().get("/api/v1/logs?model=m3", headers={"x-api-key": token})).json()["data"]
    assert [json.loads(line) for line in text.splitlines()] == listed
    assert response.headers["content-type"] == "application/jsonl; charset=utf-8"


async def test_an_empty_file_has_its_header(token):
    assert (await export(token))[1] == ",".join(log_export.COLUMNS) + "\n"
    assert (await export(token, "?format=jsonl"))[1] == ""


@pytest.mark.parametrize(
    ("query", "message"), [("?format=xml", "Invalid format, must be one of csv, jsonl"), ("?key_id=x", "Invalid key_id format")]
)
async def test_an_invalid_parameter_is_refused_before_anything_is_sent(token, query, message):
    response, text = await export(token, query)
    assert (response.status_code, json.loads(text)) == (400, {"error": {"type": "invalid_request", "message": message}})


async def test_a_key_is_needed(rows):
    assert (await export("pxm_none"))[0].status_code == 401
