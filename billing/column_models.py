"""Model fields and abstract models made of the columns of a struct."""

from __future__ import annotations

import types
import uuid
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from django.db import models

from billing.columns import Column, Kind, columns_of
from billing.fields import MoneyField

_FIELDS: Mapping[Kind, Callable[..., models.Field[Any, Any]]] = {
    Kind.TEXT: models.CharField,
    Kind.INTEGER: models.IntegerField,
    Kind.BOOLEAN: models.BooleanField,
    Kind.JSON: models.JSONField,
    Kind.UUID: models.UUIDField,
    Kind.TIMESTAMP: models.DateTimeField,
    Kind.MONEY: MoneyField,
}
"""The class of the field for each kind of column; a text without a maximum length is a `TextField`."""


def model_field(column: Column) -> models.Field[Any, Any]:
    """The model field of a column. The column `id` is the primary key."""
    if column.name == "id":
        return models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    options: dict[str, Any] = {}
    if column.label:
        options["verbose_name"] = column.label
    if column.choices:
        options["choices"] = list(column.choices)
    if column.nullable:
        options["null"] = True
    elif column.default == "":
        options["blank"] = True
    elif column.default is not msgspec.NODEFAULT:
        options["default"] = column.default
    if column.kind is Kind.TEXT:
        return models.CharField(max_length=column.max_length, **options) if column.max_length else models.TextField(**options)
    return _FIELDS[column.kind](**options)


def abstract_model(name: str, struct: type[msgspec.Struct], *, module: str) -> type[models.Model]:
    """An abstract model with a field for each column of a struct, in their order; `module` is the one of the app's models."""
    members: dict[str, Any] = {column.name: model_field(column) for column in columns_of(struct)}
    members |= {"__module__": module, "Meta": type("Meta", (), {"abstract": True})}
    return cast("type[models.Model]", types.new_class(name, (models.Model,), exec_body=lambda namespace: namespace.update(members)))
