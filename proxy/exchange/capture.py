"""The bodies of a request whose key or model captures them: what the client sent, what the upstream got, both answers.

Nothing here runs for other requests. Bodies are copied up to a bound while they pass, and redacted and cut when the request ends.
Of a stream the beginning of its text is stored.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from accounts.common.gateway_config import config
from billing.request_log.bounds import clean_text
from billing.request_log.entry import PayloadEntry
from billing.request_log.redaction import REDACTION_MARGIN, cut
from proxy.exchange.http_request import HttpRequest
from proxy.translation.canonical import PartDelta, PartStarted, Text, ToolCall
from proxy.translation.dialects.base import Dialect
from proxy.translation.quirks import DEFAULT
from upstreams.http import client
from upstreams.http.response import MAX_BODY, UpstreamResponse

T = TypeVar("T")
FirstPiece = Callable[[], Awaitable[tuple[T, tuple[bytes, AsyncGenerator[bytes, None]]]]]
"""Begins a stream: the attempt that answers, its first bytes, and the generator of the rest."""

STREAM_BYTES_PER_CHAR = 100
"""Bytes of a stream that are copied for each character of its text that is stored: an event is mostly frame."""
STREAM_HEAD = 16_384
"""Further bytes of a stream: its events before the text."""
EVENTS = ("text/event-stream", "application/vnd.amazon.eventstream")


class Copy:
    """The first bytes of a body that comes in pieces."""

    def __init__(self, limit: int) -> None:
        self._pieces: list[bytes] = []
        self._room = limit
        self.size = 0

    def add(self, piece: bytes) -> None:
        """The next bytes of the body."""
        self.size += len(piece)
        if self._room > 0:
            self._pieces.append(bytes(piece[: self._room]))
            self._room -= len(piece)

    @property
    def raw(self) -> bytes:
        """What was copied."""
        return b"".join(self._pieces)

    @property
    def is_cut(self) -> bool:
        """Whether the body was longer."""
        return self._room < 0


class CapturedCall:
    """The bodies of one call of an upstream."""

    def __init__(self) -> None:
        self.sent = b""
        self.answer = Copy(_copied_bytes())
        self.is_stream = False

    def open(self, method: str, url: str, headers: client.Headers, body: bytes, *, upstream: client.Timeouts) -> client.Opening:
        """As :func:`upstreams.http.client.open`; both bodies are copied."""
        self.sent = body
        return _CopiedOpening(self, method, url, headers, body, upstream=upstream)


class Capture:
    """The bodies of one request."""

    def __init__(self, http: HttpRequest) -> None:
        self._http = http
        self.delivered = Copy(_copied_bytes())
        self.is_stream = False

    def copied(self, first_piece: FirstPiece[T]) -> FirstPiece[T]:
        """The same stream of the client, copied while it is sent."""

        async def begin() -> tuple[T, tuple[bytes, AsyncGenerator[bytes, None]]]:
            attempt, (piece, rest) = await first_piece()
            self.is_stream = True
            self.delivered.add(piece)
            return attempt, (piece, self._copied(rest))

        return begin

    async def _copied(self, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(rest):
            async for piece in rest:
                self.delivered.add(piece)
                yield piece

    def entry(self, client_dialect: Dialect, call: CapturedCall | None, source: Dialect | None, secrets: Sequence[str]) -> PayloadEntry:
        """The bodies as they are stored. ``call``: that of the last attempt, in the dialect ``source``.

        ``secrets``: those of the client and of its upstream.
        """
        entry = PayloadEntry()
        limit = config().log_body_max_chars
        entry.client_body = self._body(entry, self._http.body, self._http.headers.get("content-type", ""), limit, secrets)
        entry.delivered_answer = self._answer(entry, self.delivered, client_dialect if self.is_stream else None, secrets)
        if call is not None:
            entry.sent_body = self._body(entry, call.sent, "", limit, secrets)
            entry.upstream_answer = self._answer(entry, call.answer, source or client_dialect if call.is_stream else None, secrets)
        return entry

    @staticmethod
    def _body(entry: PayloadEntry, raw: bytes, content_type: str, limit: int, secrets: Sequence[str]) -> str:
        if not raw or limit <= 0:
            return ""
        if _is_binary(raw, content_type):
            return f"({len(raw):,} bytes of {clean_text(content_type, 100) or 'data'})"
        text, is_cut = cut(raw, limit, secrets)
        entry.truncated |= is_cut
        return clean_text(text, limit)

    def _answer(self, entry: PayloadEntry, copied: Copy, dialect: Dialect | None, secrets: Sequence[str]) -> str:
        """A whole answer, or the beginning of the text of a stream in ``dialect``."""
        if dialect is None:
            entry.truncated |= copied.is_cut
            return self._body(entry, copied.raw, "", config().log_body_max_chars, secrets)
        limit = config().log_stream_text_preview_chars
        text = stream_text(copied.raw, dialect) if limit > 0 else ""
        entry.truncated |= limit > 0 and copied.is_cut
        return self._body(entry, text.encode("utf-8", "replace"), "", limit, secrets)


def stream_text(raw: bytes, dialect: Dialect) -> str:
    """The text of the beginning of a stream, with the tool calls; of a stream that cannot be decoded, the stream itself."""
    text: list[str] = []
    shown: set[Any] = set()
    try:
        reader, decoder = dialect.framing.reader(), dialect.decoder(DEFAULT)
        for frame in reader.feed(raw):
            for event in decoder.feed(frame):
                if isinstance(event, PartStarted) and isinstance(event.part, Text | ToolCall):
                    shown.add(event.index)
                    if isinstance(event.part, ToolCall):
                        text.append(f"\n[{event.part.name}] ")
                elif isinstance(event, PartDelta) and event.index in shown:
                    text.append(event.text)
    except Exception:  # noqa: BLE001  (bytes of any upstream, of which the client already has an answer)
        return raw.decode("utf-8", "replace")
    return "".join(text).lstrip("\n")


def _copied_bytes() -> int:
    body: int = config().log_body_max_chars * 4 + 2 * REDACTION_MARGIN
    stream: int = config().log_stream_text_preview_chars * STREAM_BYTES_PER_CHAR + STREAM_HEAD
    return max(body, stream)


def _is_binary(raw: bytes, content_type: str) -> bool:
    with suppress(UnicodeDecodeError):
        raw[:1024].decode()
        return content_type.startswith("multipart/")
    return not content_type.startswith(("application/json", "text/")) and b"\0" in raw[:4096]


class _CopiedOpening(client.Opening):
    """A call whose response is copied while it is read."""

    __slots__ = ("_captured",)

    def __init__(self, captured: CapturedCall, *request: Any, upstream: client.Timeouts) -> None:
        super().__init__(*request, upstream=upstream)
        self._captured = captured

    async def __aenter__(self) -> _CopiedResponse:
        response = await super().__aenter__()
        self._captured.is_stream = response.headers.get("content-type", "").startswith(EVENTS)
        return _CopiedResponse(response, self._captured.answer)


class _CopiedResponse:
    """A response that is copied while it is read; see :class:`~upstreams.http.response.UpstreamResponse`."""

    def __init__(self, response: UpstreamResponse, copied: Copy) -> None:
        self._response = response
        self._copied = copied
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The whole body."""
        raw = await self._response.read(limit)
        self._copied.add(raw)
        return raw

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        async for chunk in self._response.chunks():
            self._copied.add(chunk)
            yield chunk

    async def finish(self, seconds: float) -> None:
        """See the protocol."""
        await self._response.finish(seconds)

    async def close(self) -> None:
        """See the protocol."""
        await self._response.close()
