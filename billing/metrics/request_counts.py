"""Counts finished requests. Called once for each, in the event loop: it looks up places and adds numbers, nothing more."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from billing.metrics.shared_values import OwnValues
from billing.money import DIGITS
from billing.outcomes import Outcome
from billing.request_log.entry import LogEntry, PayloadEntry
from billing.request_log.journal import Journal

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
MICROSECONDS = (100.0, 200.0, 300.0, 500.0, 750.0, 1000.0, 2000.0, 5000.0, 10_000.0, 100_000.0)
MAX_MODELS = 500
"""Names of models with series of their own, in one process; clients may invent names where a model is a pattern."""
PICO_PER_USD = 10.0**DIGITS
OTHER, UNKNOWN = "(other)", "(unknown)"
LIMITS = frozenset({"rate_limit", "quota"})
"""Kinds of failures with which the gateway itself refuses a request because of a limit."""

PathPattern = Callable[[str], str]
"""The pattern of a client's path, so that ids in paths make no series."""


class _Request(NamedTuple):
    """The places of the series of a method, path, status and format."""

    ended: int
    duration: int


class _Model(NamedTuple):
    """The places of the series of an upstream and a model."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    cost: int
    unpriced: int


class _Call(NamedTuple):
    """The places of the series of calls of an upstream with one result."""

    ended: int
    duration: int


class RequestCounts:
    """The series of requests in the values of this process."""

    def __init__(self, own: OwnValues, path_pattern: PathPattern) -> None:
        self._own = own
        self._values = own.values
        self._path_pattern = path_pattern
        self._requests: dict[tuple[str, str, int, str], _Request] = {}
        self._durations: dict[tuple[str, str], int] = {}
        self._models: dict[tuple[str, str], _Model] = {}
        self._known_models: set[str] = set()
        self._calls: dict[tuple[str, Outcome, str], _Call] = {}
        self._call_durations: dict[str, int] = {}
        self._first_tokens: dict[str, int] = {}
        self._overhead = own.add("histogram", "proxy_overhead_microseconds", bounds=MICROSECONDS)
        self._rate_limited = own.add("counter", "proxy_rate_limited_total")

    def count(self, entry: LogEntry) -> None:
        """Add a finished request."""
        values = self._values
        request = self._request_of(entry)
        values[request.ended] += 1
        _observe(values, request.duration, SECONDS, entry.latency_ms / 1000)
        if not entry.tries:
            if entry.error_type in LIMITS:
                values[self._rate_limited] += 1
            return
        _observe(values, self._overhead, MICROSECONDS, entry.overhead_us)
        if entry.ttft_ms is not None:
            _observe(values, self._first_token_of(entry.upstream_name), SECONDS, entry.ttft_ms / 1000)
        model = self._model_of(entry)
        values[model.input] += entry.input_tokens
        values[model.cache_read] += entry.cache_read_tokens
        values[model.cache_write] += entry.cache_write_5m_tokens + entry.cache_write_1h_tokens
        values[model.output] += entry.output_tokens
        if entry.cost is None:
            values[model.unpriced] += 1
        else:
            values[model.cost] += entry.cost / PICO_PER_USD
        for attempt in entry.tries:
            call = self._calls.get((attempt.upstream_name, attempt.outcome, attempt.error_type)) or self._add_call(
                attempt.upstream_name, attempt.outcome, attempt.error_type
            )
            values[call.ended] += 1
            _observe(values, call.duration, SECONDS, attempt.latency_ms / 1000)

    def observe(self, place: int, bounds: tuple[float, ...], value: float) -> None:
        """Add a value to a histogram."""
        _observe(self._values, place, bounds, value)

    def _request_of(self, entry: LogEntry) -> _Request:
        pattern = self._path_pattern(entry.path)
        key = (entry.method, pattern, entry.status_code, entry.input_format)
        request = self._requests.get(key)
        if request is None:
            labels = {"method": entry.method, "path": pattern}
            duration = self._durations.get((entry.method, pattern))
            if duration is None:
                duration = self._own.add("histogram", "proxy_request_duration_seconds", labels, SECONDS)
                self._durations[entry.method, pattern] = duration
            labels |= {"status_code": str(entry.status_code), "format": entry.input_format}
            request = self._requests[key] = _Request(self._own.add("counter", "proxy_requests_total", labels), duration)
        return request

    def _model_of(self, entry: LogEntry) -> _Model:
        """By the client's name of the model once a request for it has succeeded; before, nothing says that such a model exists."""
        name = entry.model
        if name not in self._known_models:
            if entry.outcome is not Outcome.FINISHED:
                name = UNKNOWN
            elif len(self._known_models) >= MAX_MODELS:
                name = OTHER
            else:
                self._known_models.add(name)
        model = self._models.get((entry.upstream_name, name))
        return self._add_model(entry.upstream_name, name) if model is None else model

    def _add_model(self, upstream: str, name: str) -> _Model:
        labels, add = {"upstream": upstream, "model": name}, self._own.add

        def tokens(kind: str) -> int:
            return add("counter", "proxy_tokens_total", {**labels, "type": kind})

        model = self._models[upstream, name] = _Model(
            input=tokens("input"),
            cache_read=tokens("cache_read"),
            cache_write=tokens("cache_write"),
            output=tokens("output"),
            cost=add("counter", "proxy_cost_usd_total", labels),
            unpriced=add("counter", "proxy_unpriced_requests_total", labels),
        )
        return model

    def _add_call(self, upstream: str, outcome: Outcome, error_type: str) -> _Call:
        duration = self._call_durations.get(upstream)
        if duration is None:
            duration = self._own.add("histogram", "proxy_upstream_call_duration_seconds", {"upstream": upstream}, SECONDS)
            self._call_durations[upstream] = duration
        labels = {"upstream": upstream, "outcome": str(outcome), "error_type": error_type}
        call = self._calls[upstream, outcome, error_type] = _Call(self._own.add("counter", "proxy_upstream_calls_total", labels), duration)
        return call

    def _first_token_of(self, upstream: str) -> int:
        place = self._first_tokens.get(upstream)
        if place is None:
            place = self._own.add("histogram", "proxy_time_to_first_token_seconds", {"upstream": upstream}, SECONDS)
            self._first_tokens[upstream] = place
        return place


def _observe(values: memoryview[float], start: int, bounds: tuple[float, ...], value: float) -> None:  # type: ignore[type-arg,unused-ignore]
    values[start + bisect_left(bounds, value)] += 1
    values[start + len(bounds) + 1] += value


class CountingJournal(Journal):
    """A journal that counts each request it is given, also one that it does not write."""

    counts: RequestCounts

    def append(self, entry: LogEntry, *, unauthenticated: bool = False, payload: PayloadEntry | None = None) -> None:
        """See :class:`~billing.request_log.journal.Journal`."""
        self.counts.count(entry)
        super().append(entry, unauthenticated=unauthenticated, payload=payload)
