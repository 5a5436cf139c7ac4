"""Fetching a price file from an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

FETCH_SECONDS = 30.0
MAX_REDIRECTS = 10


class FetchFailed(Exception):  # noqa: N818  (it says what happened)
    """A price file could not be fetched; the message gives the reason."""


def fetch_price_file(url: str) -> bytes:
    """Fetch a price file, through the proxy of the settings or the environment, if any. Raises :class:`FetchFailed`.

    Neither the URL nor a redirect may lead to a link-local or metadata address. A proxy resolves names itself: with one, only
    such addresses and the known names of metadata services are refused.
    """
    import httpx

    try:
        for _ in range(MAX_REDIRECTS):
            with _client_for(httpx.URL(url)) as client:
                response = client.get(url)
            if response.next_request is None:
                response.raise_for_status()
                return response.content
            url = str(response.next_request.url)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise FetchFailed(f"Failed to fetch pricing: {error}") from error
    raise FetchFailed("Failed to fetch pricing: too many redirects")


def _client_for(url: httpx.URL) -> httpx.Client:
    """A client for one call of ``url``. Raises ``OSError`` for a refused address behind a proxy."""
    import httpx

    from upstreams.http.outgoing_proxy import proxy_for
    from upstreams.http.pool import tls_context
    from upstreams.http.ssrf_guard import check_host, guarded_transport

    proxy = proxy_for(str(url))
    if proxy is None:
        transport = guarded_transport(tls_context())
    else:
        check_host(url.host)
        transport = httpx.HTTPTransport(verify=tls_context(), proxy=proxy)
    return httpx.Client(transport=transport, timeout=FETCH_SECONDS, trust_env=False)
