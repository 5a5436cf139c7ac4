"""Every way of calling out: loopback and private addresses are called, metadata addresses are not.

A server on 127.0.0.2 plays the metadata service: that address is added to the refused ones, and any connection to it is counted.
"""

import ast
import ipaddress
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from billing.pricing.fetch import FetchFailed, fetch_price_file
from proxy.translation.errors import UpstreamFailed
from tests.support.fake_upstream import Reply, json_reply
from upstreams import refused_addresses
from upstreams.catalog.entries import UpstreamEntry
from upstreams.http import client, ssrf_guard
from upstreams.http.pool import running_pool, tls_context
from upstreams.monitoring import discovery, health_check, probe

METADATA_ADDRESS = "127.0.0.2"
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
async def _no_connections_left():
    yield
    await client.close_all()


class Metadata(BaseHTTPRequestHandler):
    """Answers everything with credentials."""

    def do_GET(self):
        self.server.paths.append(self.path)
        body = b'{"object": "list", "data": [{"id": "secret"}]}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815  (the server's interface)

    def log_message(self, *_):
        pass


@pytest.fixture
def metadata(monkeypatch):
    """A metadata service whose address is refused."""
    server = ThreadingHTTPServer((METADATA_ADDRESS, 0), Metadata)
    server.paths = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    networks = (*refused_addresses.REFUSED_NETWORKS, ipaddress.ip_network(METADATA_ADDRESS))
    monkeypatch.setattr(refused_addresses, "REFUSED_NETWORKS", networks)
    refused_addresses.is_refused_text.cache_clear()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    refused_addresses.is_refused_text.cache_clear()


@pytest.fixture(params=["literal", "mapped", "name"])
def metadata_url(request, metadata, monkeypatch):
    """A URL of the metadata service; a name resolves to its address."""
    resolve = socket.getaddrinfo

    def resolved(host, port, *args, **options):
        return resolve(METADATA_ADDRESS if host in ("innocent.example", b"innocent.example") else host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    hosts = {"literal": METADATA_ADDRESS, "mapped": f"[::ffff:{METADATA_ADDRESS}]", "name": "innocent.example"}
    return f"http://{hosts[request.param]}:{metadata.server_port}"


def entry_for(url):
    return UpstreamEntry(id="1", name="metadata", base_url=url, dialect="openai_chat", connect_timeout=9)


async def by_request(url):
    async with client.open("POST", f"{url}/v1/chat/completions", [], b"{}", upstream=entry_for(url)) as response:
        return response.status


async def by_probe(url):
    return (await probe.call(entry_for(url), None, "GET", "/v1/models", seconds=9)).status


async def by_discovery(url):
    return len(await discovery.fetch_models(entry_for(url), None))


async def by_price_file(url):
    return len(fetch_price_file(f"{url}/prices.json"))


CALLS_BY_CALLER = {"request": by_request, "probe": by_probe, "discovery": by_discovery, "price file": by_price_file}


@pytest.mark.parametrize("caller", CALLS_BY_CALLER)
async def test_no_way_of_calling_out_reaches_a_metadata_address(caller, metadata_url, metadata):
    with pytest.raises((UpstreamFailed, probe.ProbeFailed, discovery.DiscoveryFailed, FetchFailed), match=ssrf_guard.MESSAGE):
        await CALLS_BY_CALLER[caller](metadata_url)
    assert metadata.paths == []


@pytest.mark.parametrize("caller", CALLS_BY_CALLER)
async def test_every_way_of_calling_out_reaches_it_where_the_setting_allows_link_local_addresses(caller, metadata, settings):
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, allow_link_local=True)
    assert await CALLS_BY_CALLER[caller](f"http://{METADATA_ADDRESS}:{metadata.server_port}")
    assert len(metadata.paths) == 1


@pytest.mark.parametrize("caller", CALLS_BY_CALLER)
async def test_every_way_of_calling_out_reaches_loopback(caller, upstream):
    upstream.otherwise(lambda _: json_reply({"object": "list", "data": [{"id": "gpt"}]}))
    assert await CALLS_BY_CALLER[caller](upstream.url)
    assert len(upstream.requests) == 1


