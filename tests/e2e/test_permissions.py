"""Every path for clients of models and for load balancers, for every role: the statuses are those of `tests/pxbin_site/permissions.txt`."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.support.gateway import Gateway
from tests.support.permissions import KEYS, ROLES, UNUSED, client_routes, is_health, rendered, site_routes, table
from tests.support.waiting import expect_soon

BODY = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
PLACES = {"<name>": "echo", "<model>": "echo", "<response_id>": "resp_none"}
ROLES_WITH_HEADERS = (*KEYS, "superuser")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """A gateway of its own: the upstreams of other tests would decide whether a request that is admitted can be served."""
    with Gateway.started() as running:
        yield running


@pytest.fixture(scope="module")
def headers(gateway: Gateway) -> dict[str, dict[str, str]]:
    """The credentials of each role; a key that has ended is one that was in use before."""
    refused_keys = [gateway.api("POST", "/keys", json={"name": f"permissions {number}"}) for number in range(2)]
    read_key = gateway.api("POST", "/keys", json={"type": "management", "permissions": ["read"]})["key"]
    for key in refused_keys:
        assert gateway.http.get(f"{gateway.url}/v1/models", headers={"x-api-key": key["key"]}).status_code == 200
    disabled, expired = [key["key"] for key in refused_keys]
    gateway.api("PATCH", f"/keys/{refused_keys[0]['id']}", json={"is_active": False})
    gateway.api("PATCH", f"/keys/{refused_keys[1]['id']}", json={"expires_at": "2020-01-01T00:00:00Z"})
    for key, status in ((disabled, 403), (expired, 401)):
        expect_soon(lambda key=key: gateway.http.get(f"{gateway.url}/v1/models", headers={"x-api-key": key}).status_code, status)
    keys = {"client": gateway.client_key, "disabled": disabled, "expired": expired, "read": read_key, "write": gateway.management_key}
    return {"nobody": {}, "superuser": {"cookie": session(gateway)}, **{role: {"x-api-key": key} for role, key in keys.items()}}


def session(gateway: Gateway) -> str:
    with httpx.Client(base_url=gateway.url, timeout=60) as browser:
        browser.get("/admin/login/")
        form = {"username": gateway.admin_name, "password": gateway.admin_password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("/admin/login/", data=form, headers={"referer": gateway.url}).status_code == 302
        return f"sessionid={browser.cookies['sessionid']}"


def status(gateway: Gateway, method: str, route: str, headers: dict[str, str]) -> str:
    own_model = {} if "<model>" in route else {"model": "echo"}
    for name, value in PLACES.items():
        route = route.replace(name, value)
    body = {"json": BODY | own_model} if method == "POST" else {}
    return str(gateway.http.request(method, gateway.url + route, headers=headers, **body).status_code)


def test_every_role_gets_what_the_table_says(gateway: Gateway, headers: dict[str, dict[str, str]]) -> None:
    routes = [*client_routes(), *(route for route in site_routes() if is_health(route[1]))]
    actual = {
        route: tuple(status(gateway, *route, headers[role]) if role in ROLES_WITH_HEADERS else UNUSED for role in ROLES) for route in routes
    }
    if os.environ.get("SHOW_PERMISSIONS"):
        print(rendered(actual))
    listed = table()
    assert {route: (listed.get(route), statuses) for route, statuses in actual.items() if listed.get(route) != statuses} == {}


def test_only_a_client_key_that_is_valid_opens_a_client_path() -> None:
    for route in client_routes():
        by_role = dict(zip(ROLES, table()[route], strict=True))
        refused = {by_role[role] for role in ("nobody", "disabled", "expired", "read", "write", "superuser")}
        assert refused <= {"401", "403"}, route
