"""``/v1/admin``: what a script of model-proxy sends, and gets."""

import json

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from billing.models import RequestAttempt, RequestLog
from tests.support import memory
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

PROVIDER = {
    "name": "cerebras",
    "enabled": True,
    "api_keys": {"env_var_patterns": ["CEREBRAS_API_KEY"]},
    "endpoints": {"base_url": "https://api.cerebras.ai/v1", "completions": "/chat/completions", "compatible_format": "openai"},
    "authentication": {"header_name": "authorization", "header_format": "Bearer {api_key}"},
}
MODEL = {
    "logical_name": "turbo",
    "timeout_seconds": 20.0,
    "default_cooldown_seconds": 10.0,
    "context_window": 131072,
    "model_routings": [{"provider": "cerebras", "model": "zai-glm-4.7"}],
    "fallback_model_routings": [],
}


@pytest.fixture(autouse=True)
def _fresh_memory():
    memory.forget()
    yield
    memory.forget()


@pytest.fixture
def call():
    """A call with a key that may read and write; returns status and body."""
    plaintext, _ = keys.issue("management", name="script", permissions=["read", "write"])

    def request(method, path, body=None, **headers):
        sent = headers or {"authorization": f"Bearer {plaintext}"}
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = Client().generic(method, f"/v1/admin/{path}", headers=sent, **content)
        return response.status_code, response.json()

    return request


@pytest.fixture
def installed(call):
    """A provider with a key, and a model that leads to it."""
    assert call("POST", "config/providers", {**PROVIDER, "api_keys": {"env_var_patterns": []}})[0] == 201
    credential = UpstreamCredential(upstream=Upstream.objects.get(), name="CEREBRAS_API_KEY")
    store.set_secret(credential, "csk-secret")
    credential.save()
    assert call("POST", "config/models", MODEL)[0] == 201


def test_models_and_providers_are_shown_as_files_have_them(call, installed):
    assert call("GET", "config/providers") == (200, {"providers": [PROVIDER], "count": 1})
    assert call("GET", "config/providers/cerebras") == (200, PROVIDER)
    assert call("GET", "config/models") == (200, {"models": [MODEL], "count": 1})
    assert call("GET", "config/models/turbo") == (200, MODEL)


def test_create_does_not_overwrite(call, installed):
    assert call("POST", "config/models", {**MODEL, "context_window": 1}) == (
        409,
        {"error": {"type": "conflict", "message": "The model turbo exists already"}},
    )
    assert Model.objects.get().context_window == 131072


def test_patch_merges_and_put_replaces(call, installed):
    assert call("PATCH", "config/models/turbo", {"context_window": 5}) == (200, {**MODEL, "context_window": 5})
    replaced = {**MODEL, "model_routings": [{"provider": "cerebras", "model": "other"}]}
    assert call("PUT", "config/models/turbo", replaced) == (200, replaced)
    assert list(Route.objects.values_list("remote_name", flat=True)) == ["other"]
    assert call("PATCH", "config/providers/cerebras", {"enabled": False}) == (200, {**PROVIDER, "enabled": False})
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "csk-secret"


def test_delete(call, installed):
    assert call("DELETE", "config/models/turbo") == (200, {"status": "deleted", "name": "turbo"})
    assert call("GET", "config/models/turbo") == (404, {"error": {"type": "not_found", "message": "There is no model turbo"}})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "part"),
    [
        ("POST", "config/models", {"model_routings": []}, 400, "logical_name is required"),
        (
            "POST",
            "config/models",
            {**MODEL, "logical_name": "x", "model_routings": [{"provider": "none", "model": "m"}]},
            400,
            "no provider",
        ),
        ("PATCH", "config/models/turbo", {"context_window": "large"}, 400, "context_window: must be a whole number"),
        ("PUT", "config/providers/none", PROVIDER, 404, "There is no provider none"),
        ("POST", "config/import", {"nothing": 1}, 400, "setup is missing"),
        ("PUT", "config/env", {"CEREBRAS_API_KEY": 3}, 400, "CEREBRAS_API_KEY: must be a text"),
        ("POST", "config/env", {}, 405, "Method not allowed"),
    ],
)
def test_mistakes_name_the_field(call, installed, method, path, body, status, part):
    answered, content = call(method, path, body)
    assert (answered, part in content["error"]["message"]) == (status, True), content


