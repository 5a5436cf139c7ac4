"""``/api/v1/logs``: what became of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from django.db.models import Q
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts.common.api_envelope import Refused, data, page_of, timestamp, uuid_of
from accounts.common.api_schema import Data, Id, Moment, Page, Paging, answers
from billing import ilike  # noqa: F401  (registers `ilike`)
from billing.models import Outcome, RequestAttempt, RequestLog, RequestLogQuerySet
from proxy.translation.dialects.registry import REGISTRY

router = Router(tags=["logs"])

LONGEST_PATTERN = 500


OutcomeWord = Annotated[str, WithJsonSchema({"type": "string", "enum": Outcome.values})]
INPUT_FORMATS = sorted({dialect.input_format for dialect in REGISTRY.values()})
InputFormat = Annotated[str, WithJsonSchema({"type": "string", "enum": INPUT_FORMATS})]


class Filters(Paging):
    """Which requests. All that are given have to hold; an empty one is none."""

    key_id: Id | None = None
    upstream_id: Id | None = None
    model: str | None = Field(None, description="A part of the name in any case; % and _ are wildcards.")
    status_code: Annotated[str | None, WithJsonSchema({"type": "integer"})] = Field(
        None, description="A multiple of 100 is its whole class: 400 is 400 to 499."
    )
    input_format: InputFormat | None = None
    dialect: str | None = Field(None, description="What the client spoke, exactly.")
    outcome: OutcomeWord | None = None
    request_id: str | None = Field(None, description="The x-request-id that the client sent or got.")
    from_: Moment | None = Field(None, alias="from", description="RFC 3339, inclusive.")
    to: Moment | None = Field(None, description="RFC 3339, inclusive.")


class ShownLog(Schema):
    """One request. Tokens are in disjoint classes; an unknown price shows as `cost` 0 and `cost_usd` null."""

    id: Id
    request_id: str
    timestamp: Moment
    created_at: Moment
    method: str
    path: str
    dialect: str
    input_format: InputFormat
    upstream_dialect: str
    stream: bool
    llm_key_id: Id | None
    key_prefix: str
    key_name: str
    session_id: str
    model: str
    remote_model: str
    upstream_id: Id | None
    upstream_name: str
    status_code: int
    upstream_status: int | None
    outcome: OutcomeWord
    error_type: str
    error_message: str
    attempts: int
    latency_ms: int
    overhead_us: int
    ttft_ms: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usage_estimated: bool
    service_tier: str
    cost: float
    cost_usd: float | None
    price_version: str
    request_metadata: Any
    routing: Any


class ShownTry(Schema):
    """One call of an upstream."""

    number: int
    timestamp: Moment
    upstream_id: Id | None
    upstream_name: str
    credential_id: Id | None
    credential_name: str
    route_id: Id | None
    remote_model: str
    status_code: int | None
    outcome: OutcomeWord
    error_type: str
    error_message: str
    latency_ms: int
    ttft_ms: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: float | None


class OneLog(ShownLog):
    """One request, with each call of an upstream that it took."""

    tries: list[ShownTry]


@router.get("", response=answers(Page[ShownLog]))
def list_logs(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    """Requests, the newest first."""
    return page_of(filtered(request.GET).newest_first(), request.GET, shown=shown)


@router.get("/{log_id}", response=answers(Data[OneLog]))
def get_log(request: HttpRequest, log_id: Id) -> dict[str, Any]:
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
    made_up = {
        "id": str(row.id),
        "timestamp": timestamp(row.timestamp),
        "created_at": timestamp(row.created_at),
        "llm_key_id": _text(row.api_key_id),
        "upstream_id": _text(row.upstream_id),
        "cost": float(row.cost or 0),
        "cost_usd": None if row.cost is None else float(row.cost),
    }
    return {name: made_up[name] if name in made_up else getattr(row, name) for name in ShownLog.model_fields}


def shown_try(row: RequestAttempt) -> dict[str, Any]:
    """One call of an upstream as the API shows it."""
    made_up = {
        "timestamp": timestamp(row.timestamp),
        "upstream_id": _text(row.upstream_id),
        "credential_id": _text(row.credential_id),
        "route_id": _text(row.route_id),
        "cost_usd": None if row.cost is None else float(row.cost),
    }
    return {name: made_up[name] if name in made_up else getattr(row, name) for name in ShownTry.model_fields}


def _text(identifier: Any) -> str | None:
    return None if identifier is None else str(identifier)
