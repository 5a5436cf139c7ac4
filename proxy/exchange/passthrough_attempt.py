"""One call of one target with the client's own body: what comes back passes as it is, and is only listened to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from time import perf_counter_ns
from typing import Any

import msgspec

from proxy.exchange.attempt_base import Attempt, RequestContext
from proxy.translation.canonical import Usage
from proxy.translation.dialects.lookup import LAST_EVENTS, PASSTHROUGH
from proxy.translation.dialects.registry import DEFAULT, REGISTRY
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.untranslated.bodies import Asked
from proxy.translation.untranslated.usage_tap import UsageTap
from upstreams.http import client
from upstreams.http.urls import url_for
from upstreams.routing.plan import Target

TAKES_UNTRANSLATED = frozenset({PASSTHROUGH, *(dialect.name for dialect in REGISTRY.values() if dialect.upstream.takes_untranslated)})
"""What the ``dialect`` of an upstream is that takes untranslated bodies."""
EVENTS = "text/event-stream"
EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")
PLAIN_REFUSALS = frozenset({401, 429})
"""Of the plain proxy's answers below 500, those that say something of our key; the others are the client's to read."""


class PassthroughRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that goes up untranslated.

    ``path`` is the upstream's, with its query; ``up`` its headers without credentials. ``dialects``: upstreams that can take
    it. ``plain``: an API that is not known, so that its errors are the client's to read too. ``estimates``: whether tokens
    are estimated from the body where the answer tells none.
    """

    method: str
    path: str
    asked: Asked
    up: list[tuple[str, str]]
    dialects: frozenset[str] = TAKES_UNTRANSLATED
    plain: bool = False
    estimates: bool = False


class StreamBrokenError(ConnectionAbortedError):
    """The upstream broke off an answer that cannot say so: the server cuts the client's connection too."""


class PassthroughAttempt(Attempt):
    """See the module. ``is_whole``: the answer is one piece; ``refusal``: the body of an error answer."""

    def __init__(self, call: RequestContext, target: Target, order: PassthroughRequest) -> None:
        super().__init__(call, target)
        self.order = order
        self.heard = UsageTap(LAST_EVENTS)
        self.is_whole = False
        self.refusal: bytes | None = None

    async def pieces(self, ended: Callable[[Attempt], None]) -> AsyncGenerator[bytes, None]:
        """The answer's body as it comes; ``ended`` is called before its end is told.

        Raises :class:`UpstreamFailed` or :class:`ClientMistake` before the first piece, :class:`StreamBrokenError` after it.
        """
        order, target = self.order, self.target
        if target.upstream.dialect not in order.dialects:
            raise ClientMistake(f"{order.path.partition('?')[0]} is not offered by this model's upstream", kind="not_found")
        body = order.asked.renamed(target.remote_name)
        url = url_for(target.upstream, order.path, target.quirks)
        own = self.credentials(url, body)
        self.began_ns = perf_counter_ns()
        self.opening = client.open(order.method, url, [*order.up, *own], body, upstream=target.upstream)
        async with self.opening as answer:
            self.answered(answer)
            if self._refuses(answer.status):
                self.refusal = self.redact_secrets(await answer.read())
                raise self.refused(DEFAULT, self.refusal)
            if order.method == "HEAD" or answer.status in (204, 304) or _is_short(answer.headers.get("content-type", "")):
                self.is_whole = True
                raw = b"" if order.method == "HEAD" else await answer.read()
                self.heard.whole(raw)
                self._finish(ended)
                yield self.redact_secrets(raw)
                return
            async with aclosing(self._streamed(answer, ended)) as told:
                async for piece in told:
                    yield piece

    def _refuses(self, status: int) -> bool:
        return status >= 500 or (status in PLAIN_REFUSALS if self.order.plain else status >= 400)

    async def _streamed(self, answer: client.UpstreamResponse, ended: Callable[[Attempt], None]) -> AsyncGenerator[bytes, None]:
        """Events leave whole, so that one that tells of a failure can follow; other bytes leave as they come."""
        held = b""
        try:
            async for chunk in answer.chunks():
                told = chunk
                if self._has_events:
                    self.heard.feed(chunk)
                    told, held = _whole_events(held + chunk)
                    told = self.redact_secrets(told)
                if told:
                    self.first_token_ns = self.first_token_ns or perf_counter_ns()
                    if self.heard.is_done:
                        self._finish(ended)  # the client leaves as soon as it has these bytes
                    yield told
        except UpstreamFailed as error:
            if self.first_token_ns is None:
                raise
            if self.outcome is not None:
                return  # all was told
            self._learn()
            self.failed(error.failure)
            ended(self)
            yield self.break_off(error.failure)
            return
        self.heard.close()
        self._finish(ended)
        if held or self.first_token_ns is None:
            yield held

    @property
    def _has_events(self) -> bool:
        return self.received.get("content-type", "").startswith(EVENTS)

    def break_off(self, failure: Failure) -> bytes:
        """See :class:`Attempt`; raises :class:`StreamBrokenError` where the answer's bytes cannot say so."""
        if self.outcome == "finished":
            return b""
        if not self._has_events or self.order.plain:
            raise StreamBrokenError(failure.message)
        return b"".join(DEFAULT.framing.write(frame) for frame in DEFAULT.break_off(failure, 0))

    def _finish(self, ended: Callable[[Attempt], None]) -> None:
        if self.outcome is not None:
            return
        self._learn()
        self.end("finished")
        ended(self)

    def _learn(self) -> None:
        """What the answer told of its usage; without a word, none where the body's length says nothing of it (audio, images)."""
        self.usage = self.heard.usage
        if self.usage is None and not self.order.estimates:
            self.usage = Usage()

    @property
    def notes(self) -> dict[str, Any]:
        """See :class:`Attempt`: how long the sound was that the upstream has heard."""
        return {} if self.heard.seconds is None else {"audio_seconds": self.heard.seconds}

    def cancelled(self) -> None:
        """See :class:`Attempt`; what the answer has told so far is kept."""
        self._learn()
        super().cancelled()


def _is_short(content_type: str) -> bool:
    """Answers that are read to their end before the client sees them: then another target may help when they break off."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json") or (kind.startswith("text/") and kind != EVENTS)


def _whole_events(buffer: bytes) -> tuple[bytes, bytes]:
    """The complete events at the buffer's beginning, and the rest."""
    cut = max((found + len(end) for end in EVENT_ENDS if (found := buffer.rfind(end)) >= 0), default=0)
    return buffer[:cut], buffer[cut:]
