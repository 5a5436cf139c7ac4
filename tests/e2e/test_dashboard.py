"""A dashboard that is built elsewhere works unchanged: from another origin, and behind one reverse proxy with the gateway."""

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.browser import open_page
from tests.support.gateway import Gateway

PAGE = b"<!doctype html><title>Dashboard</title>"
CALLS = """
async ({base, key}) => {
    const call = async (method, path, body) => {
        const headers = {Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', 'X-Request-ID': 'from-the-dashboard'};
        const response = await fetch(`${base}/api/v1${path}`, {method, headers, body: body && JSON.stringify(body)});
        return [response.status, await response.json(), response.headers.get('X-Request-ID')];
    };
    const created = await call('POST', '/keys', {name: 'a browser', rate_limit: 60, metadata: {}});
    const upstream = await call('POST', '/upstreams', {name: `u-${created[1].data.id}`, base_url: 'http://127.0.0.1:9', api_key: 'k'});
    return {
        created: [created[0], created[1].data.name, created[2]],
        listed: (await call('GET', '/keys?type=llm&page=1&per_page=20'))[1].data[0].name,
        changed: await call('PATCH', `/upstreams/${upstream[1].data.id}`, {name: `v-${created[1].data.id}`, priority: 0, is_active: true}),
        tested: (await call('POST', '/upstreams/health-check', {upstream_id: upstream[1].data.id}))[1].data.healthy,
        removed: await call('DELETE', `/upstreams/${upstream[1].data.id}`),
        revoked: await call('DELETE', `/keys/${created[1].data.id}`),
        refused: (await fetch(`${base}/api/v1/keys`, {headers: {Authorization: 'Bearer nonsense'}})).status,
    };
}
"""
EXPECTED = {
    "created": [201, "a browser", "from-the-dashboard"],
    "listed": "a browser",
    "changed": [200, {"data": {"status": "updated"}}, "from-the-dashboard"],
    "tested": False,
    "removed": [200, {"data": {"status": "deleted"}}, "from-the-dashboard"],
    "revoked": [200, {"data": {"status": "deactivated"}}, "from-the-dashboard"],
    "refused": 401,
}


class Site(BaseHTTPRequestHandler):
    """Serves the page at every path; with a ``gateway_port``, `/api` and `/v1` are the gateway's."""

    gateway_port: int | None = None

    def do_GET(self) -> None:
        """Answer every method of a browser."""
        if self.gateway_port is None or not self.path.startswith(("/api/", "/v1/")):
            self._send(200, [("content-type", "text/html")], PAGE)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        connection.request(self.command, self.path, body, dict(self.headers))
        response = connection.getresponse()
        content = response.read()
        self._send(response.status, [pair for pair in response.getheaders() if pair[0].lower() not in ("content-length", "date")], content)
        connection.close()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  (their names are those of http.server)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def served(handler: type[Site]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def other_origin() -> Iterator[str]:
    yield from served(Site)


@pytest.fixture
def behind_one_proxy(gateway) -> Iterator[str]:
    yield from served(type("ProxiedSite", (Site,), {"gateway_port": gateway.port}))


async def test_behind_one_reverse_proxy_the_dashboard_needs_no_settings(gateway, behind_one_proxy):
    async with open_page() as page:
        await page.goto(f"{behind_one_proxy}/upstreams")
        assert await page.evaluate(CALLS, {"base": "", "key": gateway.management_key}) == EXPECTED


async def test_another_origin_works_when_it_is_named_in_the_settings(other_origin):
    with Gateway.started(PXBIN_CORS_ORIGINS=other_origin) as gateway:
        async with open_page() as page:
            await page.goto(f"{other_origin}/keys")
            assert await page.evaluate(CALLS, {"base": gateway.url, "key": gateway.management_key}) == EXPECTED


async def test_an_origin_that_is_not_named_reads_nothing(gateway, other_origin):
    async with open_page() as page:
        await page.goto(other_origin)
        outcome = await page.evaluate(
            "async ({url, key}) => fetch(url, {headers: {Authorization: `Bearer ${key}`}}).then(() => 'read', error => error.name)",
            {"url": f"{gateway.url}/api/v1/keys", "key": gateway.management_key},
        )
    assert outcome == "TypeError"
