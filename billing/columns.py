"""The columns of a log table, derived from the struct that holds one of its rows. Pure.

Every field of `log_columns.LogColumns` and `AttemptColumns` is a column of the same name. Its annotation has what its type does not say:
:class:`Uuid`, :class:`Timestamp` and :class:`PicoDollars` name kinds that look like texts and integers, and :func:`column` adds a
description, limits, and the names in the management API. `log_columns` lists what is made from :func:`columns_of`.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec


class Kind(enum.Enum):
    """What a column holds. It decides how a value is written to a database and shown in the API."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    JSON = "json"
    UUID = "uuid"
    TIMESTAMP = "timestamp"
    MONEY = "money"


_PLAIN_KINDS: dict[object, Kind] = {str: Kind.TEXT, int: Kind.INTEGER, bool: Kind.BOOLEAN}
"""The kinds that a type alone decides; a type that is not listed (a dict, a list) is JSON."""

Uuid = Annotated[str, msgspec.Meta(extra={"kind": Kind.UUID})]
"""A UUID as text, with or without dashes."""
Timestamp = Annotated[int, msgspec.Meta(extra={"kind": Kind.TIMESTAMP})]
"""Microseconds since 1970-01-01 UTC."""
PicoDollars = Annotated[int, msgspec.Meta(extra={"kind": Kind.MONEY})]
"""An amount in 1e-12 USD; `None` is unknown."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `api_names` are the fields of an API item that show it; a column without any is not shown."""

    name: str
    kind: Kind
    nullable: bool
    description: str
    max_length: int | None
    from_client: bool
    api_names: tuple[str, ...]
    choices: tuple[tuple[str, str], ...]
    """The values of an enumeration of texts, each with its name for people."""
    label: str | None
    default: Any
    """The default of the struct's field; `msgspec.NODEFAULT` if it has none, or if the column is `required`."""


def column(
    description: str = "",
    *,
    max_length: int | None = None,
    from_client: bool = False,
    api: tuple[str, ...] | None = None,
    label: str | None = None,
    labels: Mapping[Any, str] | None = None,
    required: bool = False,
) -> msgspec.Meta:
    """Annotate a field.

    `max_length` is that of the database column, in characters. A text `from_client` is cleaned and cut to this length before it is
    journalled; other texts come from our own tables, which have the same limits. `api`: the names in the API, if not the field's own.
    `label`: the name in the admin, if not the field's own. `labels`: names of the values of an enumeration. `required`: a row must bring a
    value, so the model's field has neither a default nor may it be empty; the struct may have a default all the same.
    """
    extra = {"max_length": max_length, "from_client": from_client, "api": api, "label": label, "labels": labels, "required": required}
    return msgspec.Meta(description=description or None, extra={name: value for name, value in extra.items() if value is not None})


HIDDEN: tuple[str, ...] = ()
"""For `column(api=...)`: not in the API."""


def columns_of(struct: type[msgspec.Struct]) -> tuple[Column, ...]:
    """The columns of a struct's fields, in the order of the fields."""
    hints = get_type_hints(struct, include_extras=True)
    return tuple(_column(field.name, hints[field.name], field.default) for field in msgspec.structs.fields(struct))


def compile_function(parameters: str, expression: str, **names: Any) -> Callable[..., Any]:
    """A function made from source, as `dataclasses` makes its methods; `names` are its globals.

    For expressions over all columns that run for each request or row: a loop over the columns takes a third longer than an
    expression that names them.
    """
    return eval(f"lambda {parameters}: {expression}", names)  # type: ignore[no-any-return]  # noqa: S307  (made of field names only)


def _column(name: str, hint: Any, default: Any) -> Column:
    plain: list[Any] = []
    facts: dict[str, Any] = {}
    for part in _parts(hint):
        if isinstance(part, msgspec.Meta):
            facts |= part.extra or {}
            facts |= {"description": part.description} if part.description else {}
        else:
            plain.append(part)
    labels = facts.get("labels", {})
    choices = tuple((part, labels.get(part, part)) for part in plain if isinstance(part, str))
    types_named = [part for part in plain if part is not type(None) and not isinstance(part, str)]
    return Column(
        name=name,
        kind=facts.get("kind") or (Kind.TEXT if choices else _PLAIN_KINDS.get(types_named[0], Kind.JSON)),
        nullable=type(None) in plain,
        description=facts.get("description", ""),
        max_length=facts.get("max_length"),
        from_client=facts.get("from_client", False),
        api_names=facts.get("api", (name,)),
        choices=choices,
        label=facts.get("label"),
        default=msgspec.NODEFAULT if facts.get("required") else default,
    )


def _parts(hint: Any) -> Iterator[Any]:
    """The members of unions, the texts of an enumeration, and the annotations of a type, all on one level."""
    if get_origin(hint) is Annotated:
        inner, *metas = get_args(hint)
        yield from _parts(inner)
        yield from metas
    elif get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _parts(member)
    elif isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        yield from (member.value for member in hint)
    else:
        yield hint
