"""The dialect of a client or of an upstream, from tables that are derived from the registry at import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.client_api import Endpoint
from proxy.translation.dialects.registry import DEFAULT, REGISTRY

PASSTHROUGH = "passthrough"
"""The ``dialect`` of an upstream with an unknown wire protocol: bodies are forwarded untranslated."""
PASSTHROUGH_TITLE = "Any (passed through untranslated)"

TITLES = {**{dialect.name: dialect.title for dialect in REGISTRY.values()}, PASSTHROUGH: PASSTHROUGH_TITLE}
"""Names in texts for people, by the stored name of an upstream's dialect."""
FORMATS = {**{dialect.format: dialect.name for dialect in REGISTRY.values()}, PASSTHROUGH: PASSTHROUGH}
"""The stored name of an upstream's dialect by its name in the management API."""
LAST_EVENTS = frozenset().union(*(dialect.last_events for dialect in REGISTRY.values()))
"""Names of the events after which clients of any dialect may close the connection."""

SOCKET_DIALECTS = {endpoint.path: dialect for dialect in REGISTRY.values() for endpoint in dialect.client.endpoints if endpoint.has_socket}
"""Paths that are also served by WebSocket, with their dialects."""
SOCKET_PATHS = tuple(SOCKET_DIALECTS)

REQUEST_ID_HEADERS = frozenset({"x-request-id", *(dialect.client.request_id_header for dialect in REGISTRY.values())} - {""})
"""Names of the response headers with the request's id, in lower case."""

KEY_HEADERS = tuple(
    dict.fromkeys(dialect.client.key_header for dialect in REGISTRY.values() if dialect.client.key_header != "authorization")
)
"""Names of the request headers besides ``authorization`` in which clients of a dialect send their key, in lower case."""

KEY_PARAMETERS = {dialect.client.key_parameter: dialect.client.key_header for dialect in REGISTRY.values() if dialect.client.key_parameter}
"""Parameters of the query in which clients of a dialect may send their key, and the header that stands for each."""

CLIENT_HEADERS = tuple(
    dict.fromkeys(
        name
        for dialect in REGISTRY.values()
        for name in (*dialect.client.shared_path_headers, *dialect.client.identifying_headers, dialect.client.beta_header)
        if name
    )
)
"""Names of the request headers that only clients of some dialect send, in lower case."""

API_ROOT = "/v1"
PATHS_BELOW_API_ROOT = tuple(
    sorted(
        {
            path.removeprefix(API_ROOT)
            for dialect in REGISTRY.values()
            for path in (
                *(endpoint.path for endpoint in dialect.client.endpoints if endpoint.pattern is None),
                *(untranslated.path for untranslated in dialect.client.untranslated),
            )
            if path.startswith(f"{API_ROOT}/")
        }
    )
)
"""The client paths of all dialects without ``/v1``, as clients call them whose base URL lacks it."""


def _exclusive_endpoints(dialect: Dialect) -> list[Endpoint]:
    """The endpoints whose path no other dialect has."""
    others = {endpoint.path for other in REGISTRY.values() if other is not dialect for endpoint in other.client.endpoints}
    return [endpoint for endpoint in dialect.client.endpoints if endpoint.path not in others]


_BY_PATH = {
    path: dialect
    for dialect in REGISTRY.values()
    for path in (
        *(endpoint.path for endpoint in _exclusive_endpoints(dialect) if endpoint.pattern is None),
        *(untranslated.path for untranslated in dialect.client.untranslated),
    )
}
_BY_PART = {
    endpoint.path: dialect
    for dialect in REGISTRY.values()
    for endpoint in _exclusive_endpoints(dialect)
    if endpoint.pattern is None and endpoint.kind == "generate"
}
"""A path that contains one of these belongs to the dialect: below a path prefix, and with an unknown rest."""
_BY_PATTERN = [
    (re.compile(pattern.pattern + "$"), dialect)
    for dialect in REGISTRY.values()
    for endpoint in _exclusive_endpoints(dialect)
    if (pattern := endpoint.pattern) is not None and endpoint.kind in ("generate", "count")
]
_BY_HEADER = {
    name: dialect for dialect in REGISTRY.values() for text in dialect.client.identifying_headers for name in (text, text.encode())
}
"""By header name, as text and as bytes (ASGI)."""
_BY_HEADER_AT_SHARED_PATHS = {
    name: dialect for dialect in REGISTRY.values() for text in dialect.client.shared_path_headers for name in (text, text.encode())
}
_AGENTS = tuple((beginning, dialect) for dialect in REGISTRY.values() for beginning in dialect.client.shared_path_agents)
_OWN_NAMES = tuple(dialect.client.own_names for dialect in REGISTRY.values() if dialect.client.own_names is not None)
_SHARED_PATHS = {
    endpoint.path
    for dialect in REGISTRY.values()
    for endpoint in dialect.client.endpoints
    if endpoint.pattern is None and endpoint not in _exclusive_endpoints(dialect)
}


def _root(endpoint: Endpoint) -> str:
    return f"/{endpoint.path.split('/')[1]}/"


_ROOTS = {dialect.name: {_root(endpoint) for endpoint in dialect.client.endpoints} for dialect in REGISTRY.values()}
PATH_ROOTS = tuple(sorted(set().union(*_ROOTS.values())))
"""First segments of all client paths, each between slashes."""
_BY_ROOT = {
    root: next(dialect for dialect in REGISTRY.values() if root in _ROOTS[dialect.name])
    for root in PATH_ROOTS
    if root not in _ROOTS[DEFAULT.name]
}
"""Roots that the default dialect does not have: unknown paths below them belong to the first dialect that has them."""


def dialect_named(name: str) -> Dialect:
    """The dialect of an upstream by its stored name; the default one if the name is unknown."""
    return REGISTRY.get(name, DEFAULT)


def own_names(name: str) -> list[str]:
    """What a model name that a dialect's model picker shows may stand for, the longest first; empty for other names."""
    return [own for names_of in _OWN_NAMES for own in names_of(name)]


def dialect_of(path: str, headers: Mapping[str, str] | Mapping[bytes, bytes]) -> Dialect:
    """The dialect of a client's request and of the error responses to it.

    A path that only one dialect has selects it, also below a path prefix. At other paths (the list of models, unknown paths) a
    header that only one dialect's clients send selects it, also the name of their program. ``headers``: by lower-case name.
    """
    return _by_path(path) or _by_header(path, headers) or DEFAULT


def _by_path(path: str) -> Dialect | None:
    dialect = _BY_PATH.get(path)
    if dialect is not None:
        return dialect
    for part, dialect in _BY_PART.items():
        if part in path:
            return dialect
    for pattern, dialect in _BY_PATTERN:
        if pattern.search(path):
            return dialect
    return next((dialect for root, dialect in _BY_ROOT.items() if path.startswith(root)), None)


def _by_header(path: str, headers: Mapping[str, str] | Mapping[bytes, bytes]) -> Dialect | None:
    for name, dialect in _BY_HEADER.items():
        if name in headers:  # text or bytes, as the mapping has them
            return dialect
    if any(shared in path for shared in _SHARED_PATHS):
        by_name = next((dialect for name, dialect in _BY_HEADER_AT_SHARED_PATHS.items() if name in headers), None)
        return by_name or _by_agent(dict[Any, Any](headers))
    return None


def _by_agent(headers: Mapping[Any, Any]) -> Dialect | None:
    agent = headers.get("user-agent") or headers.get(b"user-agent", b"").decode("latin-1")
    return next((dialect for beginning, dialect in _AGENTS if agent.startswith(beginning)), None)
