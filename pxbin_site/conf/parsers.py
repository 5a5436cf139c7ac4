"""Parsers from the text of a setting to its value.

Each raises ValueError with the end of a sentence for the operator that begins with the variable's name: "must be true or false".
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from urllib.parse import SplitResult, parse_qsl, urlsplit

SCHEMA_PATTERN = re.compile(r"[a-z_][a-z0-9_]*")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
SHORTEST_ENCRYPTION_KEY = 16
MAX_TAG_KEYS = 10
TAG_KEY = re.compile(r"[a-z](?:_?[a-z0-9]){0,31}")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?", re.IGNORECASE)
HOST = re.compile(r"\[[0-9a-f:.]+\]|\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)
SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
"""The values that libpq accepts (https://www.postgresql.org/docs/current/libpq-connect.html, July 2026)."""


def split_listen_addr(value: str) -> tuple[str, int]:
    """Split `:8080`, `127.0.0.1:8080` or `[::1]:8080` into host and port."""
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("must look like :8080 or 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  (pxbin's own form: no host means every address)


def listen_addr(value: str) -> str:
    """An address to listen on, unchanged."""
    split_listen_addr(value)
    return value


def boolean(value: str) -> bool:
    """`true`, `1`, `yes`, `on` or their opposites, in any case."""
    word = value.lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError("must be true or false")
    return word in TRUE_WORDS


def names(value: str) -> tuple[str, ...]:
    """The items of a comma-separated list, without empty ones."""
    return tuple(item.strip() for item in value.split(",") if item.strip())


def number(kind: type[int] | type[float], *, minimum: float | None = None, maximum: float | None = None) -> Callable[[str], int | float]:
    """A parser of finite numbers; both bounds are inclusive."""
    noun = "a whole number" if kind is int else "a number"

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            raise ValueError(f"must be {noun}") from None
        if minimum is not None and not value >= minimum:  # also NaN, which is not less than anything either
            raise ValueError(f"must be {noun}, {minimum} or more")
        if not value < float("inf"):
            raise ValueError(f"must be {noun}")
        if maximum is not None and value > maximum:
            raise ValueError(f"must be {noun}, {maximum} at most")
        return value

    return parse


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """A parser of one of ``choices``, which are lower case; the text may have any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return text.lower()

    return parse


def schema(value: str) -> str:
    """The name of a PostgreSQL schema that needs no quotes."""
    if not SCHEMA_PATTERN.fullmatch(value):
        raise ValueError(f"must match {SCHEMA_PATTERN.pattern}")
    return value


def url(*schemes: str) -> Callable[[str], str]:
    """A parser of URLs with one of ``schemes``."""

    def parse(value: str) -> str:
        if value.partition("://")[0] not in schemes or "://" not in value:
            raise ValueError("must begin with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value

    return parse


def http_proxy(value: str) -> str:
    """The URL of an HTTP proxy. The error does not repeat it."""
    if not _split(url("http", "https")(value)).hostname:
        raise ValueError("must name a host, as in http://proxy:3128")
    return value


def redis_url(value: str) -> str:
    """A URL of Redis, with a host or the path of a socket."""
    parts = _split(url("redis", "rediss", "unix")(value))
    if parts.scheme == "unix" and not parts.path.strip("/"):
        raise ValueError("must name a socket, as in unix:///run/redis.sock")
    return value


def _split(value: str) -> SplitResult:
    """The parts of a URL. The error does not repeat the URL, which may contain a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("has an invalid host or port") from None
    return parts


def email_url(value: str) -> str:
    """A URL of a mail server."""
    if not _split(url("smtp", "smtps", "smtp+tls", "smtp+ssl")(value)).hostname:
        raise ValueError("must name a host, as in smtp+tls://user:password@mail.example:587")
    return value


def database_url(value: str) -> str:
    """A URL of PostgreSQL or SQLite. Several PostgreSQL hosts are separated by commas, each with its own port."""
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
    session_attributes = query.get("target_session_attrs")
    if session_attributes is not None and session_attributes not in SESSION_ATTRIBUTES:
        raise ValueError("target_session_attrs must be one of " + ", ".join(SESSION_ATTRIBUTES))
    return value


def origins(value: str) -> tuple[str, ...]:
    """Origins as browsers send them (scheme, host, optional port), in lower case; or `*`."""
    for origin in names(value):
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is not an origin: use https://host or https://host:port, without a path, or *")
    return tuple(origin.lower() for origin in names(value))


def trusted_origins(value: str) -> tuple[str, ...]:
    """Origins for Django's CSRF check, which accepts `https://*.example` but not `*`."""
    for origin in names(value):
        if not ORIGIN.fullmatch(origin.replace("://*.", "://")):
            raise ValueError(f"{origin!r} is not an origin: use https://host or https://host:port, without a path")
    return names(value)


def hosts(value: str) -> tuple[str, ...]:
    """Host names in the syntax of Django's ALLOWED_HOSTS."""
    for host in names(value):
        if host != "*" and not HOST.fullmatch(host):
            raise ValueError(f"{host!r} is not a host name: use gateway.example, .example for all its subdomains, or *")
    return names(value)


def networks(value: str) -> tuple[str, ...]:
    """IP addresses and networks in the form `10.0.0.0/8`; a single address is the network that holds only it."""
    parsed = []
    for item in names(value):
        try:
            parsed.append(str(ip_network(item, strict=False)))
        except ValueError:
            raise ValueError(f"{item!r} is not an address or a network: use 10.0.0.1, 10.0.0.0/8 or fd00::/8") from None
    return tuple(parsed)


def tag_keys(value: str) -> tuple[str, ...]:
    """At most `MAX_TAG_KEYS` names of tags, in lower case."""
    keys = tuple(dict.fromkeys(name.lower() for name in names(value)))
    for key in keys:
        if not TAG_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not a tag key: use up to 32 letters, digits and _, beginning with a letter")
    if len(keys) > MAX_TAG_KEYS:
        raise ValueError(f"must have {MAX_TAG_KEYS} keys at most")
    return keys


def encryption_key(value: str) -> str:
    """A passphrase of at least `SHORTEST_ENCRYPTION_KEY` characters."""
    if len(value) < SHORTEST_ENCRYPTION_KEY:
        raise ValueError(f"must have at least {SHORTEST_ENCRYPTION_KEY} characters")
    return value


def encryption_keys(value: str) -> tuple[str, ...]:
    """A comma-separated list of passphrases."""
    return tuple(encryption_key(key) for key in names(value))
