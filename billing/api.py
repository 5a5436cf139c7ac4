"""``/api/v1/logs``: what became of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from ninja import Router

from accounts.envelope import Refused, data, page_of, paginated, timestamp, uuid_of
from billing import lookups  # noqa: F401  (registers `ilike`)
from billing.models import Outcome, RequestAttempt, RequestLog, RequestLogQuerySet

router = Router(tags=["logs"])

PLAIN = (
    "request_id", "method", "path", "dialect", "input_format", "upstream_dialect", "stream", "key_prefix", "key_name", "session_id",
    "model", "remote_model", "upstream_name", "status_code", "upstream_status", "outcome", "error_type", "error_message", "attempts",
    "latency_ms", "overhead_us", "ttft_ms", "input_tokens", "cache_read_tokens", "cache_creation_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "usage_estimated", "service_tier", "price_version",
    "request_metadata", "routing",
)  # fmt: skip
PLAIN_OF_TRY = (
    "number", "upstream_name", "credential_name", "remote_model", "status_code", "outcome", "error_type", "error_message", "latency_ms",
    "ttft_ms", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens",
    "reasoning_tokens",
)  # fmt: skip
LONGEST_PATTERN = 500


@router.get("")
def list_logs(request: HttpRequest) -> dict[str, Any]:
    """Requests, the newest first.

    Filters: `key_id`, `upstream_id`, `model` (a part of the name in any case, `%` and `_` are wildcards), `status_code` (a multiple of 100
    is its whole class), `input_format`, `dialect`, `outcome`, `request_id`, `from` and `to` (RFC 3339, inclusive). Pages: `page` and
    `per_page`.
    """
    page, per_page = page_of(request.GET)
    found = filtered(request.GET)
    rows = found.newest_first()[(page - 1) * per_page : page * per_page]
    return paginated([shown(row) for row in rows], total=found.count(), page=page, per_page=per_page)


@router.get("/{log_id}")
def get_log(request: HttpRequest, log_id: str) -> dict[str, Any]:
    """One request, with each call of an upstream that it took."""
    row = RequestLog.objects.filter(pk=uuid_of(log_id)).first()
    if row is None:
        raise Refused("not_found", "Log not found")
    return data({**shown(row), "tries": [shown_try(each) for each in row.tries.order_by("number")]})


def filtered(query: Mapping[str, str]) -> RequestLogQuerySet:
    """The rows that a query string asks for; an empty value is no filter. Raises :class:`Refused` for one that cannot be understood."""
    rows: RequestLogQuerySet = RequestLog.objects.all()
    for name, condition in FILTERS.items():
        if value := query.get(name, "").replace("\0", ""):
            rows = rows.filter(condition(value))
    return rows


def _moment(text: str, name: str) -> datetime:
    refusal = Refused("invalid_request", f"Invalid '{name}' timestamp, use RFC3339")
    try:
        # In a query string a plus sign that was not encoded arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None or "T" not in text.upper():
        raise refusal
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # before the year 1 or after 9999, seen from UTC
        raise refusal from None


def _status(text: str) -> Q:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise Refused("invalid_request", "Invalid status_code")
    code = int(text)
    if code and code % 100 == 0:
        return Q(status_code__gte=code, status_code__lt=code + 100)
    return Q(status_code=code)


def _outcome(text: str) -> Q:
    if text not in Outcome.values:
        raise Refused("invalid_request", f"Invalid outcome, must be one of {', '.join(Outcome.values)}")
    return Q(outcome=text)


FILTERS: Mapping[str, Callable[[str], Q]] = {
    "key_id": lambda text: Q(api_key_id=uuid_of(text, "Invalid key_id format")),
    "upstream_id": lambda text: Q(upstream_id=uuid_of(text, "Invalid upstream_id format")),
    "model": lambda text: Q(model__ilike=f"%{text[:LONGEST_PATTERN]}%"),
    "status_code": _status,
    "input_format": lambda text: Q(input_format=text),
    "dialect": lambda text: Q(dialect=text),
    "outcome": _outcome,
    "request_id": lambda text: Q(request_id=text),
    "from": lambda text: Q(timestamp__gte=_moment(text, "from")),
    "to": lambda text: Q(timestamp__lte=_moment(text, "to")),
}
"""What each parameter asks for."""


def shown(row: RequestLog) -> dict[str, Any]:
    """A row as the API shows it. An unknown price shows as `cost` 0, for clients of old, and as `cost_usd` null."""
    return {
        "id": str(row.id),
        "timestamp": timestamp(row.timestamp),
        "created_at": timestamp(row.created_at),
        **{field: getattr(row, field) for field in PLAIN},
        "llm_key_id": _text(row.api_key_id),
        "upstream_id": _text(row.upstream_id),
        "cost": float(row.cost or 0),
        "cost_usd": None if row.cost is None else float(row.cost),
    }


def shown_try(row: RequestAttempt) -> dict[str, Any]:
    """One call of an upstream as the API shows it."""
    return {
        **{field: getattr(row, field) for field in PLAIN_OF_TRY},
        "timestamp": timestamp(row.timestamp),
        "upstream_id": _text(row.upstream_id),
        "credential_id": _text(row.credential_id),
        "route_id": _text(row.route_id),
        "cost_usd": None if row.cost is None else float(row.cost),
    }


def _text(identifier: Any) -> str | None:
    return None if identifier is None else str(identifier)
