"""How a setting's text becomes its value. Each reader raises ValueError with a sentence for the operator that follows the name."""

import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, urlsplit

SCHEMA_PATTERN = re.compile(r"[a-z_][a-z0-9_]*")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
SHORTEST_ENCRYPTION_KEY = 16
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?", re.IGNORECASE)
HOST = re.compile(r"\[[0-9a-f:.]+\]|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)
SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""What libpq knows (https://www.postgresql.org/docs/current/libpq-connect.html, July 2026)."""


def split_listen_addr(value: str) -> tuple[str, int]:
    """Take `:8080`, `127.0.0.1:8080` or `[::1]:8080` apart. Raises ValueError with a sentence for the operator."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must look like :8080 or 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  (pxbin's own form: no host means every address)


def listen_addr(value: str) -> str:
    """An address to listen on."""
    split_listen_addr(value)
    return value


def boolean(value: str) -> bool:
    """Yes or no."""
    word = value.lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError("must be true or false")
    return word in TRUE_WORDS


def names(value: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def number(kind: type[int] | type[float], *, least: float, most: int | None = None) -> Callable[[str], int | float]:
    """A reader of numbers between ``least`` and ``most``."""
    noun = "a whole number" if kind is int else "a number"

    def read(value: str) -> int | float:
        try:
            found = kind(value)
        except ValueError:
            raise ValueError(f"must be {noun}") from None
        if not least <= found < float("inf"):
            raise ValueError(f"must be {noun}, {least} or more")
        if most is not None and found > most:
            raise ValueError(f"must be {noun}, {most} at most")
        return found

    return read


def any_whole_number(value: str) -> int:
    """A whole number, also below 0."""
    try:
        return int(value)
    except ValueError:
        raise ValueError("must be a whole number") from None


def one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """A reader of one of ``words``, in any case."""

    def read(value: str) -> str:
        if value.lower() not in words:
            raise ValueError("must be one of " + ", ".join(words))
        return value.lower()

    return read


def schema(value: str) -> str:
    """The name of a PostgreSQL schema."""
    if not SCHEMA_PATTERN.fullmatch(value):
        raise ValueError(f"must match {SCHEMA_PATTERN.pattern}")
    return value


def url(*schemes: str) -> Callable[[str], str]:
    """A reader of URLs with one of ``schemes``."""

    def read(value: str) -> str:
        if value.partition("://")[0] not in schemes or "://" not in value:
            raise ValueError("must begin with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value

    return read


def redis_url(value: str) -> str:
    """Where Redis is."""
    parts = _split(url("redis", "rediss", "unix")(value))
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("must name a socket, as in unix:///run/redis.sock")
    return value


def _split(value: str) -> SplitResult:
    """The parts of a URL. The sentence of the error does not repeat the URL, which may hold a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("has a host or a port that cannot be understood") from None
    return parts


def database_url(value: str) -> str:
    """Several hosts may stand between commas, each with a port of its own."""
    scheme, _, rest = url("postgresql", "postgres", "sqlite")(value).partition("://")
    if scheme == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ValueError("must name a file, as in sqlite:////var/lib/pxbin/pxbin.sqlite3")
        return value
    servers = rest.partition("/")[0].rpartition("@")[2].split(",")
    parts = [_split(f"{scheme}://{server}") for server in servers]
    query = dict(parse_qsl(rest.partition("?")[2]))
    if not rest.partition("/")[2].partition("?")[0] and "service" not in query:
        raise ValueError("must end with the name of a database, as in postgresql://user:password@host:5432/pxbin")
    if len(servers) > 1 and not all(part.hostname for part in parts):
        raise ValueError("has an empty host in its list of hosts")
    wanted = query.get("target_session_attrs")
    if wanted is not None and wanted not in SESSION_ATTRIBUTES:
        raise ValueError("target_session_attrs must be one of " + ", ".join(SESSION_ATTRIBUTES))
    return value


def origins(value: str) -> tuple[str, ...]:
    """Origins as browsers send them: scheme, host and perhaps a port; or `*`."""
    for origin in names(value):
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin: write https://host or https://host:port, without a path, or *")
    return tuple(origin.lower() for origin in names(value))


def trusted_origins(value: str) -> tuple[str, ...]:
    """The same for Django's check of forms, which knows `https://*.example` instead of `*`."""
    for origin in names(value):
        if not ORIGIN.fullmatch(origin.replace("://*.", "://")):
            raise ValueError(f"{origin!r} is no origin: write https://host or https://host:port, without a path")
    return names(value)


def hosts(value: str) -> tuple[str, ...]:
    """Host names as Django compares them."""
    for host in names(value):
        if host != "*" and not HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no host name: write gateway.example, .example for all below it, or *")
    return names(value)


def encryption_key(value: str) -> str:
    """A passphrase that is long enough."""
    if len(value) < SHORTEST_ENCRYPTION_KEY:
        raise ValueError(f"must have at least {SHORTEST_ENCRYPTION_KEY} characters")
    return value


def encryption_keys(value: str) -> tuple[str, ...]:
    """Several of them."""
    return tuple(encryption_key(key) for key in names(value))
