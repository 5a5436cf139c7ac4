"""``/api/v1/upstreams``: the contract that scripts rely on."""

import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from tests.support.fake_upstream import json_reply
from tests.support.management import Management
from upstreams.api.upstreams import BAD_FORMAT
from upstreams.models import Route, Upstream, UpstreamCredential
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

NOBODY = str(uuid.UUID(int=7))
LOCAL = {"name": "local", "base_url": "http://127.0.0.1:9", "api_key": "sk-1"}


@pytest.fixture
def script() -> Management:
    return Management()


def secrets() -> list[str]:
    return [store.decrypt(row.secret_encrypted) for row in UpstreamCredential.objects.all()]


def test_an_upstream_is_made_with_its_key_which_is_never_shown(script):
    made = script.made("/upstreams", **LOCAL)
    assert (made["name"], made["base_url"], made["format"], made["priority"], made["is_active"]) == (
        "local", "http://127.0.0.1:9", "openai", 0, True,
    )  # fmt: skip
    assert script.get(f"/upstreams/{made['id']}") == made
    assert "sk-1" not in str(made)
    assert secrets() == ["sk-1"]


def test_a_local_upstream_needs_no_key(script):
    script.made("/upstreams", name="a", base_url="http://127.0.0.1:9")
    assert secrets() == []


@pytest.mark.parametrize("word", ["openai", "anthropic", "openai_responses", "bedrock"])
def test_every_format_comes_back_as_it_was_given(script, word):
    assert script.made("/upstreams", name=word, base_url="http://x", format=word)["format"] == word


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Name and base_url are required"),
        ({"name": "a"}, "Name and base_url are required"),
        ({"name": "a", "base_url": "http://x", "format": "x"}, BAD_FORMAT),
    ],
)
def test_what_is_missing_is_said(script, fields, message):
    assert script.ask("POST", "/upstreams", fields).refusal == (400, "invalid_request", message)


def test_a_second_one_of_the_same_name_is_a_conflict(script):
    script.made("/upstreams", **LOCAL)
    assert script.ask("POST", "/upstreams", LOCAL).refusal[:2] == (409, "conflict")


def test_a_change_touches_what_it_names_and_a_blank_key_keeps_the_old_one(script):
    made = script.made("/upstreams", **LOCAL)
    change = {"name": "other", "base_url": "http://x/", "api_key": "", "format": "anthropic", "priority": None, "is_active": False}
    assert script.ask("PATCH", f"/upstreams/{made['id']}", change).body == {"data": {"status": "updated"}}
    shown = script.get(f"/upstreams/{made['id']}")
    changed = {"name": "other", "base_url": "http://x", "format": "anthropic", "is_active": False, "updated_at": shown["updated_at"]}
    assert shown == {**made, **changed}
    assert secrets() == ["sk-1"]
    script.ask("PATCH", f"/upstreams/{made['id']}", {"api_key": "sk-2"})
    assert secrets() == ["sk-2"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_upstream_and_a_malformed_id(script, method):
    body = {} if method == "PATCH" else None
    assert script.ask(method, f"/upstreams/{NOBODY}", body).refusal == (404, "not_found", "Upstream not found")
    assert script.ask(method, "/upstreams/x", body).refusal == (400, "invalid_request", "Invalid ID format")


def test_deleting_leaves_the_models(script):
    made = script.made("/upstreams", **LOCAL)["id"]
    model = script.made("/models", name="m", upstream_id=made)["id"]
    assert script.ask("DELETE", f"/upstreams/{made}").body == {"data": {"status": "deleted"}}
    assert script.get(f"/models/{model}")["upstream_id"] is None


def test_several_are_deleted_at_once(script):
    made = [script.made("/upstreams", name=name, base_url="http://x")["id"] for name in "abc"]
    assert script.ask("POST", "/upstreams/bulk-delete", {"ids": [*made[:2], NOBODY]}).body == {"data": {"deleted": 2}}
    assert [row["name"] for row in script.get("/upstreams")] == ["c"]
    assert script.ask("POST", "/upstreams/bulk-delete", {"ids": []}).refusal == (400, "invalid_request", "At least one ID is required")
    assert script.ask("POST", "/upstreams/bulk-delete", {"ids": ["x"]}).refusal == (400, "invalid_request", "Invalid ID: x")


def test_a_name_that_is_taken_and_a_word_that_is_not_known(script):
    script.made("/upstreams", name="a", base_url="http://x")
    again = script.ask("POST", "/upstreams", {"name": "a", "base_url": "http://x"})
    assert again.refusal == (409, "conflict", "An upstream with this name exists already.")
    unknown = script.ask("POST", "/models", {"name": "m", "strategy": "fast"})
    words = "strategy: 'fast' is not one of priority, weighted, latency, cost, round_robin."
    assert unknown.refusal == (400, "invalid_request", words)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({}, (400, "invalid_request", "Provide upstream_id or base_url + api_key")),
        ({"upstream_id": NOBODY}, (404, "not_found", "Upstream not found")),
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
def test_a_health_check_needs_something_to_check(script, fields, refusal):
    assert script.ask("POST", "/upstreams/health-check", fields).refusal == refusal


def test_addresses_of_clouds_metadata_are_not_called(script):
    found = script.ask("POST", "/upstreams/health-check", {"base_url": "http://169.254.169.254", "api_key": "k"})
    assert (found.status, found.data["healthy"], found.data["models_found"]) == (200, False, 0)
    assert "does not call" in found.data["error"]


def test_new_upstreams_repeat_as_the_settings_say(script, settings):
    before = script.made("/upstreams", name="before", base_url="http://x")
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, retry_max_attempts=3, retry_base_delay_ms=100)
    after = script.made("/upstreams", name="after", base_url="http://x")
    assert [(made["max_retries"], made["retry_base_delay_ms"]) for made in (before, after)] == [(0, 1000), (2, 100)]


