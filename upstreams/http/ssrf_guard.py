"""Refuses connections to link-local and cloud metadata addresses, at the moment of connecting and by the address connected to.

Every outgoing call goes through one of these: the sockets of the pool (:func:`check_address`), or an httpx transport
(:func:`guarded_transport`). A look-up of our own before the call would see other addresses than the call itself.
The setting ``PXBIN_ALLOW_LINK_LOCAL`` allows all addresses. Loopback and private networks are always allowed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from django.conf import settings

from upstreams.refused_addresses import is_refused_host, is_refused_text

MESSAGE = "The address of the upstream is link-local or a cloud metadata service, which pxbin does not call"


class RefusedAddressError(OSError):
    """The address is link-local or a cloud's metadata service. An ``OSError``: clients treat it as a failed connection."""

    def __init__(self) -> None:
        super().__init__(MESSAGE)


def check_address(address: str) -> None:
    """Raise :class:`RefusedAddressError` for the text of an IP address that is not to be called."""
    if is_refused_text(address) and not settings.PXBIN.allow_link_local:
        raise RefusedAddressError


def check_host(host: str) -> None:
    """Raise :class:`RefusedAddressError` for the host of a URL that is a refused address or a known metadata name as it is written.

    For calls through an outgoing proxy, which resolves the other names itself.
    """
    if is_refused_host(host) and not settings.PXBIN.allow_link_local:
        raise RefusedAddressError


class GuardedBackend(httpcore.SyncBackend):
    """Resolves a host once, and connects to the first of its addresses that is allowed and accepts the connection."""

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:
        """See ``httpcore.NetworkBackend``. Raises ``httpcore.ConnectError``."""
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in _distinct_addresses(infos):
            try:
                _check_for_httpcore(address)
                return super().connect_tcp(address, port, *args, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class AsyncGuardedBackend(httpcore.AnyIOBackend):
    """:class:`GuardedBackend` for asyncio."""

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """See ``httpcore.AsyncNetworkBackend``. Raises ``httpcore.ConnectError``."""
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("the host has no address")
        for address in _distinct_addresses(infos):
            try:
                _check_for_httpcore(address)
                return await super().connect_tcp(address, port, *args, **options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def _distinct_addresses(infos: Iterable[tuple[Any, ...]]) -> list[str]:
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _check_for_httpcore(address: str) -> None:
    try:
        check_address(address)
    except RefusedAddressError as error:
        raise httpcore.ConnectError(str(error)) from error


def guarded_transport(tls: ssl.SSLContext) -> httpx.HTTPTransport:
    """A transport for blocking httpx clients that makes no connection to a refused address, whatever URL or redirect leads there."""
    transport = httpx.HTTPTransport(verify=tls)
    # httpx has no argument for httpcore's network backend, which is public there.
    transport._pool = httpcore.ConnectionPool(ssl_context=tls, network_backend=GuardedBackend())  # noqa: SLF001
    return transport


def async_guarded_transport(tls: ssl.SSLContext, *, http2: bool = False, proxy: str | None = None) -> httpx.AsyncHTTPTransport:
    """:func:`guarded_transport` for asynchronous clients. ``http2``: HTTP/2 alone is spoken. ``proxy``: the URL of an HTTP proxy.

    A proxy resolves names itself: with one, :func:`check_host` is called before.
    """
    transport = httpx.AsyncHTTPTransport(verify=tls)
    backend = AsyncGuardedBackend()
    if proxy is None:
        transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001
            ssl_context=tls, network_backend=backend, http1=not http2, http2=http2
        )
    else:
        own = httpx.Proxy(proxy)
        transport._pool = httpcore.AsyncHTTPProxy(  # noqa: SLF001
            str(own.url), proxy_auth=own.raw_auth, ssl_context=tls, network_backend=backend, http1=not http2, http2=http2
        )
    return transport
