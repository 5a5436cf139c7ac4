"""Messages that the release has sent to the workers, one of each task: today's worker does what they ask for."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import redis as redis_client

from tests.release import doors, restoring
from tests.release.installation import at_least
from tests.support import redis
from tests.support.gateway import ROOT

pytestmark = pytest.mark.slow

CELERY = restoring.load("celery.json")
SENT_ID, SPOOLED = "0198c0de-0000-7000-8000-000000000b00", "0198c0de-0000-7000-8000-000000000c00"
FOREVER = {"PXBIN_LOG_RETENTION_DAYS": "0", "PXBIN_PAYLOAD_RETENTION_DAYS": "0"}


@contextmanager
def working(installation, redis_url):
    command = [sys.executable, str(ROOT / "manage.py"), "work"]
    environment = installation.environment(PXBIN_REDIS_URL=redis_url, **FOREVER)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    printed = []
    with subprocess.Popen(command, env=environment, cwd=ROOT, **pipes) as process:
        try:
            yield printed
        finally:
            process.terminate()
            printed.append(process.communicate(timeout=30)[0])


def await_effects(effects, *, seconds=30):
    deadline = time.monotonic() + seconds
    while missing := [name for name, is_there in effects.items() if not is_there()]:
        assert time.monotonic() < deadline, f"not done within {seconds} s: {missing}"
        time.sleep(0.1)


def test_the_worker_runs_every_task_that_the_release_has_sent(sqlite):
    sqlite.manage("migrate", "--no-input")
    spool = sqlite.take_spool()

    def value(table, name, column):
        (row,) = [row for row in sqlite.rows(table) if row["name"] == name]
        return row[doors.column(table, column)]

    with redis.started() as url, redis_client.Redis.from_url(url) as client:
        client.lpush(CELERY["queue"], *(json.dumps(message) for message in CELERY["messages"]))
        effects = {
            "billing.write_request_logs": lambda: SENT_ID.replace("-", "") in {row["id"] for row in sqlite.rows(doors.LOGS)},
            "billing.drain_spool": lambda: not list(spool.glob("*.sealed")),
            "billing.prune": lambda: "resp_expired" not in {row["id"] for row in sqlite.rows(doors.RESPONSES)},
            "upstreams.health_check": lambda: value(doors.UPSTREAMS, "anthropic", "tested_at"),
            "upstreams.discover": lambda: value(doors.UPSTREAMS, "anthropic", "discovery_claimed_at"),
            "pxbin.wake": lambda: client.llen(CELERY["queue"]) == client.hlen("unacked") == 0,
        }
        assert {message["headers"]["task"] for message in CELERY["messages"]} == set(effects)
        with working(sqlite, url) as printed:
            await_effects(effects)
    assert "unregistered" not in printed[0]
    assert "Traceback" not in printed[0]
    with sqlite.served() as gateway:
        log_row = {**gateway.api("GET", f"/logs/{SENT_ID}"), "created_at": None}
    (spooled,) = [row for row in restoring.load("spool.json") if row["id"] == SPOOLED]
    due = {**spooled, "id": SENT_ID, "error_message": "sent to Celery", "created_at": None}
    assert at_least(log_row, due) == due
