"""What happened to one request, gathered on its way and written down once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

import msgspec

from accounts.common import uuid7
from accounts.keys import Key
from billing import rates
from billing.outcomes import Outcome
from billing.pricing import price_book
from billing.pricing.price_book import PriceKey
from billing.request_log import journal
from billing.request_log.entry import MAX_ERROR_MESSAGE, AttemptEntry, Meter, clean_text, cost_in_pico, finish_entry, token_counts
from proxy.exchange.attempt_base import Attempt
from proxy.exchange.client_credentials import session_of
from proxy.exchange.http_request import HttpRequest
from proxy.translation.canonical import Usage
from proxy.translation.errors import Failure

CHARS_PER_TOKEN = 4
"""The rough rule by which missing usage is estimated for the log; such rows are marked."""

_CLIENT_LEFT = 499
"""What the log says of a request whose client left before a status was sent (a common convention of proxies)."""


class Record:
    """The meter of one request, and the one line that it becomes."""

    def __init__(self, http: HttpRequest, dialect: str) -> None:
        self._http = http
        self._key: Key | None = None
        self._written = False
        self.meter = Meter(
            id=uuid7.new_id(),
            arrived=time.time(),
            started=http.started_ns,
            request_id=http.request_id,
            method=http.method,
            path=http.path,
            dialect=dialect,
            session_id=session_of(http.headers) or "",
            client_ip=http.client,
            user_agent=http.headers.get("user-agent", ""),
        )

    def known_key(self, key: Key) -> None:
        """The request's key is good."""
        self._key = key
        self.meter.api_key_id, self.meter.key_prefix, self.meter.key_name = key.id or None, key.prefix, key.name

    def asked_for(self, model: str, *, stream: bool) -> None:
        """The body names a model."""
        self.meter.model, self.meter.stream = model, stream

    def overhead_us(self) -> int:
        """From the request's arrival until the first upstream was called."""
        return ((self.meter.dispatched or perf_counter_ns()) - self.meter.started) // 1000

    def write(
        self,
        outcome: Outcome,
        *,
        status: int | None,
        attempts: Sequence[Attempt] = (),
        decision: list[dict[str, Any]] | None = None,
        failure: Failure | None = None,
    ) -> int:
        """Append the line, once; returns the tokens that all attempts took. ``status`` ``None``: the client left before one."""
        if self._written:
            return 0
        self._written = True
        spent, estimated = self._sum_up(attempts)
        last = attempts[-1] if attempts else None
        entry = finish_entry(
            self.meter,
            ended=perf_counter_ns(),
            outcome=outcome,
            status=_CLIENT_LEFT if status is None else status,
            usage=spent,
            estimated=estimated,
            prices=_prices(last) if last else None,
            error_type=failure.kind if failure else "",
            error_message=failure.message if failure else "",
        )
        if len(attempts) == 1:
            entry.tries = [self._try(attempts[0], spent, entry.cost)]
        elif attempts:
            entry.tries = [self._priced_try(attempt) for attempt in attempts]
            known = [each.cost for each in entry.tries if each.cost is not None]
            entry.cost = sum(known) if known else entry.cost
        if decision:
            entry.routing = decision
        journal.current().append(entry, unauthenticated=self._key is None)
        return spent.total_input + spent.output if spent else 0

    def _sum_up(self, attempts: Sequence[Attempt]) -> tuple[Usage | None, bool]:
        """The usage of all attempts together, and the facts of the last one on the meter."""
        meter = self.meter
        meter.attempts = len(attempts)
        if not attempts:
            return None, False
        last = attempts[-1]
        target = last.target
        meter.model_id = target.model.id
        meter.upstream_id, meter.upstream_name = target.upstream.id, target.upstream.name
        meter.upstream_dialect, meter.remote_model = target.upstream.dialect, target.remote_name
        meter.upstream_status = last.status
        meter.request_metadata = last.notes or None
        meter.dispatched, meter.first_token = min(each.began_ns for each in attempts), last.first_token_ns
        usages = [self.spent(attempt) for attempt in attempts]
        known = [usage for usage, _ in usages if usage is not None]
        if len(known) > 1:
            return _total(known), any(estimated for _, estimated in usages)
        return (known[0] if known else None), any(estimated for _, estimated in usages)

    def spent(self, attempt: Attempt) -> tuple[Usage | None, bool]:
        """What one attempt is billed for, and whether that is an estimate: the upstream told nothing, or not yet its output."""
        usage, finished = attempt.usage, attempt.outcome == "finished"
        written = -(-attempt.output_chars // CHARS_PER_TOKEN)
        if usage is None:
            if (attempt.outcome == "failed" and not written) or not attempt.is_sent:
                return None, False
            return Usage(fresh=len(self._http.body) // CHARS_PER_TOKEN, output=written), True
        if finished:
            return usage, False
        return msgspec.structs.replace(usage, output=max(usage.output, written)), True

    def _priced_try(self, attempt: Attempt) -> AttemptEntry:
        usage, _ = self.spent(attempt)
        return self._try(attempt, usage, cost_in_pico(usage, _prices(attempt)) if usage else None)

    def _try(self, attempt: Attempt, usage: Usage | None, cost: int | None) -> AttemptEntry:
        target, failure = attempt.target, attempt.failure
        ended = attempt.ended_ns or perf_counter_ns()
        first = attempt.first_token_ns
        return AttemptEntry(
            timestamp=int(self.meter.arrived * 1e6) + (attempt.began_ns - self.meter.started) // 1000,
            upstream_id=target.upstream.id,
            upstream_name=target.upstream.name,
            credential_id=target.credential.id if target.credential else None,
            credential_name=target.credential.name if target.credential else "",
            route_id=target.route.id,
            remote_model=target.remote_name,
            status_code=attempt.status,
            outcome=attempt.outcome or "cancelled",
            error_type=failure.kind if failure else "",
            error_message=clean_text(failure.message, MAX_ERROR_MESSAGE) if failure else "",
            latency_ms=(ended - attempt.began_ns) // 1_000_000,
            ttft_ms=None if first is None else (first - attempt.began_ns) // 1_000_000,
            **token_counts(usage or Usage()),
            cost=cost,
        )


def _prices(attempt: Attempt) -> rates.Prices | None:
    target = attempt.target
    return price_book.current().find(PriceKey(target.model.id, target.upstream.id, target.remote_name))


def _total(usages: Sequence[Usage]) -> Usage:
    classes = ("fresh", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    return Usage(**{name: sum(getattr(usage, name) for usage in usages) for name in classes}, service_tier=usages[-1].service_tier)
