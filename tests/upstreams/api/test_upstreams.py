"""``/api/v1/upstreams``: the contract that scripts rely on."""

import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.fake_upstream import json_reply
from tests.support.management import ManagementClient
from upstreams.api.upstreams import BAD_FORMAT
from upstreams.models import Route, Upstream, UpstreamCredential
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

MISSING_ID = str(uuid.UUID(int=7))
LOCAL = {"name": "local", "base_url": "http://127.0.0.1:9", "api_key": "sk-1"}


@pytest.fixture
def script() -> ManagementClient:
    return ManagementClient()


def secrets() -> list[str]:
    return [store.decrypt(row.secret_encrypted) for row in UpstreamCredential.objects.all()]


def test_a_new_upstream_never_shows_its_key(script):
    created = script.create("/upstreams", **LOCAL)
    assert (created["name"], created["base_url"], created["format"], created["priority"], created["is_active"]) == (
        "local", "http://127.0.0.1:9", "openai", 0, True,
    )  # fmt: skip
    assert script.get(f"/upstreams/{created['id']}") == created
    assert "sk-1" not in str(created)
    assert secrets() == ["sk-1"]


def test_a_local_upstream_needs_no_key(script):
    script.create("/upstreams", name="a", base_url="http://127.0.0.1:9")
    assert secrets() == []


@pytest.mark.parametrize("word", ["openai", "anthropic", "openai_responses", "bedrock"])
def test_every_format_is_shown_as_it_was_given(script, word):
    assert script.create("/upstreams", name=word, base_url="http://x", format=word)["format"] == word


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Name, base_url, and api_key are required"),
        ({"name": "a"}, "Name, base_url, and api_key are required"),
        ({"name": "a", "base_url": "http://x", "format": "x"}, BAD_FORMAT),
    ],
)
def test_missing_fields_are_named(script, fields, message):
    assert script.send("POST", "/upstreams", fields).error == (400, "invalid_request", message)


def test_a_second_one_of_the_same_name_is_a_conflict(script):
    script.create("/upstreams", **LOCAL)
    assert script.send("POST", "/upstreams", LOCAL).error[:2] == (409, "conflict")


def test_a_change_leaves_other_fields_and_a_blank_key_keeps_the_old_one(script):
    created = script.create("/upstreams", **LOCAL)
    change = {"name": "other", "base_url": "http://x/", "api_key": "", "format": "anthropic", "priority": None, "is_active": False}
    assert script.send("PATCH", f"/upstreams/{created['id']}", change).body == {"data": {"status": "updated"}}
    item = script.get(f"/upstreams/{created['id']}")
    changed = {"name": "other", "base_url": "http://x", "format": "anthropic", "is_active": False, "updated_at": item["updated_at"]}
    assert item == {**created, **changed}
    assert secrets() == ["sk-1"]
    script.send("PATCH", f"/upstreams/{created['id']}", {"api_key": "sk-2"})
    assert secrets() == ["sk-2"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_upstream_and_a_malformed_id(script, method):
    body = {} if method == "PATCH" else None
    assert script.send(method, f"/upstreams/{MISSING_ID}", body).error == (404, "not_found", "Upstream not found")
    assert script.send(method, "/upstreams/x", body).error == (400, "invalid_request", "Invalid ID format")


def test_deleting_leaves_the_models(script):
    created = script.create("/upstreams", **LOCAL)["id"]
    model = script.create("/models", name="m", upstream_id=created)["id"]
    assert script.send("DELETE", f"/upstreams/{created}").body == {"data": {"status": "deleted"}}
    assert script.get(f"/models/{model}")["upstream_id"] is None


def test_several_upstreams_are_deleted_together(script):
    created = [script.create("/upstreams", name=name, base_url="http://x")["id"] for name in "abc"]
    assert script.send("POST", "/upstreams/bulk-delete", {"ids": [*created[:2], MISSING_ID]}).body == {"data": {"deleted": 2}}
    assert [row["name"] for row in script.get("/upstreams")] == ["c"]
    assert script.send("POST", "/upstreams/bulk-delete", {"ids": []}).error == (400, "invalid_request", "At least one ID is required")
    assert script.send("POST", "/upstreams/bulk-delete", {"ids": ["x"]}).error == (400, "invalid_request", "Invalid ID: x")


def test_errors_name_a_duplicate_and_an_invalid_choice(script):
    script.create("/upstreams", name="a", base_url="http://x")
    again = script.send("POST", "/upstreams", {"name": "a", "base_url": "http://x"})
    assert again.error == (409, "conflict", "An upstream with this name exists already.")
    unknown = script.send("POST", "/models", {"name": "m", "strategy": "fast"})
    message = "strategy: 'fast' is not one of priority, weighted, latency, cost, round_robin."
    assert unknown.error == (400, "invalid_request", message)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, (400, "invalid_request", "Provide upstream_id or base_url + api_key")),
        ({"upstream_id": MISSING_ID}, (404, "not_found", "Upstream not found")),
        ({"upstream_id": "x"}, (400, "invalid_request", "Invalid ID format")),
        (
            {"base_url": "http://127.0.0.1:99999", "api_key": "k"},
            (
                400,
                "invalid_request",
                "base_url: Enter a URL that begins with http:// or https://, for example https://api.openai.com/v1.",
            ),
        ),
    ],
)
def test_a_health_check_needs_an_upstream_or_an_address(script, fields, refusal):
    assert script.send("POST", "/upstreams/health-check", fields).error == refusal


