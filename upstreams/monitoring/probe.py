"""Calls that pxbin makes to an upstream of its own accord: to list its models and to see whether it is well.

They are few and short, so they take httpx as it is. Each goes to an address that was looked at first (:mod:`upstreams.http.ssrf_guard`),
follows no redirect and reads no proxy settings from the environment.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.errors import Failure, UpstreamFailed
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.http import client
from upstreams.http.auth_headers import headers
from upstreams.http.headers import Received, upward
from upstreams.http.pool import tls_context
from upstreams.http.ssrf_guard import RefusedAddress, addresses_of
from upstreams.http.urls import url_for

T = TypeVar("T")

LARGEST_ANSWER = 16 * 1024 * 1024
SHOWN_OF_AN_ERROR = 1024
AT_ONCE = 8
"""Upstreams that are asked at the same time: one that hangs delays no other, and a hundred do not all call at once."""


class ProbeFailed(Exception):  # noqa: N818  (it reads as what happened)
    """No answer came. The words name neither credential nor query."""


class ProbeResponse:
    """An upstream's answer to a probe: its status, its headers and its body."""

    def __init__(self, status: int, headers: Received, body: bytes, secret: str) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._secret = secret

    def json(self) -> Any:
        """The body's value; raises ``ValueError``."""
        try:
            return json.loads(self._body)
        except RecursionError as error:
            raise ValueError("the value is nested too deeply") from error

    def failure(self, dialect: str) -> Failure:
        """What an error answer says, as requests read it; bodies that pass untranslated are read as OpenAI's."""
        source = dialect_named(dialect)
        body = self._body.replace(self._secret.encode(), b"***") if self._secret else self._body
        return msgspec.structs.replace(source.decode_error(self.status, self.headers, body), status=self.status)

    def excerpt(self) -> str:
        """The beginning of the body for an error message, without the credential should it be repeated there."""
        text = self._body[: SHOWN_OF_AN_ERROR + len(self._secret)].decode("utf-8", "replace")
        return (text.replace(self._secret, "***") if self._secret else text)[:SHOWN_OF_AN_ERROR]


async def together(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Ask several upstreams, a few at a time; the answers in the order of the questions."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def in_turn(question: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await question

    return await asyncio.gather(*map(in_turn, questions))


async def call(
    upstream: UpstreamEntry,
    credential: CredentialEntry | None,
    method: str,
    path: str,
    *,
    body: Any = None,
    seconds: float,
) -> ProbeResponse:
    """One call of ``path`` (a dialect's own); ``seconds`` is the time for all of it. Raises :class:`ProbeFailed`."""
    url = url_for(upstream, path, upstream.quirks)
    secret = credential.secret if credential else ""
    sent = [*upward({}, upstream.dialect, stream=False), *headers(upstream, credential)]
    content = b"" if body is None else json.dumps(body).encode()
    try:
        async with asyncio.timeout(seconds):
            if urlsplit(url).scheme in ("http", "https"):
                return ProbeResponse(*await _over_the_network(method, url, sent, content), secret)
            async with client.open(method, url, sent, content, upstream=upstream) as answer:
                return ProbeResponse(answer.status, answer.headers, await answer.read(LARGEST_ANSWER), secret)
    except UpstreamFailed as error:
        raise ProbeFailed(error.failure.message) from error
    except TimeoutError as error:
        raise ProbeFailed(f"no answer within {seconds:g} s") from error
    except httpx.ConnectError as error:
        raise ProbeFailed(_why_not_connected(error, urlsplit(url).netloc)) from error
    except httpx.NetworkError as error:
        raise ProbeFailed(f"the connection to {urlsplit(url).netloc} broke") from error
    except socket.gaierror as error:
        raise ProbeFailed(f"the name {urlsplit(url).hostname} cannot be resolved") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, RefusedAddress, UnicodeError) as error:
        raise ProbeFailed(str(error) or type(error).__name__) from error


def _why_not_connected(error: BaseException, place: str) -> str:
    """What the operating system or TLS said; httpx and what lies below it only say that there was no connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return f"{place} refused the connection"
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection to {place}: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection to {place}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return f"no connection to {place}"


async def _over_the_network(method: str, url: str, sent: list[tuple[str, str]], content: bytes) -> tuple[int, Received, bytes]:
    """Call the first address of the host that takes the connection."""
    target = httpx.URL(url)
    port = target.port or (443 if target.scheme == "https" else 80)
    addresses = await addresses_of(target.host, port)
    lines = {"host": target.netloc.decode("ascii"), **{name.lower(): value for name, value in sent}}
    async with httpx.AsyncClient(timeout=None, trust_env=False, verify=tls_context()) as http:  # noqa: S113  (the caller limits it)
        for address in addresses:
            request = http.build_request(
                method, target.copy_with(host=address), headers=lines, content=content, extensions={"sni_hostname": target.host}
            )
            try:
                return await _send(http, request)
            except httpx.ConnectError:
                if address == addresses[-1]:
                    raise
    raise OSError("the host has no address")


async def _send(http: httpx.AsyncClient, request: httpx.Request) -> tuple[int, Received, bytes]:
    answer = await http.send(request, stream=True)
    try:
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise OSError("the answer is too large")
        return answer.status_code, answer.headers, bytes(body)
    finally:
        await answer.aclose()
