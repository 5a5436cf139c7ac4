"""Bodies, documentation and database errors of the management API."""

import re

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client, RequestFactory

from accounts.api import authentication
from pxbin_site.api import StorableJsonParser, api
from tests.support.management import ManagementClient

CREATING_PATHS = {
    f"/api/v1/{name}"
    for name in (
        "bootstrap",
        "keys",
        "upstreams",
        "models",
        "models/import",
        "routes",
        "credentials",
        "prices",
        "owners",
        "budgets",
        "alerts",
    )
} | {"/api/v1/keys/{key_id}/rotate"}


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (rb'{"name": "a\u0000b"}', {"name": "ab"}),
        (rb'{"name": "a\ud800b"}', {"name": "a�b"}),
        (rb'{"metadata": {"\u0000a": ["\udc00", 1, null]}}', {"metadata": {"a": ["�", 1, None]}}),
        (rb'{"name": "\ud83d\ude00"}', {"name": "😀"}),
    ],
)
def test_characters_that_databases_reject_are_removed_from_bodies(body: bytes, parsed: object) -> None:
    request = RequestFactory().post("/api/v1/keys", body, content_type="application/json")
    assert StorableJsonParser().parse_body(request) == parsed


def test_the_documentation_names_required_fields_and_all_responses() -> None:
    schema = api.get_openapi_schema()
    schemas = schema["components"]["schemas"]
    assert {name: schemas[name]["required"] for name in ("NewUpstream", "NewModel", "NewRoute", "NewCredential", "Import")} == {
        "NewUpstream": ["name"],
        "NewModel": ["name"],
        "NewRoute": ["model_id", "upstream_id"],
        "NewCredential": ["upstream_id", "api_key"],
        "Import": ["upstream_id", "models"],
    }
    assert set(schema["components"]["securitySchemes"]) == {"ManagementAuth", "ManagementBearer"}
    parameters = {parameter["name"]: parameter for parameter in schema["paths"]["/api/v1/logs"]["get"]["parameters"]}
    assert set(parameters) == {
        "key_id", "upstream_id", "model", "status_code", "input_format", "dialect", "outcome", "request_id",
        "session_id", "trace_id", "tag", "from", "to",
        "page", "per_page",
    }  # fmt: skip
    assert not any(parameter["required"] for parameter in parameters.values())
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            success, *failures = sorted(operation["responses"])
            if path == "/api/v1/logs/export":
                assert (success, failures, set(operation["responses"][200]["content"])) == (
                    200,
                    [400, 401, 403],
                    {"text/csv", "application/jsonl"},
                )
                continue
            assert success == (201 if method == "post" and path in CREATING_PATHS else 200), path
            assert failures in ([400, 401, 403, 404, 409], [400, 401, 403, 404, 409, 502]), path
            assert operation["responses"][success]["content"]["application/json"]["schema"] != {}
            assert ("security" in operation) == (path != "/api/v1/bootstrap")


@pytest.mark.django_db
def test_the_documentation_page_loads_only_our_own_static_files() -> None:
    page = Client().get("/api/v1/docs").content.decode()
    assert re.findall(r'(?:src|href)="([^"]*)"', page)
    assert [link for link in re.findall(r'(?:src|href)="([^"]*)"', page) if not link.startswith("/static/")] == []
    assert Client().get("/api/v1/openapi.json").json()["info"]["title"] == "pxbin management API"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/keys?type=llm&type=management", "/logs?page=1&page=2", "/logs?model=a&nothing=1&nothing=2"])
def test_a_parameter_that_is_given_twice_is_refused(path: str) -> None:
    status, kind, message = ManagementClient().send("GET", path).error
    assert (status, kind, message.partition(": ")[2]) == (400, "invalid_request", "given more than once")


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_without_a_database_a_call_answers_503_and_logs_one_line(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(*_: object) -> None:
        raise kind("couldn't get a connection\nafter 5.00 sec")

    monkeypatch.setattr(authentication, "authenticate_management", unreachable)
    response = Client().get("/api/v1/keys", headers={"x-api-key": "pxm_x"})
    assert (response.status_code, response.json()) == (
        503,
        {"error": {"type": "server_error", "message": "The database cannot be reached at the moment"}},
    )
    assert caplog.messages == ["The management API had no database at GET /api/v1/keys: couldn't get a connection after 5.00 sec"]
