"""How the management API reads its bodies, and what it says of itself."""

import re

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, RequestFactory

from accounts.api import authentication
from pxbin_site.api import StorableJson, api

MAKERS = {f"/api/v1/{name}" for name in ("bootstrap", "keys", "upstreams", "models", "models/import", "routes", "credentials")}


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (rb'{"name": "a\u0000b"}', {"name": "ab"}),
        (rb'{"name": "a\ud800b"}', {"name": "a�b"}),
        (rb'{"metadata": {"\u0000a": ["\udc00", 1, null]}}', {"metadata": {"a": ["�", 1, None]}}),
        (rb'{"name": "\ud83d\ude00"}', {"name": "😀"}),
    ],
)
def test_what_no_database_keeps_is_not_read(body: bytes, read: object) -> None:
    request = RequestFactory().post("/api/v1/keys", body, content_type="application/json")
    assert StorableJson().parse_body(request) == read


def test_the_documentation_says_what_is_needed_and_what_comes_back() -> None:
    schema = api.get_openapi_schema()
    forms = schema["components"]["schemas"]
    assert {name: forms[name]["required"] for name in ("NewUpstream", "NewModel", "NewRoute", "NewCredential", "Import")} == {
        "NewUpstream": ["name"],
        "NewModel": ["name"],
        "NewRoute": ["model_id", "upstream_id"],
        "NewCredential": ["upstream_id", "api_key"],
        "Import": ["upstream_id", "models"],
    }
    assert set(schema["components"]["securitySchemes"]) == {"ManagementAuth", "ManagementBearer"}
    asked = {each["name"]: each for each in schema["paths"]["/api/v1/logs"]["get"]["parameters"]}
    assert set(asked) == {
        "key_id", "upstream_id", "model", "status_code", "input_format", "dialect", "outcome", "request_id", "from", "to",
        "page", "per_page",
    }  # fmt: skip
    assert not any(each["required"] for each in asked.values())
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            success, *failures = sorted(operation["responses"])
            assert success == (201 if method == "post" and path in MAKERS else 200), path
            assert failures in ([400, 401, 403, 404, 409], [400, 401, 403, 404, 409, 502]), path
            assert operation["responses"][success]["content"]["application/json"]["schema"] != {}
            assert ("security" in operation) == (path != "/api/v1/bootstrap")


@pytest.mark.django_db
def test_the_page_of_the_documentation_needs_nobody_elses_files() -> None:
    page = Client().get("/api/v1/docs").content.decode()
    assert re.findall(r'(?:src|href)="([^"]*)"', page)
    assert [link for link in re.findall(r'(?:src|href)="([^"]*)"', page) if not link.startswith("/static/")] == []
    assert Client().get("/api/v1/openapi.json").json()["info"]["title"] == "pxbin management API"


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_without_a_database_a_call_is_unavailable_and_one_line_says_why(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise kind("couldn't get a connection\nafter 5.00 sec")

    monkeypatch.setattr(authentication, "authenticate_management", away)
    answer = Client().get("/api/v1/keys", headers={"x-api-key": "pxm_x"})
    assert (answer.status_code, answer.json()) == (
        503,
        {"error": {"type": "server_error", "message": "The database cannot be reached at the moment"}},
    )
    assert caplog.messages == ["The management API had no database at GET /api/v1/keys: couldn't get a connection after 5.00 sec"]
