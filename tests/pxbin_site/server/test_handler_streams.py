"""The lean handler as any ASGI server would call it: streams, and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from tests.pxbin_site.server.asgi_client import Client, View, handler
from tests.support.waiting import eventually_async


async def empty_response(http: HttpRequest) -> JsonResponse:
    return JsonResponse(http.body)


# Streams.


async def pieces_of(*pieces: bytes | JsonResponse, error: BaseException | None = None, closed: list[str] | None = None) -> Any:
    try:
        for piece in pieces:
            yield piece
        if error is not None:
            raise error
    finally:
        if closed is not None:
            closed.append("closed")


def streaming(*args: Any, error: BaseException | None = None, closed: list[str] | None = None, **options: Any) -> View:
    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(pieces_of(*args, error=error, closed=closed), **options)

    return view


async def test_a_stream_is_written_piece_by_piece() -> None:
    client = await Client("/v1/messages").call(handler(streaming(b"a", b"b", headers=[("x-pxbin-model", "m")])))
    assert client.bodies == [b"a", b"b", b""]
    assert [message.get("more_body", False) for message in client.sent[1:]] == [True, True, False]
    expected = {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no", "x-pxbin-model": "m"}
    assert client.headers.items() >= expected.items()


async def test_headers_of_a_stream_are_asked_for_with_its_first_piece() -> None:
    late_headers: list[tuple[str, str]] = []

    async def pieces() -> AsyncIterator[bytes]:
        late_headers.append(("x-late", "1"))
        yield b"a"

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(pieces(), headers=lambda: late_headers)

    assert (await Client("/v1/messages").call(handler(view))).headers["x-late"] == "1"


async def test_a_whole_answer_first_replaces_the_stream() -> None:
    closed: list[str] = []
    view = streaming(JsonResponse(b'{"error":1}', status=529), b"never", closed=closed)
    client = await Client("/v1/messages").call(handler(view))
    assert (client.status, client.bodies, client.headers["content-type"], closed) == (529, [b'{"error":1}'], "application/json", ["closed"])


async def test_a_stream_without_pieces_is_an_empty_stream() -> None:
    client = await Client("/v1/messages").call(handler(streaming()))
    assert (client.status, client.bodies) == (200, [b""])


async def test_an_exception_before_the_first_piece_is_a_500() -> None:
    closed: list[str] = []
    client = await Client("/v1/messages").call(handler(streaming(error=ZeroDivisionError(), closed=closed)))
    assert (client.status, closed) == (500, ["closed"])


async def test_an_exception_after_the_first_piece_is_raised_so_that_the_server_aborts_the_response() -> None:
    closed: list[str] = []
    client = Client("/v1/messages")
    with pytest.raises(ZeroDivisionError):
        await client.call(handler(streaming(b"a", error=ZeroDivisionError(), closed=closed)))
    assert (client.bodies, closed) == ([b"a"], ["closed"])


async def test_a_keep_alive_goes_out_while_nothing_comes() -> None:
    async def view(http: HttpRequest) -> StreamingResponse:
        async def slow() -> AsyncIterator[bytes]:
            yield b"a"
            await eventually_async(lambda: len(client.bodies) > 3)
            yield b"b"

        return StreamingResponse(slow(), keepalive=b": ping\n\n")

    client = Client("/v1/messages")
    await client.call(handler(view, keepalive_seconds=0.1))
    assert client.bodies[0] == b"a"
    assert set(client.bodies[1:-2]) == {b": ping\n\n"}
    assert client.bodies[-2:] == [b"b", b""]


def waiting(answer: bytes | JsonResponse, *, until: Callable[[], object], **options: Any) -> View:
    async def slow() -> AsyncIterator[bytes | JsonResponse]:
        await eventually_async(until)
        yield answer

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(slow(), keepalive=b": ping\n\n", **options)

    return view


async def test_nothing_is_sent_before_the_first_piece_unless_errors_can_come_late() -> None:
    """Both wait until one of them has sent two keep-alives: the first as an error that is an event, the second with its status."""
    first, second = Client("/v1/messages"), Client("/v1/messages")

    def two_were_sent() -> bool:
        return len(first.sent) > 2

    view_with_late_error = waiting(
        JsonResponse(b"{}", status=502), until=two_were_sent, late_error=lambda response: b"event: error\ndata: " + response.body + b"\n\n"
    )
    view_without_late_error = waiting(JsonResponse(b"{}", status=502), until=two_were_sent)
    await asyncio.gather(
        first.call(handler(view_with_late_error, keepalive_seconds=0.1)),
        second.call(handler(view_without_late_error, keepalive_seconds=0.1)),
    )
    assert (first.status, set(first.bodies[:-2]), first.bodies[-2:]) == (
        200,
        {b": ping\n\n"},
        [b"event: error\ndata: {}\n\n", b""],
    )
    assert (second.status, second.bodies) == (502, [b"{}"])


# Clients that leave, under a server that tells it by ``receive`` alone.


async def test_a_view_is_cancelled_when_its_client_leaves() -> None:
    gone_values: list[bool] = []
    running = asyncio.Event()

    async def view(http: HttpRequest) -> JsonResponse:
        running.set()
        try:
            await asyncio.sleep(3600)
        finally:
            gone_values.append(http.gone)
        raise AssertionError

    client = Client("/v1/messages")
    task = asyncio.create_task(client.call(handler(view)))
    await running.wait()
    client.left.set()
    await task
    assert (gone_values, client.sent) == ([True], [])


@pytest.mark.parametrize("reading", [True, False])
async def test_a_stream_is_closed_when_its_client_leaves(reading: bool) -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"a"
                await asyncio.sleep(0)
        finally:
            closed.append("closed")

    async def view(http: HttpRequest) -> StreamingResponse:
        return StreamingResponse(endless())

    client = Client("/v1/messages")
    task = asyncio.create_task(client.call(handler(view)))
    await client.wrote.wait()
    if not reading:
        client.may_write.clear()
        client.wrote.clear()
        await client.wrote.wait()  # this piece is not taken
    client.left.set()
    await task
    assert closed == ["closed"]


async def test_a_client_that_leaves_before_its_body_is_complete_costs_nothing() -> None:
    client = Client("/v1/messages")
    client.pieces = []
    client.left.set()
    await client.call(handler(empty_response))
    assert client.sent == []


async def test_a_cancellation_that_is_not_the_clients_doing_passes_through() -> None:
    running = asyncio.Event()

    async def view(http: HttpRequest) -> JsonResponse:
        running.set()
        await asyncio.sleep(3600)
        raise AssertionError

    task = asyncio.create_task(Client("/v1/messages").call(handler(view)))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
