"""Paths of pxbin's dashboard, which lead browsers to the admin."""

import pytest
from django.test import Client

from proxy.exchange.http_response import JsonResponse
from tests.pxbin_site.server.asgi_client import Client as AsgiClient
from tests.pxbin_site.server.asgi_client import handler

PAGES = {
    "/login": "/admin/login/",
    "/setup": "/admin/",
    "/costs": "/admin/",
    "/logs": "/admin/billing/requestlog/",
    "/keys": "/admin/accounts/apikey/",
    "/models": "/admin/upstreams/model/",
    "/upstreams": "/admin/upstreams/upstream/",
}


@pytest.mark.parametrize(("path", "page"), PAGES.items())
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_page_of_the_dashboard_leads_to_the_admin(path: str, page: str, slash: str) -> None:
    response = Client().get(path + slash)
    assert (response.status_code, response.headers["location"]) == (302, page)
    assert Client().post(path + slash).status_code == 405


async def unused(_: object) -> JsonResponse:
    raise AssertionError


@pytest.mark.parametrize("path", ["/models", "/models/"])
async def test_a_browser_at_models_is_led_to_the_admin_and_a_client_to_its_api(path: str) -> None:
    browser = await AsgiClient(path, method="GET", headers={"accept": "text/html,*/*;q=0.8"}).call(handler(unused))
    assert (browser.status, browser.headers["Location"]) == (302, PAGES["/models"])
    client = await AsgiClient(path, method="GET", headers={"accept": "application/json"}).call(handler(unused))
    assert client.status == 404
    assert f"/v1{path} may be meant" in client.json()["error"]["message"]