@pytest.mark.parametrize("path", ["/upstreams", "/upstreams/health-check"])
def test_link_local_addresses_are_neither_stored_nor_checked(script, path):
    status, _, message = script.send("POST", path, {"name": "x", "base_url": "http://169.254.169.254", "api_key": "k"}).error
    assert (status, "pxbin does not call link-local addresses" in message) == (400, True)


def test_new_upstreams_take_retries_from_the_settings(script, settings):
    before = script.create("/upstreams", name="before", base_url="http://x")
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, retry_max_attempts=3, retry_base_delay_ms=100)
    after = script.create("/upstreams", name="after", base_url="http://x")
    assert [(created["max_retries"], created["retry_base_delay_ms"]) for created in (before, after)] == [(0, 1000), (2, 100)]


def test_an_open_circuit_breaker_is_shown_until_it_closes(script, monkeypatch):
    monkeypatch.setattr(live_state, "_state", live_state.RoutingState(breaker_threshold=1, breaker_seconds=60))
    created = script.create("/upstreams", **LOCAL)
    assert (created["circuit_breaker"], created["resting_until"]) == ("closed", None)
    until = live_state.current().record_failure(created["id"])
    Upstream.objects.filter(pk=created["id"]).update(resting_until=datetime.fromtimestamp(until, UTC))
    item = script.get(f"/upstreams/{created['id']}")
    assert (item["circuit_breaker"], item["resting_until"][:10]) == ("open", datetime.fromtimestamp(until, UTC).isoformat()[:10])
    credential_state.enable(created["id"], created["id"])
    assert {**script.get(f"/upstreams/{created['id']}"), "updated_at": ""} == {**created, "updated_at": ""}


def test_discovery_counts_created_vanished_and_returned_models(script, upstream):
    created = script.create("/upstreams", name="listing", base_url=upstream.url)
    upstream.reply(json_reply({"data": [{"id": "one", "context_length": 7000}, {"id": "two"}]}), json_reply({"data": [{"id": "two"}]}))
    path = f"/upstreams/{created['id']}/discover"
    assert script.send("POST", path).body == {"data": {"created": 2, "vanished": 0, "returned": 0}}
    assert Route.objects.get(model__name="one").listed_context_window == 7000
    assert script.send("POST", path).body == {"data": {"created": 0, "vanished": 1, "returned": 0}}
    upstream.reply(json_reply({}, status=500))
    assert script.send("POST", path).error[1] == "upstream_error"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cooldown_seconds": 1e12}, "cooldown_seconds: Enter seconds from 0 to 31536000 (a year)."),
        ({"cooldown_seconds": float("inf")}, "Invalid JSON body: cooldown_seconds: Input should be a finite number"),
        ({"idle_timeout_seconds": float("nan")}, "Invalid JSON body: idle_timeout_seconds: Input should be a finite number"),
        ({"max_retries": 2**15}, "Invalid JSON body: max_retries: Input should be less than or equal to 32767"),
        ({"retry_base_delay_ms": 2**31}, "Invalid JSON body: retry_base_delay_ms: Input should be less than or equal to 2147483647"),
    ],
)
def test_numbers_outside_of_the_columns_range_are_refused_by_name(script, fields, message):
    assert script.send("POST", "/upstreams", LOCAL | fields).error == (400, "invalid_request", message)


@pytest.mark.parametrize(("method", "path"), [("POST", "/upstreams"), ("POST", "/upstreams/health-check"), ("POST", "/credentials")])
def test_a_key_with_line_breaks_is_refused(script, method, path):
    upstream_id = script.create("/upstreams", name="u", base_url="http://x")["id"]
    fields = {"name": "other", "base_url": "http://x", **({"upstream_id": upstream_id} if path == "/credentials" else {})}
    message = "Invalid JSON body: api_key: Enter one line of text."
    assert script.send(method, path, {**fields, "api_key": "sk-1\r\nX-A: b"}).error == (400, "invalid_request", message)
    assert secrets() == []


def test_a_second_route_to_the_same_remote_model_is_a_conflict(script):
    upstream_id = script.create("/upstreams", **LOCAL)["id"]
    model_id = script.create("/models", name="m", upstream_id=upstream_id)["id"]
    error = script.send("POST", "/routes", {"model_id": model_id, "upstream_id": upstream_id}).error
    assert error == (409, "conflict", "The model already has a route to this upstream with the same remote name.")
