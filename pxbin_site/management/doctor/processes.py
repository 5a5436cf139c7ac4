"""Checks of the processes: does the gateway listen, do the worker and beat show signs of life."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from django.conf import settings

from pxbin_site.conf.setting import env_name
from pxbin_site.management.doctor.finding import Finding, failed, ok, one_line, warning
from pxbin_site.processes import heartbeat
from pxbin_site.processes.heartbeat import Process

WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared with, not listened on)
ANSWER_SECONDS = 3.0


def gateway() -> Iterator[Finding]:
    """Whether a gateway answers at the address of the settings."""
    config = settings.PXBIN
    host = "127.0.0.1" if config.listen_host in WILDCARD_ADDRESSES else config.listen_host
    url = f"http://[{host}]:{config.listen_port}" if ":" in host else f"http://{host}:{config.listen_port}"
    try:
        response = httpx.get(f"{url}/health", timeout=ANSWER_SECONDS, trust_env=False)
        is_ours = response.status_code == 200 and response.json() == {"status": "ok"}
    except httpx.HTTPError:
        yield warning("gateway", f"nothing answers at {url}", f"Run `manage.py serve`, or set {env_name('listen_addr')} as it is there")
        return
    except ValueError:
        is_ours = False
    if is_ours:
        yield ok("gateway", f"serves at {url}")
    else:
        yield failed("gateway", f"another program answers at {url}", f"Choose another address with {env_name('listen_addr')}")


def worker() -> Iterator[Finding]:
    """Whether a worker runs tasks."""
    yield from _alive(Process.WORKER, "log rows are not written, and no schedule runs")


def beat() -> Iterator[Finding]:
    """Whether beat sends tasks."""
    yield from _alive(Process.BEAT, "prices, retention and health checks stand still")


def _alive(process: Process, consequence: str) -> Iterator[Finding]:
    remedy = f"Run `manage.py serve` with {env_name('celery')}=1, or `manage.py work` beside it"
    try:
        seconds = heartbeat.seconds_since(process)
    except Exception as error:  # noqa: BLE001  (the classes of Redis's errors belong to its library)
        yield failed(process, f"its sign of life cannot be read: {one_line(error)}", "See redis and disk")
        return
    if seconds is None:
        yield failed(process, f"gave no sign of life yet: {consequence}", remedy)
    elif seconds > heartbeat.LATE_SECONDS:
        yield failed(process, f"gave its last sign of life {seconds:.0f} s ago: {consequence}", remedy)
    else:
        yield ok(process, f"gave a sign of life {seconds:.0f} s ago")
