"""From what happened to a request to the entry that the journal keeps. Pure: clock values and ids are handed in.

The exchange makes a :class:`Meter` when a request arrives and writes into it what it learns; at the end, however it ends,
:func:`entry` turns it into an :class:`LogEntry`: bounded, without NUL bytes, priced, ready to be a row.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypedDict

import msgspec

from billing import rates
from billing.money import GREATEST, to_pico
from proxy.translation.canonical import Usage
from proxy.translation.dialects.lookup import dialect_named

Outcome = Literal["finished", "failed", "cancelled", "rejected"]

GREATEST_COUNT = 2**31 - 1
_KEY = re.compile(r"(px[bm]_)[0-9a-f]{40}")
SHORT, NAME, LONG_NAME, MESSAGE = 64, 200, 500, 2000
"""How many characters of a text are kept."""
NO_USAGE = Usage()


class AttemptEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One call of an upstream: what stands in `RequestAttempt`. Times as in :class:`LogEntry`; `cost` in pico-USD."""

    timestamp: int
    upstream_id: str | None = None
    upstream_name: str = ""
    credential_id: str | None = None
    credential_name: str = ""
    route_id: str | None = None
    remote_model: str = ""
    status_code: int | None = None
    outcome: Outcome = "finished"
    error_type: str = ""
    error_message: str = ""
    latency_ms: int = 0
    ttft_ms: int | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int | None = None


class PayloadEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The bodies that are kept of a request, already redacted and cut to size."""

    request_body: str = ""
    response_body: str = ""
    truncated: bool = False


class LogEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One finished request: what stands in `RequestLog`. `timestamp` is microseconds since 1970, `cost` pico-USD."""

    id: str
    timestamp: int
    request_id: str = ""
    method: str = "POST"
    path: str = ""
    dialect: str = ""
    input_format: str = "openai"
    upstream_dialect: str = ""
    stream: bool = False
    api_key_id: str | None = None
    key_prefix: str = ""
    key_name: str = ""
    session_id: str = ""
    client_ip: str = ""
    user_agent: str = ""
    model: str = ""
    remote_model: str = ""
    upstream_id: str | None = None
    upstream_name: str = ""
    status_code: int = 200
    upstream_status: int | None = None
    outcome: Outcome = "finished"
    error_type: str = ""
    error_message: str = ""
    attempts: int = 0
    latency_ms: int = 0
    overhead_us: int = 0
    ttft_ms: int | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage_estimated: bool = False
    service_tier: str = ""
    cost: int | None = None
    price_id: str | None = None
    price_version: str = ""
    request_metadata: dict[str, Any] | None = None
    routing: list[Any] | dict[str, Any] | None = None
    model_id: str | None = None
    """Not a column: it lets the writer look for a price that was unknown when the request ended."""
    tries: list[AttemptEntry] = []
    payload: PayloadEntry | None = None


class Meter(msgspec.Struct, kw_only=True):
    """What is known of a running request. Clock values are nanoseconds of one monotonic clock.

    `id` is a UUID that the gateway made: it makes writing idempotent. `arrived` is the wall clock in seconds since 1970.
    """

    id: str
    arrived: float
    started: int
    request_id: str = ""
    method: str = "POST"
    path: str = ""
    dialect: str = ""
    stream: bool = False
    api_key_id: str | None = None
    key_prefix: str = ""
    key_name: str = ""
    session_id: str = ""
    client_ip: str = ""
    user_agent: str = ""
    model: str = ""
    model_id: str | None = None
    upstream_id: str | None = None
    upstream_name: str = ""
    upstream_dialect: str = ""
    remote_model: str = ""
    upstream_status: int | None = None
    attempts: int = 0
    dispatched: int | None = None
    """When the first upstream was called."""
    first_token: int | None = None
    """When the first meaningful event went to the client."""
    request_metadata: dict[str, Any] | None = None


