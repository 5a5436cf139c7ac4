"""Parses a request head strictly: what two servers could interpret differently is refused (RFC 9112)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.([01])")
OTHER_VERSION = re.compile(TOKEN + rb" [!-~]+ HTTP/\d(\.\d)?")
FIELDS = re.compile(rb"(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*")
ABSOLUTE = re.compile(rb"https?://[^/?#]+([^#]*)", re.IGNORECASE)
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|%00")
LENGTH = re.compile(rb"[0-9]{1,18}")

FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"host"})
LISTS = frozenset({b"connection", b"expect", b"upgrade"})
"""Framing fields that may be repeated; a repetition of the others makes the request ambiguous."""


class RefusedError(Exception):
    """The server answers the request itself, with ``status`` and a sentence for the client; ``retry_after`` in seconds."""

    def __init__(self, status: int, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


class Head:
    """One request head. ``length`` is 0 without a body and None when the body is chunked."""

    __slots__ = ("expects_continue", "headers", "keep_alive", "length", "method", "minor", "path", "query", "raw_path", "target", "upgrade")

    method: str
    target: bytes
    path: str
    raw_path: bytes
    query: bytes
    minor: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes


def parse(block: bytes, *, max_target: int, max_headers: int) -> Head:
    """Parse the lines of a head, without the empty line after them; raises ``RefusedError``."""
    first, _, fields = block.partition(b"\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if line is None:
        if OTHER_VERSION.fullmatch(first):
            raise RefusedError(505, "HTTP version not supported")
        raise RefusedError(400, "Malformed request line")
    head = Head()
    head.method = line[1].decode("ascii")
    head.target = line[2]
    head.minor = 1 if line[3] == b"1" else 0
    _read_target(head, max_target)
    framing = _read_fields(head, fields + b"\r\n" if fields else b"", max_headers)
    _read_framing(head, framing)
    return head


def path_of(block: bytes) -> str:
    """The path of an invalid head, or an empty text: the shape of the error body depends on it."""
    parts = block[:4096].split(b"\r\n", 1)[0].split(b" ")
    return parts[1].partition(b"?")[0].decode("latin-1") if len(parts) > 1 else ""


def _read_target(head: Head, max_target: int) -> None:
    target = head.target
    if len(target) > max_target:
        raise RefusedError(414, "Request target too long")
    if target[:1] != b"/":
        absolute = ABSOLUTE.fullmatch(target)
        if absolute:
            target = absolute[1] if absolute[1].startswith(b"/") else b"/" + absolute[1]
        elif target != b"*" or head.method != "OPTIONS":
            raise RefusedError(400, "Malformed request target")
    raw, _, head.query = target.partition(b"?")
    head.raw_path = raw
    if b"#" in target:
        raise RefusedError(400, "Malformed request target")
    if b"%" in raw:
        if BAD_ESCAPE.search(raw):
            raise RefusedError(400, "Malformed percent-encoding in the path")
        raw = unquote_to_bytes(raw)
    try:
        head.path = raw.decode()
    except UnicodeDecodeError:
        raise RefusedError(400, "The path is not valid UTF-8") from None


def _read_fields(head: Head, fields: bytes, max_headers: int) -> dict[bytes, bytes]:
    if not FIELDS.fullmatch(fields):
        raise RefusedError(400, "Malformed header field")
    lines = fields.split(b"\r\n")
    lines.pop()
    if len(lines) > max_headers:
        raise RefusedError(431, "Too many header fields")
    headers = head.headers = []
    framing: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        if name in FRAMING:
            if name in framing:
                if name not in LISTS:
                    raise RefusedError(400, f"Repeated header field {name.decode()}")
                framing[name] += b"," + value
            else:
                framing[name] = value
        elif b"_" in name:
            continue  # X_Y and X-Y are the same variable in a WSGI-style environment: a client could forge one with the other
        headers.append((name, value))
    return framing


def _read_framing(head: Head, framing: dict[bytes, bytes]) -> None:
    if head.minor and b"host" not in framing:
        raise RefusedError(400, "Missing Host header field")
    head.length = _length(head, framing)
    head.expects_continue = head.minor == 1 and framing.get(b"expect", b"").lower() == b"100-continue"
    head.upgrade = b""
    connection = framing.get(b"connection")
    if connection is None:
        head.keep_alive = head.minor == 1
        return
    options = [option.strip() for option in connection.lower().split(b",")]
    head.keep_alive = b"close" not in options and (head.minor == 1 or b"keep-alive" in options)
    if b"upgrade" in options:
        head.upgrade = framing.get(b"upgrade", b"").lower()


def _length(head: Head, framing: dict[bytes, bytes]) -> int | None:
    length = framing.get(b"content-length")
    encoding = framing.get(b"transfer-encoding")
    if encoding is not None:
        if length is not None:
            raise RefusedError(400, "Both Content-Length and Transfer-Encoding")
        if head.minor == 0:
            raise RefusedError(400, "Transfer-Encoding in HTTP/1.0")
        if encoding.lower() != b"chunked":
            raise RefusedError(501, "Transfer-Encoding not supported")
        return None
    if length is None:
        return 0
    if not LENGTH.fullmatch(length):
        raise RefusedError(400, "Malformed Content-Length")
    return int(length)
