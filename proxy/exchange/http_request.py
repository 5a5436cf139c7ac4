"""The HTTP request of a hot path: what a view needs, and nothing computed that it may not want."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

Header = tuple[bytes, bytes]
BARE_ENDPOINT = re.compile(r"/(messages|chat/completions|responses|models|completions|embeddings)(/.*)?")
SLASHES = re.compile(r"/{2,}")


class Headers(Mapping[str, str]):
    """Request headers by name, case aside; repeated ones are joined with a comma (cookies with a semicolon)."""

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

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._fields)})"  # values hold credentials


class HttpRequest:
    """One request as the lean handler hands it to a view.

    ``path`` is decoded, ``raw_path`` is not. ``client`` is the peer's address, or "" when unknown. ``started_ns`` is
    ``time.perf_counter_ns()`` when the whole body had arrived. ``gone`` is True once the client has left; the running task is
    cancelled at that moment, so a view needs it only to tell that cancellation from the server's, which ends its drain.
    """

    __slots__ = (
        "_headers",
        "body",
        "client",
        "gone",
        "method",
        "path",
        "query_string",
        "raw_headers",
        "raw_path",
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
        self.gone = False
        self._headers: Headers | None = None

    @property
    def headers(self) -> Headers:
        """The headers as a case-insensitive mapping of text, made when first asked for."""
        if self._headers is None:
            self._headers = Headers(self.raw_headers)
        return self._headers


def unknown_path(method: str, path: str, prefix: str = "") -> str:
    """What to tell a client of a path that is not there; ``prefix``: the path prefix that it begins with.

    Clients whose base URL lacks ``/v1``, or has it or a slash twice, are told which one may be meant.
    """
    hint = base_url_hint(path.removeprefix(prefix), prefix)
    return f"Unknown path: {method} {path}{hint}"


def base_url_hint(rest: str, prefix: str = "") -> str:
    """The end of that sentence for ``rest``, the path below the prefix; empty where it is not like that."""
    if BARE_ENDPOINT.fullmatch(rest):
        meant = f"/v1{rest}"
    else:
        meant = SLASHES.sub("/", rest).replace("/v1/v1/", "/v1/")
        if meant == rest or not meant.startswith("/v1/"):
            return ""
    return f"; {prefix}{meant} may be meant: look at the client's base URL"
