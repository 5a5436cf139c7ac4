"""Outgoing proxies, authorities and client certificates, with real servers."""

import base64

import msgspec
import pytest

from tests.support import outgoing_proxy
from tests.support.http2_server import serving_http2
from tests.support.scripted_server import Entry, answer_all, ask, failure, serving
from tests.support.tls import Authority
from upstreams.catalog.entries import Network, UpstreamEntry
from upstreams.http import ssrf_guard
from upstreams.http.outgoing_proxy import proxy_for
from upstreams.monitoring import probe


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def by(**network):
    return Entry(network=Network(**network))


async def probed(url, **network):
    upstream = UpstreamEntry(id="u", name="u", base_url=url.removesuffix("/v1/x"), dialect="openai_chat", network=Network(**network))
    return (await probe.call(upstream, None, "GET", "/v1/models", seconds=5)).status


async def test_requests_and_probes_go_through_a_tunnel_of_the_upstreams_proxy(authority):
    async with serving(answer_all, tls=authority.server_context()) as (upstream, url), outgoing_proxy.running() as proxy:
        entry = by(proxy=proxy.url, ca_file=str(authority.ca_file))
        assert await ask(url, upstream=entry) == (200, b"1")
        assert await ask(url, upstream=entry) == (200, b"1")  # over the same tunnel
        assert await probed(url, proxy=proxy.url, ca_file=str(authority.ca_file)) == 200
        host = url.split("/")[2]
        assert proxy.lines == [f"CONNECT {host} HTTP/1.1"] * 2
        assert upstream.requests[0].startswith(b"POST /v1/x HTTP/1.1\r\n")
        assert b"proxy-authorization" not in upstream.requests[0].lower()


async def test_plain_requests_are_forwarded_by_the_proxy_of_the_settings_with_its_login(settings):
    async with serving(answer_all) as (_upstream, url), outgoing_proxy.running() as proxy:
        with_login = proxy.url.replace("://", "://user:p%40ss@")
        settings.PXBIN = msgspec.structs.replace(settings.PXBIN, http_proxy=with_login)
        assert await ask(url) == (200, b"1")
        assert await probed(url) == 200
        assert proxy.lines == [f"POST {url} HTTP/1.1", f"GET {url.removesuffix('/x')}/models HTTP/1.1"]
        login = base64.b64encode(b"user:p@ss").decode()
        assert all(f"proxy-authorization: basic {login}".lower() in head.lower() for head in proxy.heads)
        assert await ask(url, upstream=by(proxy="none")) == (200, b"3")
        assert len(proxy.lines) == 2


async def test_a_proxy_that_refuses_or_is_not_there_is_named(authority, settings):
    async with serving(answer_all, tls=authority.server_context()) as (_, url), outgoing_proxy.running() as proxy:
        proxy.status = "407 Proxy Authentication Required"
        message = "The proxy before the upstream refused the connection (407)"
        assert await failure(url, upstream=by(proxy=proxy.url)) == ("connect", message, False)
        gone = by(proxy="http://127.0.0.1:9")
        assert await failure(url, upstream=gone) == ("connect", "No connection to the proxy before the upstream", False)


async def test_no_proxy_is_told_a_refused_address():
    async with outgoing_proxy.running() as proxy:
        for host in ("169.254.169.254", "metadata.google.internal", "[fe80::1]", "2852039166"):
            for scheme in ("http", "https"):
                for http2 in (False, True):
                    entry = by(proxy=proxy.url, http2=http2)
                    assert await failure(f"{scheme}://{host}/v1/x", upstream=entry) == ("connect", ssrf_guard.MESSAGE, False)
            with pytest.raises(probe.ProbeFailed, match=ssrf_guard.MESSAGE):
                await probed(f"http://{host}/v1/x", proxy=proxy.url)
        assert proxy.lines == []


