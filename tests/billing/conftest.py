"""Databases and entries for the tests of billing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from accounts.common.uuid7 import new_id
from billing.request_log.entry import LogEntry
from tests.support import postgres, stores


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory, django_db_blocker) -> Iterator[BaseDatabaseWrapper]:
    with django_db_blocker.unblock(), stores.migrated(tmp_path_factory.mktemp("sqlite")) as connection:
        yield connection


@pytest.fixture(scope="session")
def postgresql_url(postgres_server) -> Iterator[str]:
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory, postgresql_url, django_db_blocker) -> Iterator[BaseDatabaseWrapper]:
    folder = tmp_path_factory.mktemp("postgresql")
    with django_db_blocker.unblock(), stores.migrated(folder, PXBIN_DATABASE_URL=postgresql_url) as connection:
        yield connection


@pytest.fixture(params=stores.KINDS)
def database(request, django_db_blocker) -> Iterator[BaseDatabaseWrapper]:
    """Each kind of database in turn, empty, as the default connection."""
    connection = request.getfixturevalue(request.param)
    with django_db_blocker.unblock(), stores.as_default_connection(connection):
        stores.empty(connection)
        yield connection


@pytest.fixture
def spool(tmp_path) -> Path:
    return tmp_path / "spool"


class Timers:
    """Replaces the event loop's timers: scheduled functions run when a test calls `run`."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], object]]] = []

    def __call__(self, seconds: float, work: Callable[[], object]) -> None:
        self.due.append((seconds, work))

    def run(self) -> list[float]:
        """Run what is scheduled; return the delays."""
        due, self.due = self.due, []
        for _, work in due:
            work()
        return [seconds for seconds, _ in due]


@pytest.fixture
def timers() -> Timers:
    return Timers()


def entry(**fields) -> LogEntry:
    """An entry of an ordinary request; `fields` replace its values."""
    defaults = {
        "id": new_id(),
        "timestamp": 1_790_000_000_123_456,
        "request_id": "req-1",
        "path": "/v1/messages",
        "dialect": "anthropic",
        "input_format": "anthropic",
        "model": "m1",
        "latency_ms": 12,
        "overhead_us": 345,
    }
    return LogEntry(**{**defaults, **fields})
