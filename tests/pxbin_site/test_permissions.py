"""Every route of the site for every role: the statuses are those of `permissions.txt`. A route that is not listed there fails.

`SHOW_PERMISSIONS=1` prints the rows of the routes as they are now, to be read and copied into the file.
"""

import os
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import Budget, KeyDefaults, Owner, Pool
from billing.alert_models import AlertChannel, AlertDelivery
from billing.models import Price, RedactionRule, RequestLog, RequestPayload
from tests.support import memory
from tests.support.permissions import KEYS, ROLES, SESSIONS, UNUSED, client_routes, is_health, rendered, site_routes, table
from upstreams.models import Model, Route, Upstream, UpstreamCredential

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
LOG_ROW = {
    "method": "POST", "path": "/", "input_format": "anthropic", "latency_ms": 1, "overhead_us": 1, "status_code": 200, "request_id": "r",
    "outcome": "finished",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_memory():
    memory.forget()
    yield
    memory.forget()


@pytest.fixture
def rows():
    """One row of every table that has pages, by the path below `/admin/`."""
    upstream = Upstream.objects.create(name="echo", base_url="echo://openai")
    model = Model.objects.create(name="m")
    channel = AlertChannel.objects.create(name="row", transport="email", recipients="a@b.example")
    delivery = AlertDelivery.objects.create(channel=channel, kind="test", subject="row")
    log = RequestLog.objects.create(timestamp=timezone.now(), **LOG_ROW)
    return {
        "accounts/apikey": keys.issue("llm", name="row")[1],
        "accounts/managementkey": keys.issue("management", name="row")[1],
        "auth/user": User.objects.create_user("row", password="x"),
        "auth/group": Group.objects.create(name="row"),
        "upstreams/upstream": upstream,
        "upstreams/model": model,
        "upstreams/route": Route.objects.create(model=model, upstream=upstream),
        "upstreams/upstreamcredential": UpstreamCredential.objects.create(upstream=upstream, name="row"),
        "billing/requestlog": log,
        "billing/requestpayload": RequestPayload.objects.create(log=log, timestamp=log.timestamp),
        "billing/price": Price.objects.create(model=model, upstream=upstream, input=1),
        "accounts/owner": Owner.objects.create(name="row"),
        "accounts/pool": Pool.objects.create(name="row"),
        "accounts/budget": Budget.objects.create(scope="global", amount_usd=1),
        "accounts/keydefaults": KeyDefaults.objects.create(),
        "billing/redactionrule": RedactionRule.objects.create(name="row", pattern="x"),
        "billing/alertchannel": channel,
        "billing/alertdelivery": delivery,
    }


@pytest.fixture
def headers():
    """The key of each role that has one."""
    yesterday = timezone.now() - timedelta(days=1)
    issued = {
        "client": keys.issue("llm"),
        "disabled": keys.issue("llm", is_active=False),
        "expired": keys.issue("llm", expires_at=yesterday),
        "read": keys.issue("management", permissions=["read"]),
        "write": keys.issue("management", permissions=["read", "write"]),
    }
    return {"nobody": {}, **{role: {"x-api-key": plaintext} for role, (plaintext, _) in issued.items()}}


@pytest.fixture
def sessions():
    """The session cookie of each role that has a session."""
    admin = User.objects.create_superuser("superuser", password="x")
    viewer = User.objects.create_user("viewer", password="x", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    staff = User.objects.create_user("staff", password="x", is_staff=True)
    return {role: session_of(user) for role, user in zip(SESSIONS, (staff, viewer, admin), strict=True)}


def session_of(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def address(route: str, rows) -> str:
    """The route with the ids of real rows."""
    row = next((row for beginning, row in rows.items() if route.startswith(f"/admin/{beginning}/")), None)
    if row is not None:
        for name in ("<path:object_id>", "<object_id>", "<id>"):
            route = route.replace(name, str(row.pk))
        if "<history_id>" in route:
            route = route.replace("<history_id>", str(row.history.first().pk))
    for name, table_name in {
        "key_id": "accounts/apikey", "upstream_id": "upstreams/upstream", "model_id": "upstreams/model", "route_id": "upstreams/route",
        "credential_id": "upstreams/upstreamcredential", "log_id": "billing/requestlog", "price_id": "billing/price",
        "path:content_type_id": "auth/group", "path:object_id": "auth/group",
    }.items():  # fmt: skip
        route = route.replace(f"<{name}>", str(rows[table_name].pk))
    return route.replace("(?P<app_label>accounts|auth|upstreams|billing)", "accounts").replace("(?P<url>.*)", "no/such/page")


def roles_at(method: str, route: str) -> tuple[str, ...]:
    """The roles that a route may tell apart: pages know no keys, the management API knows no sessions. The strongest of them is tried."""
    if route.startswith(("/api/v1/", "/v1/admin/")):
        return (*KEYS, "superuser")
    return ("nobody", "write", *SESSIONS) if method == "GET" else ("nobody", *SESSIONS)


def status(role, method, path, headers, sessions) -> str:
    """The status for a role. What the request changes is undone."""
    client = Client(raise_request_exception=False)
    if role in SESSIONS:
        client.cookies["sessionid"] = sessions[role]
    body = {"data": b"{}", "content_type": "application/json"} if path.startswith("/api/") and method != "GET" else {"CONTENT_LENGTH": "0"}
    with transaction.atomic():
        response = client.generic(method, path, headers=headers.get(role), **body)
        transaction.set_rollback(True)
    return str(response.status_code)


def test_every_route_has_a_row_and_every_row_a_route():
    routes = [*site_routes(), *client_routes()]
    assert sorted(set(routes) - set(table())) == []
    assert sorted(set(table()) - set(routes)) == []


def group_of(route: str) -> str:
    """The beginning of a path, for example `/admin/accounts/apikey`."""
    return "/".join(route.split("/")[:4])


@pytest.mark.parametrize("group", dict.fromkeys(group_of(route) for _, route in site_routes() if not is_health(route)))
def test_every_role_gets_what_the_table_says(group, rows, headers, sessions):
    listed = {route: table().get(route) for route in site_routes() if group_of(route[1]) == group}
    actual = {
        (method, route): tuple(
            status(role, method, address(route, rows), headers, sessions) if role in roles_at(method, route) else UNUSED for role in ROLES
        )
        for method, route in listed
    }
    if os.environ.get("SHOW_PERMISSIONS"):
        print(rendered(actual))
    different = {route: (listed[route], statuses) for route, statuses in actual.items() if listed[route] != statuses}
    assert different == {}


def test_admin_pages_refuse_keys_and_the_management_api_refuses_sessions():
    for (method, route), statuses in table().items():
        by_role = dict(zip(ROLES, statuses, strict=True))
        if route.startswith("/admin"):
            assert {by_role[role] for role in KEYS} <= {by_role["nobody"], UNUSED}, (method, route)
        if route.startswith(("/api/v1/", "/v1/admin/")):
            assert {by_role[role] for role in SESSIONS} <= {by_role["nobody"], UNUSED}, (method, route)


def test_requests_without_a_key_and_with_an_ended_key_are_refused():
    allowed = {
        "/", "/favicon.ico", "/admin/login/", "/api/v1/docs", "/api/v1/openapi.json", "/health", "/health/", "/healthz",
        "/healthz/", "/status", "/status/", "/ready", "/ready/", "/health/detailed", "/health/detailed/", "/me", "/me/",
    }  # fmt: skip
    for (method, route), statuses in table().items():
        by_role = dict(zip(ROLES, statuses, strict=True))
        refused = {by_role[role] for role in ("nobody", "disabled", "expired")} <= {UNUSED, "301", "302", "401", "403", "404", "405"}
        assert refused or route in allowed, (method, route)


def test_who_may_only_read_changes_nothing():
    for (method, route), statuses in table().items():
        by_role = dict(zip(ROLES, statuses, strict=True))
        is_open = by_role["nobody"] == "200"  # the description of the API, which no method changes
        if route.startswith("/api/v1/") and method != "GET" and by_role["write"] not in ("404", "405") and not is_open:
            assert by_role["read"] == "403", (method, route)