def test_a_broken_upstream_shows_it_until_it_works_again(script, monkeypatch):
    monkeypatch.setattr(live_state, "_state", live_state.RoutingState(breaker_threshold=1, breaker_seconds=60))
    made = script.made("/upstreams", **LOCAL)
    assert (made["circuit_breaker"], made["resting_until"]) == ("closed", None)
    until = live_state.current().record_failure(made["id"])
    Upstream.objects.filter(pk=made["id"]).update(resting_until=datetime.fromtimestamp(until, UTC))
    shown = script.get(f"/upstreams/{made['id']}")
    assert (shown["circuit_breaker"], shown["resting_until"][:10]) == ("open", datetime.fromtimestamp(until, UTC).isoformat()[:10])
    credential_state.enable(made["id"], made["id"])
    assert {**script.get(f"/upstreams/{made['id']}"), "updated_at": ""} == {**made, "updated_at": ""}


def test_discovery_by_the_api(script, upstream):
    made = script.made("/upstreams", name="listing", base_url=upstream.url)
    upstream.reply(json_reply({"data": [{"id": "one", "context_length": 7000}, {"id": "two"}]}), json_reply({"data": [{"id": "two"}]}))
    where = f"/upstreams/{made['id']}/discover"
    assert script.ask("POST", where).body == {"data": {"created": 2, "vanished": 0, "returned": 0}}
    assert Route.objects.get(model__name="one").listed_context_window == 7000
    assert script.ask("POST", where).body == {"data": {"created": 0, "vanished": 1, "returned": 0}}
    upstream.reply(json_reply({}, status=500))
    assert script.ask("POST", where).refusal[1] == "upstream_error"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cooldown_seconds": 1e12}, "cooldown_seconds: Enter seconds from 0 to 31536000 (a year)."),
        ({"cooldown_seconds": float("inf")}, "Invalid JSON body: cooldown_seconds: Input should be a finite number"),
        ({"idle_timeout_seconds": float("nan")}, "Invalid JSON body: idle_timeout_seconds: Input should be a finite number"),
        ({"max_retries": 2**15}, "Invalid JSON body: max_retries: Input should be less than or equal to 32767"),
        ({"retry_base_delay_ms": 2**31}, "Invalid JSON body: retry_base_delay_ms: Input should be less than or equal to 2147483647"),
    ],
)
def test_numbers_that_not_every_database_and_clock_can_hold_are_refused_by_name(script, fields, words):
    assert script.ask("POST", "/upstreams", LOCAL | fields).refusal == (400, "invalid_request", words)


@pytest.mark.parametrize(("method", "path"), [("POST", "/upstreams"), ("POST", "/upstreams/health-check"), ("POST", "/credentials")])
def test_a_key_that_no_header_can_carry_is_refused(script, method, path):
    upstream_id = script.made("/upstreams", name="u", base_url="http://x")["id"]
    given = {"name": "other", "base_url": "http://x", **({"upstream_id": upstream_id} if path == "/credentials" else {})}
    words = "Invalid JSON body: api_key: Enter one line of text."
    assert script.ask(method, path, {**given, "api_key": "sk-1\r\nX-A: b"}).refusal == (400, "invalid_request", words)
    assert secrets() == []


def test_a_second_route_that_leads_the_same_way_is_a_conflict(script):
    upstream_id = script.made("/upstreams", **LOCAL)["id"]
    model_id = script.made("/models", name="m", upstream_id=upstream_id)["id"]
    refusal = script.ask("POST", "/routes", {"model_id": model_id, "upstream_id": upstream_id}).refusal
    assert refusal == (409, "conflict", "The model already has a route to this upstream with the same remote name.")