async def test_a_health_check_says_why_the_address_is_not_called(metadata_url, metadata):
    result = await health_check.examine(entry_for(metadata_url), None, test_model="gpt")
    assert (result.error, metadata.paths) == (f"Connection failed: {ssrf_guard.MESSAGE}", [])


async def test_a_refused_address_fails_as_a_connection_that_is_not_tried_again(metadata_url):
    with pytest.raises(UpstreamFailed) as caught:
        await by_request(metadata_url)
    failure = caught.value.failure
    assert (failure.kind, failure.message, caught.value.reconnected) == ("connect", ssrf_guard.MESSAGE, True)


def test_a_redirect_of_a_price_file_does_not_lead_to_a_metadata_address(upstream, metadata_url, metadata):
    upstream.reply(Reply(302, {"location": f"{metadata_url}/latest/meta-data", "content-length": "0"}, chunked=False))
    with pytest.raises(FetchFailed, match=ssrf_guard.MESSAGE):
        fetch_price_file(f"{upstream.url}/prices.json")
    assert metadata.paths == []


def test_a_redirect_of_a_price_file_to_an_allowed_address_is_followed(upstream):
    upstream.reply(Reply(301, {"location": "/moved.json", "content-length": "0"}, chunked=False), json_reply({"moved": True}))
    assert fetch_price_file(f"{upstream.url}/prices.json") == b'{"moved": true}'


def test_a_price_file_behind_a_proxy_is_not_fetched_from_a_metadata_service(upstream, settings):
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, environment_proxies={"http": upstream.url})
    for url in ("http://169.254.169.254/prices.json", "http://metadata.google.internal/prices.json"):
        with pytest.raises(FetchFailed, match=ssrf_guard.MESSAGE):
            fetch_price_file(url)
    assert upstream.requests == []


async def test_a_name_with_an_allowed_address_besides_is_called_there(metadata, upstream, monkeypatch):
    port = int(upstream.url.rpartition(":")[2])
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in (METADATA_ADDRESS, "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    upstream.otherwise(lambda _: json_reply({}))
    assert (await by_request(f"http://both.example:{port}"), await by_probe(f"http://both.example:{port}")) == (200, 200)
    assert metadata.paths == []


async def test_the_guarded_transport_supports_http2():
    transport = ssrf_guard.async_guarded_transport(tls_context(), http2=True)
    assert isinstance(transport._pool._network_backend, ssrf_guard.AsyncGuardedBackend)
    await transport.aclose()


async def test_the_pool_checks_the_address_of_each_socket(metadata):
    pool = running_pool()
    assert pool.connector._socket_factory is not None
    with pytest.raises(ssrf_guard.RefusedAddressError):
        pool.connector._socket_factory((socket.AF_INET, socket.SOCK_STREAM, 6, "", (METADATA_ADDRESS, 80)))


NETWORK_MODULES = {"aiohttp", "httpcore", "httpx", "requests", "urllib3", "http.client", "urllib.request", "smtplib", "ftplib"}
CALLERS = {
    "billing/alerts/delivery.py",
    "billing/pricing/fetch.py",
    "pxbin_site/management/doctor/processes.py",  # asks the gateway itself, at the address of the settings
    "upstreams/echo/transport.py",
    "upstreams/http/client.py",
    "upstreams/http/pool.py",
    "upstreams/http/response.py",
    "upstreams/http/ssrf_guard.py",
    "upstreams/monitoring/probe.py",
}


def test_no_other_module_can_call_out():
    """A new caller is added here with a test above."""
    modules = set()
    for app in ("accounts", "billing", "proxy", "pxbin_site", "upstreams"):
        for file in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_bytes())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name == module or name.startswith(module + ".") for name in names for module in NETWORK_MODULES):
                    modules.add(str(file.relative_to(ROOT)))
    assert modules == CALLERS
