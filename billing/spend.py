"""What was spent in the periods of budgets: the ledger of :mod:`accounts.limits`."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet, Sum

from accounts.limits.windows import BudgetWindow, Settled
from accounts.models import Budget
from billing.models import RequestLog
from billing.money import to_pico
from billing.reports import query
from billing.reports.query import Selection
from billing.reports.windows import Window
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.request_log.spool import Spool
from billing.request_log.writer import UUID
from billing.rollups import rebuild

ALL_SEGMENTS = 1_000_000
IDS_PER_QUERY = 500


class _Line(msgspec.Struct):
    """What a journal line says about money. ``timestamp``: microseconds; ``cost``: pico-dollars."""

    id: str
    timestamp: int
    api_key_id: str | None = None
    owner: str = ""
    cost: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def spent(windows: Sequence[BudgetWindow], captured: Callable[[], Mapping[str, Settled]]) -> tuple[list[int], Collection[str]]:
    """See :class:`accounts.limits.ledger.Ledger`.

    The spool is read first: a segment is in the database before its file is removed. The sums and the ids of the other requests are
    read in one snapshot of the database, so each request is found in exactly one of the two.
    """
    waiting = unwritten()
    with _snapshot():
        sums = [written(window) for window in windows]
        late = captured()
        others = {**waiting, **late}
        missing = others.keys() - _in_database(list(others))
    for log_id in missing:
        request = others[log_id]
        for index, window in enumerate(windows):
            if window.counts(request):
                sums[index] += request.cost
    return sums, late.keys()


def written(window: BudgetWindow) -> int:
    """What the database says was spent in a period, in pico-dollars: from the rollups, which also know of rows that were deleted."""
    if rebuild.is_built():
        return to_pico(query.sum_up(Selection(_report_window(window), _values(window))).cost)
    amount = rows_of(window).aggregate(spent=Sum("cost"))["spent"]
    return 0 if amount is None else to_pico(amount)


def _report_window(window: BudgetWindow) -> Window:
    """Periods of budgets are whole UTC days, which rollups have for ever."""
    start, end = window.span
    return Window(int(start), None if math.isinf(end) else int(end))


def _values(window: BudgetWindow) -> dict[str, Sequence[Any]]:
    budget = window.budget
    if budget.scope == Budget.Scope.GLOBAL:
        return {}
    return {"owner": [budget.owner]} if budget.scope == Budget.Scope.OWNER else {"key": budget.key_ids}


def over_budget(windows: Sequence[BudgetWindow]) -> list[int]:
    """See :data:`accounts.limits.ledger.OverBudgets`."""
    return [rows_of(window).filter(over_budget=True).count() for window in windows]


def rows_of(window: BudgetWindow) -> QuerySet[RequestLog, RequestLog]:
    """The log rows of the requests that a budget counts in a period."""
    budget, rows = window.budget, RequestLog.objects.all()
    if window.span.start:
        rows = rows.filter(timestamp__gte=_moment(window.span.start), timestamp__lt=_moment(window.span.end))
    if budget.scope == Budget.Scope.OWNER:
        return rows.filter(owner=budget.owner)
    return rows if budget.scope == Budget.Scope.GLOBAL else rows.filter(api_key_id__in=budget.key_ids)


def unwritten() -> dict[str, Settled]:
    """The costs of the requests in this machine's spool."""
    return in_spool(settings.PXBIN.data_dir / SPOOL_DIRECTORY)


def in_spool(directory: Any) -> dict[str, Settled]:
    """The costs of the requests in the segments of a spool, also of processes that no longer exist, by the ids of their rows."""
    requests: dict[str, Settled] = {}
    for lines in Spool(directory).unwritten_lines(ALL_SEGMENTS):
        for text in lines:
            try:
                line = _decode(text)
            except (msgspec.DecodeError, RecursionError):  # the writer puts the line into the quarantine, with a message
                continue
            if line.cost and UUID.fullmatch(line.id):
                requests[line.id] = Settled(line.api_key_id, line.owner, line.timestamp / 1e6, line.cost)
    return requests


def _in_database(ids: Sequence[str]) -> set[str]:
    return {
        str(log_id)
        for start in range(0, len(ids), IDS_PER_QUERY)
        for log_id in RequestLog.objects.filter(pk__in=ids[start : start + IDS_PER_QUERY]).values_list("pk", flat=True)
    }


@contextmanager
def _snapshot() -> Iterator[None]:
    """A transaction in which all queries see the same rows."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
