"""Rate rows of the log again: with the prices that were valid when their requests began.

A price that is entered later with an earlier `valid_from`, a withdrawn price, the factor of an upstream and price data that know a model
only since yesterday change what past requests cost. A row without any price keeps its cost, unless its own price was withdrawn.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from django.db import connection, transaction

from billing.log_columns import CostSource
from billing.models import Price, RequestAttempt, RequestLog
from billing.money import from_pico
from billing.pricing import price_book
from billing.pricing.price_book import PriceBook, PriceKey
from billing.rates import Prices
from billing.request_log.entry import rate_usage, sum_costs
from billing.request_log.usage_columns import usage_of_attempt, usage_of_row
from billing.rollups import row_entries, store
from billing.rollups.accumulate import Sums
from billing.rollups.counting import Counting
from billing.rollups.lock import lock
from proxy.translation.canonical import Usage
from upstreams.models import Route

BATCH_ROWS = 500
"""Rows that are read and written in one transaction."""
ROW_FIELDS = ("cost", "cost_source", "price_id", "price_version")
ATTEMPT_FIELDS = ("cost", "price_id")


Progress = Callable[[Iterable[RequestLog], int], Iterable[RequestLog]]


class Change(msgspec.Struct, kw_only=True):
    """What a rating changes for one model at one upstream; costs in USD, those of unpriced rows left out."""

    upstream: str
    model: str
    rows: int = 0
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)


class Report(msgspec.Struct, kw_only=True):
    """The result of a rating. `rows`: rows that were read; costs in USD, of all of them, those of unpriced rows left out."""

    rows: int = 0
    changed: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)
    changes: list[Change] = []


def rerate(since: datetime, until: datetime | None = None, *, dry_run: bool = False, progress: Progress = lambda rows, _: rows) -> Report:
    """Rate the rows of requests that began at or after `since` and before `until`; with `dry_run`, write nothing.

    `progress` yields the rows that it gets with their number, and may show how many there were.
    """
    rows = RequestLog.objects.filter(timestamp__gte=since, upstream_id__isnull=False)
    if until is not None:
        rows = rows.filter(timestamp__lt=until)
    rater, report = Rater(), Report()
    changes: dict[tuple[str, str], Change] = {}
    read = rows.order_by("timestamp", "id").prefetch_related("tries").iterator(chunk_size=BATCH_ROWS)
    unread_rows = iter(progress(read, rows.count()))
    while batch := list(islice(unread_rows, BATCH_ROWS)):
        changed: list[RequestLog] = []
        for row in batch:
            before = row.cost
            if rater.rate(row):
                changed.append(row)
                _count_change(changes, row, before)
            _count(report, before, row.cost)
        report.changed += len(changed)
        if changed and not dry_run:
            _write(changed)
    report.changes = sorted(changes.values(), key=lambda change: -abs(change.cost_after - change.cost_before))
    return report


def _count(report: Report, before: Decimal | None, after: Decimal | None) -> None:
    report.rows += 1
    report.unpriced_before += before is None
    report.unpriced_after += after is None
    report.cost_before += before or 0
    report.cost_after += after or 0


def _count_change(changes: dict[tuple[str, str], Change], row: RequestLog, before: Decimal | None) -> None:
    key = (row.upstream_name, row.remote_model)
    change = changes.setdefault(key, Change(upstream=row.upstream_name, model=row.remote_model))
    change.rows += 1
    change.cost_before += before or 0
    change.cost_after += row.cost or 0


@transaction.atomic
def _write(rows: Sequence[RequestLog]) -> None:
    """Write rows with their attempts, and what has changed since they were last written to the rollups."""
    lock(connection)
    sums, counting = Sums(), Counting()
    before = list(row_entries.read(RequestLog.objects.filter(pk__in=[row.pk for row in rows])))
    counting.learn(before)
    sums.add(before, counting, sign=-1)
    sums.add((row_entries.from_row(row) for row in rows), counting)
    store.add(connection, sums)
    RequestLog.objects.bulk_update(rows, ROW_FIELDS)
    RequestAttempt.objects.bulk_update([attempt for row in rows for attempt in row.tries.all()], ATTEMPT_FIELDS)


class Rater:
    """Rates rows with one state of the prices."""

    def __init__(self) -> None:
        self._book: PriceBook = price_book.load(with_history=True)
        self._withdrawn = set(Price.objects.filter(is_active=False, valid_until__isnull=True).values_list("pk", flat=True))
        self._models = dict(Route.objects.values_list("pk", "model_id"))
        self._models_of_prices = dict(Price.objects.filter(model__isnull=False).values_list("pk", "model_id"))

    def rate(self, row: Any) -> bool:
        """Set the costs of a row and its attempts; whether the row's cost or price has changed. Its attempts are those prefetched."""
        before = tuple(getattr(row, name) for name in ROW_FIELDS)
        attempts = list(row.tries.all())
        if len(attempts) > 1:
            self._rate_attempts(row, attempts)
        else:
            self._rate_row(row, attempts)
        return before != tuple(getattr(row, name) for name in ROW_FIELDS)

    def _rate_row(self, row: Any, attempts: list[Any]) -> None:
        usage = msgspec.structs.replace(usage_of_row(row), reported_cost=row.reported_cost)
        if not _is_billed(usage):
            return
        model_id = self._model_id(attempts[0].route_id if attempts else None, row.price_id)
        prices = self._prices(row, model_id, row.upstream_id, row.remote_model)
        cost, source = rate_usage(usage, prices, partial(self._price_of, row, row.upstream_id))
        if cost is None and not self._is_withdrawn(row.price_id):
            return
        row.cost, row.cost_source = None if cost is None else from_pico(cost), source
        _set_price(row, prices)
        for attempt in attempts:
            attempt.cost, attempt.price_id = row.cost, row.price_id

    def _rate_attempts(self, row: Any, attempts: list[Any]) -> None:
        costs: list[Decimal | None] = []
        sources: set[CostSource] = set()
        for attempt in attempts:
            usage = _usage_of_attempt(row, attempt, is_last=attempt is attempts[-1])
            if not _is_billed(usage) or attempt.upstream_id is None:
                continue
            prices = self._prices(row, self._model_id(attempt.route_id, attempt.price_id), attempt.upstream_id, attempt.remote_model)
            cost, source = rate_usage(usage, prices, partial(self._price_of, row, attempt.upstream_id))
            if cost is not None or self._is_withdrawn(attempt.price_id):
                attempt.cost = None if cost is None else from_pico(cost)
                attempt.price_id = _id_of(prices)
            if attempt is attempts[-1] and attempt.price_id is not None and prices is not None:
                _set_price(row, prices)
            costs.append(attempt.cost)
            sources.add(source)
        if not costs:
            return
        row.cost, row.cost_source = sum_costs(costs, sources, Decimal(0))

    def _prices(self, row: Any, model_id: Any, upstream_id: Any, remote_name: str) -> Prices | None:
        return self._book.find_or_later(PriceKey(str(model_id or ""), str(upstream_id), remote_name), row.timestamp.timestamp())

    def _price_of(self, row: Any, upstream_id: Any, remote_name: str) -> Prices | None:
        return self._prices(row, None, upstream_id, remote_name)

    def _model_id(self, route_id: Any, price_id: Any) -> Any:
        """The model of a row: its route's, or that of the price that it was billed at if the route is gone."""
        return self._models.get(route_id) or self._models_of_prices.get(price_id)

    def _is_withdrawn(self, price_id: Any) -> bool:
        return price_id in self._withdrawn


def _usage_of_attempt(row: Any, attempt: Any, *, is_last: bool) -> Usage:
    usage = usage_of_attempt(attempt)
    if attempt.usage_details is None and is_last:  # written before attempts had details
        usage = msgspec.structs.replace(usage, service_tier=row.service_tier or None)
    reported = (attempt.usage_details or {}).get("reported_cost")
    return msgspec.structs.replace(usage, reported_cost=None if reported is None else Decimal(reported))


def _is_billed(usage: Usage) -> bool:
    tokens = usage.with_parts()
    return bool(tokens.total_input or tokens.output or usage.server_tools or usage.reported_cost is not None)


def _set_price(row: Any, prices: Prices | None) -> None:
    row.price_id = _id_of(prices)
    row.price_version = prices.version if prices else ""


def _id_of(prices: Prices | None) -> Any:
    return uuid.UUID(prices.id) if prices is not None and prices.id else None
