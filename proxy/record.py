"""What happened to one request, gathered on its way and written down once."""

from __future__ import annotations

import time
import uuid
from time import perf_counter_ns

import msgspec

from accounts.keys import Key
from billing import journal, metering, prices
from proxy.callers import session_of
from proxy.canonical import Request, Usage
from proxy.dialects.base import Reply
from proxy.errors import Failure
from proxy.pipe import Pipe
from proxy.requests import HttpRequest
from proxy.wire import Envelope
from upstreams.routing import Target

CHARS_PER_TOKEN = 4
"""The rough rule by which missing usage is estimated for the log; such rows are marked."""

_CLIENT_LEFT = 499
"""What the log says of a request whose client left before a status was sent (a common convention of proxies)."""


class Record:
    """The meter of one request, and the one line that it becomes. ``told``: something meaningful went to the client."""

    def __init__(self, http: HttpRequest, dialect: str) -> None:
        self.http = http
        self.told = False
        self.pipe: Pipe | None = None
        self.target: Target | None = None
        self._key: Key | None = None
        self._written = False
        self.meter = metering.Meter(
            id=str(uuid.uuid4()),
            arrived=time.time(),
            started=http.started_ns,
            request_id=http.request_id,
            method=http.method,
            path=http.path,
            dialect=dialect,
            session_id=session_of(http.headers) or "",
            client_ip=http.client or "",
            user_agent=http.headers.get("user-agent", ""),
        )

    # --- on the way --------------------------------------------------------------------------------------------------

    def known_key(self, key: Key) -> None:
        """The request's key is good."""
        self._key = key
        self.meter.api_key_id, self.meter.key_prefix, self.meter.key_name = key.id, key.prefix, key.name

    def asked_for(self, model: str, *, stream: bool) -> None:
        """The body names a model."""
        self.meter.model, self.meter.stream = model, stream

    def calls(self, target: Target) -> None:
        """An upstream is called now."""
        meter = self.meter
        self.target = target
        self.pipe = None
        meter.attempts += 1
        meter.model_id = target.model.id
        meter.upstream_id, meter.upstream_name = target.upstream.id, target.upstream.name
        meter.upstream_dialect, meter.remote_model = target.upstream.dialect, target.remote_name
        if meter.dispatched is None:
            meter.dispatched = perf_counter_ns()

    def answered(self, status: int) -> None:
        """The upstream sent a status."""
        self.meter.upstream_status = status

    def tells(self) -> None:
        """The first meaningful bytes go to the client now."""
        if not self.told:
            self.told = True
            self.meter.first_token = perf_counter_ns()

    def attempt_failed(self, failure: Failure) -> None:
        """One upstream failed; another may be tried."""
        self.meter.upstream_status = failure.status or None

    def reply(self, envelope: Envelope, request: Request | None, *, seal_key: bytes) -> Reply:
        """What encoders need; made anew for each attempt, always with the same ids."""
        if request is None:
            request = Request(model=envelope.model, messages=(), family="", stream=envelope.stream)
        return Reply(id=self.meter.id.replace("-", "")[:24], created=int(self.meter.arrived), model=envelope.model, request=request, seal_key=seal_key)

    def headers(self) -> list[tuple[str, str]]:
        """The gateway's own reply headers."""
        return []

    # --- the end -----------------------------------------------------------------------------------------------------

    def finished(self, *, usage: Usage | None, output_chars: int) -> int:
        """The answer is complete; returns the tokens that it took, as do the others."""
        return self._write("finished", status=200, usage=usage, output_chars=output_chars)

    def failed(self, failure: Failure, *, usage: Usage | None = None, output_chars: int = 0) -> int:
        """The answer broke off after its first byte, or we failed; the row keeps what was spent."""
        return self._write("failed", status=200 if self.told else failure.http_status, usage=usage, output_chars=output_chars, failure=failure)

    def refused(self, failure: Failure, *, status: int) -> None:
        """An error was the whole answer: of an upstream when one was called, else ours."""
        self._write("failed" if self.meter.attempts else "rejected", status=status, failure=failure)

    def cancelled(self) -> int:
        """The client has left."""
        pipe = self.pipe
        return self._write(
            "cancelled",
            status=200 if self.told else _CLIENT_LEFT,
            usage=pipe.usage if pipe else None,
            output_chars=pipe.output_chars if pipe else 0,
        )

    def _write(
        self, outcome: metering.Outcome, *, status: int, usage: Usage | None = None, output_chars: int = 0, failure: Failure | None = None
    ) -> int:
        if self._written:
            return 0
        self._written = True
        spent, estimated = self._spent(usage, output_chars)
        target = self.target
        entry = metering.entry(
            self.meter,
            ended=perf_counter_ns(),
            outcome=outcome,
            status=status,
            usage=spent,
            estimated=estimated,
            prices=prices.book().find(target.model.id, target.upstream.id, target.remote_name) if target else None,
            error_type=failure.kind if failure else "",
            error_message=failure.message if failure else "",
        )
        journal.current().append(entry, unauthenticated=self._key is None)
        return spent.total_input + spent.output if spent else 0

    def _spent(self, usage: Usage | None, output_chars: int) -> tuple[Usage | None, bool]:
        """The usage to bill, and whether it is an estimate: an upstream that told none, or not yet its output."""
        if usage is not None and (usage.output or not output_chars):
            return usage, False
        if not output_chars:
            return usage, False
        known = usage or Usage(fresh=len(self.http.body) // CHARS_PER_TOKEN)
        return msgspec.structs.replace(known, output=-(-output_chars // CHARS_PER_TOKEN)), True
