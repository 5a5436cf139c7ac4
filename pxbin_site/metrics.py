"""`/metrics`: what the processes of this machine have counted, and the state of routing and of the log, for Prometheus."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import cache_revisions
from billing.metrics import shared_values
from billing.metrics.exposition import CONTENT_TYPE, Metrics
from billing.metrics.names import HELP
from billing.metrics.request_counts import OTHER, CountingJournal, RequestCounts
from billing.request_log import journal
from billing.request_log.spool import Spool
from proxy.urls import FAST_PATH_PATTERNS, FAST_PATHS
from upstreams.catalog import snapshot
from upstreams.catalog.entries import UpstreamEntry
from upstreams.routing import credential_state, live_state
from upstreams.routing.circuit_breaker import BreakerState

TICK_SECONDS = 0.25
"""Between two measurements of the event loop's lag and of this process."""
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
MAX_CACHED_PATHS = 1024
BREAKER_VALUES: Mapping[BreakerState, int] = {BreakerState.CLOSED: 0, BreakerState.OPEN: 1, BreakerState.HALF_OPEN: 2}
GAUGES = (
    "proxy_active_streams", "proxy_open_connections", "proxy_log_waiting_entries", "process_resident_memory_bytes", "process_open_fds",
    "proxy_web_processes",
)  # fmt: skip
COUNTERS = ("proxy_shed_requests_total", "proxy_dropped_logs_total", "proxy_unlisted_requests_total", "process_cpu_seconds_total")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
_KNOWN_PATHS = frozenset(path for _, path in FAST_PATHS)
_PATTERNS = [(pattern, re.sub(r"\(\?P<(\w+)>[^()]*\)", r"{\1}", pattern.pattern)) for _, pattern, _ in FAST_PATH_PATTERNS]


class ProcessMetrics:
    """The values of this web process, and a timer that measures it."""

    def __init__(self, data_dir: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._own = shared_values.OwnValues(data_dir / shared_values.DIRECTORY)
        self._places = {name: self._own.add("gauge", name) for name in GAUGES}
        self._places |= {name: self._own.add("counter", name) for name in COUNTERS}
        self._lag = self._own.add("histogram", "proxy_event_loop_lag_seconds", bounds=LAGS)
        self._counts = RequestCounts(self._own, PathPatterns())
        self._due = loop.time() + TICK_SECONDS
        self._timer = loop.call_at(self._due, self._tick)

    def new_journal(self, *arguments: Any, **options: Any) -> CountingJournal:
        """A journal whose requests are counted; the arguments are those of :class:`~billing.request_log.journal.Journal`."""
        counting = CountingJournal(*arguments, **options)
        counting.counts = self._counts
        return counting

    def stop(self) -> None:
        """Measure a last time."""
        self._timer.cancel()
        self.measure()
        self._own.close()

    def measure(self) -> None:
        """Set the values of this process."""
        from pxbin_site.server import daphne_server  # installs the reactor: only where a server runs

        load, counters = daphne_server.load(), journal.current().counters
        now = {
            "proxy_active_streams": load.running,
            "proxy_open_connections": load.connections,
            "proxy_shed_requests_total": load.shed,
            "proxy_log_waiting_entries": counters.waiting,
            "proxy_dropped_logs_total": counters.lost,
            "proxy_unlisted_requests_total": counters.unlisted,
            "process_cpu_seconds_total": time.process_time(),
            "process_resident_memory_bytes": _resident_bytes(),
            "process_open_fds": _open_files(),
            "proxy_web_processes": 1,
        }
        for name, value in now.items():
            self._own.values[self._places[name]] = value

    def _tick(self) -> None:
        self._counts.observe(self._lag, LAGS, max(0.0, self._loop.time() - self._due))
        self.measure()
        self._due = self._loop.time() + TICK_SECONDS
        self._timer = self._loop.call_at(self._due, self._tick)


class PathPatterns:
    """The pattern of a client's path, without the prefix of a model; :data:`OTHER` for what no endpoint has."""

    def __init__(self) -> None:
        self._patterns: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        pattern = self._patterns.get(path)
        if pattern is None:
            if len(self._patterns) >= MAX_CACHED_PATHS:
                self._patterns.clear()
            pattern = self._patterns[path] = self._find(path)
        return pattern

    def _find(self, path: str) -> str:
        segments = path.split("/")[1:]
        for begin in range(min(len(segments), 8)):
            rest = "/" + "/".join(segments[begin:])
            if rest in _KNOWN_PATHS:
                return rest
            for pattern, shown in _PATTERNS:
                if pattern.fullmatch(rest):
                    return shown
        return OTHER


_current: ProcessMetrics | None = None


def start(data_dir: Path, loop: asyncio.AbstractEventLoop) -> ProcessMetrics:
    """Begin to count in this process."""
    global _current  # noqa: PLW0603  (one for each process, set at its start)
    _current = ProcessMetrics(data_dir, loop)
    return _current


async def page(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  (a view takes the request)
    """The metrics of all web processes of this machine."""
    if _current is not None:
        _current.measure()
    text = await asyncio.to_thread(partial(_rendered, settings.PXBIN.data_dir))
    return HttpResponse(text, content_type=CONTENT_TYPE)


def _rendered(data_dir: Path) -> str:
    metrics = Metrics(HELP)
    metrics.add_shared(shared_values.read_all(data_dir / shared_values.DIRECTORY))
    backlog = Spool(data_dir / journal.SPOOL_DIRECTORY).backlog()
    metrics.add("gauge", "proxy_log_backlog_segments", backlog.segments)
    metrics.add("gauge", "proxy_log_backlog_seconds", backlog.seconds)
    metrics.add("gauge", "proxy_database_reachable", int(cache_revisions.is_database_reachable()))
    catalogue = snapshot.current()
    metrics.add("gauge", "proxy_models", catalogue.model_count)
    for upstream in catalogue.upstreams.values():
        _add_upstream(metrics, upstream)
    metrics.add("gauge", "proxy_build_info", 1, version=_version())
    return metrics.render()


def _add_upstream(metrics: Metrics, upstream: UpstreamEntry) -> None:
    state = live_state.current()
    metrics.add("gauge", "proxy_circuit_breaker_state", BREAKER_VALUES[state.breakers.state(upstream.id)], upstream=upstream.name)
    metrics.add("gauge", "proxy_upstream_cooling", int(state.cooldowns.until("", "", upstream.id) > 0), upstream=upstream.name)
    states = {"usable": 0, "cooling": 0, "disabled": 0}
    for credential in upstream.credentials:
        is_disabled = credential.is_disabled or credential_state.was_refused(credential.id)
        is_cooling = state.cooldowns.credential_until(credential.id) > state.clock()
        states["disabled" if is_disabled else "cooling" if is_cooling else "usable"] += 1
    for name, number in states.items():
        metrics.add("gauge", "proxy_credentials", number, upstream=upstream.name, state=name)


def _version() -> str:
    try:
        return version("pxbin")
    except PackageNotFoundError:  # a checkout
        return "0.1.0"


def _resident_bytes() -> int:
    """0 where the system has no `/proc`."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * PAGE_SIZE
    except OSError:
        return 0


def _open_files() -> int:
    """0 where the system has no `/proc`."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  (without the one of this directory; Path objects cost more)
    except OSError:
        return 0
