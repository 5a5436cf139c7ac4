"""What all attempts of one request share (:class:`RequestContext`), and the base of an attempt (:class:`Attempt`).

Its subclasses are ``TranslatedAttempt``, which decodes and encodes bodies, and ``PassthroughAttempt``, which forwards them.
"""

from __future__ import annotations

import time
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

import msgspec

from billing.outcomes import Outcome
from proxy.exchange.client_credentials import presented
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import ErrorResponse
from proxy.exchange.prepare import Preparer
from proxy.exchange.tool_call_enforcement import ToolCallEnforcement
from proxy.translation.canonical import Event, Failed, Started, Usage
from proxy.translation.dialects.base import Dialect, EncodeContext, StreamEncoder
from proxy.translation.errors import ClientMistake, Failure, Kind, UpstreamFailed
from proxy.translation.json_wire import Envelope
from proxy.translation.token_estimate import estimate_input_tokens
from upstreams.http import auth_headers, client, headers
from upstreams.http.response import unusable_status
from upstreams.http.sigv4 import signed_headers
from upstreams.routing.plan import Target

Headers = list[tuple[str, str]]

SHORTEST_SECRET = 8
"""Characters. A shorter secret is a placeholder for an upstream that needs none, and its letters may occur in any word."""


class RequestContext:
    """What all attempts of one request share.

    ``identity``: 24 hexadecimal digits from which the ids in the response are made. ``created``: Unix seconds. ``is_open``:
    the client's stream was opened before any content came.
    """

    def __init__(
        self,
        http: HttpRequest,
        dialect: Dialect,
        envelope: Envelope,
        *,
        identity: str,
        created: int,
        seal_key: bytes,
        enforcement: ToolCallEnforcement | None = None,
    ) -> None:
        self.http = http
        self.dialect = dialect
        self.envelope = envelope
        beta_header = dialect.client.beta_header
        betas = headers.said(http.headers, beta_header) if beta_header else ""
        self.preparer = Preparer(dialect, envelope, seal_key, betas=betas)
        self.is_open = False
        self.enforcement = enforcement
        self.own_credentials = presented(http.headers).own
        self._identity = identity
        self._created = created
        self._seal_key = seal_key

    def encode_context(self) -> EncodeContext:
        """The context for an encoder; a new one for each attempt, always with the same ids."""
        request = self.preparer.decoded_or_bare
        return EncodeContext(
            id=self._identity,
            created=self._created,
            model=self.envelope.model,
            request=request,
            seal_key=self._seal_key,
            input_estimate=estimate_input_tokens(request) if self.envelope.stream and request.messages else 0,
            clock=time.time,
        )

    def open_early(self) -> bytes:
        """The bytes that begin the client's stream before any content has come."""
        with suppress(ClientMistake):  # an upstream of the client's own dialect may accept a body that pxbin cannot decode
            _ = self.preparer.request  # pxbin encodes the stream from here on, which needs the decoded request
        opening = self.encode_event(Started())
        self.is_open = True
        return opening

    def new_encoder(self) -> StreamEncoder:
        """An encoder for the client's stream; if the stream is open, one that continues after its first event.

        Each attempt has its own, so that a failed attempt leaves no state behind.
        """
        encoder = self.dialect.encoder(self.encode_context())
        if self.is_open:
            encoder.feed(Started())
        return encoder

    def encode_event(self, event: Event) -> bytes:
        """The bytes of an event of pxbin's own, as the first one of the client's stream or the first one after its opening."""
        return b"".join(self.dialect.framing.write(frame) for frame in self.new_encoder().feed(event))


