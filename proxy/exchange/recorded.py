"""The scope in which a request is served: it guarantees the journal line and the release of the rate-limit lease.

Whatever ends the scope is recorded once: a response, an error, a client that leaves, a defect of pxbin, the end of a drain.
A streamed response outlives the call that made it; :meth:`RecordedRequest.stream` enters the scope again, and the server
always closes that generator. No event loop iteration passes between the two, so nothing can be lost in the gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from types import TracebackType

from django.conf import settings

from proxy.exchange import debug_headers, requirements
from proxy.exchange.attempt_base import Attempt
from proxy.exchange.failover import Failover
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import ErrorResponse
from proxy.exchange.record import Record
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.lookup import REQUEST_ID_HEADERS
from proxy.translation.errors import Failure, GatewayError

INTERNAL = Failure(kind="internal", message="Internal server error")
SHUTTING_DOWN = Failure(kind="overloaded", message="The gateway is stopping", headers={"retry-after": "5"})
"""The failure of requests that still run at the end of a drain."""

FirstPiece = tuple[Attempt, tuple[bytes, AsyncGenerator[bytes, None]]]
"""The attempt that answers, the first bytes of its stream, and the generator of the rest."""


class RecordedRequest:
    """One request inside its scope (``with RecordedRequest(…) as request``).

    A :class:`GatewayError` ends the scope without being raised further: ``error_response`` is then the client's response.
    So does the cancellation by the end of a drain. Other exceptions are recorded and raised again.
    """

    def __init__(self, http: HttpRequest, dialect: Dialect) -> None:
        self.http = http
        self.dialect = dialect
        self.record = Record(http, dialect.name)
        self._streaming: Attempt | None = None
        self._last_piece: ErrorResponse | bytes | None = None

    @property
    def error_response(self) -> ErrorResponse:
        """The response to the error that ended the scope before a stream began."""
        assert isinstance(self._last_piece, ErrorResponse)
        return self._last_piece

    @property
    def tried(self) -> list[Attempt]:
        """The attempts that were started so far."""
        return [] if self.record.failover is None else self.record.failover.tried

    @property
    def _failover(self) -> Failover:
        assert self.record.failover is not None  # attempts are planned before anything here asks for them
        return self.record.failover

    @property
    def _status_sent(self) -> bool:
        """Whether the client has the status line of a stream, with content or opened early."""
        return self._streaming is not None or (self.record.context is not None and self.record.context.is_open)

    # --- the scope ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> RecordedRequest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._streaming is not None and self._streaming.stream_ended:
            self.record_response(self._streaming)
        if error is None:
            return False
        if isinstance(error, GatewayError):
            self._last_piece = self._refuse(error.failure)
            return True
        return self._interrupt(error)

    def _interrupt(self, error: BaseException) -> bool:
        """Record a request that the client, a defect or the end of a drain interrupted; whether there is a response to send."""
        for attempt in self.tried:
            self._failover.record_abandoned(attempt)
        task = asyncio.current_task()
        if isinstance(error, Exception):
            self.record.write("failed", status=200 if self._status_sent else 500, failure=INTERNAL)
            return False
        if self.http.gone or task is None or not task.cancelling():
            self.record.write("cancelled", status=200 if self._status_sent else None)
            return False
        refusal = self._refuse(SHUTTING_DOWN)
        if not isinstance(error, asyncio.CancelledError):
            return False  # GeneratorExit: the client was not reading, and the server has closed the stream already
        task.uncancel()
        self._last_piece = refusal if self._streaming is None else self._streaming.abort_stream(SHUTTING_DOWN)
        return True

    # --- what is recorded --------------------------------------------------------------------------------------------

    async def stream(self, first_piece: Callable[[], Awaitable[FirstPiece]]) -> AsyncGenerator[bytes | ErrorResponse, None]:
        """The pieces of a streamed response, inside the scope; an error before the first piece is the only item."""
        with self:
            attempt, (piece, rest) = await first_piece()
            self._begin_stream(attempt)
            async with aclosing(rest):
                if attempt.stream_ended:
                    self.record_response(attempt)
                if piece:
                    yield piece
                async for piece in rest:
                    if attempt.stream_ended:
                        self.record_response(attempt)
                    if piece:
                        yield piece
        if self._last_piece is not None:
            yield self._last_piece

    def _begin_stream(self, attempt: Attempt) -> None:
        """The client's stream begins with the first piece of this attempt; a later failure ends it with an error event."""
        self._streaming = attempt
        self._failover.choose_winner(attempt)
        self._failover.record_first_byte(attempt)

    def record_response(self, attempt: Attempt) -> None:
        """The response of this attempt is complete, or broke off; called before its last bytes are sent. Once: again is harmless."""
        if self.record.is_written:
            return
        self._failover.choose_winner(attempt)
        if attempt.failure is None:
            self._failover.record_success(attempt)
            self.record.write("finished", status=200)
        else:
            self._failover.record_broken_stream(attempt)
            self.record.write("failed", status=200, failure=attempt.failure)

    def _refuse(self, failure: Failure) -> ErrorResponse:
        """Record a failure; its response is encoded in the client's dialect, or is the body of a plain proxy's upstream."""
        error = self.dialect.encode_error(failure, self.http.request_id)
        last = self.tried[-1] if self.tried else None
        self.record.write("rejected" if last is None else "failed", status=200 if self._status_sent else error.status, failure=failure)
        own = self.response_headers(last)
        upstream_error = None if last is None else last.upstream_error_response(failure, own)
        if upstream_error is not None:
            return upstream_error
        return ErrorResponse(failure, error.body, status=error.status, headers=[*_without_ids(error.headers), *own])

    # --- response headers --------------------------------------------------------------------------------------------

    def response_headers(self, attempt: Attempt | None) -> list[tuple[str, str]]:
        """The upstream's headers that the client may see, and pxbin's own."""
        shown = attempt.response_headers() if attempt is not None else []
        if attempt is not None and attempt.failure is not None:
            shown = [pair for pair in shown if "ratelimit" in pair[0].lower()]  # clients decide by them whether to try again
        if settings.PXBIN.response_headers:
            shown += debug_headers.headers(self.tried, request=self.http, model=self.record.meter.model)
        if self.record.is_traced:
            shown.append((requirements.TRACE_HEADER, debug_headers.decision(self.tried, self._failover.decision)))
        return shown

    def response_headers_of_last_attempt(self) -> list[tuple[str, str]]:
        """The headers of a stream at the time of its first piece."""
        return self.response_headers(self.tried[-1] if self.tried else None)


def _without_ids(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """An error's headers without the request's ids, which the server adds to every response."""
    return [pair for pair in headers.items() if pair[0].lower() not in REQUEST_ID_HEADERS]
