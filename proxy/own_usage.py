"""``GET /v1/usage``: what the calling client key has used, by model and by day, and what its limits are; as JSON or CSV."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.db import DatabaseError, InterfaceError

from accounts.common.api_envelope import timestamp
from accounts.keys import Key
from accounts.limits.budget_states import BudgetLeft, budgets_left
from billing.reports import items, own_usage, windows
from billing.reports.windows import Window
from proxy.exchange import admission
from proxy.exchange.error_response import error_response
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from proxy.exchange.stored_responses import in_thread
from proxy.translation.dialects.lookup import dialect_of
from proxy.translation.errors import ClientMistake, Failure, GatewayError

logger = logging.getLogger(__name__)

PATH = "/v1/usage"
DEFAULT_PERIOD = "30d"
FORMATS = ("json", "csv")
CSV_HEADERS = (("content-type", "text/csv; charset=utf-8"), ("content-disposition", 'attachment; filename="usage.csv"'))


async def usage(http: HttpRequest, prefix: str = "") -> JsonResponse:
    """The usage of the calling key. Refusals are in the caller's dialect."""
    try:
        if http.refusal is not None:
            raise http.refusal
        key = await admission.client_key(http)
        query = {name: values[0] for name, values in parse_qs(http.query_string.decode("latin-1")).items()}
        window = _window(query)
        report, budgets = await _read(key, window)
        if _format(query, http.headers) == "csv":
            return JsonResponse(items.as_csv(own_usage.csv_rows(report)).encode(), headers=CSV_HEADERS)
        return JsonResponse(msgspec.json.encode({**_head(key, window, query), "budgets": budgets, **report}))
    except GatewayError as error:
        return error_response(error.failure, dialect=dialect_of(http.path.removeprefix(prefix), http.headers), request_id=http.request_id)


async def _read(key: Key, window: Window) -> tuple[items.Item, list[items.Item]]:
    """The usage of a key, and what is left of the budgets that count it."""
    try:
        return await in_thread(lambda: (own_usage.own_usage(key.id, window), [_budget(budget) for budget in budgets_left(key)]))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("the usage of a key cannot be read: %s", error)
        raise GatewayError(Failure(kind="overloaded", message="Usage cannot be read at the moment")) from error


def _head(key: Key, window: Window, query: Mapping[str, str]) -> dict[str, Any]:
    until = datetime.now(UTC) if window.end is None else datetime.fromtimestamp(window.end, UTC)
    return {
        "object": "usage",
        "key": {"id": key.id, "name": key.name, "prefix": key.prefix, "owner": key.owner},
        "period": None if query.get("from") else query.get("period", DEFAULT_PERIOD),
        "from": timestamp(datetime.fromtimestamp(window.begin, UTC)),
        "to": timestamp(until.replace(microsecond=0)),
        "limits": limits(key),
    }


def _budget(budget: BudgetLeft) -> items.Item:
    return {
        "name": budget.name,
        "scope": budget.scope,
        "period": budget.period,
        "mode": budget.mode,
        "amount_usd": f"{budget.amount.normalize():f}",
        "spent_usd": f"{budget.spent.normalize():f}",
        "remaining_usd": f"{budget.left.normalize():f}",
        "resets_at": timestamp(budget.resets_at),
    }


def limits(key: Key) -> dict[str, Any]:
    """The limits of a key; null: unlimited. `rate_limit`: requests per minute."""
    return {
        "rate_limit": key.rate_limit,
        "tokens_per_minute": key.token_limit,
        "max_concurrency": key.concurrency_limit,
        "expires_at": None if key.expires_at is None else timestamp(datetime.fromtimestamp(key.expires_at, UTC)),
    }


def _window(query: Mapping[str, str]) -> Window:
    """Whole UTC days. Raises :class:`ClientMistake`, which names the parameter."""
    now = datetime.now(UTC)
    end = _moment(query["to"], "to") if query.get("to") else None
    if query.get("from"):
        begin = _moment(query["from"], "from")
        if end is not None and end < begin:
            raise ClientMistake("to: must not be before from")
        window = windows.between(begin, end, now)
    else:
        period = query.get("period", DEFAULT_PERIOD)
        if period not in windows.PERIODS:
            raise ClientMistake(f"period: must be one of {', '.join(windows.PERIODS)}")
        window = windows.last(windows.PERIODS[period], now)
    return Window(window.in_buckets(86_400).begin, window.end)


def _moment(text: str, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ClientMistake(f"{name}: write a day or a time as in RFC 3339, for example 2026-12-01 or 2026-12-01T12:00:00Z") from None


def _format(query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    wanted = query.get("format") or ("csv" if headers.get("accept", "").startswith("text/csv") else "json")
    if wanted not in FORMATS:
        raise ClientMistake(f"format: must be one of {', '.join(FORMATS)}")
    return wanted
