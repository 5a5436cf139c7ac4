"""Compressed request bodies are decoded before they are read; Codex compresses with zstd, some SDKs and proxies with gzip."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from accounts.common.gateway_config import config
from proxy.exchange.http_request import HttpRequest
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from upstreams.http.content_encoding import DECODERS, CorruptError, Decoder, decoder_for

QUICK_INPUT = 64 * 1024
"""Largest body in bytes that the event loop begins to decode itself."""
QUICK_OUTPUT = 256 * 1024
"""Bytes that the event loop decodes of it, in about a millisecond; what is left is decoded in a worker thread."""
BATCH = 2 * 1024 * 1024
"""Bytes that a worker thread decodes before they are counted."""
NO_MEMORY = Failure(kind="overloaded", message="Too many request bodies at once", headers={"retry-after": "5"})


async def decode_body(http: HttpRequest, limit: int | None = None) -> None:
    """Replace a compressed body by its content. Called once the request is known to be allowed to cost that much.

    ``limit``: bytes of the content, where fewer than ``PXBIN_MAX_BODY_BYTES`` are allowed.

    Raises :class:`ClientMistake`: 415 for an unknown encoding, 400 for a body that does not match its encoding, 413 beyond the
    limit; and :class:`GatewayError` 503 when the bodies of all requests would take too much memory.
    """
    encoding = http.headers.get("content-encoding")
    if encoding is None:
        return
    try:
        decoder = decoder_for(encoding)
    except CorruptError:
        message = f"Content-Encoding {encoding[:64]!r} is not supported: send the body as it is, or encoded with {', '.join(DECODERS)}"
        raise ClientMistake(message, kind="unsupported_encoding") from None
    if decoder is not None:
        try:
            http.body = await _content(http, decoder, min(limit or config().max_body_bytes, config().max_body_bytes))
        except CorruptError:
            raise ClientMistake(f"The body does not match its Content-Encoding {encoding[:64]!r}, or ends too early") from None
    http.remove_header(b"content-encoding")


async def _content(http: HttpRequest, decoder: Decoder, limit: int) -> bytes:
    size, pieces, decoded = 0, _pieces(decoder, http.body), []
    is_quick = len(http.body) <= QUICK_INPUT
    while batch := _take(pieces, QUICK_OUTPUT) if is_quick else await asyncio.to_thread(_take, pieces, BATCH):
        is_quick = False
        size += len(batch)
        if size > limit:
            raise ClientMistake("Request body too large once it is decoded", kind="too_large")
        if not http.count_body(len(http.body) + size):
            raise GatewayError(NO_MEMORY)
        decoded.append(batch)
    content = decoded[0] if len(decoded) == 1 else await asyncio.to_thread(b"".join, decoded)
    http.count_body(len(content))
    return content


def _pieces(decoder: Decoder, body: bytes) -> Iterator[bytes]:
    yield from decoder.feed(body)
    decoder.close()


def _take(pieces: Iterator[bytes], size: int) -> bytes:
    """The next bytes, at least ``size`` where there are so many; empty at the end."""
    taken = bytearray()
    for piece in pieces:
        taken += piece
        if len(taken) >= size:
            break
    return bytes(taken)
