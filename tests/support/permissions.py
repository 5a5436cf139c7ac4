"""The table of permissions, `tests/pxbin_site/permissions.txt`: the status of every route for every role.

Roles: `nobody` has no key and no session; `client`, `disabled` and `expired` have a client key; `read` and `write` have a management
key; `staff` may log in to the admin and has no permission, `viewer` has all permissions to view, `superuser` may do everything.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.urls import get_resolver

from proxy.urls import FAST_PATH_PATTERNS, FAST_PATHS
from pxbin_site.api import api

FILE = Path(__file__).resolve().parent.parent / "pxbin_site" / "permissions.txt"
KEYS = ("nobody", "client", "disabled", "expired", "read", "write")
SESSIONS = ("staff", "viewer", "superuser")
ROLES = (*KEYS, *SESSIONS)
Route = tuple[str, str]
"""Method and path with placeholders."""
Statuses = tuple[str, ...]
UNUSED = "-"
"""In the column of a role that is not tried at a route: of the keys at a page, and of the sessions at an API, only the strongest is."""


def table() -> dict[Route, Statuses]:
    """The file's rows; its first line names the roles."""
    heading, *lines = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert heading == ["method", "route", *ROLES]
    rows = {(method, route): tuple(statuses) for method, route, *statuses in lines}
    assert len(rows) == len(lines), "a route is listed twice"
    return rows


def site_routes() -> Iterator[Route]:
    """Every route of Django's resolver with its methods. Pages are requested with GET and with POST."""
    operations = {
        re.sub(r"{(\w+)}", r"<\1>", path): [method.upper() for method in methods]
        for path, methods in api.get_openapi_schema()["paths"].items()
    }
    for path in dict.fromkeys(_paths(get_resolver().url_patterns, "/")):
        for method in operations.get(path, ["GET", "POST"]):
            yield method, path


def _paths(patterns: Any, beginning: str) -> Iterator[str]:
    for pattern in patterns:
        text = str(pattern.pattern).replace("([^/]+)/history/([^/]+)", "<object_id>/history/<history_id>")
        path = beginning + text.removeprefix("^").removesuffix("$")
        if hasattr(pattern, "url_patterns"):
            yield from _paths(pattern.url_patterns, path)
        else:
            yield path


def is_health(route: str) -> bool:
    """Whether a path is one of load balancers."""
    return route.startswith(("/health", "/ready", "/status"))


def client_routes() -> Iterator[Route]:
    """Every path for clients of models."""
    yield from FAST_PATHS
    for method, pattern, _ in FAST_PATH_PATTERNS:
        yield method, re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", pattern.pattern)


def rendered(rows: dict[Route, Statuses]) -> str:
    """Rows as the file has them."""
    lines = [("method", "route", *ROLES), *((*route, *statuses) for route, statuses in rows.items())]
    return "".join(f"{line[0]:<7}{line[1]:<70}{' '.join(f'{cell:<9}' for cell in line[2:])}".rstrip() + "\n" for line in lines)
