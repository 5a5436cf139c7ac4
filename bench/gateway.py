"""The measured gateway: `manage.py serve` with a temporary data directory on one core, observed from outside."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.scenarios import SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
ROWS_SECONDS = 60.0

_ENVIRONMENT = {"PXBIN_ENV_FILE": os.devnull, "PXBIN_CONFIG_PATH": "", "PXBIN_LOG_LEVEL": "warning", "PYTHONUNBUFFERED": "1"}


class Reading(msgspec.Struct, frozen=True):
    """CPU seconds and resident memory in bytes of the server's process tree; `web_…`: of the web process alone."""

    cpu: float
    web_cpu: float
    memory: int
    web_memory: int


class Gateway:
    """One running server with the models of the scenarios."""

    def __init__(self, root: Path, data_dir: Path, *, core: int | None, profile: Path | None) -> None:
        self.label = root.name
        self._data_dir = data_dir
        self._output = (data_dir / "output.txt").open("w+")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PXBIN_") and not name.endswith("_API_KEY")}
        command = [sys.executable, *(["-m", "cProfile", "-o", str(profile)] if profile else []), "manage.py", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            pinned(command, core),
            cwd=root,
            env={**environment, **_ENVIRONMENT, "PXBIN_DATA_DIR": str(data_dir / "data")},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.port, self.key, self._management_key = self._await_start()

    @classmethod
    @contextmanager
    def started(cls, root: Path = ROOT, *, upstream_port: int, core: int | None = None, profile: Path | None = None) -> Iterator["Gateway"]:
        """Start a gateway and stop it at the end."""
        data_dir = Path(tempfile.mkdtemp(prefix="pxbin-bench-"))
        try:
            gateway = cls(root, data_dir, core=core, profile=profile)
            try:
                gateway.set_up(upstream_port)
                yield gateway
            finally:
                gateway.process.send_signal(signal.SIGTERM)
                gateway.process.wait(60)
        finally:
            shutil.rmtree(data_dir, ignore_errors=True)

    def tail(self) -> str:
        """The end of the server's output."""
        return (self._data_dir / "output.txt").read_text()[-1500:]

    def read(self) -> Reading:
        """The use of the server and its children; times of processes that have exited count with their parents."""
        web = psutil.Process(self.process.pid)
        tree = [web, *web.children(recursive=True)]
        times = [process.cpu_times() for process in tree]
        cpu = sum(time.user + time.system + time.children_user + time.children_system for time in times)
        web_cpu = times[0].user + times[0].system
        memory = [process.memory_info().rss for process in tree]
        return Reading(cpu, web_cpu, sum(memory), memory[0])

    def rows(self) -> int:
        """The number of log rows, read from the database file."""
        with sqlite3.connect(f"file:{self._data_dir / 'data' / 'pxbin.sqlite3'}?mode=ro", uri=True, timeout=20) as database:
            return int(database.execute("SELECT count(*) FROM billing_requestlog").fetchone()[0])

    def await_rows(self, number: int) -> int:
        """Wait until there are ``number`` rows, at most ROWS_SECONDS. Returns the number of rows."""
        deadline = time.monotonic() + ROWS_SECONDS
        while (rows := self.rows()) < number and time.monotonic() < deadline:
            time.sleep(0.1)
        return rows

    def _await_start(self) -> tuple[int, str, str]:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            output = (self._data_dir / "output.txt").read_text()
            matches = [
                re.search(pattern, output) for pattern in (r"serves at http://[^/\s]+:(\d+)", r"(pxb_[0-9a-f]{40})", r"(pxm_[0-9a-f]{40})")
            ]
            if all(matches) and _is_ready(int(matches[0][1])):
                return int(matches[0][1]), matches[1][1], matches[2][1]
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise SystemExit(f"the server did not start:\n{output}")
            time.sleep(0.05)

    def set_up(self, upstream_port: int) -> None:
        """Create an upstream with one priced model for each upstream that the scenarios use."""
        for scenario in {scenario.model: scenario for scenario in SCENARIOS}.values():
            upstream = self._api("/upstreams", _upstream(scenario, upstream_port))["id"]
            prices = {"input_cost_per_million": 1.25, "output_cost_per_million": 10.0}
            self._api("/models", {"name": scenario.model, "upstream_id": upstream, **prices})

    def _api(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json", "x-api-key": self._management_key},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]


def pinned(command: list[str], core: int | None) -> list[str]:
    """The command, bound to a core if there is one."""
    return ["taskset", "-c", str(core), *command] if core is not None else command


def _upstream(scenario: Scenario, port: int) -> dict[str, Any]:
    return {
        "name": scenario.model,
        "base_url": f"http://127.0.0.1:{port}/{scenario.mode}",
        "api_key": "sk-bench",
        "format": "anthropic" if scenario.upstream_path.endswith("messages") else "openai",
    }


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
