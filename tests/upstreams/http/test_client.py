"""Calls to upstreams, over real sockets to scripted servers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import brotli
import httpx
import msgspec
import pytest
from backports import zstd
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxy.translation.errors import UpstreamFailed
from tests.support.waiting import PATIENCE, eventually_async
from upstreams.http import client
from upstreams.http.client import UpstreamResponse

Script = Callable[["Talk"], Awaitable[None]]
JSON = [("content-type", "application/json")]


class Entry(NamedTuple):
    """The part of an upstream's entry that a call needs."""

    connect_timeout: float = PATIENCE
    first_byte_timeout: float = PATIENCE
    idle_timeout: float = PATIENCE


ENTRY = Entry()


class Talk:
    """One connection, seen by the upstream. A script reads requests and writes bytes."""

    def __init__(self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        self.number = number

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        request = head + await self.reader.readexactly(length)
        self.upstream.requests.append(request)
        self.upstream.asked.set()
        return request

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", head: str = "", status: str = "200 OK") -> None:
        await self.say(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body)

    async def gone(self) -> None:
        """Until the gateway has closed the connection."""
        with contextlib.suppress(ConnectionResetError):
            assert await self.reader.read() == b""


class Upstream:
    """A scripted server: each connection runs the script; ``connections`` and ``requests`` say what came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.done = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(Talk(self, reader, writer, self.connections))
            self.done.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway closed a kept connection
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream(script)
    server = await asyncio.start_server(upstream.talk, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield upstream, f"http{'s' if tls else ''}://127.0.0.1:{port}/v1/x"
    finally:
        await client.close_all()
        server.close()
        await server.wait_closed()


async def ask(url: str, *, body: bytes = b"{}", upstream: Entry = ENTRY, method: str = "POST") -> tuple[int, bytes]:
    async with client.open(method, url, JSON, body, upstream=upstream) as answer:
        return answer.status, await answer.read()


async def failure(url: str, *, upstream: Entry = ENTRY) -> tuple[str, str, bool]:
    """Kind, message, and whether the upstream had begun to answer."""
    with pytest.raises(UpstreamFailed) as caught:
        await ask(url, upstream=upstream)
    return caught.value.failure.kind, caught.value.failure.message, caught.value.answered


async def politely(talk: Talk) -> None:
    """Answer every request on the connection."""
    while True:
        await talk.request()
        await talk.answer(b"%d" % talk.number)


def saying(data: bytes, *, hang: bool = False) -> Script:
    """Answer the first request with these bytes, then close or hang."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(data)
        if hang:
            await talk.gone()

    return script


# Requests.


async def test_the_request_is_what_was_given_and_nothing_of_ours_but_the_frame() -> None:
    async with serving(politely) as (upstream, url):
        headers = [("Content-Type", "application/json"), ("User-Agent", "first"), ("user-agent", "second"), ("Connection", "close")]
        async with client.open("POST", url + "?beta=true", headers, b"{}", upstream=ENTRY) as answer:
            await answer.read()
        host = url.split("/")[2]
    expected = f"POST /v1/x?beta=true HTTP/1.1\r\nhost: {host}\r\nuser-agent: second\r\naccept-encoding: identity\r\n"
    assert upstream.requests == [f"{expected}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}".encode()]


async def test_an_escaped_path_stays_escaped() -> None:
    async with serving(politely) as (upstream, url):
        await ask(url.replace("/v1/x", "/model/arn%3Aaws%2Fx%20y/invoke"))
    assert upstream.requests[0].startswith(b"POST /model/arn%3Aaws%2Fx%20y/invoke HTTP/1.1\r\n")


async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000
    async with serving(politely) as (upstream, url):
        await ask(url, body=body)
    assert upstream.requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_header_with_a_line_break_is_not_sent() -> None:
    async with serving(politely) as (upstream, url):
        with pytest.raises(UpstreamFailed) as caught:
            async with client.open("POST", url, [("x-api-key", "a\r\nx: y")], upstream=ENTRY):
                pass
    assert caught.value.failure.message == "A header for the upstream contains a line break"
    assert upstream.connections == 0


# Answers.


async def test_status_headers_and_body_are_told() -> None:
    script = saying(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\ncontent-length: 2\r\n\r\n{}")
    async with serving(script) as (_, url), client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
        assert (answer.status, answer.headers.get("retry-after"), answer.headers["RETRY-AFTER"]) == (429, "3", "3")
        assert await answer.read() == b"{}"


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    async with serving(saying(b"HTTP/1.1 307 T\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")) as (_, url):
        assert await ask(url) == (307, b"")


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with serving(saying(interim + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")) as (_, url):
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
    async with serving(saying(b"HTTP/1.1 200 OK\r\n\r\n{}")) as (_, url):
        assert await ask(url) == (200, b"{}")


async def test_head_and_no_content_have_no_body() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", hang=True)) as (_, url):
        assert await ask(url, method="HEAD", body=b"") == (200, b"")
    async with serving(saying(b"HTTP/1.1 204 No Content\r\n\r\n", hang=True)) as (_, url):
        assert await ask(url) == (204, b"")


async def test_an_answer_larger_than_the_limit_is_refused() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000)) as (_, url):
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
    return saying(f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\nconnection: close\r\n\r\n".encode() + body)


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
async def test_nonsense_in_an_encoding_is_a_failure(encoding: str) -> None:
    async with serving(encoded(encoding, b"nonsense" * 10)) as (_, url):
        kind, message, answered = await failure(url)
    assert (kind, message[:41], answered) == ("network", "The upstream response cannot be decoded: ", True)


# Connections.


async def test_a_connection_is_used_again_once_its_answer_has_been_read() -> None:
    async with serving(politely) as (upstream, url):
        assert [await ask(url) for _ in range(3)] == [(200, b"1")] * 3
    assert (upstream.connections, len(upstream.requests)) == (1, 3)


async def test_leaving_early_closes_the_connection_at_once() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await talk.gone()

    async with serving(script) as (upstream, url):
        async with client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
            assert await anext(answer.chunks()) == b"first"
        await asyncio.wait_for(upstream.done.wait(), PATIENCE)


@pytest.mark.parametrize("begun", [True, False])
async def test_cancelling_a_call_closes_the_connection_at_once(begun: bool) -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        if begun:
            await talk.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        await talk.gone()

    async with serving(script) as (upstream, url):
        task = asyncio.create_task(ask(url))
        await asyncio.wait_for(upstream.asked.wait(), PATIENCE)
        await asyncio.sleep(0.05)  # for what the upstream has begun to say; either moment is one at which a call can end
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


async def test_a_slow_reader_holds_the_upstream_back() -> None:
    said = 0

    async def script(talk: Talk) -> None:
        nonlocal said
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\n\r\n")
        while said < 100_000_000:
            await talk.say(b"x" * 1_000_000)
            said += 1_000_000

    async with serving(script) as (_, url), client.open("POST", url, JSON, b"{}", upstream=ENTRY) as answer:
        await anext(answer.chunks())
        before = -1
        while before != said:
            before = said
            await asyncio.sleep(0.2)
        assert said < 20_000_000


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.answer(b"%d" % talk.number)
        if talk.number == 1:
            await talk.request()  # and close without a word

    async with serving(script) as (upstream, url):
        assert [await ask(url), await ask(url)] == [(200, b"1"), (200, b"2")]
    assert (upstream.connections, len(upstream.requests)) == (2, 3)


async def test_a_fresh_connection_that_is_closed_without_a_word_is_a_failure_and_nothing_is_sent_twice() -> None:
    async with serving(saying(b"")) as (upstream, url):
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
    async def twice() -> int:
        async with serving(politely) as (upstream, url):
            await ask(url)
            await ask(url)
        return upstream.connections

    assert [asyncio.run(twice()), asyncio.run(twice())] == [1, 1]


async def test_after_close_all_calls_open_new_connections() -> None:
    async with serving(politely) as (_, url):
        assert await ask(url) == (200, b"1")
        await client.close_all()
        assert await ask(url) == (200, b"2")


# Failures.


async def test_an_upstream_that_is_not_there() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert await failure(f"http://127.0.0.1:{port}/") == ("connect", "No connection to the upstream", False)
    await client.close_all()


@pytest.mark.parametrize(
    "url", ["ftp://x/", "http:///x", "http://a b/", "http://user:pw@x/", "http://x:99999/", "nothing", "http://é/", "http://x/\r\nx: y"]
)
async def test_an_address_that_leads_nowhere(url: str) -> None:
    assert await failure(url) == ("connect", "The address of the upstream is not valid", False)
    await client.close_all()


async def test_a_name_that_no_resolver_takes() -> None:
    assert (await failure(f"http://{'a' * 64}.invalid/"))[0] == "connect"
    await client.close_all()


async def test_no_connection_in_time() -> None:
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = full.getsockname()
    fillers = [asyncio.create_task(asyncio.open_connection(*address)) for _ in range(8)]
    await eventually_async(lambda: sum(filler.done() for filler in fillers) > 0)  # the others wait: the queue is full
    try:
        assert await failure(f"http://127.0.0.1:{address[1]}/", upstream=Entry(connect_timeout=0.3)) == (
            "connect",
            "No connection to the upstream in time",
            False,
        )
    finally:
        for filler in fillers:
            filler.cancel()
        for _, writer in [each for each in await asyncio.gather(*fillers, return_exceptions=True) if isinstance(each, tuple)]:
            writer.transport.abort()
        full.close()
        await client.close_all()


async def test_no_first_byte_in_time() -> None:
    async with serving(saying(b"", hang=True)) as (upstream, url):
        assert await failure(url, upstream=Entry(first_byte_timeout=0.2)) == ("timeout", "The upstream did not answer in time", False)
        await asyncio.wait_for(upstream.done.wait(), PATIENCE)


def dripping(data: bytes, drop: bytes) -> Script:
    """Answer the first request with these bytes, then with the same drop for ever."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(data)
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(0.02)
                await talk.say(drop)

    return script


INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "drop"),
    [(INTERIM, INTERIM), (INTERIM, b""), (b"HTTP/1.1 200 OK\r\nx-slow: ", b"a")],
    ids=["interim answers", "an interim answer", "a header"],
)
async def test_what_comes_before_the_answer_is_no_answer_in_time(data: bytes, drop: bytes) -> None:
    async with serving(dripping(data, drop)) as (_, url), asyncio.timeout(PATIENCE):
        assert await failure(url, upstream=Entry(first_byte_timeout=1)) == ("timeout", "The upstream did not answer in time", True)


async def test_an_upstream_that_goes_over_to_another_protocol_gives_no_answer() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    async with serving(saying(switching, hang=True)) as (_, url):
        assert await failure(url) == ("network", "The upstream switched to another protocol", True)


async def test_silence_in_the_middle_of_a_body() -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", hang=True)) as (upstream, url):
        expected = ("timeout", "The upstream did not answer in time", True)
        assert await failure(url, upstream=Entry(first_byte_timeout=PATIENCE, idle_timeout=0.2)) == expected
        await asyncio.wait_for(upstream.done.wait(), PATIENCE)


async def test_a_body_may_take_longer_than_the_first_byte() -> None:
    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
        for piece in (b"a", b"b", b"c"):
            await asyncio.sleep(0.5)
            await talk.say(piece)

    async with serving(script) as (_, url):
        assert await ask(url, upstream=Entry(first_byte_timeout=1, idle_timeout=PATIENCE)) == (200, b"abc")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", "The connection to the upstream broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "The connection to the upstream broke"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "The upstream response is not valid HTTP"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "The upstream response is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "The upstream response is not valid HTTP"),
    ],
)
async def test_answers_that_break_off_or_are_nonsense(data: bytes, message: str) -> None:
    async with serving(saying(data)) as (_, url):
        assert await failure(url) == ("network", message, True)


# TLS.


def own_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "own.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return context


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    async with serving(politely, tls=own_certificate(tmp_path)) as (_, url):
        assert await failure(url) == ("connect", "The certificate of the upstream is not valid", False)


async def test_tls_to_a_server_that_has_none() -> None:
    async with serving(politely) as (_, url):
        assert (await failure(url.replace("http:", "https:"), upstream=Entry(connect_timeout=1)))[0] == "connect"


# Mounted transports.


class Bytes(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes | float | Exception]) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed = True


class Mounted(httpx.AsyncBaseTransport):
    """Answers with these pieces, or raises."""

    def __init__(self, *pieces: bytes | float | Exception, at_once: Exception | None = None) -> None:
        self.stream = Bytes([*pieces])
        self.at_once = at_once
        self.request: httpx.Request | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        if self.at_once:
            raise self.at_once
        return httpx.Response(200, headers={"Retry-After": "1"}, stream=self.stream)


async def test_a_mounted_transport_answers_for_its_scheme() -> None:
    transport = Mounted(b"a", b"b")
    client.mount("test", transport)
    async with client.open("POST", "test://x/v1", JSON, b"{}", upstream=Entry(1, 2, 3)) as answer:
        got: UpstreamResponse = answer
        assert (got.status, got.headers.get("retry-after"), await got.read()) == (200, "1", b"ab")
    assert transport.request is not None
    assert transport.request.extensions == {"timeout": {"connect": 1, "read": 2}}
    assert (transport.request.content, transport.stream.closed) == (b"{}", True)


@pytest.mark.parametrize(
    ("transport", "kind", "answered"),
    [
        (Mounted(at_once=httpx.ConnectError("no")), "connect", False),
        (Mounted(at_once=httpx.ReadTimeout("late")), "timeout", False),
        (Mounted(b"a", httpx.ReadError("cut")), "network", True),
        (Mounted(b"a", 10.0), "timeout", True),
    ],
)
async def test_failures_of_a_mounted_transport(transport: Mounted, kind: str, answered: bool) -> None:
    client.mount("test", transport)
    told = await failure("test://x/", upstream=Entry(idle_timeout=0.1))
    assert (told[0], told[2]) == (kind, answered)


async def test_the_echo_upstream_is_reached_without_being_mounted() -> None:
    body = msgspec.json.encode({"model": "echo", "messages": [{"role": "user", "content": "hello"}]})
    status, answer = await ask("echo://builtin/v1/chat/completions", body=body)
    assert (status, msgspec.json.decode(answer)["object"]) == (200, "chat.completion")
