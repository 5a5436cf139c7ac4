"""Servers that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.pxbin_site.server.serving import MEGA, Served, served


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(cors_origins=["https://app.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_server() -> Iterator[Served]:
    """A server with short time limits and low bounds."""
    limits = {
        "header_timeout": 1.0,
        "body_timeout": 1.0,
        "idle_timeout": 1.0,
        "write_stall": 1.0,
        "linger_seconds": 1.0,
        "application_close": 0.5,
        "max_body_bytes": 1000,
        "max_head_bytes": 4000,
        "max_headers": 20,
        "linger_bytes": 10 * MEGA,
    }
    with served(limits=limits) as running:
        yield running
