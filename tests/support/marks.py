"""Marks tests by where they are and what they use, and lets the longest begin.

``e2e``: all below ``tests/e2e``. ``slow``: what starts a gateway, a database server or Redis, or renders pages of the admin; other
slow modules and tests (with processes or browsers of their own, or longer than about a second) name the mark themselves. `make
quick` leaves both out.
"""

from pathlib import Path

import pytest

E2E = Path(__file__).resolve().parent.parent / "e2e"
SLOW = frozenset({"admin_client", "gateway", "postgres_server", "postgres_url", "postgresql", "postgresql_url", "redis_url"})
"""Fixtures whose tests are slow, and names of parameters that ask for one of them."""


def _is_slow(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    parameter_texts = {value for value in parameters.values() if isinstance(value, str)}
    return not SLOW.isdisjoint({*getattr(item, "fixturenames", ()), *parameter_texts})


def _rank(item: pytest.Item) -> int:
    return 0 if item.get_closest_marker("e2e") else 1 if item.get_closest_marker("slow") else 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them; order them so that a parallel run ends with small files, which fill up the last seconds of every worker."""
    for item in items:
        if item.path.is_relative_to(E2E):
            item.add_marker("e2e")
        elif _is_slow(item):
            item.add_marker("slow")
    ranks = dict.fromkeys((item.path for item in items), 2)
    for item in items:
        ranks[item.path] = min(ranks[item.path], _rank(item))
    items.sort(key=lambda item: ranks[item.path])
