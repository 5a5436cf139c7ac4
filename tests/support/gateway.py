"""A real gateway in a process of its own: `manage.py serve` on a free port, with a data directory of its own.

with Gateway.started(OPENAI_API_KEY="sk-…") as gateway:
    httpx.post(gateway.url + "/v1/messages", headers=gateway.client_headers, json={...})
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support import migrated_database
from tests.support.fake_upstream import FakeUpstream
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 90.0
STOP_SECONDS = 90.0
PRINTED = {
    "admin_password": re.compile(r"^admin user: (?P<admin_name>\S+)  password: (\S+)$", re.MULTILINE),
    "client_key": re.compile(r"\b(pxb_[0-9a-f]{40})\b"),
    "management_key": re.compile(r"\b(pxm_[0-9a-f]{40})\b"),
    "url": re.compile(r"serves at (http://\S+)"),
}


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without settings of pxbin and keys of providers, and with `variables`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PXBIN_") and not name.endswith("_API_KEY")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all our modules again
    return {**environment, "PXBIN_ENV_FILE": os.devnull, "PXBIN_CONFIG_PATH": "", "PXBIN_LOG_FORMAT": "text", **variables}


class Gateway:
    """One running `serve`, and what it printed. A restart keeps the data directory and the keys."""

    def __init__(self, data_dir: Path, variables: dict[str, str], arguments: tuple[str, ...] = (), *, migrated: bool = True) -> None:
        """Start it. `migrated`: an empty data directory gets a copy of a migrated database first, which saves the migrations."""
        self.data_dir = data_dir
        self.variables = variables
        self.arguments = arguments
        self.admin_name = self.admin_password = self.client_key = self.management_key = self.url = ""
        self.output = ""
        self._ids: dict[tuple[str, str], str] = {}
        # A client of its own for each call would read the certificate authorities anew each time.
        self.http = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=PATIENCE)
        if migrated and not any(data_dir.iterdir()) and "PXBIN_DATABASE_URL" not in variables:
            migrated_database.copy_to(data_dir, clean_environment())
        self._start(port=free_port())

    @classmethod
    @contextmanager
    def started(cls, *arguments: str, migrated: bool = True, **variables: str) -> Iterator["Gateway"]:
        """Start one with these arguments of `serve` and environment variables, and stop it at the end. `migrated`: as in `Gateway`."""
        data_dir = Path(tempfile.mkdtemp(prefix="pxbin-gateway-"))
        gateway = None
        try:
            gateway = cls(data_dir, variables, arguments, migrated=migrated)
            yield gateway
        finally:
            if gateway is not None and gateway.process.poll() is None:
                gateway.stop()
            if gateway is not None:
                gateway.http.close()
            shutil.rmtree(data_dir, ignore_errors=True)

    @property
    def client_headers(self) -> dict[str, str]:
        """What a client of the LLM endpoints sends."""
        return {"x-api-key": self.client_key}

    @property
    def management_headers(self) -> dict[str, str]:
        """What a script of the management API sends."""
        return {"x-api-key": self.management_key}

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Call the management API and return the answer's `data`; fails on an error answer."""
        response = self.http.request(method, f"{self.url}/api/v1{path}", headers=self.management_headers, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        data = response.json()["data"]
        if method == "POST" and "name" in options.get("json", {}) and isinstance(data, dict):
            self._ids[path, options["json"]["name"]] = data.get("id", "")
        return data

    def id_of(self, path: str, name: str) -> str:
        """The id of what was made with this name at ``/models`` or ``/upstreams``, by :meth:`api` or :meth:`add_upstream`."""
        return self._ids[path, name]

    def add_upstream(self, upstream: FakeUpstream, *models: str, name: str = "", **fields: Any) -> str:
        """Make an upstream of a fake one, with models that lead to it, by the API; returns its id."""
        upstream_fields = {"name": name or f"fake-{upstream.port}", "base_url": upstream.url, "api_key": "sk-upstream-secret", **fields}
        upstream_id: str = self.api("POST", "/upstreams", json=upstream_fields)["id"]
        for model in models:
            self.api("POST", "/models", json={"name": model, "upstream_id": upstream_id})
        return upstream_id

    def logs(self, number: int, **filters: str) -> list[dict[str, Any]]:
        """Wait until there are at least so many log rows, and return them, the newest first."""

        def rows() -> list[dict[str, Any]] | None:
            matching = self._rows(filters)
            return matching if len(matching) >= number else None

        if not number:
            return self._rows(filters)
        return eventually(rows, every=0.05 if number < 50 else 0.5, message=f"{number} rows were not written")

    def row_of(self, request_id: str) -> dict[str, Any]:
        """Wait for the row of this request."""

        def row() -> dict[str, Any] | None:
            page = self.api("GET", "/logs", params={"per_page": "50"})
            return next((log_row for log_row in page if log_row["request_id"] == request_id), None)

        return eventually(row, every=0.05, message=f"request {request_id} has no row")

    def _rows(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        """All pages of the log."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.api("GET", "/logs", params={"per_page": "1000", "page": str(len(rows) // 1000 + 1), **filters})
            rows += page
            if len(page) < 1000:
                return rows

    def stop(self) -> str:
        """SIGTERM: wait until it has drained, and return everything it printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> str:
        """Wait for its end."""
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the gateway did not stop within {STOP_SECONDS} s:\n{self.output}") from None
        self._reader.join(PATIENCE)
        return self.output

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start again where it was, after it has stopped or was killed."""
        assert self.process.poll() is not None, "it still runs"
        self._start(port=self.port)

    def _start(self, *, port: int) -> None:
        variables = clean_environment(
            **{
                "PXBIN_DATA_DIR": str(self.data_dir),
                "PXBIN_LISTEN_ADDR": f"127.0.0.1:{port}",
                "PYTHONUNBUFFERED": "1",
                **self.variables,
            }
        )
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "serve", *self.arguments],
            env=variables,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._printed = 0
        begin = len(self.output)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._await_ready(begin)

    def _read(self) -> None:
        printed = self.process.stdout  # of this start: children of a killed server may print on when the next one runs
        assert printed is not None
        with printed:
            for line in printed:
                self.output += line

    def _is_ready(self, url: str) -> bool:
        try:
            return self.http.get(f"{url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _await_ready(self, begin: int) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (match := PRINTED["url"].search(self.output, begin)) or not self._is_ready(match[1]):
            assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"the gateway was not ready within {READY_SECONDS} s:\n{self.output}"
            time.sleep(0.02)
        self.url = match[1].rstrip("/")
        for name in ("client_key", "management_key"):
            if printed := PRINTED[name].search(self.output):
                setattr(self, name, printed[1])
        if printed := PRINTED["admin_password"].search(self.output):
            self.admin_name, self.admin_password = printed["admin_name"], printed[2]


def failed_start(data_dir: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run `serve` with these arguments where it has to refuse; its exit status and what it wrote to standard error."""
    process = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "serve", *arguments],
        env=clean_environment(PXBIN_DATA_DIR=str(data_dir), **{"PXBIN_LISTEN_ADDR": "127.0.0.1:0", **variables}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )
    return process.returncode, process.stderr