async def test_an_upstream_may_require_a_certificate_of_the_client(authority, tmp_path):
    (tmp_path / "clients").mkdir()
    clients = Authority(tmp_path / "clients", "Client CA")
    own = {"ca_file": str(authority.ca_file), "client_certificate_file": str(clients.issue("gateway"))}
    async with serving(answer_all, tls=authority.server_context(client_authority=clients.ca_file)) as (_, url):
        assert await ask(url, upstream=by(**own)) == (200, b"1")
        assert await probed(url, **own) == 200
        kind, _, answered = await failure(url, upstream=by(ca_file=own["ca_file"]))
        assert (kind in ("connect", "network"), answered) == (True, False)
        expected = ("connect", "The certificate of the upstream is not valid", False)
        assert await failure(url) == expected
        assert await failure(url, upstream=by(ca_file="/nowhere.pem")) == (
            "connect",
            "The certificate files of the upstream cannot be read",
            False,
        )


async def test_an_upstream_that_speaks_only_http2(authority):
    async with serving_http2(authority.server_context(protocols=("h2",))) as (requests, url), outgoing_proxy.running() as proxy:
        entry = by(http2=True, ca_file=str(authority.ca_file))
        assert await ask(url, upstream=entry) == (200, b"2: {}")
        assert await ask(url, upstream=by(http2=True, ca_file=str(authority.ca_file), proxy=proxy.url)) == (200, b"2: {}")
        assert proxy.lines == [f"CONNECT {url.split('/')[2]} HTTP/1.1"]
        assert requests[0][":path"] == "/v1/x"
        assert requests[0]["accept-encoding"] == "identity"
        assert (await failure(url, upstream=by(ca_file=str(authority.ca_file))))[0] in ("connect", "network")


@pytest.mark.parametrize(
    ("url", "own", "environment", "http_proxy", "proxy"),
    [
        ("https://a.test/x", "", {}, "", None),
        ("https://a.test/x", "", {"https": "http://p:1"}, "", "http://p:1"),
        ("http://a.test/x", "", {"https": "http://p:1"}, "", None),
        ("http://a.test/x", "", {"all": "http://p:1"}, "", "http://p:1"),
        ("https://a.test/x", "", {"all": "socks5://p:1"}, "", None),
        ("https://a.test/x", "", {"https": "http://p:1"}, "http://q:2", "http://q:2"),
        ("https://a.test/x", "http://own:3", {"https": "http://p:1", "no": "*"}, "http://q:2", "http://own:3"),
        ("https://a.test/x", "none", {"https": "http://p:1"}, "http://q:2", None),
        ("https://a.test/x", "", {"https": "http://p:1", "no": "b.test, a.test"}, "", None),
        ("https://a.test/x", "", {"no": "a.test"}, "http://q:2", None),
        ("https://sub.a.test/x", "", {"https": "http://p:1", "no": "a.test"}, "", None),
        ("https://sub.a.test/x", "", {"https": "http://p:1", "no": ".a.test"}, "", None),
        ("https://sub.a.test/x", "", {"https": "http://p:1", "no": "*.a.test"}, "", None),
        ("https://ba.test/x", "", {"https": "http://p:1", "no": "a.test"}, "", "http://p:1"),
        ("https://a.test:8443/x", "", {"https": "http://p:1", "no": "a.test:8443"}, "", None),
        ("https://a.test/x", "", {"https": "http://p:1", "no": "a.test:8443"}, "", "http://p:1"),
        ("http://10.1.2.3/x", "", {"http": "http://p:1", "no": "10.0.0.0/8"}, "", None),
        ("http://[::1]:8/x", "", {"http": "http://p:1", "no": "::1"}, "", None),
        ("http://127.0.0.1:8/x", "", {"http": "http://p:1", "no": "localhost,127.0.0.1"}, "", None),
        ("https://a.test/x", "", {"https": "http://p:1", "no": "*"}, "", None),
    ],
)
def test_which_proxy_a_call_goes_through(settings, url, own, environment, http_proxy, proxy):
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, environment_proxies=environment, http_proxy=http_proxy)
    assert proxy_for(url, own) == proxy
