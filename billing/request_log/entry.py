"""Log entries: what the journal stores of a finished request. Pure: clock values and ids are passed in.

`LogColumns` is the definition of the log's columns. **A new column is a field there and a migration**: the bulk insert, the copy from
the meter, and the items of `/api/v1/logs` are derived from it (see `columns`).

The exchange makes a :class:`Meter` when a request arrives and sets its fields as they become known; at the end of the request
:func:`finish_entry` turns it into a :class:`LogEntry`: with bounded texts, without NUL bytes, and priced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import msgspec

from billing import rates
from billing.money import MAX_PICO, to_pico
from billing.outcomes import Outcome
from billing.request_log.columns import HIDDEN, Column, PicoDollars, Timestamp, Uuid, column, columns_of, compile_function
from proxy.translation.canonical import Usage
from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.dialects.registry import DEFAULT

MAX_COUNT = 2**31 - 1
"""The largest value of an integer column."""
MAX_ERROR_MESSAGE = 2000
MAX_ERROR_TYPE = 64
MAX_SERVICE_TIER = 32
_KEY = re.compile(r"(px[bm]_)[0-9a-f]{40}")
NO_USAGE = Usage()


class LogColumns(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The columns of `RequestLog`, in the order of the API. The names are also the keys of journal lines: renaming one needs `rename`.

    (`created_at`, when the row was written, is the only column that an entry does not have.)
    """

    id: Uuid
    request_id: Annotated[str, column("The x-request-id that the client sent or got.", max_length=128, from_client=True)] = ""
    timestamp: Annotated[Timestamp, column("When the request began.")]
    method: Annotated[str, column(max_length=16, from_client=True)] = "POST"
    path: Annotated[str, column(max_length=500, from_client=True)] = ""
    dialect: Annotated[str, column("The dialect of the client.", max_length=32)] = ""
    input_format: Annotated[str, column("`anthropic` or `openai`: the group of the client's dialect.", max_length=16)] = (
        DEFAULT.input_format
    )
    upstream_dialect: Annotated[str, column("The dialect of the upstream that was called last.", max_length=32)] = ""
    stream: Annotated[bool, column("Whether the client asked for a stream.")] = False
    api_key_id: Annotated[Uuid | None, column("The client key.", api=("llm_key_id",))] = None
    key_prefix: Annotated[str, column("The first characters of the client key.", max_length=8)] = ""
    key_name: Annotated[str, column(max_length=200)] = ""
    session_id: Annotated[str, column("The session that the client named.", max_length=200, from_client=True)] = ""
    client_ip: Annotated[str, column(max_length=45, from_client=True, api=HIDDEN)] = ""
    user_agent: Annotated[str, column(max_length=200, from_client=True, api=HIDDEN)] = ""
    model: Annotated[str, column("The model name that the client sent.", max_length=200, from_client=True)] = ""
    remote_model: Annotated[str, column("The model name that was sent to the upstream.", max_length=500, from_client=True)] = ""
    upstream_id: Annotated[Uuid | None, column("The upstream that was called last.")] = None
    upstream_name: Annotated[str, column(max_length=200)] = ""
    status_code: Annotated[int, column("The HTTP status that the client got; 499 if it left before one.")] = 200
    upstream_status: Annotated[int | None, column("The HTTP status of the upstream that was called last.")] = None
    outcome: Annotated[Outcome, column(max_length=16)] = "finished"
    error_type: Annotated[str, column("The kind of the failure; empty if there was none.", max_length=MAX_ERROR_TYPE)] = ""
    error_message: str = ""
    attempts: Annotated[int, column("The number of calls of upstreams.")] = 0
    latency_ms: Annotated[int, column("Milliseconds from the first byte of the request to the last byte of the response.")] = 0
    overhead_us: Annotated[int, column("Microseconds from the arrival of the request to the first call of an upstream.")] = 0
    ttft_ms: Annotated[int | None, column("Milliseconds from the arrival of the request to the first content of the response.")] = None
    input_tokens: Annotated[int, column("Input tokens that were neither read from nor written to a cache.")] = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: Annotated[int, column("Input tokens written to a cache for 5 minutes.")] = 0
    cache_write_1h_tokens: Annotated[int, column("Input tokens written to a cache for 1 hour.")] = 0
    output_tokens: Annotated[int, column("Output tokens, including reasoning.")] = 0
    reasoning_tokens: Annotated[int, column("Reasoning tokens, which are part of the output tokens.")] = 0
    usage_estimated: Annotated[bool, column("Whether the upstream reported no usage and pxbin estimated it.")] = False
    service_tier: Annotated[str, column("The service tier that the upstream reported.", max_length=MAX_SERVICE_TIER)] = ""
    cost: Annotated[PicoDollars | None, column("USD.", api=("cost", "cost_usd"))] = None
    price_id: Annotated[Uuid | None, column(api=HIDDEN)] = None
    price_version: Annotated[str, column("The version of the price data that the cost was computed with.", max_length=64)] = ""
    request_metadata: Annotated[dict[str, Any] | None, column("What translation dropped or changed.")] = None
    routing: Annotated[list[Any] | dict[str, Any] | None, column("The first choice, and the targets that were skipped, with reasons.")] = (
        None
    )


class AttemptEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The columns of `RequestAttempt` for one attempt. A field added here and a migration make a new column.

    (The table also has `id`, `log_id` and `number`, which follow from the attempt's place in `LogEntry.tries`.)
    """

    timestamp: Annotated[Timestamp, column("When the upstream was called.")]
    upstream_id: Uuid | None = None
    upstream_name: Annotated[str, column(max_length=200)] = ""
    credential_id: Uuid | None = None
    credential_name: Annotated[str, column(max_length=200)] = ""
    route_id: Uuid | None = None
    remote_model: Annotated[str, column("The model name that was sent to the upstream.", max_length=500)] = ""
    status_code: Annotated[int | None, column("The HTTP status of the upstream; null if it sent none.")] = None
    outcome: Annotated[Outcome, column(max_length=16)] = "finished"
    error_type: Annotated[str, column(max_length=MAX_ERROR_TYPE)] = ""
    error_message: str = ""
    latency_ms: int = 0
    ttft_ms: Annotated[int | None, column("Milliseconds from the call to the first content of the response.")] = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Annotated[PicoDollars | None, column("USD; null if the price is unknown.", api=("cost_usd",))] = None


class PayloadEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The stored bodies of a request and its response, already redacted and cut to size: columns of `RequestPayload`."""

    request_body: str = ""
    response_body: str = ""
    truncated: bool = False


class LogEntry(LogColumns, kw_only=True, omit_defaults=True):
    """One finished request, as a line of the journal: its columns, its attempts and its payload."""

    model_id: str | None = None
    """The matched model. Not a column: the writer needs it to find a price that was unknown when the request ended."""
    tries: list[AttemptEntry] = []
    payload: PayloadEntry | None = None


class Meter(LogColumns, kw_only=True):
    """What is known of a running request: columns of its log row, and clock values in nanoseconds of one monotonic clock.

    `id` is a UUID that the gateway made; with it, writing an entry twice makes one row.
    """

    started: int
    """When the request arrived; `timestamp` has the same moment of the wall clock."""
    model_id: str | None = None
    dispatched: int | None = None
    """When the first upstream was called."""
    first_token: int | None = None
    """When the first content was sent to the client."""


LOG_COLUMNS = columns_of(LogColumns)
ATTEMPT_COLUMNS = columns_of(AttemptEntry)


def finish_entry(  # noqa: PLR0913  (the facts that are known only at the end; each has a name)
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
    """Make the entry of a request that has ended.

    `ended` is a value of the meter's clock. `usage` is the sum of what all attempts are billed for; `None` counts as no tokens.
    `prices` are those of the model at the upstream that answered; without them the cost is unknown. If no upstream was called, the
    overhead is the whole time.
    """
    tokens = usage or NO_USAGE
    entry = _copy_columns(meter)
    entry.input_format = dialect_named(meter.dialect).input_format
    entry.status_code, entry.outcome = status, outcome
    entry.error_type = clean_text(error_type, MAX_ERROR_TYPE)
    entry.error_message = clean_text(error_message, MAX_ERROR_MESSAGE)
    entry.latency_ms = bound_count((ended - meter.started) // 1_000_000)
    entry.overhead_us = bound_count(((ended if meter.dispatched is None else meter.dispatched) - meter.started) // 1000)
    if meter.first_token is not None:
        entry.ttft_ms = bound_count((meter.first_token - meter.started) // 1_000_000)
    for name, count in token_counts(tokens).items():
        setattr(entry, name, count)
    entry.usage_estimated = estimated
    entry.service_tier = clean_text(tokens.service_tier or "", MAX_SERVICE_TIER)
    entry.cost = cost_in_pico(tokens, prices)
    if prices:
        entry.price_id, entry.price_version = prices.id or None, prices.version
    entry.model_id = meter.model_id
    return entry


class TokenCounts(TypedDict):
    """The token columns by name."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int


def token_counts(usage: Usage) -> TokenCounts:
    """The token columns of an entry or an attempt."""
    return {
        "input_tokens": bound_count(usage.fresh),
        "cache_read_tokens": bound_count(usage.cache_read),
        "cache_write_5m_tokens": bound_count(usage.cache_write_5m),
        "cache_write_1h_tokens": bound_count(usage.cache_write_1h),
        "output_tokens": bound_count(usage.output),
        "reasoning_tokens": bound_count(usage.reasoning),
    }


def usage_of_entry(entry: LogEntry) -> Usage:
    """The usage that an entry was made from; its counts have been bounded."""
    return Usage(
        fresh=entry.input_tokens,
        cache_read=entry.cache_read_tokens,
        cache_write_5m=entry.cache_write_5m_tokens,
        cache_write_1h=entry.cache_write_1h_tokens,
        output=entry.output_tokens,
        reasoning=entry.reasoning_tokens,
        service_tier=entry.service_tier or None,
    )


def cost_in_pico(usage: Usage, prices: rates.Prices | None) -> int | None:
    """The cost in pico-USD, rounded here and nowhere else; `None` if the price is unknown."""
    if prices is None:
        return None
    amount = rates.compute_cost(usage, prices)
    return None if amount is None else min(max(to_pico(amount), 0), MAX_PICO)


def clean_text(text: str, max_length: int) -> str:
    """Make a text valid for every database: no NUL bytes, no lone surrogates, at most `max_length` characters.

    pxbin keys that a client has put in a wrong place, such as a path or a model name, are masked (`pxb_***`).
    """
    if "pxb_" in text or "pxm_" in text:
        text = _KEY.sub(r"\1***", text)
    if text.isascii() and "\0" not in text:
        return text[:max_length]
    return text[:max_length].replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _copied(column: Column) -> str:
    """The source of the expression that copies a column from a meter."""
    return f"clean_text(meter.{column.name}, {column.max_length})" if column.from_client else f"meter.{column.name}"


_copy_columns: Callable[[Meter], LogEntry] = compile_function(
    "meter",
    f"LogEntry({', '.join(f'{column.name}={_copied(column)}' for column in LOG_COLUMNS)})",
    LogEntry=LogEntry,
    clean_text=clean_text,
)


def bound_count(number: int) -> int:
    """Limit a number to 0 to 2^31-1, the range of an integer column: an upstream may report negative or absurd counts."""
    return min(max(number, 0), MAX_COUNT)
