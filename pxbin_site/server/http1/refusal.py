"""The response of the server itself, before or instead of one of the application."""

from __future__ import annotations

from pxbin_site.server.common_headers import refusal
from pxbin_site.server.http1.cycle import status_line
from pxbin_site.server.http1.head import Head, RefusedError


def encode_refusal(refused: RefusedError, head: Head | None, path: str, last_headers: bytes) -> bytes:
    """A response with an error in the dialect of ``path``, after which the connection is closed.

    ``last_headers``: header lines of every response, with the empty line that ends a head.
    """
    fields = dict(head.headers) if head is not None else {}
    error = refusal(path, fields, status=refused.status, message=refused.message, retry_after=refused.retry_after)
    lines = [status_line(error.status)]
    lines += [b"%b: %b\r\n" % pair for pair in error.headers]
    lines.append(b"content-length: %d\r\nconnection: close\r\n" % len(error.body))
    lines.append(last_headers)
    if head is None or head.method != "HEAD":
        lines.append(error.body)
    return b"".join(lines)
