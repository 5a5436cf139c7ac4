"""The HTTP request of a fast path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping
from typing import Any

from proxy.translation.dialects.lookup import API_ROOT, PATHS_BELOW_API_ROOT
from proxy.translation.errors import GatewayError

Header = tuple[bytes, bytes]
BARE_ENDPOINT = re.compile(f"({'|'.join(map(re.escape, PATHS_BELOW_API_ROOT))})(/.*)?")
"""Paths of clients whose base URL lacks ``/v1``."""
SLASHES = re.compile(r"/{2,}")


class Headers(Mapping[str, str]):
    """Request headers by case-insensitive name; repeated ones are joined with a comma (cookies with a semicolon)."""

    __slots__ = ("_fields",)

    def __init__(self, raw: Iterable[Header]) -> None:
        fields: dict[str, str] = {}
        for name_bytes, value_bytes in raw:
            name = name_bytes.decode("latin-1").lower()
            value = value_bytes.decode("latin-1")
            if name in fields:
                value = fields[name] + ("; " if name == "cookie" else ", ") + value
            fields[name] = value
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        """As that of :class:`Mapping`, without an exception for a header that is absent."""
        return self._fields.get(name.lower(), default)

    def keys(self) -> KeysView[str]:
        """As that of :class:`Mapping`, without calls of Python code for each key."""
        return self._fields.keys()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._fields)})"  # values hold credentials


def uncounted(size: int) -> bool:  # noqa: ARG001  (the signature of a function that counts)
    """There is room for a body of any size: for servers that do not count the bytes of bodies."""
    return True


class HttpRequest:
    """One request as the handler of fast paths passes it to a view.

    ``path`` is percent-decoded, ``raw_path`` is not. ``client`` is the client's address, or "" if unknown. ``started_ns`` is
    ``time.perf_counter_ns()`` at the end of the body. ``gone`` is True once the client has left; the task of the view is
    cancelled at that moment. A view needs it to distinguish this cancellation from the one at the end of a drain. ``refusal`` is set
    where the body was not received, because the headers have no valid key: the request is to be refused with it.
    ``count_body`` tells the server the bytes of the body in memory when these change; False if there is no room for them.
    """

    __slots__ = (
        "body",
        "client",
        "count_body",
        "gone",
        "headers",
        "method",
        "path",
        "query_string",
        "raw_headers",
        "raw_path",
        "refusal",
        "request_id",
        "started_ns",
    )

    def __init__(  # noqa: PLR0913 - a value with this many fields
        self,
        *,
        method: str,
        path: str,
        body: bytes = b"",
        raw_path: bytes = b"",
        query_string: bytes = b"",
        raw_headers: Iterable[Header] = (),
        client: str = "",
        request_id: str = "",
        started_ns: int = 0,
        refusal: GatewayError | None = None,
        count_body: Callable[[int], bool] = uncounted,
    ) -> None:
        self.method = method
        self.path = path
        self.raw_path = raw_path or path.encode()
        self.query_string = query_string
        self.raw_headers = list(raw_headers)
        self.body = body
        self.client = client
        self.request_id = request_id
        self.started_ns = started_ns
        self.refusal = refusal
        self.count_body = count_body
        self.gone = False
        self.headers = Headers(raw_headers)

    def remove_header(self, name: bytes) -> None:
        """Remove a header; ``name`` is in lower case."""
        self.raw_headers = [pair for pair in self.raw_headers if pair[0].lower() != name]
        self.headers = Headers(self.raw_headers)


def unknown_path(method: str, path: str, prefix: str = "") -> str:
    """The error message for an unknown path; ``prefix``: the path prefix that it begins with.

    It proposes the right path to clients whose base URL lacks ``/v1``, or has ``/v1`` or a slash twice.
    """
    hint = base_url_hint(path.removeprefix(prefix), prefix)
    return f"Unknown path: {method} {path}{hint}"


def base_url_hint(rest: str, prefix: str = "") -> str:
    """The proposal for ``rest``, the path below the prefix; empty if there is none."""
    if BARE_ENDPOINT.fullmatch(rest):
        proposed = f"{API_ROOT}{rest}"
    else:
        proposed = SLASHES.sub("/", rest).replace("/v1/v1/", "/v1/")
        if proposed == rest or not proposed.startswith("/v1/"):
            return ""
    return f"; {prefix}{proposed} may be meant: look at the client's base URL"
