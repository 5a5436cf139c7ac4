"""One measurement: warm-up, load, wait for the log rows, figures."""

import statistics
import subprocess
import sys
from collections.abc import Sequence

import msgspec

from bench.answers import TEXT
from bench.driver import Job, Outcome
from bench.gateway import ROOT, Gateway, pinned
from bench.scenarios import Scenario, request

WARM_UP = 0.25


class Figures(msgspec.Struct, kw_only=True):
    """The result of one scenario. Times in milliseconds, memory in MiB. CPU and memory are None for the upstream itself."""

    scenario: str
    server: str
    requests: int
    cpu_ms: float | None
    web_cpu_ms: float | None = None
    """The part of the web process; the rest is that of the process which writes log rows."""
    per_second: float
    p50_ms: float
    p99_ms: float
    first_p50_ms: float
    first_p99_ms: float
    memory: float | None = None
    web_memory: float | None = None
    rows_missing: int = 0
    wrong: int = 0
    fault: str = ""
    added_p99_ms: float | None = None
    """The delay that an attack adds to the 99th percentile."""
    added_memory: float | None = None
    """The memory that an attack adds to the web process."""


class Bench:
    """The upstream and the load of one run, on a core that the server does not use if there are two."""

    def __init__(self, *, core: int | None) -> None:
        self.core = core
        self._upstream = subprocess.Popen(
            pinned([sys.executable, "-m", "bench.upstream"], core), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._upstream.stdout is not None
        self.upstream_port = int(self._upstream.stdout.readline())

    def close(self) -> None:
        """Stop the upstream."""
        self._upstream.communicate()

    def through(self, gateway: Gateway, scenario: Scenario, *, requests: int, connections: int | None) -> Figures:
        """Measure a scenario through the gateway."""
        connections = connections or scenario.connections
        count = max(round(requests * scenario.share), connections)
        body = request(scenario.path, scenario.body(scenario.path), key=gateway.key, port=gateway.port)
        job = Job(
            port=gateway.port,
            request=body,
            requests=count,
            connections=connections,
            stream=scenario.stream,
            text=TEXT,
            terminator=scenario.terminator,
            pause=scenario.pause,
        )
        rows = gateway.rows()
        if scenario.share:
            warm_up = max(round(count * WARM_UP), connections)
            self._drive(msgspec.structs.replace(job, requests=warm_up))
            rows = gateway.await_rows(rows + warm_up)
        before = gateway.read()
        outcome = self._drive(job)
        rows_found = gateway.await_rows(rows + count)
        after = gateway.read()
        figures = _figures(scenario, gateway.label, outcome)
        figures.cpu_ms = (after.cpu - before.cpu) * 1000 / count
        figures.web_cpu_ms = (after.web_cpu - before.web_cpu) * 1000 / count
        figures.memory, figures.web_memory = after.memory / 2**20, after.web_memory / 2**20
        figures.rows_missing = rows + count - rows_found
        return figures

    def direct(self, scenario: Scenario, *, requests: int, connections: int | None) -> Figures:
        """Measure the same load sent to the upstream itself, in its own dialect: the limit of what can be measured."""
        connections = connections or scenario.connections
        path = scenario.upstream_path
        upstream = msgspec.structs.replace(scenario, path=path)
        job = Job(
            port=self.upstream_port,
            request=request(f"/{scenario.mode}{path}", upstream.body(path), key="none", port=self.upstream_port),
            requests=max(round(requests * scenario.share), connections),
            connections=connections,
            stream=scenario.stream,
            text=TEXT,
            terminator=upstream.terminator,
            pause=scenario.pause,
        )
        return _figures(scenario, "direct", self._drive(job))

    def _drive(self, job: Job) -> Outcome:
        process = subprocess.run(
            pinned([sys.executable, "-m", "bench.driver"], self.core),
            cwd=ROOT,
            input=msgspec.json.encode(job),
            stdout=subprocess.PIPE,
            check=True,
        )
        return msgspec.json.decode(process.stdout, type=Outcome)


def _figures(scenario: Scenario, server: str, outcome: Outcome) -> Figures:
    return Figures(
        scenario=scenario.name,
        server=server,
        requests=len(outcome.last),
        cpu_ms=None,
        per_second=len(outcome.last) / outcome.wall,
        p50_ms=_percentile(outcome.last, 50),
        p99_ms=_percentile(outcome.last, 99),
        first_p50_ms=_percentile(outcome.first, 50),
        first_p99_ms=_percentile(outcome.first, 99),
        wrong=outcome.wrong,
        fault=outcome.fault,
    )


def _percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile in milliseconds."""
    if len(seconds) < 2:
        return sum(seconds) * 1000
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
