"""Fixtures that every test may ask for. What they hand out is described in tests/support."""

from collections.abc import Iterator

import pytest
from django.test import override_settings

from tests.support import postgres, redis
from tests.support.fake_upstream import FakeUpstream, Loop
from tests.support.gateway import Gateway
from tests.support.sizes import load_profile

pytest_plugins = ["tests.support.marks", "tests.support.strict"]
load_profile()


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Argon2 is slow on purpose, and every test of an admin page makes a user."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def fake_loop() -> Loop:
    """The thread in which fake upstreams run."""
    return Loop()


@pytest.fixture
def upstream(fake_loop: Loop) -> Iterator[FakeUpstream]:
    """A fake upstream."""
    fake = FakeUpstream(fake_loop)
    yield fake
    fake.stop()


@pytest.fixture
def second_upstream(fake_loop: Loop) -> Iterator[FakeUpstream]:
    """Another fake upstream."""
    fake = FakeUpstream(fake_loop)
    yield fake
    fake.stop()


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A running gateway on SQLite, shared by all tests: give models and upstreams names of your own."""
    with Gateway.started() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    with postgres.started() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with postgres.database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a running Redis, shared by all tests."""
    with redis.started() as url:
        yield url
