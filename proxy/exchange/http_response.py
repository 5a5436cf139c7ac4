"""The responses of fast paths. ``JsonResponse`` has a whole body, ``StreamingResponse`` an async generator.

The server always closes the generator, also if the client leaves while the server waits for it to read. Header names and
values may be text or bytes.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing

from proxy.translation.dialects.client_api import StreamForm, StreamWriter
from proxy.translation.errors import Failure

Header = tuple[bytes, bytes]
AnyHeader = tuple[str, str] | Header

JSON: Header = (b"content-type", b"application/json")
EVENT_STREAM = "text/event-stream"
UNBUFFERED: tuple[Header, ...] = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
)


def encoded(headers: Iterable[AnyHeader]) -> list[Header]:
    """Headers as bytes with lower-case names. Characters outside of Latin-1 become question marks."""
    return [
        (_lower_name(name), value if value.__class__ is bytes else value.encode("latin-1", "replace"))  # type: ignore[union-attr]
        for name, value in headers
    ]


@functools.lru_cache(maxsize=1024)
def _lower_name(name: str | bytes) -> bytes:
    return (name if isinstance(name, bytes) else name.encode("latin-1", "replace")).lower()


class JsonResponse:
    """A whole response. Its content type is JSON unless ``headers`` name another or ``is_json`` is not set."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, status: int = 200, headers: Sequence[AnyHeader] = (), *, is_json: bool = True) -> None:
        self.body = body
        self.status = status
        if not headers:
            self.headers = [JSON] if is_json else []
            return
        self.headers = encoded(headers)
        if is_json and all(name != b"content-type" for name, _ in self.headers):
            self.headers.append(JSON)


class ErrorResponse(JsonResponse):
    """A whole response that reports ``failure``."""

    __slots__ = ("failure",)

    def __init__(self, failure: Failure, body: bytes, *, status: int, headers: Sequence[AnyHeader] = (), is_json: bool = True) -> None:
        super().__init__(body, status, headers, is_json=is_json)
        self.failure = failure


class StreamingResponse:
    """A streamed response; each of ``pieces`` is written at once and has a whole number of events.

    The status is sent with the first piece. If that is a ``JsonResponse``, it is the whole response instead of a stream.
    ``headers`` may be a function, which is called when the first piece has come. ``keepalive`` is sent if nothing else was
    for ``PXBIN_KEEPALIVE_SECONDS``: after the first piece, and before it if ``late_error`` is given. The latter encodes a
    ``JsonResponse`` that comes after such a keep-alive as the event that ends the stream. ``opening`` returns the bytes before
    the first such keep-alive, which is sent after ``hold_seconds``.
    """

    __slots__ = ("_headers", "hold_seconds", "keepalive", "late_error", "media_type", "opening", "pieces", "status")

    def __init__(
        self,
        pieces: AsyncGenerator[bytes | JsonResponse, None],
        *,
        media_type: str = EVENT_STREAM,
        headers: Sequence[AnyHeader] | Callable[[], Sequence[AnyHeader]] = (),
        keepalive: bytes = b"",
        late_error: Callable[[JsonResponse], bytes] | None = None,
        opening: Callable[[], bytes] | None = None,
        hold_seconds: float | None = None,
        status: int = 200,
    ) -> None:
        self.pieces = pieces
        self.media_type = media_type
        self.keepalive = keepalive
        self.late_error = late_error
        self.opening = opening
        self.hold_seconds = hold_seconds
        self.status = status
        self._headers = headers

    def with_pieces(self, pieces: AsyncGenerator[bytes | JsonResponse, None]) -> StreamingResponse:
        """The same response with another generator, which must close the one that it reads."""
        return StreamingResponse(
            pieces,
            media_type=self.media_type,
            headers=self._headers,
            keepalive=self.keepalive,
            late_error=self.late_error,
            opening=self.opening,
            hold_seconds=self.hold_seconds,
            status=self.status,
        )

    def in_form(self, form: StreamForm) -> StreamingResponse:
        """The same response with its stream in another form."""
        writer, late_error, opening = form.writer(), self.late_error, self.opening
        return StreamingResponse(
            _rewritten(self.pieces, form, writer),
            media_type=form.media_type,
            headers=self._headers,
            keepalive=form.keepalive if self.keepalive else b"",
            late_error=None if late_error is None else lambda response: writer.feed(late_error(response)),
            opening=None if opening is None else lambda: writer.feed(opening()),
            hold_seconds=self.hold_seconds,
            status=self.status,
        )

    def headers(self) -> list[Header]:
        """The headers at this time."""
        own = encoded(self._headers() if callable(self._headers) else self._headers)
        return [(b"content-type", self.media_type.encode("ascii")), *UNBUFFERED, *own]


async def _rewritten(
    pieces: AsyncGenerator[bytes | JsonResponse, None], form: StreamForm, writer: StreamWriter
) -> AsyncGenerator[bytes | JsonResponse, None]:
    """The pieces in another form, and the end of the stream."""
    async with aclosing(pieces) as source:
        async for piece in source:
            if isinstance(piece, JsonResponse):
                yield whole_in_form(piece, form)
            elif rewritten := writer.feed(piece):
                yield rewritten
    if ending := writer.close():
        yield ending


def whole_in_form(response: JsonResponse, form: StreamForm) -> JsonResponse:
    """An error response instead of a stream, with its body in the form of the stream."""
    response.body = form.whole(response.body)
    return response
