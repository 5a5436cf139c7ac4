"""Calls of upstreams that fail, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.scripted_server import Entry, Script, Talk, answer_all, answer_once_with, ask, failure, serving
from tests.support.waiting import PATIENCE, eventually_async
from upstreams.http import client


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
async def test_an_invalid_url_is_a_failure(url: str) -> None:
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
        for _, writer in [opened for opened in await asyncio.gather(*fillers, return_exceptions=True) if isinstance(opened, tuple)]:
            writer.transport.abort()
        full.close()
        await client.close_all()


async def test_no_first_byte_in_time() -> None:
    async with serving(answer_once_with(b"", hang=True)) as (upstream, url):
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
async def test_interim_responses_do_not_extend_the_first_byte_timeout(data: bytes, drop: bytes) -> None:
    async with serving(dripping(data, drop)) as (_, url), asyncio.timeout(PATIENCE):
        assert await failure(url, upstream=Entry(first_byte_timeout=1)) == ("timeout", "The upstream did not answer in time", True)


async def test_a_switch_to_another_protocol_is_a_failure() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    async with serving(answer_once_with(switching, hang=True)) as (_, url):
        assert await failure(url) == ("network", "The upstream switched to another protocol", True)


async def test_a_pause_in_a_body_runs_into_the_idle_timeout() -> None:
    async with serving(answer_once_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", hang=True)) as (upstream, url):
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
async def test_responses_that_end_early_or_are_invalid(data: bytes, message: str) -> None:
    async with serving(answer_once_with(data)) as (_, url):
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


async def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    async with serving(answer_all, tls=own_certificate(tmp_path)) as (_, url):
        assert await failure(url) == ("connect", "The certificate of the upstream is not valid", False)


async def test_tls_to_a_server_that_has_none() -> None:
    async with serving(answer_all) as (_, url):
        assert (await failure(url.replace("http:", "https:"), upstream=Entry(connect_timeout=1)))[0] == "connect"
