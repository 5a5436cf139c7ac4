"""One call of an upstream: :class:`UpstreamCall` is its state, :class:`Attempt` what the rest of a request's life knows of it.

``TranslatedAttempt`` and ``PassthroughAttempt`` are attempts: the one decodes and encodes bodies, the other forwards them. Each
has an ``UpstreamCall`` and adds how its bodies are sent and read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import Any, Protocol

import msgspec

from billing.outcomes import Outcome
from proxy.exchange.capture import CapturedCall
from proxy.exchange.client_credentials import own_credentials
from proxy.exchange.http_response import ErrorResponse
from proxy.translation.canonical import Usage
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.errors import Failure, Kind, UpstreamFailed
from upstreams.http import auth_headers, client, headers
from upstreams.http.response import unusable_status
from upstreams.http.sigv4 import signed_headers
from upstreams.routing.plan import Target

Headers = list[tuple[str, str]]

SHORTEST_SECRET = 8
"""Characters. A shorter secret is a placeholder for an upstream that needs none, and its letters may occur in any word."""


class UpstreamCall:
    """The state and the result of one call of a target.

    ``outcome`` is ``None`` while it runs. ``stream_ended``: the piece of the stream that was yielded last is its last one.
    ``received``: the upstream's headers. ``started_ns``, ``first_token_ns``, ``ended_ns``: ``time.perf_counter_ns()``.
    """

    def __init__(self, target: Target, client_headers: Mapping[str, str]) -> None:
        """``client_headers``: the client's headers; its own credentials are read from them where they are passed on."""
        self.target = target
        self._client_headers = client_headers
        self.outcome: Outcome | None = None
        self.failure: Failure | None = None
        self.status: int | None = None
        self.usage: Usage | None = None
        self.received: headers.Received = {}
        self.opening: client.Opening | None = None
        self.captured: CapturedCall | None = None
        self.stream_ended = False
        self.started_ns = perf_counter_ns()
        self.ended_ns: int | None = None
        self.first_token_ns: int | None = None

    @property
    def is_sent(self) -> bool:
        """Whether the request has reached the connection, so that the upstream may bill it."""
        return self.opening is not None and self.opening.is_sent

    def credentials(self, url: str, body: bytes) -> list[tuple[str, str]]:
        """The authentication headers: of the target's credential, an AWS signature, or the client's own where they are passed on."""
        target = self.target
        if target.upstream.pass_client_credentials:
            return auth_headers.passed_on(target.upstream, own_credentials(self._client_headers))
        return signed_headers(target, url, body) if target.is_signed else auth_headers.headers(target.upstream, target.credential)

    def open_captured(self, method: str, url: str, headers: Headers, body: bytes, *, upstream: client.Timeouts) -> client.Opening:
        """As :func:`upstreams.http.client.open`, for a request whose bodies are captured."""
        self.captured = CapturedCall()
        return self.captured.open(method, url, headers, body, upstream=upstream)

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

    def secrets(self) -> list[str]:
        """The secrets with which the upstream is called, also those of its other credentials."""
        target = self.target
        if target.upstream.pass_client_credentials:
            return [value.rpartition(" ")[2] for _, value in own_credentials(self._client_headers)]
        credentials = list(target.upstream.credentials)
        if target.credential is not None:  # one that a newer catalogue no longer has
            credentials.append(target.credential)
        return [secret for credential in credentials for secret in (credential.secret, credential.session_token)]

    def redact_secrets(self, text: bytes) -> bytes:
        """``text`` without the secrets of the upstream: some repeat a key in errors, also one of another request."""
        for secret in self.secrets():
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret.encode(), b"***")
        return text

    def redact_failure(self, failure: Failure) -> Failure:
        """The failure without the secrets of the upstream."""
        encoded = msgspec.json.encode(failure)
        redacted = self.redact_secrets(encoded)
        return failure if redacted == encoded else msgspec.json.decode(redacted, type=Failure)

    def fail(self, failure: Failure) -> None:
        """End the call as failed."""
        self.failure = failure
        self.end(Outcome.FAILED)

    def end(self, outcome: Outcome) -> None:
        """End the call; only the first call counts."""
        if self.outcome is None:
            self.outcome = outcome
            self.ended_ns = perf_counter_ns()
            if outcome is Outcome.FINISHED and self.first_token_ns is None:  # the response came whole, or its stream in one read
                self.first_token_ns = self.ended_ns


class Attempt(Protocol):
    """One call of a target with one kind of bodies."""

    call: UpstreamCall
    target: Target

    @property
    def request_metadata(self) -> dict[str, Any]:
        """The ``request_metadata`` of the log row."""
        ...

    @property
    def output_chars(self) -> int:
        """Characters of the model's output so far; 0 if they are not known."""
        ...

    @property
    def response_id(self) -> str:
        """The id of the response as the client gets it; empty if it has none."""
        ...

    def made_objects(self) -> Sequence[MadeObject]:
        """What the upstream keeps under an id that the client may know by now; empty before its response begins."""
        ...

    def response_headers(self) -> Headers:
        """The upstream's headers that the client may see."""
        ...

    def upstream_error_response(self, failure: Failure, own_headers: Headers) -> ErrorResponse | None:
        """The upstream's error response where it is forwarded as it is; ``None`` where the failure is encoded instead."""
        ...

    def continue_opened_stream(self) -> None:
        """The client's stream was opened while this attempt runs: its bytes must follow the opening."""
        ...

    def cancel(self) -> None:
        """End the call as cancelled, with the usage reported so far: the client left, another attempt was faster, the process stops."""
        ...

    def abort_stream(self, failure: Failure) -> bytes:
        """The error event that ends the client's stream of this attempt; empty if the stream has ended."""
        ...

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:
        """Whether the same target is tried again with a repaired history."""
        ...


async def read_body(upstream_response: client.UpstreamResponse) -> bytes:
    """The whole body; empty if that of an error response breaks off, because the status is known."""
    try:
        return await upstream_response.read()
    except UpstreamFailed:
        if upstream_response.status >= 400:
            return b""
        raise
