"""`python -m bench`: starts an upstream and a gateway, measures every scenario, prints a table."""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec

from bench import adversary
from bench.gateway import ROOT, Gateway
from bench.measure import Bench, Figures
from bench.scenarios import SCENARIOS, Scenario

COLUMNS = (
    ("CPU ms", "cpu_ms", ".3f"),
    ("web ms", "web_cpu_ms", ".3f"),
    ("req/s", "per_second", ".0f"),
    ("p50 ms", "p50_ms", ".2f"),
    ("p99 ms", "p99_ms", ".2f"),
    ("first p50", "first_p50_ms", ".2f"),
    ("first p99", "first_p99_ms", ".2f"),
    ("web MiB", "web_memory", ".0f"),
    ("all MiB", "memory", ".0f"),
    ("added p99", "added_p99_ms", ".2f"),
    ("added MiB", "added_memory", ".0f"),
)


def main() -> int:
    """Run the benchmark. The exit status is 1 if a response was wrong or a log row is missing, 2 if no scenario was selected."""
    options = arguments()
    selected = [scenario for scenario in SCENARIOS if options.selects(scenario.name)]
    attacks = [name for name in adversary.names() if options.selects(name)]
    if not selected and not attacks:
        print("no such scenario; the scenarios are:", *(scenario.name for scenario in SCENARIOS), *adversary.names(), sep="\n  ")
        return 2
    server_core, load_core = cores()
    results: list[Figures] = []
    with ExitStack() as stack:
        bench = Bench(core=load_core)
        stack.callback(bench.close)
        roots = [ROOT] + ([stack.enter_context(checkout(options.vs))] if options.vs else [])
        gateways = [
            stack.enter_context(Gateway.started(root, upstream_port=bench.upstream_port, core=server_core, profile=options.profile))
            for root in roots
        ]
        if not options.json:
            print(heading(server_core, load_core))
        measured = (
            *(partial(measure, bench, gateways, scenario, options) for scenario in selected),
            *(partial(adversary.measure, bench, gateway, name, requests=options.requests) for name in attacks for gateway in gateways),
        )
        for measurement in measured:
            figures = measurement()
            results += figures
            if not options.json:
                for line in figures:
                    print(row(line), flush=True)
        if any(figures.wrong for figures in results):
            print(*(gateway.tail() for gateway in gateways), sep="\n", file=sys.stderr)
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(results)).decode())
    return report_faults(results)


class Options(argparse.Namespace):
    """The parsed command line."""

    only: list[str] | None

    def selects(self, name: str) -> bool:
        """Whether a scenario or an attack of this name is measured."""
        return not self.only or any(text in name for text in self.only)


def arguments() -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure CPU time, latency and memory of the gateway. docs/benchmarks.md explains the figures."
    )
    parser.add_argument("--only", action="append", metavar="TEXT", help="only scenarios whose name contains this text (may be repeated)")
    parser.add_argument("--requests", type=int, default=4000, help="requests of a measurement (default 4000; a tenth for large bodies)")
    parser.add_argument("--connections", type=int, help="connections of the load (default 32; 200 for slow streams)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="number of rounds, of which the one with the least CPU time is shown (default 1)"
    )
    parser.add_argument("--vs", metavar="REF", help="also measure this git revision, alternating with the working tree")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="write a cProfile of the server to this file (the figures are then not usable)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(namespace=Options())
    if options.profile:
        options.profile = options.profile.resolve()
        if options.vs:
            parser.error("--profile and --vs exclude each other")
    return options


def measure(bench: Bench, gateways: list[Gateway], scenario: Scenario, options: Options) -> list[Figures]:
    """The figures of one scenario: direct, then each gateway in its round with the least CPU time."""
    size = {"requests": options.requests, "connections": options.connections}
    results = [bench.direct(scenario, **size)]
    rounds = [[bench.through(gateway, scenario, **size) for gateway in gateways] for _ in range(options.rounds)]
    for figures_of_gateway in zip(*rounds, strict=True):
        best = min(figures_of_gateway, key=lambda figures: figures.cpu_ms or 0.0)
        best.wrong = sum(figures.wrong for figures in figures_of_gateway)
        best.fault = next((figures.fault for figures in figures_of_gateway if figures.fault), "")
        best.rows_missing = sum(figures.rows_missing for figures in figures_of_gateway)
        results.append(best)
    return results


def cores() -> tuple[int | None, int | None]:
    """The cores of the server and of the load, if the machine has two and `taskset`."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (allowed[0], allowed[1]) if len(allowed) > 1 and shutil.which("taskset") else (None, None)


class checkout:  # noqa: N801  (a context manager, used like a function)
    """A git revision, unpacked into a temporary directory."""

    def __init__(self, revision: str) -> None:
        self._revision = revision
        self._directory = tempfile.TemporaryDirectory(prefix="pxbin-bench-")

    def __enter__(self) -> Path:
        archive = subprocess.run(["git", "archive", self._revision], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        target = Path(self._directory.name) / self._revision.replace("/", "-")
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(target, filter="data")
        return target

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()


def heading(server_core: int | None, load_core: int | None) -> str:
    """The cores in use and the names of the columns."""
    pinning = f"server on core {server_core}, load and upstream on core {load_core}" if server_core is not None else "processes not pinned"
    return f"{pinning}\n\n{'':42} {'':10} " + " ".join(f"{title:>9}" for title, _, _ in COLUMNS)


def row(figures: Figures) -> str:
    """One line of the table."""
    cells = [getattr(figures, name) for _, name, _ in COLUMNS]
    texts = ["-" if cell is None else format(cell, form) for cell, (_, _, form) in zip(cells, COLUMNS, strict=True)]
    name = figures.scenario if figures.server == "direct" else ""
    return f"{name:42} {figures.server[:10]:10} " + " ".join(f"{cell:>9}" for cell in texts)


def report_faults(results: list[Figures]) -> int:
    """Print what was wrong. Returns the exit status."""
    status = 0
    for figures in results:
        if figures.rows_missing:
            print(f"{figures.scenario} ({figures.server}): {figures.rows_missing} log rows are missing", file=sys.stderr)
            status = 1
        if figures.wrong:
            print(
                f"{figures.scenario} ({figures.server}): {figures.wrong} responses are wrong, the first: {figures.fault}", file=sys.stderr
            )
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
