"""The tables that a configuration file describes, and their rows in the form that files use.

Columns are taken from the tables: a new column is in files without a word here. A new table is an entry of :data:`SECTIONS`.
"""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal

import msgspec
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.common.api_envelope import timestamp
from accounts.models import ApiKey, Budget, IssuedKey, KeyDefaults, ManagementKey, Owner, Pool
from billing.models import Price, RedactionRule
from proxy.translation.dialects.lookup import FORMATS
from upstreams.models import Model, Route, Upstream, UpstreamCredential

FORMAT_BY_DIALECT = {dialect: name for name, dialect in FORMATS.items()}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table in files.

    ``identity``: the fields by which a row of a file and one of the database are the same. ``parent``: the field with the row that it
    is written below. ``renamed``: names in files of columns that are named otherwise. ``unlisted``: columns that forms do not show but
    files have. ``omitted``: columns that files do not have. ``ending``: what becomes of a row that a file does not list any more.
    """

    name: str
    noun: str
    table: type[models.Model]
    identity: tuple[str, ...]
    parent: str = ""
    renamed: dict[str, str] = {}
    unlisted: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()
    ending: Literal["delete", "revoke", "retire"] = "delete"


def _keys(name: str, noun: str, table: type[models.Model]) -> Section:
    return Section(name=name, noun=noun, table=table, unlisted=("key_hash", "key_prefix"), identity=("key_hash",), ending="revoke")


SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Section(name="upstreams", noun="upstream", table=Upstream, identity=("name",), renamed={"dialect": "format"}),
        Section(
            name="credentials",
            noun="credential",
            table=UpstreamCredential,
            identity=("upstream", "name"),
            parent="upstream",
        ),
        Section(name="models", noun="model", table=Model, identity=("path_prefix", "name")),
        Section(name="routes", noun="route", table=Route, identity=("model", "upstream", "remote_name"), parent="model"),
        Section(
            name="prices",
            noun="price",
            table=Price,
            identity=("model", "remote_name", "upstream"),
            renamed={"name": "remote_name"},
            omitted=("is_active", "valid_until"),
            ending="retire",
        ),
        Section(name="redaction_rules", noun="redaction rule", table=RedactionRule, identity=("name",)),
        Section(name="owners", noun="owner", table=Owner, identity=("name",)),
        Section(name="pools", noun="pool", table=Pool, identity=("name",)),
        _keys("keys", "key", ApiKey),
        Section(name="budgets", noun="budget", table=Budget, identity=("scope", "key", "owner", "pool", "period")),
        Section(name="key_defaults", noun="row", table=KeyDefaults, identity=()),
        _keys("management_keys", "management key", ManagementKey),
    )
}
"""In the order in which they are written: what is referred to comes first."""


@cache
def columns(name: str) -> dict[str, models.Field[Any, Any]]:
    """The columns of a section by their names in files."""
    section = SECTIONS[name]
    fields = section.table._meta.concrete_fields  # noqa: SLF001  (documented)
    return {
        section.renamed.get(field.name, field.name): field
        for field in fields
        if field.name in section.unlisted or (field.editable and not field.primary_key and field.name not in section.omitted)
    }


@cache
def many_columns(name: str) -> dict[str, models.ManyToManyField[Any, Any]]:
    """The fields of a section with several rows of another table, by their names in files."""
    return {field.name: field for field in SECTIONS[name].table._meta.many_to_many}  # noqa: SLF001  (documented)


def reference(row: models.Model) -> str:
    """The name by which files refer to a row."""
    return str(row.key_hash) if isinstance(row, IssuedKey) else label(row)


def label(row: models.Model) -> str:
    """The name by which messages call a row."""
    if isinstance(row, IssuedKey):
        return f"{row.name or 'unnamed'} ({row.key_prefix or row.key_hash[:8]}…)"
    if isinstance(row, UpstreamCredential):
        return f"{row.upstream}: {row.name or 'unnamed'}"
    if isinstance(row, Route):
        return f"{row.model} -> {row.upstream}" + (f": {row.remote_name}" if row.remote_name else "")
    return str(row)


def rows_of(name: str) -> models.QuerySet[Any, Any]:
    """The rows of a section that files may have, in their order."""
    section = SECTIONS[name]
    related = [field.name for field in columns(name).values() if field.is_relation]
    rows = section.table._default_manager.select_related(*related)  # noqa: SLF001  (documented)
    if section.table is Price:
        rows = rows.filter(models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=timezone.now()), is_active=True, source="manual")
        return rows.order_by("name", "model__path_prefix", "model__name", "upstream__name", "-valid_from", "id")
    is_by_time = section.ending == "revoke" or any(field.is_relation for field in columns(name).values())
    return rows.order_by("created_at", "pk") if is_by_time else rows.order_by(*section.identity, "pk")


def file_value(field: models.Field[Any, Any], row: models.Model) -> Any:
    """A column's value as files have it."""
    value = getattr(row, field.name)
    if field.is_relation:
        return None if value is None else reference(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if field.name == "dialect":
        return FORMAT_BY_DIALECT.get(value, value)
    return str(value) if isinstance(value, uuid.UUID) else value


def column_value(field: models.Field[Any, Any], value: Any) -> Any:
    """The value of a column from that of a file, except of relations. Raises ``ValidationError``."""
    if field.name == "dialect" and isinstance(value, str):
        return FORMATS.get(value, value)
    if value is None:
        return None if field.null else default(field)
    if isinstance(field, models.JSONField):
        return value
    if isinstance(field, models.DateTimeField):
        return _moment(field, value)
    if isinstance(field, models.CharField | models.TextField) and isinstance(value, dict | list | bool):
        raise ValidationError("Enter a text.")
    if isinstance(field, models.BooleanField) and not isinstance(value, bool):
        raise ValidationError("Enter true or false.")
    if isinstance(value, bool) and not isinstance(field, models.BooleanField):
        raise ValidationError("Enter a number.")
    return field.to_python(str(value) if isinstance(field, models.DecimalField) else value)


def default(field: models.Field[Any, Any]) -> Any:
    """The value of a column that nobody has set."""
    value = field.get_default()
    return "" if value is None and not field.null and field.empty_strings_allowed else value


def has_own_default(field: models.Field[Any, Any]) -> bool:
    """Whether the default depends on the settings or the time, so that files state the value."""
    return field.has_default() and callable(field.default) and field.default not in (dict, list)


def _moment(field: models.Field[Any, Any], value: Any) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    moment = value if isinstance(value, datetime) else field.to_python(str(value))
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
