"""Nothing that an upstream sends runs in the origin of the admin pages."""

import pytest

from tests.support.browser import open_page
from tests.support.fake_upstream import bytes_reply
from tests.support.waiting import eventually_async

HTML = b"<html><body><script>document.title = 'ran at ' + location.origin</script>an upstream's page</body></html>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.documentElement.id = 'ran'</script></svg>"
HOSTILE = {
    "set-cookie": "sessionid=theirs; path=/",
    "content-security-policy": "default-src *",
    "clear-site-data": '"cookies"',
    "refresh": "0; url=/admin/logout/",
    "link": "</admin/logout/>; rel=prefetch",
}


@pytest.fixture
def open_path(gateway, upstream):
    """A path below which everybody reaches the upstream."""
    prefix = f"/open-{upstream.port}"
    base = {"base_url": upstream.url, "format": "passthrough", "api_key": ""}
    upstream_id = gateway.api("POST", "/upstreams", json={"name": f"open-{upstream.port}", **base})["id"]
    model = {"name": f"open-{upstream.port}", "upstream_id": upstream_id, "path_prefix": prefix, "allow_anonymous": True}
    gateway.api("POST", "/models", json=model)
    return gateway.url + prefix


@pytest.mark.parametrize(
    ("content_type", "body", "shown_type", "disposition"),
    [
        ("text/html", HTML, "text/html", "attachment"),
        ("image/svg+xml", SVG, "image/svg+xml", "attachment"),
        ("text/javascript", b"alert(1)", "text/plain; charset=utf-8", None),
        ("text/plain", HTML, "text/plain", None),
    ],
)
def test_plain_proxy_mode_removes_headers_that_control_browsers(gateway, upstream, open_path, content_type, body, shown_type, disposition):
    upstream.reply(bytes_reply(body, headers={"content-type": content_type, **HOSTILE}))
    response = gateway.http.get(f"{open_path}/page")
    header_names = ("content-type", "content-disposition", "x-content-type-options", "set-cookie", "clear-site-data", "refresh", "link")
    assert [response.headers.get(name) for name in header_names] == [shown_type, disposition, "nosniff", None, None, None, None]
    policies = response.headers.get_list("content-security-policy")
    assert [policy.split("; ")[:2] for policy in policies] == [["default-src 'none'", "sandbox"]]
    assert response.content == body


def test_a_redirect_of_an_upstream_leads_no_browser_anywhere(gateway, upstream, open_path):
    upstream.reply(bytes_reply(b"", status=302, headers={"location": "/admin/logout/"}))
    response = gateway.http.get(f"{open_path}/page")
    assert (response.status_code, response.headers.get("location")) == (302, None)


async def test_the_page_of_an_upstream_does_not_run_in_a_browser(gateway, upstream, open_path):
    upstream.otherwise(bytes_reply(HTML, headers={"content-type": "text/html"}))
    async with open_page() as page:
        await page.goto(f"{gateway.url}/admin/login/")
        downloads = []
        page.on("download", lambda download: downloads.append(download.url))
        await page.evaluate("address => { location.href = address }", f"{open_path}/page")
        await eventually_async(lambda: downloads, message="the page was not downloaded")
        await page.evaluate(
            "address => document.body.append(Object.assign(document.createElement('iframe'), {src: address}))", f"{open_path}/b"
        )
        await eventually_async(lambda: page.problems, message="the frame was not refused")
        assert (downloads, "ran at" in await page.title()) == ([f"{open_path}/page"], False)