def test_a_key_is_needed_and_a_reading_key_cannot_write(call, installed):
    reader, _ = keys.issue("management", name="reader", permissions=["read"])
    client, _ = keys.issue("llm", name="client")
    statuses = [
        (call("GET", "logs", None, **{"x-api-key": key})[0], call("DELETE", "config/models/turbo", None, **{"x-api-key": key})[0])
        for key in (reader, client, "")
    ]
    assert statuses == [(200, 403), (401, 401), (401, 401)]


def test_an_exported_bundle_has_no_secret_and_changes_nothing_when_it_is_imported(call, installed):
    Upstream.objects.update(cooldown_seconds=7)
    Model.objects.update(context_window=None)
    status, bundle = call("GET", "config/export")
    assert (status, bundle["version"], bundle["metadata"]["models"]) == (200, "1.0.0", 1)
    assert "csk-secret" not in json.dumps(bundle)
    assert bundle["setup"]["environment"]["CEREBRAS_API_KEY"] == "env:CEREBRAS_API_KEY"
    status, report = call("POST", "config/import?dry_run=true", bundle)
    assert (status, report["dry_run"], report["applied"], report["changes"]) == (200, True, False, [])


def test_a_bundle_is_imported_after_a_dry_run(call):
    setup = {"providers": [PROVIDER], "models": [MODEL], "environment": {"CEREBRAS_API_KEY": "csk-one", "CLIENT_API_KEY": "of-the-client"}}
    bundle = {"version": "1.0.0", "setup": setup}
    status, report = call("POST", "config/import", {"bundle": bundle, "options": {"dry_run": True}})
    assert (status, report["summary"], Model.objects.count()) == (200, {"create": 5, "update": 0, "delete": 0}, 0)
    assert "csk-one" not in json.dumps(report)
    assert call("POST", "config/import", bundle)[1]["applied"] is True
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "csk-one"
    assert ApiKey.objects.get().key_hash == keys.hash_key("of-the-client")


@pytest.mark.parametrize("path", ["config/env", "env"])
def test_the_environment_shows_references_and_takes_new_keys(call, installed, path):
    status, shown = call("GET", path)
    assert (status, shown["environment"]["CEREBRAS_API_KEY"], shown["environment"]["LOG_LEVEL"]) == (200, "env:CEREBRAS_API_KEY", "info")
    assert call("GET", f"{path}?reveal=true")[0] == 403
    values = {"CEREBRAS_API_KEY": "csk-new", "LOG_LEVEL": "debug", "OTHER": "x", "CLIENT_API_KEY": "env:CLIENT_API_KEY"}
    assert call("PUT", path, values) == (
        200,
        {
            "updated": ["CEREBRAS_API_KEY"],
            "not_taken": {"LOG_LEVEL": "set PXBIN_LOG_LEVEL and restart", "OTHER": "no credential has this name"},
        },
    )
    assert store.decrypt(UpstreamCredential.objects.get().secret_encrypted) == "csk-new"


def test_logs_and_events(call):
    now = timezone.now()
    row = RequestLog.objects.create(
        timestamp=now, method="POST", path="/v1/messages", input_format="openai", latency_ms=9, overhead_us=1, status_code=200,
        request_id="mine", outcome="finished", model="turbo", routing={"skipped": [{"reason": "cooling"}]},
    )  # fmt: skip
    for number, (outcome, status) in enumerate([("failed", 500), ("finished", 200)], 1):
        RequestAttempt.objects.create(
            log=row, number=number, timestamp=now, upstream_name="u", outcome=outcome, status_code=status, latency_ms=1
        )
    status, logs = call("GET", "logs?limit=100")
    assert (status, logs["count"], logs["total_in_buffer"], logs["records"][0]["request_id"]) == (200, 1, 1, "mine")
    for name in ("mine", str(row.pk)):
        status, trace = call("GET", f"events/{name}")
        assert (status, [event["type"] for event in trace["events"]]) == (
            200,
            ["route.skipped", "route.attempted", "route.failed", "route.attempted", "route.succeeded", "request.finished"],
        )
    assert call("GET", "events/none")[0] == 404


@pytest.mark.parametrize("path", ["/setup", "/setup/", "/setup/models"])
def test_the_setup_pages_lead_to_the_admin(path):
    response = Client().get(path)
    assert (response.status_code, response.headers["location"]) == (302, "/admin/")
