"""Calls to upstreams without a client's request: health checks and discovery.

They are few and short, so they use httpx with one client for each call. Addresses are checked as for requests
(:mod:`upstreams.http.ssrf_guard`), and connections go through the same proxies; redirects are not followed.
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
from upstreams.catalog.entries import CredentialEntry, Network, UpstreamEntry
from upstreams.http import client
from upstreams.http.auth_headers import headers
from upstreams.http.headers import Received, upward
from upstreams.http.outgoing_proxy import proxy_for
from upstreams.http.pool import DEFAULT_NETWORK, tls_context
from upstreams.http.response import unusable_status
from upstreams.http.ssrf_guard import RefusedAddressError, async_guarded_transport, check_host
from upstreams.http.urls import url_for

T = TypeVar("T")

MAX_RESPONSE_BYTES = 16 * 1024 * 1024
EXCERPT_CHARACTERS = 1024
MAX_PARALLEL = 8
"""Upstreams that are called in parallel: one that hangs delays no other, and a hundred are not all called at once."""


class ProbeFailed(Exception):  # noqa: N818  (named after what happened)
    """No response came. The message contains neither credential nor query."""


class ProbeResponse:
    """An upstream's response to a probe; ``secret`` is redacted from what is shown of the body."""

    def __init__(self, status: int, headers: Received, body: bytes, secret: str) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._secret = secret

    def json(self) -> Any:
        """The decoded body. Raises ``ValueError``."""
        try:
            return json.loads(self._body)
        except RecursionError as error:
            raise ValueError("the value is nested too deeply") from error

    def unusable(self) -> str | None:
        """Why the response has no content, for a redirect and the like; see :func:`~upstreams.http.response.unusable_status`."""
        return unusable_status(self.status, self.headers)

    def failure(self, dialect: str) -> Failure:
        """The failure that an error response means, decoded as for requests; for ``passthrough`` as OpenAI's."""
        source = dialect_named(dialect)
        body = self._body.replace(self._secret.encode(), b"***") if self._secret else self._body
        return msgspec.structs.replace(source.decode_error(self.status, self.headers, body), status=self.status)

    def excerpt(self) -> str:
        """The beginning of the body for an error message; the credential is replaced if it occurs there."""
        text = self._body[: EXCERPT_CHARACTERS + len(self._secret)].decode("utf-8", "replace")
        return (text.replace(self._secret, "***") if self._secret else text)[:EXCERPT_CHARACTERS]


async def gather_limited(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """``asyncio.gather`` with at most :data:`MAX_PARALLEL` calls at a time."""
    semaphore = asyncio.Semaphore(MAX_PARALLEL)

    async def limited(call: Coroutine[Any, Any, T]) -> T:
        async with semaphore:
            return await call

    return await asyncio.gather(*map(limited, calls))


async def call(
    upstream: UpstreamEntry,
    credential: CredentialEntry | None,
    method: str,
    path: str,
    *,
    body: Any = None,
    seconds: float,
) -> ProbeResponse:
    """Call ``path`` of an upstream within ``seconds`` in all. Raises :class:`ProbeFailed`.

    ``path`` is one of the upstream's dialect; ``body`` is encoded as JSON.
    """
    url = url_for(upstream, path, upstream.quirks)
    secret = credential.secret if credential else ""
    request_headers = [*upward({}, upstream.dialect, stream=False), *headers(upstream, credential)]
    content = b"" if body is None else json.dumps(body).encode()
    try:
        async with asyncio.timeout(seconds):
            if urlsplit(url).scheme in ("http", "https"):
                network = upstream.network or DEFAULT_NETWORK
                return ProbeResponse(*await _call_network(network, method, url, request_headers, content), secret)
            async with client.open(method, url, request_headers, content, upstream=upstream) as response:
                return ProbeResponse(response.status, response.headers, await response.read(MAX_RESPONSE_BYTES), secret)
    except UpstreamFailed as error:
        raise ProbeFailed(error.failure.message) from error
    except TimeoutError as error:
        raise ProbeFailed(f"no response within {seconds:g} s") from error
    except httpx.ConnectError as error:
        raise ProbeFailed(_connect_error(error, urlsplit(url).netloc)) from error
    except httpx.NetworkError as error:
        raise ProbeFailed(f"the connection to {urlsplit(url).netloc} broke") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise ProbeFailed(str(error) or type(error).__name__) from error


def _connect_error(error: BaseException, host: str) -> str:
    """The cause of a failed connection in the chain of exceptions: httpx and httpcore only say that there was none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedAddressError):
            return str(cause)
        if isinstance(cause, (socket.gaierror, UnicodeError)):
            return f"the name {host.rpartition('@')[2].partition(':')[0]} cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refused the connection"
        if isinstance(cause, ssl.SSLError):
            return f"no secure connection to {host}: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection to {host}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return f"no connection to {host}"


async def _call_network(
    network: Network, method: str, url: str, request_headers: list[tuple[str, str]], content: bytes
) -> tuple[int, Received, bytes]:
    """Returns status, headers and body."""
    proxy = proxy_for(url, network.proxy)
    if proxy is not None:
        check_host(urlsplit(url).hostname or "")
    transport = async_guarded_transport(tls_context(network), http2=network.http2, proxy=proxy)
    async with httpx.AsyncClient(timeout=None, transport=transport, trust_env=False) as http:  # noqa: S113  (the caller limits it)
        encoded = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in request_headers]
        return await _send(http, http.build_request(method, url, headers=encoded, content=content))


async def _send(http: httpx.AsyncClient, request: httpx.Request) -> tuple[int, Received, bytes]:
    response = await http.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_RESPONSE_BYTES:
                raise OSError(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")
        return response.status_code, response.headers, bytes(body)
    finally:
        await response.aclose()
