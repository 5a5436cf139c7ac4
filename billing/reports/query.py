"""Queries of rollups: sums over a window of time, of requests that match a selection, by dimensions."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from django.db import connection

from billing.models import Rollup, RollupSeries
from billing.outcomes import Outcome
from billing.reports.totals import FIELDS, Totals, from_values
from billing.reports.windows import Span, Window
from billing.rollup_models import MEASURES
from billing.rollups.series import ALL, MARGINS

DIMENSIONS: Final[Mapping[str, str]] = {
    "key": "api_key_id",
    "model": "model",
    "upstream": "upstream_id",
    "owner": "owner",
    "dialect": "dialect",
    "status": "status_code",
    "outcome": "outcome",
    "error": "error_type",
    "tags": "tags",
}
"""What reports are broken down by, with the columns of `RollupSeries`."""
IN_EVERY_SERIES = frozenset({"status", "outcome", "error"})
"""Dimensions that the series of one other dimension have, too."""
IDS = ("key", "upstream")
"""Dimensions whose values are ids."""
_ROLLUPS, _SERIES = Rollup._meta.db_table, RollupSeries._meta.db_table  # noqa: SLF001  (documented by Django)
_SUMS = ", ".join(
    f"CAST(SUM({expression}) AS BIGINT)"
    for expression in (
        *(f'r."{name}"' for name in MEASURES),
        "CASE WHEN s.status_code >= 400 THEN r.requests ELSE 0 END",
        *(
            f"CASE WHEN s.outcome = '{outcome.value}' THEN r.requests ELSE 0 END"
            for outcome in (Outcome.FAILED, Outcome.CANCELLED, Outcome.REJECTED)
        ),
    )
)


class Selection(msgspec.Struct, frozen=True):
    """Which requests a report counts: those of a window that have one of the values of each dimension that is named."""

    window: Window
    values: Mapping[str, Sequence[Any]] = {}


def sum_up(selection: Selection) -> Totals:
    """The totals of a selection."""
    ((*values,),) = _select(selection, selection.window.spans(), group=())
    return from_values(values)


def sum_by(selection: Selection, *dimensions: str) -> dict[tuple[Any, ...], Totals]:
    """Totals by the values of dimensions; ids are texts, or `None`."""
    group = [f's."{DIMENSIONS[name]}"' for name in dimensions]
    rows = _select(selection, selection.window.spans(), group=group, dimensions=dimensions)
    return _by_values(rows, dimensions)


def sum_by_time(selection: Selection, seconds: int, *dimensions: str) -> dict[tuple[Any, ...], Totals]:
    """Totals by bucket of `seconds` (its start in Unix seconds), and by the values of dimensions. Empty buckets are left out."""
    group = ["r.start", *(f's."{DIMENSIONS[name]}"' for name in dimensions)]
    rows = _select(selection, [selection.window.in_buckets(seconds)], group=group, dimensions=dimensions)
    return _by_values(rows, ("start", *dimensions))


def names(dimension: str, values: Iterable[Any]) -> dict[Any, tuple[str, str]]:
    """The names and prefixes of keys, or the names of upstreams, as they were when they were first used; by id."""
    columns = ("key_name", "key_prefix") if dimension == "key" else ("upstream_name", "dialect")
    rows = RollupSeries.objects.filter(**{f"{DIMENSIONS[dimension]}__in": list(values)}).values_list(DIMENSIONS[dimension], *columns)
    return {str(value): (name, prefix) for value, name, prefix in rows.order_by("id").distinct()}


def _by_values(rows: Iterable[Sequence[Any]], dimensions: Sequence[str]) -> dict[tuple[Any, ...], Totals]:
    number = len(dimensions)
    return {
        tuple(_value(name, value) for name, value in zip(dimensions, row[:number], strict=True)): from_values(row[number:])
        for row in rows
        if row[number]  # of a series whose requests have been taken away again
    }


def _value(dimension: str, value: Any) -> Any:
    return str(uuid.UUID(str(value))) if dimension in IDS and value is not None else value


def _scope(dimensions: set[str]) -> str:
    """The scope of the series that know these dimensions and have the fewest rows."""
    named = dimensions - IN_EVERY_SERIES
    return ALL if not named else named.pop() if len(named) == 1 and named <= set(MARGINS) else ""


def _select(selection: Selection, spans: Iterable[Span], *, group: Sequence[str], dimensions: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Rows of the values that are grouped by, of which `dimensions` are dimensions, and the sums of `FIELDS`."""
    time, parameters = time_condition(spans, "r")
    conditions = [f"({time})", f"s.scope = '{_scope({*dimensions, *selection.values})}'"]
    for name, values in selection.values.items():
        conditions.append(f's."{DIMENSIONS[name]}" IN ({", ".join(["%s"] * len(values))})' if values else "1 = 0")
        parameters += [_parameter(name, value) for value in values]
    columns = ", ".join([*group, _SUMS])
    grouping = f"GROUP BY {', '.join(group)}" if group else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT {columns} FROM "{_ROLLUPS}" r JOIN "{_SERIES}" s ON s.id = r.series_id WHERE {" AND ".join(conditions)} {grouping}',  # noqa: S608
            parameters,
        )
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    assert not rows or len(rows[0]) == len(group) + len(FIELDS)
    return rows


def _parameter(dimension: str, value: Any) -> Any:
    if dimension not in IDS:
        return value
    identity = uuid.UUID(str(value))
    return identity if connection.vendor == "postgresql" else identity.hex


def time_condition(spans: Iterable[Span], table: str) -> tuple[str, list[Any]]:
    """A condition in SQL on the columns `seconds` and `start` of a table, and its parameters."""
    conditions, parameters = [], []
    for span in spans:
        condition = f"{table}.seconds = %s AND {table}.start >= %s"
        parameters += [span.seconds, span.begin]
        if span.end is not None:
            condition += f" AND {table}.start < %s"
            parameters.append(span.end)
        conditions.append(condition)
    return " OR ".join(conditions) or "1 = 0", parameters
