"""Moves a client key out of the query, where some clients send it, into the header of its dialect, before anything reads the request.

Nothing behind this module sees the key in an address: no log, no row, no upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from accounts.common.key_kinds import PREFIXES
from proxy.translation.dialects.lookup import KEY_PARAMETERS, PATH_ROOTS
from upstreams.validators import OWN_PATHS

RawHeaders = Sequence[tuple[bytes, bytes]]
NOT_FOR_CLIENTS = OWN_PATHS - {root.strip("/") for root in PATH_ROOTS} | {""}
"""First segments of paths that no client key opens: the admin, the management API, health checks."""
_NAMES = {name.encode(): header.encode() for name, header in KEY_PARAMETERS.items()}


def moved(path: str, query: bytes, headers: RawHeaders) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
    """The query without the key, and the headers with it; ``None`` if there is nothing to move.

    At the paths of clients every value is taken for a key; below a path prefix, whose paths may be another API's, a key of pxbin alone.
    A header that is there already stays.
    """
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    name = next((name for name, _, _ in pairs if name in _NAMES), None)
    if name is None or path[1:].partition("/")[0].lower() in NOT_FOR_CLIENTS:
        return None
    value = next(value for pair_name, _, value in pairs if pair_name == name)
    key = unquote(value.decode("latin-1")).strip()
    if not (key.startswith(PREFIXES["llm"]) or path.startswith(PATH_ROOTS)):
        return None
    rest = b"&".join(pair for pair in query.split(b"&") if pair.partition(b"=")[0] != name)
    header = _NAMES[name]
    is_there = any(present == header for present, _ in headers)
    return rest, list(headers) if is_there else [*headers, (header, key.encode("latin-1", "replace"))]
