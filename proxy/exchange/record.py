"""The facts of one request, and the journal line that is made of them when it ends."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from time import perf_counter_ns

import msgspec

from accounts.common import uuid7
from accounts.common.gateway_config import config
from accounts.keys import Key
from accounts.limits.limiter import UNLIMITED, Lease
from billing import rates
from billing.log_columns import MAX_REASON, CostSource
from billing.outcomes import Outcome
from billing.pricing import price_book
from billing.pricing.price_book import PriceKey
from billing.request_log import journal
from billing.request_log.bounds import clean_text
from billing.request_log.entry import (
    MAX_ERROR_MESSAGE,
    AttemptEntry,
    LogEntry,
    MadeEntry,
    Meter,
    PayloadEntry,
    finish_entry,
    rate_usage,
    sum_costs,
)  # fmt: skip
from billing.request_log.usage_columns import details_as_json, token_counts
from proxy.exchange import client_labels
from proxy.exchange.capture import Capture
from proxy.exchange.client_credentials import presented
from proxy.exchange.failover import Failover
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.upstream_call import Attempt
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure
from proxy.translation.usage import Usage, add_usages
from upstreams.routing import live_state

log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 4
"""Estimates missing usage for the log; such rows have ``usage_estimated`` set."""

_CLIENT_LEFT = 499
"""The logged status of a request whose client left before a status was sent (nginx's convention)."""


class Record:
    """The facts of one request, noted while it is served, and the one journal line that is made of them.

    ``dialect``: that of the client. ``is_written``: the line was appended.
    """

    def __init__(self, http: HttpRequest, dialect: Dialect) -> None:
        self.http = http
        self.dialect = dialect
        self.is_written = False
        self._key: Key | None = None
        self.lease: Lease = UNLIMITED
        self._made: dict[str, MadeEntry] = {}
        self.capture: Capture | None = None
        self.meter = Meter(
            id=uuid7.new_id(),
            timestamp=time.time_ns() // 1000,
            started=http.started_ns,
            request_id=http.request_id,
            method=http.method,
            path=http.path,
            dialect=dialect.name,
            session_id=client_labels.named_session(http.headers),
            trace_id=client_labels.named_trace(http.headers),
            client_ip=http.client,
            user_agent=http.headers.get("user-agent", ""),
        )

    def note_key(self, key: Key) -> None:
        """The request has a valid client key."""
        self._key = key
        if key.capture_payloads:
            self.start_capture()
        self.meter.api_key_id, self.meter.key_prefix, self.meter.key_name = key.id or None, key.prefix, key.name
        self.meter.owner = key.owner

    def start_capture(self) -> None:
        """Copy the bodies of the request: its key or its model captures them, unless the settings allow for no characters."""
        if self.capture is None and (config().log_body_max_chars > 0 or config().log_stream_text_preview_chars > 0):
            self.capture = Capture(self.http)

    def note_model(self, model: str, *, stream: bool) -> None:
        """The body names a model."""
        self.meter.model, self.meter.stream = model, stream

    def note_reason(self, reason: str) -> None:
        """The request is refused for a reason that the client does not learn."""
        self.meter.reason = clean_text(reason, MAX_REASON)

    def note_tags(self, tags: dict[str, str] | None) -> None:
        """The request has these tags."""
        self.meter.tags = tags

    def note_lease(self, lease: Lease) -> None:
        """The limits and budgets have room for the request; :meth:`write` releases the lease."""
        self.lease = lease
        self.meter.over_budget = lease.levels.is_over

    def note_objects(self, attempt: Attempt) -> None:
        """Remember what the upstream of an attempt keeps, for the key of the request, before the client can name it."""
        days = config().remote_object_days
        if self._key is None or not self._key.id or not days:
            return
        target = attempt.target
        for made in attempt.made_objects():
            if made.id in self._made:
                continue
            until = time.time() + days * 86400
            unbilled = self.meter.model if made.is_unbilled else ""
            entry = MadeEntry(id=made.id, until=until, remote_id=made.remote_id, unbilled_model=unbilled, is_nested=made.is_nested)
            self._made[made.id] = entry
            credential_id = target.credential.id if target.credential is not None else None
            live_state.current().add_object(entry.held_by(target.upstream.id, credential_id, api_key_id=self._key.id))

    def write(self, outcome: Outcome, *, status: int | None, failure: Failure | None = None, failover: Failover | None = None) -> None:
        """Append the journal line and release the lease with the tokens and the cost of all attempts; only the first call counts.

        ``status`` ``None``: the client left before it got one. ``failover``: the attempts; ``None`` if no targets were planned.
        """
        if self.is_written:
            return
        self.is_written = True
        tokens = cost = 0
        try:
            tokens, cost = self._append(outcome, status=_CLIENT_LEFT if status is None else status, failure=failure, failover=failover)
        finally:
            self.lease.release(tokens=tokens, cost=cost)

    def _append(self, outcome: Outcome, *, status: int, failure: Failure | None, failover: Failover | None) -> tuple[int, int]:
        """Append the line to the journal; returns the tokens and the cost (pico-dollars) of all attempts."""
        attempts = [] if failover is None else failover.tried
        usage, estimated = self._sum_up(attempts)
        last = attempts[-1] if attempts else None
        entry = finish_entry(
            self.meter,
            ended=perf_counter_ns(),
            outcome=outcome,
            status=status,
            usage=usage,
            estimated=estimated,
            prices=_prices(last) if last else None,
            price_of=partial(_price_of, last) if last else None,
            error_type=failure.kind if failure else "",
            error_message=failure.message if failure else "",
        )
        if len(attempts) == 1:
            entry.tries = [self._attempt_entry(attempts[0], usage, entry.cost, entry.price_id)]
        elif attempts:
            self._rate_attempts(entry, attempts)
        if last is not None:
            self.note_objects(last)
            entry.made = list(self._made.values())
        if failover is not None and (decision := failover.decision):
            entry.routing = decision
        payload = None if self.capture is None else self._payload(self.capture, last)
        journal.current().append(entry, unauthenticated=self._key is None, payload=payload)
        if usage is None or self.lease is UNLIMITED:
            return 0, 0
        tokens = usage.with_parts()
        return tokens.total_input + tokens.output, entry.cost or 0

    def _payload(self, capture: Capture, last: Attempt | None) -> PayloadEntry | None:
        """The captured bodies. A defect here must not lose the row: it is logged, and the bodies are left out."""
        token, own = presented(self.http.headers)
        secrets = [token, *(value for _, value in own)]
        try:
            if last is None:
                return capture.entry(self.dialect, None, None, secrets)
            source = REGISTRY.get(last.target.upstream.dialect)
            return capture.entry(self.dialect, last.call.captured, source, [*secrets, *last.call.secrets()])
        except Exception:
            log.exception("The bodies of request %s cannot be stored", self.meter.request_id)
            return None

    def _sum_up(self, attempts: Sequence[Attempt]) -> tuple[Usage | None, bool]:
        """The total usage of the attempts and whether it is an estimate; notes the facts of the last one on the meter."""
        meter = self.meter
        meter.attempts = len(attempts)
        if not attempts:
            return None, False
        last = attempts[-1]
        target = last.target
        meter.model_id = target.model.id
        meter.upstream_id, meter.upstream_name = target.upstream.id, target.upstream.name
        meter.upstream_dialect, meter.remote_model = target.upstream.dialect, target.remote_name
        meter.upstream_status = last.call.status
        meter.response_id = last.response_id
        meter.request_metadata = last.request_metadata or None
        meter.dispatched, meter.first_token = min([attempt.call.started_ns for attempt in attempts]), last.call.first_token_ns
        if len(attempts) == 1:
            return self._billed_usage(last)
        results = [self._billed_usage(attempt) for attempt in attempts]
        usages = [usage for usage, _ in results if usage is not None]
        return _total(usages) if usages else None, any(estimated for _, estimated in results)

    def _billed_usage(self, attempt: Attempt) -> tuple[Usage | None, bool]:
        """The usage that an attempt is billed for, and whether it is an estimate.

        It is one when the upstream has reported no usage, or the attempt ended before the final output count.
        """
        usage, is_finished = attempt.call.usage, attempt.call.outcome is Outcome.FINISHED
        output_tokens = -(-attempt.output_chars // CHARS_PER_TOKEN)
        if usage is None:
            if (attempt.call.outcome is Outcome.FAILED and not output_tokens) or not attempt.call.is_sent:
                return None, False
            return Usage(fresh=len(self.http.body) // CHARS_PER_TOKEN, output=output_tokens), True
        if is_finished:
            return usage, False
        return msgspec.structs.replace(usage, output=max(usage.output, output_tokens)), True

    def _rate_attempts(self, entry: LogEntry, attempts: Sequence[Attempt]) -> None:
        """Set the attempts of an entry, each with its cost; that of the entry is their sum, or unknown if one of them is."""
        costs: list[int | None] = []
        sources: set[CostSource] = set()
        entry.tries = []
        for attempt in attempts:
            usage, _ = self._billed_usage(attempt)
            prices = _prices(attempt)
            cost, source = rate_usage(usage, prices, partial(_price_of, attempt)) if usage else (None, CostSource.UNPRICED)
            if usage is not None:
                costs.append(cost)
                sources.add(source)
            attempt_entry = self._attempt_entry(attempt, usage, cost, prices.id or None if prices else None)
            attempt_entry.usage_details = details_as_json(usage) if usage else None
            entry.tries.append(attempt_entry)
        if costs:
            entry.cost, entry.cost_source = sum_costs(costs, sources, 0)

    def _attempt_entry(self, attempt: Attempt, usage: Usage | None, cost: int | None, price_id: str | None) -> AttemptEntry:
        target, failure = attempt.target, attempt.call.failure
        ended = attempt.call.ended_ns or perf_counter_ns()
        first = attempt.call.first_token_ns
        return AttemptEntry(
            timestamp=self.meter.timestamp + (attempt.call.started_ns - self.meter.started) // 1000,
            upstream_id=target.upstream.id,
            upstream_name=target.upstream.name,
            credential_id=target.credential.id if target.credential else None,
            credential_name=target.credential.name if target.credential else "",
            route_id=target.route.id or None,
            remote_model=target.remote_name,
            status_code=attempt.call.status,
            outcome=attempt.call.outcome or Outcome.CANCELLED,
            error_type=failure.kind if failure else "",
            error_message=clean_text(failure.message, MAX_ERROR_MESSAGE) if failure else "",
            latency_ms=(ended - attempt.call.started_ns) // 1_000_000,
            ttft_ms=None if first is None else (first - attempt.call.started_ns) // 1_000_000,
            **token_counts(usage or Usage()),
            cost=cost,
            price_id=price_id,
        )


def _prices(attempt: Attempt) -> rates.Prices | None:
    target = attempt.target
    return price_book.current().find(PriceKey(target.model.id, target.upstream.id, target.remote_name))


def _price_of(attempt: Attempt, remote_name: str) -> rates.Prices | None:
    """The prices of another model at the upstream of an attempt."""
    return price_book.current().find(PriceKey("", attempt.target.upstream.id, remote_name))


def _total(usages: Sequence[Usage]) -> Usage:
    """The sum of the usages of several attempts; what is not a number is that of the last one."""
    last = usages[-1]
    reported = [usage.reported_cost for usage in usages if usage.reported_cost is not None]
    tools = sum((Counter(usage.server_tools) for usage in usages), Counter[str]())
    return msgspec.structs.replace(
        add_usages(usages, like=last),
        server_tools=dict(tools),
        parts=tuple(part for usage in usages for part in usage.parts),
        reported_cost=sum(reported, Decimal(0)) if reported else None,
        is_measured=all(usage.is_measured for usage in usages),
    )
