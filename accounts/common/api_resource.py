"""One resource of ``/api/v1``: a table with the schema of its bodies and the schema of its responses.

A field is declared once, in the schema of the body: name, type, limits, documentation, and with ``Clearable`` that ``null``
clears it. If the table has a column of that name, :func:`shows` puts it into the response's schema and :class:`Resource`
writes and shows it. The rest of a resource's file is what differs from that.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from django.db import models, transaction
from ninja import Schema
from pydantic import WithJsonSchema, create_model
from pydantic.fields import FieldInfo

from accounts.common.api_envelope import ApiError, data_envelope, parse_moment, parse_uuid, require, timestamp
from accounts.common.api_schema import (
    DEFAULT_PAGE_SIZE,
    LARGEST_PAGE_SIZE,
    ClearedByNull,
    CreatedResponse,
    Id,
    Moment,
    Paging,
    RequestBody,
    created_response,
)
from accounts.common.api_validation import save_validated

RowT = TypeVar("RowT", bound=models.Model)
BodyT = TypeVar("BodyT", bound=RequestBody)
Item = TypeVar("Item")
SchemaT = TypeVar("SchemaT", bound=Schema)


class Resource(Generic[RowT, BodyT]):
    """The operations on one table. A subclass names the table and overrides the steps that differ."""

    table: type[RowT]
    schema: type[Schema]
    """What a response shows of a row."""
    title: ClassVar[str]
    """The name of a row in messages: ``Route`` for "Route not found"."""
    order: ClassVar[tuple[str, ...]] = ()

    # --- what a subclass may override -------------------------------------------------------------------------------------

    def column_values(self, body: BodyT) -> dict[str, Any]:
        """The columns to write, from the fields that the body gives. Raises :class:`ApiError`."""
        columns, fields = columns_of(self.table), type(body).model_fields
        return {
            name: _column_value(columns[name], value)
            for name, value in body.model_dump(exclude_unset=True).items()
            if name in columns and (value is not None or _is_clearable(fields[name]))
        }

    def before_save(self, row: RowT, body: BodyT) -> None:
        """Complete a row after its columns were set, before it is validated and saved."""

    def after_save(self, row: RowT, body: BodyT) -> None:
        """Write rows of other tables that the body also changes; in the same transaction."""

    def computed_values(self, row: RowT) -> dict[str, Any]:  # noqa: ARG002  (for subclasses)
        """The fields of :attr:`schema` that are not simply a column."""
        return {}

    # --- the operations ---------------------------------------------------------------------------------------------------

    def rows(self) -> models.QuerySet[RowT, RowT]:
        """All rows, in the order of a list."""
        return _manager(self.table).order_by(*self.order)

    def find(self, row_id: str) -> RowT:
        """The row of an id. Raises :class:`ApiError`."""
        return find_row(self.table, row_id, title=self.title)

    def show(self, row: RowT, computed: dict[str, Any] | None = None) -> dict[str, Any]:
        """A row as a response shows it. ``computed``: its :meth:`computed_values`, where they were read for many rows at once."""
        computed = self.computed_values(row) if computed is None else computed
        return {name: computed[name] if name in computed else json_value(getattr(row, name)) for name in self.schema.model_fields}

    def page(self, filters: Paging) -> dict[str, Any]:
        """The response of a list. Fields of ``filters`` beyond those of :class:`Paging` are columns with ids; empty means any."""
        rows = self.rows()
        for name, value in filters:
            if name not in Paging.model_fields and value:
                rows = rows.filter(**{name: parse_uuid(value)})
        return page_envelope(rows, filters, show=self.show)

    def get(self, row_id: str) -> dict[str, Any]:
        """The response with one row."""
        return data_envelope(self.show(self.find(row_id)))

    def create(self, body: BodyT, row: RowT | None = None) -> CreatedResponse:
        """Save ``row``, by default an empty one, with the values of ``body``; the response shows it."""
        row = self.table() if row is None else row
        self.write(row, body)
        return created_response(data_envelope(self.show(row)))

    def update(self, row_id: str, body: BodyT) -> dict[str, Any]:
        """Change the fields that ``body`` gives."""
        self.write(self.find(row_id), body)
        return data_envelope({"status": "updated"})

    def write(self, row: RowT, body: BodyT) -> None:
        """Set, validate and save a row, all or nothing. Raises :class:`ApiError`."""
        with transaction.atomic():
            for name, value in self.column_values(body).items():
                setattr(row, name, value)
            self.before_save(row, body)
            save_validated(row)
            self.after_save(row, body)

    def delete(self, row_id: str) -> dict[str, Any]:
        """Delete one row."""
        self.find(row_id).delete()
        return data_envelope({"status": "deleted"})

    def delete_many(self, row_ids: list[str]) -> dict[str, Any]:
        """Delete the rows of ``row_ids``, and count them. Raises :class:`ApiError` for an empty list and for a malformed id."""
        require(row_ids, "At least one ID is required")
        rows = self.rows().filter(pk__in=[parse_uuid(row_id, f"Invalid ID: {row_id}") for row_id in row_ids])
        count = rows.count()
        rows.delete()
        return data_envelope({"deleted": count})


# --- schemas of responses ------------------------------------------------------------------------------------------------


def shows(fields: type[RequestBody], table: type[models.Model]) -> Callable[[type[SchemaT]], type[SchemaT]]:
    """Class decorator for the schema of a response: adds ``id``, the times of a row, and each column that ``fields`` can set.

    These have the type of the body's field, without its limits; they can be null where the column can.
    """
    columns = columns_of(table)

    def extend(schema: type[SchemaT]) -> type[SchemaT]:
        settable = {
            name: (_shown_type(field, nullable=columns[name].null), ...) for name, field in fields.model_fields.items() if name in columns
        }
        own = {name: (field.annotation, field) for name, field in schema.model_fields.items()}
        definitions: dict[str, Any] = {"id": (Id, ...), **settable, **own, "created_at": (Moment, ...), "updated_at": (Moment, ...)}
        extended: Any = create_model(schema.__name__, __base__=Schema, __doc__=schema.__doc__, __module__=schema.__module__, **definitions)
        return extended  # type: ignore[no-any-return]

    return extend


def _shown_type(field: FieldInfo, *, nullable: bool) -> Any:
    (kind,) = [part for part in get_args(field.annotation) if part is not NoneType]  # each field of a body is optional
    if get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        for documentation in metadata:
            if isinstance(documentation, WithJsonSchema):
                kind = Annotated[kind, documentation]
    return kind | None if nullable else kind


# --- rows ----------------------------------------------------------------------------------------------------------------


def columns_of(table: type[models.Model]) -> dict[str, models.Field[Any, Any]]:
    """The columns of a table by name; that of a foreign key ends in ``_id``."""
    return {column.attname: column for column in table._meta.concrete_fields}  # noqa: SLF001  (documented)


def find_row(table: type[RowT], row_id: str, *, title: str = "") -> RowT:
    """The row of an id. Raises :class:`ApiError`: ``invalid_request`` for a malformed id, ``not_found``."""
    row: RowT | None = _manager(table).filter(pk=parse_uuid(row_id)).first()
    if row is None:
        raise ApiError("not_found", f"{title or table.__name__} not found")
    return row


def page_envelope(rows: models.QuerySet[RowT, RowT], paging: Paging, *, show: Callable[[RowT], dict[str, Any]]) -> dict[str, Any]:
    """One page of ``rows``. ``total`` counts all of them, also when the page is beyond the end."""
    return _page(rows, paging, show=show, count=rows.count)


def page_of(rows: Sequence[Item], paging: Paging, *, show: Callable[[Item], dict[str, Any]]) -> dict[str, Any]:
    """The same of rows that are in memory."""
    return _page(rows, paging, show=show, count=lambda: len(rows))


def _page(rows: Any, paging: Paging, *, show: Callable[[Any], dict[str, Any]], count: Callable[[], int]) -> dict[str, Any]:
    page, size = page_and_size(paging)
    items = [show(row) for row in rows[(page - 1) * size : page * size]]
    return {"data": items, "meta": {"total": count(), "page": page, "per_page": size}}


def page_and_size(paging: Paging, *, largest: int = LARGEST_PAGE_SIZE) -> tuple[int, int]:
    """The number of the page, from 1, and how many rows it has at most."""
    return _positive(paging.page, 1), min(_positive(paging.per_page, DEFAULT_PAGE_SIZE), largest)


def _manager(table: type[RowT]) -> models.Manager[RowT]:
    return table._default_manager  # noqa: SLF001  (documented)


def _is_clearable(field: FieldInfo) -> bool:
    return any(isinstance(metadata, ClearedByNull) for metadata in field.metadata)


def _column_value(column: models.Field[Any, Any], value: Any) -> Any:
    if value is None:
        return column.get_default()
    if isinstance(column, models.ForeignKey):
        return find_row(column.related_model, value).pk
    if isinstance(column, models.DateTimeField):
        return parse_moment(value, column.name)
    return value


def json_value(value: Any) -> Any:
    """A column's value as a response shows it."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value) if isinstance(value, uuid.UUID) else value


def _positive(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return int(text) or default
