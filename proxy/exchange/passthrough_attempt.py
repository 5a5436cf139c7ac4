"""One call of a target with the client's own body; the response is forwarded as it is, and only its usage is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter_ns
from typing import Any

import msgspec

from billing.outcomes import Outcome
from proxy.exchange.http_response import ErrorResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.request_context import RequestContext
from proxy.exchange.upstream_call import Headers, UpstreamCall
from proxy.translation.canonical import Usage
from proxy.translation.dialects.base import Dialect
from proxy.translation.dialects.lookup import LAST_EVENTS, PASSTHROUGH
from proxy.translation.dialects.object_api import MadeObject, is_id
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.framing.sse import WholeEvents
from proxy.translation.untranslated.bodies import UntranslatedRequest
from proxy.translation.untranslated.usage_tap import UsageTap
from upstreams.http import client, headers
from upstreams.http.urls import url_for
from upstreams.routing.plan import Target

TAKES_UNTRANSLATED = frozenset({PASSTHROUGH, *(dialect.name for dialect in REGISTRY.values() if dialect.upstream.takes_untranslated)})
"""What the ``dialect`` of an upstream is that takes untranslated bodies."""
EVENTS = "text/event-stream"
_CONTENT_HEADERS = ("content-type", "content-disposition")
PLAIN_FAILURES = frozenset({401, 429})
"""Statuses below 500 that are failures of the credential in plain proxy mode; the others are forwarded to the client."""


class _Object(msgspec.Struct):
    id: str = ""


class PassthroughRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is sent to upstreams untranslated.

    ``path`` is the upstream's, with its query; ``headers`` has no credentials. ``dialects``: those of the
    upstreams that accept it. ``plain``: plain proxy mode, whose API pxbin does not know; errors are forwarded too.
    ``estimates``: tokens are estimated from the body if the response reports none. ``counts_usage``: the usage in a response was not
    counted before. ``makes``: what the response says that the upstream has made, but for its id; ``None``: nothing. ``bills``: the
    object whose usage is in the response once the upstream has finished it.
    """

    method: str
    path: str
    untranslated: UntranslatedRequest
    headers: Headers
    dialects: frozenset[str] = TAKES_UNTRANSLATED
    plain: bool = False
    estimates: bool = False
    counts_usage: bool = True
    makes: MadeObject | None = None
    bills: MadeObject | None = None


_OBJECT = msgspec.json.Decoder(_Object)


class StreamBrokenError(ConnectionAbortedError):
    """The upstream broke off a response without error events: the server closes the client's connection too."""


