"""Calls of upstreams: what is sent, and what is returned."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import brotli
import pytest
from backports import zstd

from proxy.translation.errors import UpstreamFailed
from tests.support.scripted_server import ENTRY, JSON, Script, Talk, answer_all, answer_once_with, ask, failure, serving
from upstreams.http import client


async def test_the_request_is_what_was_given_and_nothing_of_ours_but_the_frame() -> None:
    async with serving(answer_all) as (upstream, url):
        headers = [("Content-Type", "application/json"), ("User-Agent", "first"), ("user-agent", "second"), ("Connection", "close")]
        async with client.open("POST", url + "?beta=true", headers, b"{}", upstream=ENTRY) as answer:
            await answer.read()
        host = url.split("/")[2]
    expected = f"POST /v1/x?beta=true HTTP/1.1\r\nhost: {host}\r\nuser-agent: second\r\naccept-encoding: identity\r\n"
    assert upstream.requests == [f"{expected}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}".encode()]


async def test_an_escaped_path_stays_escaped() -> None:
    async with serving(answer_all) as (upstream, url):
        await ask(url.replace("/v1/x", "/model/arn%3Aaws%2Fx%20y/invoke"))
    assert upstream.requests[0].startswith(b"POST /model/arn%3Aaws%2Fx%20y/invoke HTTP/1.1\r\n")


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    async with serving(answer_all) as (upstream, url):
        await ask(url, body=body)
    assert upstream.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_header_with_a_line_break_is_not_sent() -> None:
    async with serving(answer_all) as (upstream, url):
        with pytest.raises(UpstreamFailed) as caught:
            async with client.open("POST", url, [("x-api-key", "a\r\nx: y")], upstream=ENTRY):
                pass
    assert caught.value.failure.message == "A header for the upstream contains a line break"
    assert upstream.connections == 0


# Answers.


async def test_status_headers_and_body_are_returned() -> None:
    script = answer_once_with(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\ncontent-length: 2\r\n\r\n{}")
    async with serving(script) as (_, url), client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
        assert (answer.status, answer.headers.get("retry-after"), answer.headers["RETRY-AFTER"]) == (429, "3", "3")
        assert await answer.read() == b"{}"


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    async with serving(answer_once_with(b"HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")) as (_, url):
        assert await ask(url) == (307, b"")


async def test_1xx_responses_are_skipped() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serving(answer_once_with(interim + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")) as (_, url):
        assert await ask(url) == (200, b"{}")


async def test_cookies_are_not_kept() -> None:
    async def script(talk: Talk) -> None:
        while True:
            await talk.request()
            await talk.answer(head="set-cookie: a=b\r\n")

    async with serving(script) as (upstream, url):
        await ask(url)
        await ask(url)
    assert all(b"cookie" not in request for request in upstream.requests)


async def test_chunks_come_as_they_are_read() -> None:
    go_on = asyncio.Event()

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await go_on.wait()
        await talk.say(b"6\r\nsecond\r\n1\r\n!\r\n0\r\n\r\n")

    async with serving(script) as (_, url), client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"first"
        go_on.set()
        assert b"".join([chunk async for chunk in chunks]) == b"second!"


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with serving(answer_once_with(b"HTTP/1.1 200 OK\r\n\r\n{}")) as (_, url):
        assert await ask(url) == (200, b"{}")


async def test_head_and_no_content_have_no_body() -> None:
    async with serving(answer_once_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", hang=True)) as (_, url):
        assert await ask(url, method="HEAD", body=b"") == (200, b"")
    async with serving(answer_once_with(b"HTTP/1.1 204 No Content\r\n\r\n", hang=True)) as (_, url):
        assert await ask(url) == (204, b"")


async def test_an_answer_larger_than_the_limit_is_refused() -> None:
    async with serving(answer_once_with(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000)) as (_, url):
        with pytest.raises(UpstreamFailed) as caught:
            async with client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
                await answer.read(limit=999)
    assert (caught.value.failure.kind, caught.value.answered) == ("bad_gateway", True)


RAW = zlib.compressobj(wbits=-15)
TEXT = b"data: hello\n\n" * 5000
ENCODED = {
    "gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "Deflate": RAW.compress(TEXT) + RAW.flush(),
    "br": brotli.compress(TEXT),
    "zstd": zstd.compress(TEXT),
}


def encoded(encoding: str, body: bytes) -> Script:
    return answer_once_with(f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\nconnection: close\r\n\r\n".encode() + body)


@pytest.mark.parametrize("encoding", ENCODED)
async def test_an_encoded_answer_is_decoded(encoding: str) -> None:
    async with serving(encoded(encoding, ENCODED[encoding])) as (_, url):
        assert await ask(url) == (200, TEXT)


@pytest.mark.parametrize("encoding", ENCODED)
async def test_an_encoded_answer_that_breaks_off_is_a_failure(encoding: str) -> None:
    async with serving(encoded(encoding, ENCODED[encoding][:-9])) as (_, url):
        kind, message, answered = await failure(url)
    assert (kind, message, answered) == ("network", "The upstream response cannot be decoded: the compressed body ends too early", True)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "compress"])
async def test_invalid_compressed_data_is_a_failure(encoding: str) -> None:
    async with serving(encoded(encoding, b"nonsense" * 10)) as (_, url):
        kind, message, answered = await failure(url)
    assert (kind, message[:41], answered) == ("network", "The upstream response cannot be decoded: ", True)
