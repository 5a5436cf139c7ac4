"""Compare the calls of an upstream with what its provider says it has billed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate

from billing.fields import exact_sum, exact_sums
from billing.models import RequestAttempt
from billing.outcomes import Outcome
from billing.reconciliation.exports import Billed


class Ours(msgspec.Struct, kw_only=True):
    """The calls of one remote model on one day (UTC). `estimated_*`: tokens among these that pxbin estimated."""

    requests: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    estimated_input: int = 0
    estimated_output: int = 0
    unanswered: int = 0
    """Calls whose answer never came, and which the provider may have billed."""


class Line(msgspec.Struct, kw_only=True):
    """One number of one model on one day: ours, the provider's, and by how much ours may be wrong for reasons that are known."""

    day: date
    model: str
    quantity: str
    ours: Decimal
    billed: Decimal
    error: Decimal
    is_explained: bool

    @property
    def difference(self) -> Decimal:
        """Ours less the provider's."""
        return self.ours - self.billed


class Unanswered(msgspec.Struct, kw_only=True):
    """A call without an answer that may have been billed: when it began, its log row, its model, and what became of it."""

    timestamp: datetime
    log_id: str
    remote_model: str
    outcome: str
    error_type: str


NO_USAGE = Q(input_tokens=0, output_tokens=0, cache_read_tokens=0)
MAY_BE_BILLED = NO_USAGE & Q(outcome__in=(Outcome.FAILED, Outcome.CANCELLED)) & (Q(status_code=None) | Q(status_code__lt=400))


def compare(upstream_id: UUID, billed: Sequence[Billed]) -> list[Line]:
    """The numbers of all days of an export, and of our calls on these days, that differ."""
    if not billed:
        return []
    ours = _ours(upstream_id, min(row.day for row in billed), max(row.day for row in billed))
    by_key = {(row.day, row.model): row for row in billed}
    return [line for key in sorted({*ours, *by_key}) for line in _lines(*key, ours.get(key), by_key.get(key)) if line.difference]


def unanswered(upstream_id: UUID, first: date, last: date, *, most: int) -> list[Unanswered]:
    """The calls of these days without an answer that may have been billed, the oldest first."""
    rows = _calls(upstream_id, first, last).filter(MAY_BE_BILLED).order_by("timestamp")[:most]
    return [
        Unanswered(
            timestamp=row.timestamp, log_id=str(row.log_id), remote_model=row.remote_model, outcome=row.outcome, error_type=row.error_type
        )
        for row in rows
    ]


def _calls(upstream_id: UUID, first: date, last: date) -> Any:
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    return RequestAttempt.objects.filter(upstream_id=upstream_id, timestamp__gte=begin, timestamp__lt=end)


def _ours(upstream_id: UUID, first: date, last: date) -> dict[tuple[date, str], Ours]:
    tokens_in = F("input_tokens") + F("cache_read_tokens") + F("cache_write_5m_tokens") + F("cache_write_1h_tokens")
    is_estimated = Q(log__usage_estimated=True)
    groups = (
        _calls(upstream_id, first, last)
        .annotate(day=TruncDate("timestamp", tzinfo=UTC))
        .values("day", "remote_model")
        .annotate(
            answered=Count("pk", filter=~NO_USAGE | Q(outcome=Outcome.FINISHED)),
            tokens_in=Sum(tokens_in),
            cached=Sum("cache_read_tokens"),
            tokens_out=Sum("output_tokens"),
            **exact_sums("cost"),
            estimated_in=Sum(tokens_in, filter=is_estimated),
            estimated_out=Sum("output_tokens", filter=is_estimated),
            lost=Count("pk", filter=MAY_BE_BILLED),
        )
        .order_by()
    )
    return {
        (group["day"], group["remote_model"]): Ours(
            requests=group["answered"],
            input_tokens=group["tokens_in"] or 0,
            cache_read_tokens=group["cached"] or 0,
            output_tokens=group["tokens_out"] or 0,
            cost=exact_sum(group, "cost"),
            estimated_input=group["estimated_in"] or 0,
            estimated_output=group["estimated_out"] or 0,
            unanswered=group["lost"],
        )
        for group in groups
        if group["answered"] or group["lost"]
    }


def _lines(day: date, model: str, ours: Ours | None, billed: Billed | None) -> list[Line]:
    """The numbers that the provider states. What estimated tokens and unanswered calls may explain is the error.

    Estimated tokens may be wrong by as much as they are. An unanswered call may have had as many tokens as a call has on average.
    """
    mine, theirs = ours or Ours(), billed or Billed(day=day, model=model, requests=0, cost=None)
    lost = Decimal(mine.unanswered)
    lost_by_request = lost / mine.requests if mine.requests else Decimal(0)
    quantities: list[tuple[str, Decimal | int, Decimal | int | None, Decimal]] = [
        ("requests", mine.requests, theirs.requests, lost),
        ("input tokens", mine.input_tokens, theirs.input_tokens, mine.estimated_input + lost_by_request * mine.input_tokens),
        ("cache read tokens", mine.cache_read_tokens, theirs.cache_read_tokens, lost_by_request * mine.cache_read_tokens),
        ("output tokens", mine.output_tokens, theirs.output_tokens, mine.estimated_output + lost_by_request * mine.output_tokens),
        ("USD", mine.cost, theirs.cost, _error_of_cost(mine) + lost_by_request * mine.cost),
    ]
    return [
        Line(
            day=day, model=model, quantity=name, ours=Decimal(own), billed=Decimal(stated), error=Decimal(error),
            is_explained=abs(Decimal(own) - Decimal(stated)) <= Decimal(error),
        )
        for name, own, stated, error in quantities
        if stated is not None
    ]  # fmt: skip


def _error_of_cost(ours: Ours) -> Decimal:
    """The cost in proportion to the tokens that are estimated."""
    tokens = ours.input_tokens + ours.output_tokens
    return ours.cost * (ours.estimated_input + ours.estimated_output) / tokens if tokens else Decimal(0)
