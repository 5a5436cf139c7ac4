"""The items of ``/api/v1/logs``: their schemas and the functions that make them of rows, derived from the columns of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from django.db.models import Model
from ninja import Field, Schema
from pydantic import WithJsonSchema, create_model

from accounts.common.api_envelope import timestamp
from accounts.common.api_schema import DecimalText, Id, Moment
from billing.columns import Column, Kind
from billing.log_columns import ATTEMPT_COLUMNS, LOG_COLUMNS
from billing.models import RequestAttempt, RequestLog
from billing.outcomes import Outcome
from proxy.translation.dialects.registry import REGISTRY

OutcomeName = Annotated[str, WithJsonSchema({"type": "string", "enum": [outcome.value for outcome in Outcome]})]
INPUT_FORMATS = sorted({dialect.input_format for dialect in REGISTRY.values()})
InputFormat = Annotated[str, WithJsonSchema({"type": "string", "enum": INPUT_FORMATS})]

UsageSource = Annotated[str, WithJsonSchema({"type": "string", "enum": ["reported", "estimated"]})]


class ItemField(NamedTuple):
    """A field of an item: its name and type, the row's attribute, and how its value is shown (`None`: as it is)."""

    name: str
    type: Any
    attribute: str
    convert: Callable[[Any], Any] | None = None
    description: str = ""


def _optional_decimal(amount: Any) -> str | None:
    return None if amount is None else f"{amount:f}"


def _float_or_zero(amount: Any) -> float:
    return float(amount or 0)


def _optional_text(identifier: Any) -> str | None:
    return None if identifier is None else str(identifier)


TYPES: Mapping[Kind, tuple[Any, Callable[[Any], Any] | None]] = {
    Kind.TEXT: (str, None),
    Kind.INTEGER: (int, None),
    Kind.BOOLEAN: (bool, None),
    Kind.JSON: (Any, None),
    Kind.UUID: (Id, _optional_text),
    Kind.TIMESTAMP: (Moment, timestamp),
    Kind.MONEY: (DecimalText, _optional_decimal),
}
"""The type of an item's field and the converter of its value, by the kind of its column."""
SPECIAL: Mapping[str, Callable[[Column], ItemField]] = {
    "outcome": lambda column: ItemField("outcome", OutcomeName, column.name),
    "input_format": lambda column: ItemField("input_format", InputFormat, column.name, None, column.description),
    "cost": lambda column: ItemField("cost", float, column.name, _float_or_zero, "USD; 0 if the price is unknown."),
    "cost_usd": lambda column: ItemField(
        "cost_usd", DecimalText | None, column.name, _optional_decimal, "USD, exact; null if the price is unknown."
    ),
}
"""Fields that the kind of their column does not describe, by name."""
FOLLOWERS: Mapping[str, ItemField] = {
    "timestamp": ItemField("created_at", Moment, "created_at", timestamp, "When the row was written."),
    "usage_estimated": ItemField(
        "usage_source",
        UsageSource | None,
        "usage_source",
        None,
        "`reported` by the upstream or `estimated` by pxbin; null if no upstream was called.",
    ),
    "cache_read_tokens": ItemField("cache_creation_tokens", int, "cache_creation_tokens", None, "Input tokens written to a cache."),
}
"""Fields of a request's item that no column of an entry holds, by the field that they follow."""


def item_fields(columns: Sequence[Column], followers: Mapping[str, ItemField]) -> tuple[ItemField, ...]:
    """The fields of an item that shows these columns."""
    fields: list[ItemField] = []
    for column in columns:
        for name in column.api_names:
            fields.append(SPECIAL[name](column) if name in SPECIAL else _field(name, column))
            if name in followers:
                fields.append(followers[name])
    return tuple(fields)


def _field(name: str, column: Column) -> ItemField:
    kind, convert = TYPES[column.kind]
    return ItemField(name, kind | None if column.nullable and kind is not Any else kind, column.name, convert, column.description)


def item_schema(name: str, fields: Sequence[ItemField], doc: str) -> type[Schema]:
    """The schema of an item with these fields, all of which are always present."""
    definitions: dict[str, Any] = {field.name: (field.type, Field(..., description=field.description or None)) for field in fields}
    return create_model(name, __base__=Schema, __doc__=doc, __module__=__name__, **definitions)


def item(row: Model, fields: Sequence[ItemField]) -> dict[str, Any]:
    """A row as the API shows it."""
    return {
        name: getattr(row, attribute) if convert is None else convert(getattr(row, attribute)) for name, _, attribute, convert, _ in fields
    }


LOG_FIELDS = item_fields(LOG_COLUMNS, FOLLOWERS)
ATTEMPT_FIELDS = (ItemField("number", int, "number", None, "From 1."), *item_fields(ATTEMPT_COLUMNS, {}))


def log_item(row: RequestLog) -> dict[str, Any]:
    """A request, without its attempts."""
    return item(row, LOG_FIELDS)


def attempt_item(row: RequestAttempt) -> dict[str, Any]:
    """One attempt of a request."""
    return item(row, ATTEMPT_FIELDS)
