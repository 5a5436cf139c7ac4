"""The scope of a request until its targets are planned: it guarantees the journal line and the release of the rate-limit lease.

Whatever ends the scope is recorded once: an error, a client that leaves, a defect of pxbin, the end of a drain. From the plan
on, :class:`~proxy.exchange.recorded_attempts.RecordedAttempts` does the same, with the attempts.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from types import TracebackType

from accounts.common.gateway_config import config
from billing.outcomes import Outcome
from proxy.exchange import debug_headers
from proxy.exchange.error_response import error_response
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import ErrorResponse
from proxy.exchange.record import Record
from proxy.translation.dialects.base import Dialect
from proxy.translation.errors import Failure, GatewayError

INTERNAL = Failure(kind="internal", message="Internal server error")
SHUTTING_DOWN = Failure(kind="overloaded", message="The gateway is stopping", headers={"retry-after": "5"})
"""The failure of requests that still run at the end of a drain."""


class Interruption(Enum):
    """What ends a request besides a response and a :class:`GatewayError`."""

    DEFECT = auto()
    CLIENT_LEFT = auto()
    DRAIN_ENDED = auto()


def interruption(error: BaseException, http: HttpRequest) -> Interruption:
    """The cause of an exception that ends a scope."""
    if isinstance(error, Exception):
        return Interruption.DEFECT
    task = asyncio.current_task()
    if http.gone or task is None or not task.cancelling():
        return Interruption.CLIENT_LEFT
    return Interruption.DRAIN_ENDED


def continue_after_cancellation(error: BaseException) -> bool:
    """Undo the cancellation of the current task by the end of a drain, so that the last bytes can be sent; whether they can be.

    They cannot after ``GeneratorExit``: the client was not reading, and the server has closed the stream already.
    """
    task = asyncio.current_task()
    if task is None or not isinstance(error, asyncio.CancelledError):
        return False
    task.uncancel()
    return True


class RecordedRequest:
    """One request inside its scope (``with RecordedRequest(…) as request``).

    A :class:`GatewayError` ends the scope without being raised further: ``error_response`` is then the client's response.
    So does the cancellation by the end of a drain. Other exceptions are recorded and raised again.
    """

    def __init__(self, http: HttpRequest, dialect: Dialect) -> None:
        self.record = Record(http, dialect)
        self._error_response: ErrorResponse | None = None

    @property
    def error_response(self) -> ErrorResponse:
        """The response to the error that ended the scope."""
        assert self._error_response is not None
        return self._error_response

    def __enter__(self) -> RecordedRequest:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None:
            return False
        if isinstance(error, GatewayError):
            self._error_response = self._refuse(error.failure)
            return True
        match interruption(error, self.record.http):
            case Interruption.DEFECT:
                self.record.write(Outcome.FAILED, status=500, failure=INTERNAL)
                return False
            case Interruption.CLIENT_LEFT:
                self.record.write(Outcome.CANCELLED, status=None)
                return False
            case Interruption.DRAIN_ENDED:
                self._error_response = self._refuse(SHUTTING_DOWN)
                return continue_after_cancellation(error)

    def _refuse(self, failure: Failure) -> ErrorResponse:
        """Record a failure; returns the response to it."""
        http = self.record.http
        own = debug_headers.headers([], request=http, model=self.record.meter.model) if config().response_headers else []
        response = error_response(failure, dialect=self.record.dialect, request_id=http.request_id, own_headers=own)
        if self.record.capture is not None:
            self.record.capture.delivered.add(response.body)
        self.record.write(Outcome.REJECTED, status=response.status, failure=failure)
        return response
