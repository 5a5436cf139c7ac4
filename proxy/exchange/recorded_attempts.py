"""The scope of a request from its plan to the end of its response: it guarantees the journal line and the release of the lease.

Whatever ends the scope is recorded once: a response, an error, a client that leaves, a defect of pxbin, the end of a drain.
A streamed response outlives the call that made it; :meth:`RecordedAttempts.stream` enters the scope again, and the server
always closes that generator. No event loop iteration passes between the two, so nothing can be lost in the gap.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType

from accounts.common.gateway_config import config
from accounts.limits.limiter import UNLIMITED
from billing.outcomes import Outcome
from proxy.exchange import debug_headers, limit_headers, requirements
from proxy.exchange.error_response import error_response
from proxy.exchange.http_response import ErrorResponse
from proxy.exchange.planning import Planned
from proxy.exchange.record import Record
from proxy.exchange.recorded import INTERNAL, SHUTTING_DOWN, Interruption, continue_after_cancellation, interruption
from proxy.exchange.upstream_call import Attempt
from proxy.translation.errors import Failure, GatewayError

FirstPiece = tuple[Attempt, tuple[bytes, AsyncGenerator[bytes, None]]]
"""The attempt that answers, the first bytes of its stream, and the generator of the rest."""


class RecordedAttempts:
    """The attempts of one request inside their scope (``with RecordedAttempts(…) as attempts``).

    Exceptions end the scope as they end that of :class:`~proxy.exchange.recorded.RecordedRequest`.
    """

    def __init__(self, record: Record, planned: Planned) -> None:
        self.http = record.http
        self.planned = planned
        self._record = record
        self._failover = planned.failover
        self._streaming: Attempt | None = None
        self._last_piece: ErrorResponse | bytes | None = None

    @property
    def error_response(self) -> ErrorResponse:
        """The response to the error that ended the scope before a stream began."""
        assert isinstance(self._last_piece, ErrorResponse)
        return self._last_piece

    @property
    def _status_sent(self) -> bool:
        """Whether the client has the status line of a stream, with content or opened early."""
        return self._streaming is not None or self.planned.context.encoding.is_open

    # --- the scope ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> RecordedAttempts:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if self._streaming is not None and self._streaming.call.stream_ended:
            self.record_response(self._streaming)
        if error is None:
            return False
        if isinstance(error, GatewayError):
            self._last_piece = self._refuse(error.failure)
            return True
        return self._interrupt(error)

    def _interrupt(self, error: BaseException) -> bool:
        """Record a request that the client, a defect or the end of a drain interrupted; whether there is a response to send."""
        for attempt in self._failover.tried:
            self._failover.record_abandoned(attempt)
        match interruption(error, self.http):
            case Interruption.DEFECT:
                self._record.write(Outcome.FAILED, status=200 if self._status_sent else 500, failure=INTERNAL, failover=self._failover)
                return False
            case Interruption.CLIENT_LEFT:
                self._record.write(Outcome.CANCELLED, status=200 if self._status_sent else None, failover=self._failover)
                return False
            case Interruption.DRAIN_ENDED:
                refusal = self._refuse(SHUTTING_DOWN)
                if not continue_after_cancellation(error):
                    return False
                self._last_piece = refusal if self._streaming is None else self._streaming.abort_stream(SHUTTING_DOWN)
                return True

    # --- what is recorded --------------------------------------------------------------------------------------------

    async def stream(self, first_piece: Callable[[], Awaitable[FirstPiece]]) -> AsyncGenerator[bytes | ErrorResponse, None]:
        """The pieces of a streamed response, inside the scope; an error before the first piece is the only item."""
        if self._record.capture is not None:
            first_piece = self._record.capture.copied(first_piece)
        with self:
            attempt, (piece, rest) = await first_piece()
            self._begin_stream(attempt)
            async with aclosing(rest):
                if attempt.call.stream_ended:
                    self.record_response(attempt)
                if piece:
                    yield piece
                async for piece in rest:
                    if attempt.call.stream_ended:
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
        self._record.note_objects(attempt)

    def record_response(self, attempt: Attempt, body: bytes = b"") -> None:
        """The response of this attempt is complete, or broke off; called before its last bytes are sent. Once: again is harmless.

        ``body``: a whole response.
        """
        if self._record.is_written:
            return
        if self._record.capture is not None:
            self._record.capture.delivered.add(body)
        self._failover.choose_winner(attempt)
        if attempt.call.failure is None:
            self._failover.record_success(attempt)
            self._record.write(Outcome.FINISHED, status=200, failover=self._failover)
        else:
            self._failover.record_broken_stream(attempt)
            self._record.write(Outcome.FAILED, status=200, failure=attempt.call.failure, failover=self._failover)

    def _refuse(self, failure: Failure) -> ErrorResponse:
        """Record a failure; its response is encoded in the client's dialect, or is the body of a plain proxy's upstream."""
        tried = self._failover.tried
        last = tried[-1] if tried else None
        own = self.response_headers(last)
        response = error_response(failure, dialect=self._record.dialect, request_id=self.http.request_id, own_headers=own)
        status = 200 if self._status_sent else response.status
        if self._record.capture is not None:
            self._record.capture.delivered.add(response.body)
        self._record.write(Outcome.REJECTED if last is None else Outcome.FAILED, status=status, failure=failure, failover=self._failover)
        upstream_error = None if last is None else last.upstream_error_response(failure, own)
        return response if upstream_error is None else upstream_error

    # --- response headers --------------------------------------------------------------------------------------------

    def response_headers(self, attempt: Attempt | None) -> list[tuple[str, str]]:
        """The upstream's headers that the client may see, and pxbin's own."""
        tried = self._failover.tried
        pairs = attempt.response_headers() if attempt is not None else []
        if attempt is not None and attempt.call.failure is not None:
            pairs = [pair for pair in pairs if "ratelimit" in pair[0].lower()]  # clients decide by them whether to try again
        if config().response_headers:
            pairs += debug_headers.headers(tried, request=self.http, model=self._record.meter.model)
        if (lease := self._record.lease) is not UNLIMITED:
            pairs = limit_headers.replace(pairs, self._record.dialect.client.limit_headers, lease.key, lease.levels)
        if self.planned.is_traced:
            pairs.append((requirements.TRACE_HEADER, debug_headers.decision(tried, self._failover.decision)))
        return pairs

    def response_headers_of_last_attempt(self) -> list[tuple[str, str]]:
        """The headers of a stream at the time of its first piece."""
        tried = self._failover.tried
        return self.response_headers(tried[-1] if tried else None)
