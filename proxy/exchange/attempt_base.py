"""What all tries of one request share, and the facts of one: whom it called, what came of it, and what it cost.

:class:`Attempt` translates there and back; :class:`PassthroughAttempt` passes bodies on as they are.
"""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter_ns
from typing import Any

import msgspec

from billing.request_log.entry import Outcome
from proxy.exchange.client_credentials import presented
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.prepare import Preparer
from proxy.exchange.tool_call_enforcement import ToolCallEnforcement
from proxy.translation.canonical import Event, Failed, Started, Usage
from proxy.translation.dialects.base import Dialect, EncodeContext, StreamEncoder
from proxy.translation.errors import ClientMistake, Failure, Kind, UpstreamFailed
from proxy.translation.json_wire import Envelope
from proxy.translation.token_estimate import estimate_input_tokens
from upstreams.http import auth_headers, client, headers
from upstreams.http.sigv4 import signed_headers
from upstreams.routing.plan import Target

SHORTEST_SECRET = 8
"""A shorter one stands for none, where an upstream needs no key; its letters may be those of any word."""


class RequestContext:
    """What all attempts of one request share. ``is_open``: the client's stream was opened before any content came."""

    def __init__(self, http: HttpRequest, dialect: Dialect, envelope: Envelope, *, identity: str, created: int, seal_key: bytes) -> None:
        self.http = http
        self.dialect = dialect
        self.envelope = envelope
        self.preparer = Preparer(dialect, envelope, seal_key, betas=headers.said(http.headers, "anthropic-beta"))
        self.is_open = False
        self.enforcing: ToolCallEnforcement | None = None
        self.own_credentials = presented(http.headers).own
        self._identity = identity
        self._created = created
        self._seal_key = seal_key

    def reply(self) -> EncodeContext:
        """What encoders need to know; made anew for each attempt, always with the same ids."""
        request = self.preparer.decoded_or_bare
        return EncodeContext(
            id=self._identity,
            created=self._created,
            model=self.envelope.model,
            request=request,
            seal_key=self._seal_key,
            input_estimate=estimate_input_tokens(request) if self.envelope.stream and request.messages else 0,
        )

    def open_early(self) -> bytes:
        """The bytes that begin the client's stream although nothing has come yet."""
        with suppress(ClientMistake):  # an upstream of the client's own dialect may understand what we do not
            _ = self.preparer.request  # from here on the stream is ours to write, as the client asked for it
        told = self.told(Started())
        self.is_open = True
        return told

    def encoder(self) -> StreamEncoder:
        """A new one for the client's stream. Where that was opened already, it goes on from there: no attempt sees another's."""
        encoder = self.dialect.encoder(self.reply())
        if self.is_open:
            encoder.feed(Started())
        return encoder

    def told(self, event: Event) -> bytes:
        """The bytes that tell one event of the gateway's own, at the beginning of the client's stream or after its opening."""
        return b"".join(self.dialect.framing.write(frame) for frame in self.encoder().feed(event))


class Attempt:
    """The facts of one call of a target. They are read when it has ended: ``outcome`` is ``None`` while it runs."""

    def __init__(self, call: RequestContext, target: Target) -> None:
        self.call = call
        self.target = target
        self.outcome: Outcome | None = None
        self.failure: Failure | None = None
        self.status: int | None = None
        self.usage: Usage | None = None
        self.received: headers.Received = {}
        self.opening: client.Opening | None = None
        self.began_ns = perf_counter_ns()
        self.ended_ns: int | None = None
        self.first_token_ns: int | None = None

    @property
    def is_sent(self) -> bool:
        """Whether the request has reached the connection, so that the upstream may bill it."""
        return self.opening is not None and self.opening.is_sent

    @property
    def notes(self) -> dict[str, Any]:
        """What the log row says of it besides, as ``request_metadata``."""
        return {}

    @property
    def output_chars(self) -> int:
        """Characters that the model wrote as far as we saw them."""
        return 0

    def credentials(self, url: str, body: bytes) -> list[tuple[str, str]]:
        """The headers by which the upstream knows who pays: ours, AWS's signature, or the client's own where it wants those."""
        target = self.target
        if target.upstream.pass_client_credentials:
            return auth_headers.passed_on(target.upstream, self.call.own_credentials)
        return signed_headers(target, url, body) if target.is_signed else auth_headers.headers(target.upstream, target.credential)

    def answered(self, answer: client.UpstreamResponse) -> None:
        """The upstream sent a status."""
        self.status, self.received = answer.status, answer.headers

    def refused(self, source: Dialect, raw: bytes) -> UpstreamFailed:
        """The upstream's own error. A 401 for the client's own credential is the client's."""
        assert self.status is not None
        failure = msgspec.structs.replace(source.decode_error(self.status, self.received, raw), status=self.status)
        if self.status in (401, 403) and self.target.upstream.pass_client_credentials:
            kind: Kind = "authentication" if self.status == 401 else "permission"
            return UpstreamFailed(msgspec.structs.replace(failure, kind=kind), retryable=False, answered=True)
        return UpstreamFailed(failure, answered=True)

    def redact_secrets(self, told: bytes) -> bytes:
        """What an upstream says, without the secret that it was called with, should an error of its repeat that."""
        target = self.target
        if target.upstream.pass_client_credentials:
            secrets = [value.rpartition(" ")[2] for _, value in self.call.own_credentials]
        else:
            secrets = [target.credential.secret] if target.credential is not None else []
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET:
                told = told.replace(secret.encode(), b"***")
        return told

    def redact_failure(self, failure: Failure) -> Failure:
        """The same for a failure."""
        told = msgspec.json.encode(failure)
        veiled = self.redact_secrets(told)
        return failure if veiled == told else msgspec.json.decode(veiled, type=Failure)

    def opened_early(self) -> None:
        """The client's stream was opened before this attempt had anything to tell."""

    def failed(self, failure: Failure) -> None:
        """The attempt is over without an answer."""
        self.failure = failure
        self.end("failed")

    def cancelled(self) -> None:
        """The client has left, another attempt was faster, or the gateway stops."""
        self.end("cancelled")

    def break_off(self, failure: Failure) -> bytes:
        """What ends the client's stream of this attempt's events; empty where it has ended already."""
        return self.call.told(Failed(failure))

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:  # noqa: ARG002  (for those that can)
        """Whether the same target may do better with the history mended."""
        return False

    def end(self, outcome: Outcome) -> None:
        """Nothing more comes; the first end counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.ended_ns = perf_counter_ns()