def entry(  # noqa: PLR0913  (the facts that exist only at the end; each has a name)
    meter: Meter,
    *,
    ended: int,
    outcome: Outcome,
    status: int,
    usage: Usage | None = None,
    estimated: bool = False,
    prices: rates.Prices | None = None,
    error_type: str = "",
    error_message: str = "",
) -> LogEntry:
    """Close the meter. `usage` is what one request is billed for, all its tries together; `None` counts as no tokens.

    `prices` is the list of the model and upstream that answered; without one the cost is unknown. `dispatched` unset means that no
    upstream was called: then the overhead is the whole time.
    """
    tokens = usage or NO_USAGE
    before_upstream = (ended if meter.dispatched is None else meter.dispatched) - meter.started
    return LogEntry(
        id=meter.id,
        timestamp=int(meter.arrived * 1_000_000),
        request_id=clean(meter.request_id, 128),
        method=clean(meter.method, 16),
        path=clean(meter.path, LONG_NAME),
        dialect=meter.dialect,
        input_format=dialect_named(meter.dialect).input_format,
        upstream_dialect=meter.upstream_dialect,
        stream=meter.stream,
        api_key_id=meter.api_key_id,
        key_prefix=meter.key_prefix,
        key_name=meter.key_name,
        session_id=clean(meter.session_id, NAME),
        client_ip=clean(meter.client_ip, 45),
        user_agent=clean(meter.user_agent, NAME),
        model=clean(meter.model, NAME),
        remote_model=clean(meter.remote_model, LONG_NAME),
        upstream_id=meter.upstream_id,
        upstream_name=meter.upstream_name,
        status_code=status,
        upstream_status=meter.upstream_status,
        outcome=outcome,
        error_type=clean(error_type, SHORT),
        error_message=clean(error_message, MESSAGE),
        attempts=meter.attempts,
        latency_ms=count((ended - meter.started) // 1_000_000),
        overhead_us=count(before_upstream // 1000),
        ttft_ms=None if meter.first_token is None else count((meter.first_token - meter.started) // 1_000_000),
        **counts(tokens),
        usage_estimated=estimated,
        service_tier=clean(tokens.service_tier or "", 32),
        cost=priced(tokens, prices),
        price_id=prices.id or None if prices else None,
        price_version=prices.version if prices else "",
        request_metadata=meter.request_metadata,
        model_id=meter.model_id,
    )


class Counts(TypedDict):
    """The token columns by name."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int


def counts(usage: Usage) -> Counts:
    """The token columns of an entry or an attempt."""
    return {
        "input_tokens": count(usage.fresh),
        "cache_read_tokens": count(usage.cache_read),
        "cache_write_5m_tokens": count(usage.cache_write_5m),
        "cache_write_1h_tokens": count(usage.cache_write_1h),
        "output_tokens": count(usage.output),
        "reasoning_tokens": count(usage.reasoning),
    }


def usage_of(record: LogEntry) -> Usage:
    """The usage that an entry was made of, as far as it was kept."""
    return Usage(
        fresh=record.input_tokens,
        cache_read=record.cache_read_tokens,
        cache_write_5m=record.cache_write_5m_tokens,
        cache_write_1h=record.cache_write_1h_tokens,
        output=record.output_tokens,
        reasoning=record.reasoning_tokens,
        service_tier=record.service_tier or None,
    )


def priced(usage: Usage, prices: rates.Prices | None) -> int | None:
    """The cost in pico-USD, rounded here and nowhere else; `None` if the price is unknown."""
    if prices is None:
        return None
    amount = rates.cost(usage, prices)
    return None if amount is None else min(max(to_pico(amount), 0), GREATEST)


def clean(text: str, limit: int) -> str:
    """A text as every database takes it: no NUL bytes, no lone surrogates, not longer than `limit`. Keys of ours are left out."""
    if "pxb_" in text or "pxm_" in text:  # misplaced by a client: in a path, or for a model's name
        text = _KEY.sub(r"\1***", text)
    if text.isascii() and "\0" not in text:
        return text[:limit]
    return text[:limit].replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def count(number: int) -> int:
    """A count as the columns take it: what an upstream claims may be negative or absurd."""
    return min(max(number, 0), GREATEST_COUNT)