class Attempt:
    """One call of a target and its result.

    ``outcome`` is ``None`` while it runs. ``stream_ended``: the piece of the stream that was yielded last is its last one.
    ``received``: the upstream's headers. ``started_ns``, ``first_token_ns``, ``ended_ns``: ``time.perf_counter_ns()``.
    """

    def __init__(self, context: RequestContext, target: Target) -> None:
        self.context = context
        self.target = target
        self.outcome: Outcome | None = None
        self.failure: Failure | None = None
        self.status: int | None = None
        self.usage: Usage | None = None
        self.received: headers.Received = {}
        self.opening: client.Opening | None = None
        self.stream_ended = False
        self.started_ns = perf_counter_ns()
        self.ended_ns: int | None = None
        self.first_token_ns: int | None = None

    @property
    def is_sent(self) -> bool:
        """Whether the request has reached the connection, so that the upstream may bill it."""
        return self.opening is not None and self.opening.is_sent

    @property
    def request_metadata(self) -> dict[str, Any]:
        """The ``request_metadata`` of the log row."""
        return {}

    @property
    def output_chars(self) -> int:
        """Characters of the model's output so far."""
        return 0

    def response_headers(self) -> list[tuple[str, str]]:
        """The upstream's headers that the client may see."""
        return headers.downward(self.received)

    def upstream_error_response(self, failure: Failure, own_headers: Headers) -> ErrorResponse | None:  # noqa: ARG002  (for subclasses)
        """The upstream's error response where it is forwarded as it is; ``None`` where the failure is encoded instead."""
        return None

    def credentials(self, url: str, body: bytes) -> list[tuple[str, str]]:
        """The authentication headers: of the target's credential, an AWS signature, or the client's own where they are passed on."""
        target = self.target
        if target.upstream.pass_client_credentials:
            return auth_headers.passed_on(target.upstream, self.context.own_credentials)
        return signed_headers(target, url, body) if target.is_signed else auth_headers.headers(target.upstream, target.credential)

    def note_status(self, response: client.UpstreamResponse) -> None:
        """The upstream has sent its status and headers."""
        self.status, self.received = response.status, response.headers

    def require_content(self, response: client.UpstreamResponse) -> None:
        """Raise :class:`UpstreamFailed` for a redirect and for a status without content: the address of the upstream is wrong."""
        message = unusable_status(response.status, response.headers)
        if message is not None:
            raise UpstreamFailed(Failure(kind="bad_gateway", message=message, status=response.status), answered=True)

    def decode_error(self, source: Dialect, raw: bytes) -> UpstreamFailed:
        """The exception for an upstream's error response. A 401 or 403 for the client's own credential is the client's error."""
        assert self.status is not None
        failure = source.decode_error(self.status, self.received, raw)
        usable = {name: value for name, value in failure.headers.items() if value.isascii() and value.isprintable()}
        failure = msgspec.structs.replace(failure, status=self.status, headers=usable)
        if self.status in (401, 403) and self.target.upstream.pass_client_credentials:
            kind: Kind = "authentication" if self.status == 401 else "permission"
            return UpstreamFailed(msgspec.structs.replace(failure, kind=kind), retryable=False, answered=True)
        return UpstreamFailed(failure, answered=True)

    def redact_secrets(self, text: bytes) -> bytes:
        """``text`` without the secret that the upstream was called with: some upstreams repeat it in errors."""
        target = self.target
        if target.upstream.pass_client_credentials:
            secrets = [value.rpartition(" ")[2] for _, value in self.context.own_credentials]
        else:
            secrets = [target.credential.secret] if target.credential is not None else []
        for secret in secrets:
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret.encode(), b"***")
        return text

    def redact_failure(self, failure: Failure) -> Failure:
        """The failure without the secret that the upstream was called with."""
        encoded = msgspec.json.encode(failure)
        redacted = self.redact_secrets(encoded)
        return failure if redacted == encoded else msgspec.json.decode(redacted, type=Failure)

    def continue_opened_stream(self) -> None:
        """The client's stream was opened while this attempt runs: its bytes must follow the opening."""

    def fail(self, failure: Failure) -> None:
        """End the attempt as failed."""
        self.failure = failure
        self.end("failed")

    def cancel(self) -> None:
        """End the attempt as cancelled: the client has left, another attempt was faster, or the process stops."""
        self.end("cancelled")

    def abort_stream(self, failure: Failure) -> bytes:
        """The error event that ends the client's stream of this attempt; empty if the stream has ended."""
        return self.context.encode_event(Failed(failure))

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:  # noqa: ARG002  (for subclasses)
        """Whether the same target is tried again with a repaired history."""
        return False

    def end(self, outcome: Outcome) -> None:
        """End the attempt; only the first call counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.ended_ns = perf_counter_ns()
            if outcome == "finished" and self.first_token_ns is None:  # the response came whole, or its stream in one read
                self.first_token_ns = self.ended_ns
