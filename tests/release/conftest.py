"""Installations that the release has left, and gateways of today that run on them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.release import restoring
from tests.release.installation import Installation
from tests.support import postgres
from tests.support.gateway import Gateway


@contextmanager
def installed(kind: str, postgres_server: str) -> Iterator[Installation]:
    home = restoring.data_dir() if kind == "postgresql" else restoring.sqlite()
    try:
        if kind == "postgresql":
            with postgres.database(postgres_server) as url:
                restoring.postgresql(url)
                yield Installation(home, url)
        else:
            yield Installation(home)
    finally:
        shutil.rmtree(home)


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request, postgres_server) -> Iterator[Installation]:
    """One on each kind of database, for one test."""
    with installed(request.param, postgres_server) as new_installation:
        yield new_installation


@pytest.fixture
def sqlite() -> Iterator[Installation]:
    """One on SQLite, for one test."""
    with installed("sqlite", "") as new_installation:
        yield new_installation


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def untouched(request, postgres_server) -> Iterator[Gateway]:
    """A gateway on each kind of database whose tests change nothing."""
    with installed(request.param, postgres_server) as new_installation, new_installation.served() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    """A gateway on SQLite whose tests may change what they do not share."""
    with installed("sqlite", "") as new_installation, new_installation.served() as gateway:
        yield gateway
