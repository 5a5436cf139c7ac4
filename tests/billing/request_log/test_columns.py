"""The columns of the log follow from the structs of its entries."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.db import models, transaction

from billing.api import log_items
from billing.fields import MoneyField
from billing.models import RequestAttempt, RequestLog
from billing.request_log import bulk_insert, writer
from billing.request_log.columns import Column, Kind, PicoDollars, Timestamp, Uuid, column, columns_of
from billing.request_log.entry import ATTEMPT_COLUMNS, LOG_COLUMNS, AttemptEntry, LogColumns, Meter
from tests.billing.conftest import entry

CLASSES = {
    Kind.TEXT: (models.CharField, models.TextField),
    Kind.INTEGER: models.IntegerField,
    Kind.BOOLEAN: models.BooleanField,
    Kind.JSON: models.JSONField,
    Kind.UUID: models.UUIDField,
    Kind.TIMESTAMP: models.DateTimeField,
    Kind.MONEY: MoneyField,
}


def facts(name: str, kind: Kind, **fields: Any) -> Column:
    usual = {"nullable": False, "description": "", "max_length": None, "from_client": False, "api_names": (name,), "choices": ()}
    return Column(name=name, kind=kind, **{**usual, **fields})


def test_a_column_is_described_by_the_annotation_of_its_field():
    class Example(msgspec.Struct):
        id: Uuid
        owner: Annotated[Uuid | None, column("Whose it is.", api=("owner_id",))]
        at: Annotated[Timestamp, column("When.")]
        state: Annotated[Literal["on", "off"], column(max_length=3)]
        name: Annotated[str, column(max_length=9, from_client=True, api=())]
        size: int | None
        busy: bool
        notes: dict[str, Any] | None
        price: PicoDollars

    assert columns_of(Example) == (
        facts("id", Kind.UUID),
        facts("owner", Kind.UUID, nullable=True, description="Whose it is.", api_names=("owner_id",)),
        facts("at", Kind.TIMESTAMP, description="When."),
        facts("state", Kind.TEXT, max_length=3, choices=("on", "off")),
        facts("name", Kind.TEXT, max_length=9, from_client=True, api_names=()),
        facts("size", Kind.INTEGER, nullable=True),
        facts("busy", Kind.BOOLEAN),
        facts("notes", Kind.JSON, nullable=True),
        facts("price", Kind.MONEY),
    )


@pytest.mark.parametrize(
    ("model", "columns", "others"),
    [(RequestLog, LOG_COLUMNS, {"created_at"}), (RequestAttempt, ATTEMPT_COLUMNS, {"id", "log_id", "number"})],
    ids=["log", "attempt"],
)
def test_the_model_has_the_columns_of_the_struct(model, columns, others):
    fields = {field.attname: field for field in model._meta.concrete_fields}
    assert set(fields) == {column.name for column in columns} | others
    differing = [
        column.name
        for column in columns
        if not isinstance(field := fields[column.name], CLASSES[column.kind])
        or field.null != column.nullable
        or (column.kind is Kind.TEXT and field.max_length != column.max_length)
        or (column.choices and tuple(value for value, _ in field.choices) != column.choices)
    ]
    assert differing == []


def test_texts_from_clients_have_a_length():
    assert [column.name for column in LOG_COLUMNS if column.from_client and not column.max_length] == []


def test_a_meter_has_every_column():
    assert set(LogColumns.__struct_fields__) <= set(Meter.__struct_fields__)


class WiderLogEntry(writer.LogEntry, kw_only=True, omit_defaults=True):
    region: Annotated[str, column("Where the request was answered.", max_length=20)] = ""


class WiderAttempt(AttemptEntry, kw_only=True, omit_defaults=True):
    tags: list[str] | None = None


def test_a_field_and_a_column_are_all_that_a_new_log_column_needs(database, monkeypatch):
    """Two structs with a further field each, two further columns in the tables: the values arrive in the items of the API."""
    log_columns = (*LOG_COLUMNS, *(column for column in columns_of(WiderLogEntry) if column.name == "region"))
    attempt_columns = columns_of(WiderAttempt)
    monkeypatch.setattr(bulk_insert, "LOG_ROWS", bulk_insert.RowWriter(log_columns, prefix=("created_at",)))
    monkeypatch.setattr(bulk_insert, "ATTEMPT_ROWS", bulk_insert.RowWriter(attempt_columns, prefix=("id", "log_id", "number")))
    plain = msgspec.structs.asdict(entry())
    made = WiderLogEntry(**{**plain, "region": "eu", "tries": [WiderAttempt(timestamp=1_000_000, tags=["a", "b"])]})
    with transaction.atomic(), database.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_requestlog ADD COLUMN region varchar(20) NOT NULL DEFAULT ''")
        cursor.execute("ALTER TABLE billing_requestattempt ADD COLUMN tags text")
        try:
            bulk_insert.insert(database, [made], now=bulk_insert.EPOCH)
            (row,) = RequestLog.objects.raw("SELECT * FROM billing_requestlog")
            (attempt,) = RequestAttempt.objects.raw("SELECT * FROM billing_requestattempt")
        finally:
            transaction.set_rollback(True)
    shown = log_items.item(row, log_items.item_fields(log_columns, log_items.FOLLOWERS))
    assert shown == {**log_items.log_item(row), "region": "eu"}
    fields = log_items.item_fields(attempt_columns, {})
    assert log_items.item(attempt, fields)["tags"] == '["a","b"]'  # a text here: the model does not declare the column as JSON
    schema = log_items.item_schema("Wider", log_items.item_fields(log_columns, {}), "").model_json_schema()
    assert schema["properties"]["region"] == {"description": "Where the request was answered.", "title": "Region", "type": "string"}
