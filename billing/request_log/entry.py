"""Log entries: what the journal stores of a finished request. Pure: clock values and ids are passed in.

`billing.log_columns` defines the columns. An entry has them as its fields.

The exchange makes a :class:`Meter` when a request arrives and sets its fields as they become known; at the end of the request
:func:`finish_entry` turns it into a :class:`LogEntry`: with bounded texts, without NUL bytes, and priced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypedDict

import msgspec

from billing import rates
from billing.columns import Column, compile_function
from billing.log_columns import LOG_COLUMNS, MAX_ERROR_TYPE, MAX_SERVICE_TIER, AttemptColumns, LogColumns
from billing.money import MAX_PICO, to_pico
from billing.outcomes import Outcome
from proxy.translation.canonical import Usage
from proxy.translation.dialects.lookup import dialect_named

MAX_COUNT = 2**31 - 1
"""The largest value of an integer column."""
MAX_ERROR_MESSAGE = 2000
_KEY = re.compile(r"(px[bm]_)[0-9a-f]{40}")
NO_USAGE = Usage()


class AttemptEntry(AttemptColumns, kw_only=True, omit_defaults=True):
    """One attempt of a request, as the journal stores it: its columns."""


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
    counts = (usage.fresh, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output, usage.reasoning)
    is_bounded = min(counts) >= 0 and max(counts) <= MAX_COUNT
    fresh, cache_read, cache_write_5m, cache_write_1h, output, reasoning = counts if is_bounded else map(bound_count, counts)
    return {
        "input_tokens": fresh,
        "cache_read_tokens": cache_read,
        "cache_write_5m_tokens": cache_write_5m,
        "cache_write_1h_tokens": cache_write_1h,
        "output_tokens": output,
        "reasoning_tokens": reasoning,
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
    return number if 0 <= number <= MAX_COUNT else min(max(number, 0), MAX_COUNT)
