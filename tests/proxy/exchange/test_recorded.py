"""The scope of a request: one journal line and one released lease, however it ends."""

from __future__ import annotations

import asyncio
import json

import pytest

from accounts.keys import Key
from accounts.limits.limiter import Limiter
from accounts.limits.memory_counts import MemoryCounts
from billing.outcomes import Outcome
from billing.request_log import journal
from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.failover import Failover
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.planning import Planned
from proxy.exchange.recorded import SHUTTING_DOWN, RecordedRequest
from proxy.exchange.recorded_attempts import RecordedAttempts
from proxy.exchange.request_context import RequestContext
from proxy.exchange.upstream_call import Attempt
from proxy.translation.canonical import Failed
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from tests.support.leases import lease
from tests.support.settings import with_config
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import Plan, Target

CHAT = REGISTRY["openai_chat"]
KEY = Key(id="k", name="k", concurrency_limit=1)
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true}'
NO_ANSWER = Failure(kind="bad_gateway", message="No answer", status=502)


class Lines:
    """A journal in memory."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, str]] = []

    def append(self, entry, *, unauthenticated, payload=None):
        assert (unauthenticated, payload) == (False, None)
        self.entries.append((entry.outcome, entry.status_code, entry.error_type))


@pytest.fixture
def lines(monkeypatch):
    current_journal = Lines()
    monkeypatch.setattr(journal, "current", lambda: current_journal)
    with with_config(response_headers=True):
        yield current_journal.entries


@pytest.fixture
def limiter():
    return Limiter(MemoryCounts())


def admitted(limiter: Limiter) -> RecordedRequest:
    request = RecordedRequest(HttpRequest(method="POST", path="/v1/chat/completions", body=BODY), CHAT)
    request.record.note_key(KEY)
    request.record.note_model("m", stream=True)
    request.record.note_lease(lease(limiter, KEY))
    return request


def attempting(limiter: Limiter) -> tuple[RecordedAttempts, Attempt]:
    """A request with one attempt that was started."""
    record = admitted(limiter).record
    upstream = UpstreamEntry(id="u", name="u", base_url="http://x", dialect="openai_chat")
    route = RouteEntry(id="r", upstream=upstream)
    model = ModelEntry(id="m", name="m", routes=(route,))
    target = Target(model=model, route=route, upstream=upstream, credential=None, remote_name="m", quirks=upstream.quirks)
    context = RequestContext(record.http, CHAT, CHAT.open_request(BODY), identity="0" * 24, created=0, seal_key=b"k")
    failover = Failover(Plan([target], []), RoutingState(breaker_threshold=100), request_id="1")
    return RecordedAttempts(record, Planned(context, failover)), failover.start(TranslatedAttempt(context, target))


def is_free(limiter: Limiter) -> bool:
    """Whether the key, which may have one request at once, may send another one."""
    try:
        lease(limiter, KEY).release()
    except ClientMistake:
        return False
    return True


async def pieces_of(attempt: Attempt, *pieces: bytes, error: BaseException | None = None):
    """The stream of an attempt: its pieces, the last of which ends it unless an error follows."""
    for number, piece in enumerate(pieces, 1):
        if number == len(pieces) and error is None:
            attempt.call.end(Outcome.FINISHED)
            attempt.call.stream_ended = True
        yield piece
    if error is not None:
        raise error


def stream(request: RecordedAttempts, attempt: Attempt, *pieces: bytes, error: BaseException | None = None):
    async def first_piece():
        rest = pieces_of(attempt, *pieces, error=error)
        return attempt, (await anext(rest), rest)

    return request.stream(first_piece)


async def test_an_error_before_a_target_is_called_is_rejected(lines, limiter):
    with admitted(limiter) as request:
        assert not is_free(limiter)
        raise ClientMistake("No such field", param="x")
    assert request.error_response.status == 400
    assert json.loads(request.error_response.body)["error"]["param"] == "x"
    assert (lines, is_free(limiter)) == ([("rejected", 400, "invalid_request")], True)


async def test_an_error_after_a_target_was_called_is_a_failure(lines, limiter):
    request, attempt = attempting(limiter)
    with request:
        attempt.call.fail(NO_ANSWER)
        raise UpstreamFailed(NO_ANSWER)
    assert (request.error_response.failure, request.error_response.status) == (NO_ANSWER, 502)
    assert (lines, is_free(limiter)) == ([("failed", 502, "bad_gateway")], True)


async def test_an_exception_is_recorded_and_raised(lines, limiter):
    with pytest.raises(ZeroDivisionError), admitted(limiter):
        _ = 1 / 0
    assert (lines, is_free(limiter)) == ([("failed", 500, "internal")], True)


async def test_a_client_that_leaves_cancels_its_attempt(lines, limiter):
    request, attempt = attempting(limiter)
    request.http.gone = True
    with pytest.raises(asyncio.CancelledError), request:
        raise asyncio.CancelledError
    assert (lines, attempt.call.outcome, is_free(limiter)) == ([("cancelled", 499, "")], "cancelled", True)


async def test_the_end_of_a_drain_answers_503(lines, limiter):
    request, attempt = attempting(limiter)
    entered = asyncio.Event()

    async def serve():
        with request:
            entered.set()
            await asyncio.Event().wait()
        return request.error_response

    task = asyncio.create_task(serve())
    await entered.wait()
    task.cancel()
    response = await task
    assert (response.status, response.failure) == (503, SHUTTING_DOWN)
    assert (lines, attempt.call.outcome, is_free(limiter)) == ([("failed", 503, "overloaded")], "cancelled", True)


async def test_the_line_of_a_stream_is_written_before_its_last_piece(lines, limiter):
    request, attempt = attempting(limiter)
    pieces_and_lines = [(piece, len(lines)) async for piece in stream(request, attempt, b"a", b"b", b"c")]
    assert pieces_and_lines == [(b"a", 0), (b"b", 0), (b"c", 1)]
    assert (lines, is_free(limiter)) == ([("finished", 200, "")], True)


async def test_a_stream_that_ends_without_a_last_piece_has_its_line(lines, limiter):
    request, attempt = attempting(limiter)
    assert [piece async for piece in stream(request, attempt, b"a", b"")] == [b"a"]
    assert (lines, is_free(limiter)) == ([("finished", 200, "")], True)


async def test_a_stream_that_the_server_closes_is_cancelled_and_closes_its_upstream_stream(lines, limiter):
    request, attempt = attempting(limiter)
    closed: list[bool] = []

    async def upstream_stream():
        try:
            while True:
                yield b"a"
        finally:
            closed.append(True)

    async def first_piece():
        rest = upstream_stream()
        return attempt, (await anext(rest), rest)

    pieces = request.stream(first_piece)
    assert await anext(pieces) == b"a"
    await pieces.aclose()
    assert (lines, attempt.call.outcome, closed) == ([("cancelled", 200, "")], "cancelled", [True])
    assert is_free(limiter)


async def test_an_exception_in_a_stream_is_recorded_and_raised(lines, limiter):
    request, attempt = attempting(limiter)
    with pytest.raises(ZeroDivisionError):
        _ = [piece async for piece in stream(request, attempt, b"a", error=ZeroDivisionError())]
    assert (lines, is_free(limiter)) == ([("failed", 200, "internal")], True)


async def test_a_stream_without_a_first_piece_is_an_error_response(lines, limiter):
    request, attempt = attempting(limiter)

    async def first_piece():
        attempt.call.fail(NO_ANSWER)
        raise UpstreamFailed(NO_ANSWER)

    (response,) = [piece async for piece in request.stream(first_piece)]
    assert response is request.error_response
    assert (response.status, lines, is_free(limiter)) == (502, [("failed", 502, "bad_gateway")], True)


async def test_the_end_of_a_drain_ends_a_stream_with_an_error_event(lines, limiter):
    request, attempt = attempting(limiter)
    received: list[bytes] = []
    started = asyncio.Event()

    async def endless():
        yield b"a"
        await asyncio.Event().wait()

    async def first_piece():
        rest = endless()
        return attempt, (await anext(rest), rest)

    async def serve():
        async for piece in request.stream(first_piece):
            received.append(piece)
            started.set()

    task = asyncio.create_task(serve())
    await started.wait()
    task.cancel()
    await task
    assert received == [b"a", request.planned.context.encoding.encode_event(Failed(SHUTTING_DOWN))]
    assert (lines, is_free(limiter)) == ([("failed", 200, "overloaded")], True)


async def test_only_the_first_end_of_a_request_counts(lines, limiter):
    request, attempt = attempting(limiter)
    attempt.call.end(Outcome.FINISHED)
    with request:
        request.record_response(attempt)
        request.record_response(attempt)
        raise UpstreamFailed(NO_ANSWER)
    assert (lines, is_free(limiter)) == ([("finished", 200, "")], True)


async def test_the_lease_is_released_where_the_journal_cannot_be_written(monkeypatch, limiter):
    def broken():
        raise OSError

    monkeypatch.setattr(journal, "current", broken)
    with pytest.raises(OSError), admitted(limiter):
        raise ClientMistake("No such field")
    assert is_free(limiter)