class PassthroughAttempt:
    """See the module; an :class:`~proxy.exchange.upstream_call.Attempt`.

    ``is_whole``: the response is one piece; ``error_body``: the body of an error response.
    """

    def __init__(self, context: RequestContext, target: Target, request: PassthroughRequest) -> None:
        self.context = context
        self.target = target
        self.call = UpstreamCall(target, context.http.headers)
        self.request = request
        self.usage_tap = UsageTap(LAST_EVENTS)
        self.is_whole = False
        self.error_body: bytes | None = None
        self._made: list[MadeObject] = []

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body of the response, piece by piece; ``stream_ended`` is set before the last one, which may be empty.

        Raises :class:`UpstreamFailed` or :class:`ClientMistake` before the first piece, :class:`StreamBrokenError` after it.
        """
        request, target = self.request, self.target
        if target.upstream.dialect not in request.dialects:
            raise ClientMistake(f"{request.path.partition('?')[0]} is not offered by this model's upstream", kind="not_found")
        body = await in_thread_if_large(self.context.size, request.untranslated.with_model, target.remote_name)
        url = url_for(target.upstream, request.path, target.quirks)
        credentials = self.call.credentials(url, body)
        self.call.started_ns = perf_counter_ns()
        open_call = client.open if self.context.capture is None else self.call.open_captured
        self.call.opening = open_call(request.method, url, [*request.headers, *credentials], body, upstream=target.upstream)
        async with self.call.opening as response:
            self.call.note_status(response)
            if not request.plain and 300 <= response.status < 400:
                self.call.require_content(response)
            if self._is_failure(response.status):
                self.error_body = self.call.redact_secrets(await response.read())
                raise self.call.decode_error(self.upstream_dialect, self.error_body)
            if request.method == "HEAD" or response.status in (204, 304) or _is_short(response.headers.get("content-type", "")):
                self.is_whole = True
                raw = b"" if request.method == "HEAD" else await response.read()
                self.usage_tap.whole(raw)
                self._note_object(response.status, raw)
                self._finish()
                yield self.call.redact_secrets(raw)
                return
            async with aclosing(self._streamed(response)) as pieces:
                async for piece in pieces:
                    yield piece

    def _note_object(self, status: int, raw: bytes) -> None:
        if self.request.makes is None or status >= 300:
            return
        try:
            object_id = _OBJECT.decode(raw).id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the client gets the body as it is
            return
        if is_id(object_id):
            self._made = [msgspec.structs.replace(self.request.makes, id=object_id)]

    @property
    def response_id(self) -> str:
        """See :class:`Attempt`: bodies that are not translated are not searched for an id."""
        return ""

    def made_objects(self) -> list[MadeObject]:
        """See :class:`Attempt`; also an object whose usage this call counts, which is billed from now on."""
        if self.request.bills is not None and self.usage_tap.usage is not None:
            return [self.request.bills]
        return self._made

    @property
    def upstream_dialect(self) -> Dialect:
        """The dialect of the upstream's errors; where it is unknown, the client's, for whose API the upstream was chosen."""
        return REGISTRY.get(self.target.upstream.dialect, self.context.dialect)

    def _is_failure(self, status: int) -> bool:
        return status >= 500 or (status in PLAIN_FAILURES if self.request.plain else status >= 400)

    async def _streamed(self, response: client.UpstreamResponse) -> AsyncGenerator[bytes, None]:
        """Whole events, so that an error event can follow any of them; bytes of other streams as they come."""
        events = WholeEvents()
        try:
            async for chunk in response.chunks():
                piece = chunk
                if self.has_events:
                    self.usage_tap.feed(chunk)
                    piece = self.call.redact_secrets(events.feed(chunk))
                if piece:
                    self.call.first_token_ns = self.call.first_token_ns or perf_counter_ns()
                    if self.usage_tap.is_done:
                        self._finish()  # the client leaves as soon as it has these bytes
                    yield piece
        except UpstreamFailed as error:
            if self.call.first_token_ns is None:
                raise
            if self.call.outcome is not None:
                return  # the client has the last event
            self._note_usage()
            self.call.fail(error.failure)
            self.call.stream_ended = True
            yield self.abort_stream(error.failure)
            return
        self.usage_tap.close()
        self._finish()
        yield events.close()

    @property
    def has_events(self) -> bool:
        """Whether the body of the response is a stream of SSE events."""
        return self.call.received.get("content-type", "").startswith(EVENTS)

    def response_headers(self) -> Headers:
        """See :class:`Attempt`: also the headers of the body; in plain proxy mode all but those of the connection."""
        if self.request.plain:
            return headers.plain_downward(self.call.received, status=self.call.status or 200)
        content = [(name, self.call.received[name]) for name in _CONTENT_HEADERS if name in self.call.received]
        return [*headers.inert(content), *headers.downward(self.call.received)]

    def upstream_error_response(self, failure: Failure, own_headers: Headers) -> ErrorResponse | None:
        """See :class:`Attempt`: forwarded in plain proxy mode, unless the error is about pxbin's credential."""
        if self.error_body is None or not self.request.plain or failure.kind == "upstream_auth":
            return None
        shown = [*headers.plain_downward(self.call.received, status=self.call.status or 502), *own_headers]
        return ErrorResponse(failure, self.error_body, status=self.call.status or 502, headers=shown, is_json=False)

    def abort_stream(self, failure: Failure) -> bytes:
        """See :class:`Attempt`; raises :class:`StreamBrokenError` where the body's format has no error events."""
        if self.call.outcome is Outcome.FINISHED:
            return b""
        if not self.has_events or self.request.plain:
            raise StreamBrokenError(failure.message)
        dialect = self.context.dialect
        return b"".join(dialect.framing.write(frame) for frame in dialect.break_off(failure, 0))

    def _finish(self) -> None:
        if self.call.outcome is not None:
            return
        self._note_usage()
        self.call.end(Outcome.FINISHED)
        self.call.stream_ended = True

    def _note_usage(self) -> None:
        """The usage that the response reports.

        If it reports none and the body's length says nothing of it (audio, images), no tokens: of unknown cost if it may have one.
        """
        self.call.usage = self.usage_tap.usage if self.request.counts_usage else Usage()
        if self.call.usage is None and not self.request.estimates:
            may_cost = self.request.method == "POST" and self.call.status is not None and self.call.status < 400
            self.call.usage = Usage(is_measured=not may_cost)

    @property
    def request_metadata(self) -> dict[str, Any]:
        """See :class:`Attempt`: the seconds of audio that the upstream reports."""
        return {} if self.usage_tap.seconds is None else {"audio_seconds": self.usage_tap.seconds}

    def cancel(self) -> None:
        """See :class:`Attempt`; the usage that the response has reported so far counts."""
        self._note_usage()
        self.call.end(Outcome.CANCELLED)

    @property
    def output_chars(self) -> int:
        """See :class:`Attempt`: the texts of the response are not read."""
        return 0

    def continue_opened_stream(self) -> None:
        """See :class:`Attempt`: a stream of this kind is never opened early."""

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:  # noqa: ARG002
        """See :class:`Attempt`: the body is not changed."""
        return False


def _is_short(content_type: str) -> bool:
    """Whether a response is read to its end before the client gets it: until then another target can replace it."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json") or (kind.startswith("text/") and kind != EVENTS)
