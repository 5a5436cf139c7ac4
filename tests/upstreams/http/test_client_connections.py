"""Connections to upstreams: kept, closed, replaced."""

from __future__ import annotations

import asyncio

import pytest

from proxy.translation.errors import UpstreamFailed
from tests.support.scripted_server import ENTRY, JSON, Talk, answer_all, answer_once_with, ask, failure, serving
from tests.support.waiting import PATIENCE
from upstreams.http import client


async def test_a_connection_is_used_again_once_its_answer_has_been_read() -> None:
    async with serving(answer_all) as (upstream, url):
        assert [await ask(url) for _ in range(3)] == [(200, b"1")] * 3
    assert (upstream.connections, len(upstream.requests)) == (1, 3)


async def test_leaving_early_closes_the_connection_at_once() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await talk.wait_closed()

    async with serving(script) as (upstream, url):
        async with client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
            assert await anext(answer.chunks()) == b"first"
        await asyncio.wait_for(upstream.done.wait(), PATIENCE)


@pytest.mark.parametrize("has_response", [True, False])
async def test_cancelling_a_call_closes_the_connection_at_once(has_response: bool) -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        if has_response:
            await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await talk.wait_closed()

    async with serving(script) as (upstream, url):
        opened = asyncio.Event()

        async def call() -> None:
            async with client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
                opened.set()
                await answer.read()

        task = asyncio.create_task(call())
        await asyncio.wait_for((opened if has_response else upstream.got_request).wait(), PATIENCE)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(upstream.done.wait(), PATIENCE)


async def test_finish_lets_the_end_of_a_stream_arrive() -> None:
    async def script(talk: Talk) -> None:
        while True:
            await talk.request()
            await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await asyncio.sleep(0.05)
            await talk.say(b"0\r\n\r\n")

    async with serving(script) as (upstream, url):
        for _ in range(2):
            async with client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
                assert await anext(answer.chunks()) == b"first"
                await answer.finish(PATIENCE)
    assert upstream.connections == 1


async def test_an_upstream_is_not_read_faster_than_the_client_reads() -> None:
    sent_bytes = 0

    async def script(talk: Talk) -> None:
        nonlocal sent_bytes
        await talk.request()
        if talk.number > 1:
            await talk.answer()
            return
        await talk.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent_bytes < 100_000_000:
            await talk.say(b"x" * 1_000_000)
            sent_bytes += 1_000_000

    async with serving(script) as (_, url), client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
        await anext(answer.chunks())
        sent_before = -1
        while sent_before != sent_bytes:  # it says no more while others are answered
            sent_before = sent_bytes
            for _ in range(20):
                assert await ask(url) == (200, b"{}")
        assert sent_bytes < 20_000_000


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.answer(b"%d" % talk.number)
        if talk.number == 1:
            await talk.request()  # and close without a word

    async with serving(script) as (upstream, url):
        assert [await ask(url), await ask(url)] == [(200, b"1"), (200, b"2")]
    assert (upstream.connections, len(upstream.requests)) == (2, 3)


async def test_a_new_connection_that_closes_without_a_response_is_a_failure_and_nothing_is_sent_twice() -> None:
    async with serving(answer_once_with(b"")) as (upstream, url):
        assert await failure(url) == ("network", "The connection to the upstream broke", False)
    assert (upstream.connections, len(upstream.requests)) == (1, 1)


async def test_a_kept_connection_that_breaks_in_the_answer_is_a_failure() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.answer()
        await talk.request()
        await talk.say(b"HTTP/1.1 200 O")

    async with serving(script) as (upstream, url):
        await ask(url)
        assert await failure(url) == ("network", "The connection to the upstream broke", True)
    assert upstream.connections == 1


def test_each_event_loop_has_its_own_connections() -> None:
    async def count_connections() -> int:
        async with serving(answer_all) as (upstream, url):
            await ask(url)
            await ask(url)
        return upstream.connections

    assert [asyncio.run(count_connections()), asyncio.run(count_connections())] == [1, 1]


async def test_after_close_all_calls_open_new_connections() -> None:
    async with serving(answer_all) as (_, url):
        assert await ask(url) == (200, b"1")
        await client.close_all()
        assert await ask(url) == (200, b"2")


@pytest.mark.parametrize("idle_count", [0, 1, 3])
async def test_an_upstream_that_closes_every_connection_without_a_response_gets_a_request_at_most_twice(idle_count: int) -> None:
    """However many connections are kept: the second time a new one is used."""
    all_arrived = asyncio.Event()

    async def script(talk: Talk) -> None:
        if b"mute" in await talk.request():
            return
        if len(upstream.requests) == idle_count:
            all_arrived.set()
        await all_arrived.wait()
        await talk.answer()
        await talk.request()  # and close without a word

    async with serving(script) as (upstream, url):
        await asyncio.gather(*(ask(url) for _ in range(idle_count)))
        with pytest.raises(UpstreamFailed) as caught:
            await ask(url, body=b"mute")
        assert (caught.value.failure.kind, caught.value.reconnected) == ("network", idle_count > 0)
        assert sum(b"mute" in request for request in upstream.requests) == (2 if idle_count else 1)
