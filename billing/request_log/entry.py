"""Log entries: what the journal stores of a finished request. Pure: clock values and ids are passed in.

`billing.log_columns` defines the columns. An entry has them as its fields.

The exchange makes a :class:`Meter` when a request arrives and sets its fields as they become known; at the end of the request
:func:`finish_entry` turns it into a :class:`LogEntry`: with bounded texts, without NUL bytes, and priced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from billing import rates
from billing.columns import Column, compile_function
from billing.log_columns import LOG_COLUMNS, MAX_ERROR_TYPE, AttemptColumns, CostSource, LogColumns
from billing.money import MAX_PICO, to_pico
from billing.outcomes import Outcome
from billing.request_log.bounds import bound_count, clean_text
from billing.request_log.usage_columns import set_usage
from proxy.translation.canonical import Usage
from proxy.translation.dialects.lookup import dialect_named
from upstreams.routing.remote_objects import RemoteObject

MAX_ERROR_MESSAGE = 2000
NO_USAGE = Usage()


class AttemptEntry(AttemptColumns, kw_only=True, omit_defaults=True):
    """One attempt of a request, as the journal stores it: its columns."""


class PayloadEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The stored bodies of a request and its response, already redacted and cut to size: columns of `RequestPayload`."""

    client_body: str = msgspec.field(default="", name="request_body")
    sent_body: str = ""
    upstream_answer: str = ""
    delivered_answer: str = msgspec.field(default="", name="response_body")
    truncated: bool = False


class MadeEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An object that the upstream of the last attempt keeps: columns of `RemoteObject`. `until`: Unix seconds."""

    id: str
    until: float
    remote_id: str = ""
    unbilled_model: str = ""
    is_nested: bool = False

    def held_by(self, upstream_id: str, credential_id: str | None, *, api_key_id: str) -> RemoteObject:
        """The object with its place and its client key."""
        return RemoteObject(
            **msgspec.structs.asdict(self), api_key_id=api_key_id, upstream_id=upstream_id, credential_id=credential_id or ""
        )


class LogEntry(LogColumns, kw_only=True, omit_defaults=True):
    """One finished request, as a line of the journal: its columns, its attempts, its payload, and what its upstream keeps."""

    model_id: str | None = None
    """The matched model. Not a column: the writer needs it to find a price that was unknown when the request ended."""
    tries: list[AttemptEntry] = []
    payload: PayloadEntry | None = None
    made: list[MadeEntry] = []


class Meter(LogColumns, kw_only=True):
    """What is known of a running request: columns of its log row, and clock values in nanoseconds of one monotonic clock.

    `id` is a UUID that the gateway made; with it, writing an entry twice makes one row.
    """

    started: int
    """When the request's body was complete; `timestamp` has the same moment of the wall clock."""
    model_id: str | None = None
    dispatched: int | None = None
    """When the first upstream was called."""
    first_token: int | None = None
    """When the first content was sent to the client."""

    @property
    def id_seed(self) -> str:
        """24 hexadecimal digits from which the ids in the response are made."""
        return self.id.replace("-", "")[-24:]

    @property
    def created(self) -> int:
        """`timestamp` in Unix seconds."""
        return self.timestamp // 1_000_000


def finish_entry(  # noqa: PLR0913  (the facts that are known only at the end; each has a name)
    meter: Meter,
    *,
    ended: int,
    outcome: Outcome,
    status: int,
    usage: Usage | None = None,
    estimated: bool = False,
    prices: rates.Prices | None = None,
    price_of: rates.PriceOf | None = None,
    error_type: str = "",
    error_message: str = "",
) -> LogEntry:
    """Make the entry of a request that has ended.

    `ended` is a value of the meter's clock. `usage` is the sum of what all attempts are billed for; `None` counts as no tokens.
    `prices` are those of the model at the upstream that answered; `price_of` has those of other models
    there, which parts of the usage may name. Without prices the cost is unknown, or what the upstream reported. If no upstream was
    called, the overhead is the whole time.
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
    set_usage(entry, tokens)
    entry.usage_estimated = estimated
    entry.cost, entry.cost_source = rate_usage(tokens, prices, price_of)
    if tokens.reported_cost is not None:
        entry.reported_cost = _bounded_pico(tokens.reported_cost)
    if prices:
        entry.price_id, entry.price_version = prices.id or None, prices.version
    entry.model_id = meter.model_id
    return entry


def rate_usage(usage: Usage, prices: rates.Prices | None, price_of: rates.PriceOf | None = None) -> tuple[int | None, CostSource]:
    """The cost in pico-USD and what it was taken from: the price, or what the upstream reported where no price is known."""
    cost = cost_in_pico(usage, prices, price_of)
    if cost is not None:
        return cost, CostSource.PRICE
    if usage.reported_cost is not None:
        return _bounded_pico(usage.reported_cost), CostSource.REPORTED
    return None, CostSource.UNPRICED


Amount = TypeVar("Amount", int, Decimal)


def sum_costs(costs: Sequence[Amount | None], sources: Collection[CostSource], zero: Amount) -> tuple[Amount | None, CostSource]:
    """The sum of several costs and its source: unknown if one of them is, reported if one of them was."""
    total = zero
    for cost in costs:
        if cost is None:
            return None, CostSource.UNPRICED
        total += cost
    return total, CostSource.REPORTED if CostSource.REPORTED in sources else CostSource.PRICE


def cost_in_pico(usage: Usage, prices: rates.Prices | None, price_of: rates.PriceOf | None = None) -> int | None:
    """The cost in pico-USD, rounded here and nowhere else; `None` if the price is unknown."""
    if prices is None:
        return None
    amount = rates.compute_cost(usage, prices, price_of)
    return None if amount is None else _bounded_pico(amount)


def _bounded_pico(amount: Decimal) -> int:
    return min(max(to_pico(amount), 0), MAX_PICO)


def _copied(column: Column) -> str:
    """The source of the expression that copies a column from a meter."""
    value = f"meter.{column.name}"
    return f"{value} and clean_text({value}, {column.max_length})" if column.from_client else value


_copy_columns: Callable[[Meter], LogEntry] = compile_function(
    "meter",
    f"LogEntry({', '.join(f'{column.name}={_copied(column)}' for column in LOG_COLUMNS)})",
    LogEntry=LogEntry,
    clean_text=clean_text,
)
