import pytest

from tests.support.fake_upstream import HANG, Reply, bytes_reply, json_reply
from upstreams import tasks
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.monitoring import health_check
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db


def listing(*names):
    return json_reply({"data": [{"id": name} for name in names]})


@pytest.fixture
def provider(upstream):
    def make(**fields):
        row = Upstream.objects.create(name="provider", base_url=upstream.url, **fields)
        credential = UpstreamCredential(upstream=row)
        store.set_secret(credential, "sk-1")
        credential.save()
        return row

    return make


def report(result):
    """Without the latency, which varies, and without the credentials."""
    assert isinstance(result["latency_ms"], int)
    return {name: value for name, value in result.items() if name not in ("latency_ms", "keys")}


def test_a_healthy_upstream_lists_models_and_answers_its_pinned_one(upstream, provider):
    upstream.reply(listing("a", "b"), json_reply({"choices": []}))
    assert report(health_check.check(provider(test_model="b"))) == {"healthy": True, "models_found": 2, "tested_model": "b", "error": None}
    _, request = upstream.requests
    assert (request.method, request.path, request.header("authorization")) == ("POST", "/v1/chat/completions", "Bearer sk-1")
    assert request.json() == {"model": "b", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 1}


@pytest.mark.parametrize(
    ("dialect", "quirks", "path", "body"),
    [
        (
            "openai_chat",
            {"max_tokens_field": "max_tokens"},
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
        ),
        ("anthropic", {}, "/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}),
        ("openai_responses", {}, "/v1/responses", {"model": "m", "input": "hi", "max_output_tokens": 16, "store": False}),
    ],
)
def test_each_dialect_has_its_own_request(upstream, provider, dialect, quirks, path, body):
    upstream.reply(listing("m"), json_reply({}))
    assert health_check.check(provider(dialect=dialect, quirks=quirks))["healthy"] is True
    assert (upstream.requests[1].path, upstream.requests[1].json()) == (path, body)


def test_the_test_model_is_always_the_same_one(upstream, provider):
    row = provider()
    names = ["whisper-1", "zeta", "text-embedding-3", "beta", "tts-1", "gpt-image-1"]
    for _ in range(2):
        upstream.reply(listing(*names), json_reply({}))
        assert health_check.check(row)["tested_model"] == "beta"
    model = Model.objects.create(name="ours-*")
    Route.objects.create(model=model, upstream=row, priority=1, remote_name="routed")
    upstream.reply(listing(*names), json_reply({}))
    assert health_check.check(row)["tested_model"] == "routed"
    row.test_model = "pinned"
    upstream.reply(listing(*names), json_reply({}))
    assert health_check.check(row)["tested_model"] == "pinned"


def test_with_a_test_model_an_upstream_needs_no_list(upstream, provider):
    upstream.reply(json_reply({}, status=404), json_reply({}))
    assert report(health_check.check(provider(test_model="m"))) == {"healthy": True, "models_found": 0, "tested_model": "m", "error": None}


@pytest.mark.parametrize(
    ("dialect", "replies", "expected"),
    [
        ("openai_chat", [json_reply({}, status=404)], (0, "", "Models endpoint returned 404")),
        ("openai_chat", [bytes_reply(b"<html>")], (0, "", "Failed to parse models response")),
        ("openai_chat", [listing()], (0, "", "No models returned by upstream")),
        ("openai_chat", [listing("whisper-1")], (1, "", "No model to test: set a test model")),
        ("openai_chat", [listing("m"), json_reply({}, status=500)], (1, "m", "Completion returned 500")),
        ("anthropic", [listing("m"), json_reply({}, status=529)], (1, "m", "Messages endpoint returned 529")),
        ("openai_chat", [listing("m"), bytes_reply(b"<html>")], (1, "m", "Completion response is not JSON")),
        ("openai_chat", [listing("m"), json_reply([])], (1, "m", "Completion response is not a JSON object")),
    ],
)
def test_errors_are_reported_and_stored(upstream, provider, dialect, replies, expected):
    upstream.reply(*replies)
    models_found, tested_model, error = expected
    row = provider(dialect=dialect)
    assert report(health_check.check(row)) == {"healthy": False, "models_found": models_found, "tested_model": tested_model, "error": error}
    row.refresh_from_db()
    assert (row.test_error, row.tested_at is not None) == (error, True)
    upstream.reply(listing("m"), json_reply({}))
    health_check.check(row)
    row.refresh_from_db()
    assert row.test_error == ""


def test_an_upstream_that_does_not_respond(upstream, provider, monkeypatch):
    monkeypatch.setattr(health_check, "RESPONSE_SECONDS", 1.5)
    upstream.reply(listing("m"), Reply(instead=HANG))
    assert health_check.check(provider())["error"] == "Completion request failed: no response within 1.5 s"


def test_failed_connections_are_explained(upstream):
    row = Upstream(name="x", base_url="http://127.0.0.1:1")
    assert health_check.check_unsaved(row, api_key="sk-2")["error"] == "Connection failed: 127.0.0.1:1 refused the connection"
    row.base_url = "http://nobody.invalid"
    assert health_check.check_unsaved(row, api_key="sk-2")["error"] == "Connection failed: the name nobody.invalid cannot be resolved"
    row.base_url = "http://169.254.169.254"
    assert "link-local or a cloud metadata service" in health_check.check_unsaved(row, api_key="sk-2")["error"]


def test_an_upstream_can_be_checked_before_it_is_stored(upstream):
    upstream.reply(listing("m"), json_reply({}))
    row = Upstream(name="x", base_url=upstream.url + "/", dialect="anthropic")
    assert health_check.check_unsaved(row, api_key="sk-2")["healthy"] is True
    assert [request.header("x-api-key") for request in upstream.requests] == ["sk-2", "sk-2"]
    assert not Upstream.objects.exists()


def test_the_echo_upstream_is_healthy():
    for dialect, model in (("openai_chat", "echo"), ("anthropic", "echo-anthropic")):
        row = Upstream(name=dialect, base_url="echo://x", dialect=dialect)
        assert report(health_check.check_unsaved(row, api_key=""))["error"] is None, model


# Several credentials


@pytest.fixture
def second_credential(provider):
    row = provider(test_model="m")
    credential = UpstreamCredential(upstream=row, name="second")
    store.set_secret(credential, "sk-2")
    credential.disabled_reason = "no such key"
    credential.save()
    return credential


def accepting_only(*keys):
    def answer(request):
        if request.header("authorization").removeprefix("Bearer ") not in keys:
            return json_reply({"error": {"message": "no such key"}}, status=401)
        return listing("m") if request.method == "GET" else json_reply({"choices": []})

    return answer


def test_a_disabled_credential_that_works_again_is_enabled(upstream, second_credential):
    upstream.otherwise(accepting_only("sk-1", "sk-2"))
    state = live_state.current()
    state.start_cooldown(f"key:{second_credential.pk}", 60)
    assert health_check.check(second_credential.upstream)["healthy"]
    second_credential.refresh_from_db()
    assert (second_credential.disabled_reason, state.cooldowns.credential_until(str(second_credential.pk))) == ("", 0)


def test_a_disabled_credential_that_is_still_refused_stays_disabled(upstream, second_credential):
    upstream.otherwise(accepting_only("sk-1"))
    assert health_check.check(second_credential.upstream)["healthy"]
    second_credential.refresh_from_db()
    assert second_credential.disabled_reason == "no such key"


@pytest.mark.django_db(transaction=True)
def test_each_credential_is_checked_and_a_refused_one_is_disabled(upstream, provider):
    row = provider(test_model="m")
    keys = [row.credentials.get()]
    for name in ("second", "third"):
        keys.append(UpstreamCredential(upstream=row, name=name))
        store.set_secret(keys[-1], f"sk-{name}")
        keys[-1].save()
    UpstreamCredential.objects.filter(name="third").update(is_active=False)
    upstream.otherwise(accepting_only("sk-second"))
    result = health_check.check(row)
    assert (result["healthy"], result["error"]) == (True, None)
    assert [(key["name"], key["healthy"], key["error"], key["status"]) for key in result["keys"]] == [
        ("", False, "Completion returned 401", 401),
        ("second", True, None, None),
    ]
    assert list(row.credentials.values_list("disabled_reason", flat=True)) == [
        "the upstream answered 401: upstream authentication failed",
        "",
        "",
    ]
    assert live_state.current().cooldowns.credential_until(str(keys[0].pk)) == 0


@pytest.mark.parametrize("fields", [{"is_active": False}, {"secret_encrypted": "v2:00000000:AAAA"}])
def test_an_upstream_without_a_usable_credential_is_not_called(upstream, provider, fields):
    row = provider(test_model="m")
    row.credentials.update(**fields)
    result = health_check.check(row)
    assert (result["healthy"], result["error"], result["keys"]) == (False, health_check.NO_USABLE_CREDENTIAL, [])
    assert upstream.requests == []


@pytest.mark.django_db(transaction=True)
def test_the_last_credential_is_not_disabled_but_cools(upstream, provider):
    row = provider(test_model="m")
    key = row.credentials.get()
    upstream.otherwise(accepting_only())
    assert health_check.check(row)["error"] == "Completion returned 401"
    key.refresh_from_db()
    assert (key.disabled_reason, key.cooling_until is not None) == ("", True)
    credential_state.enable(str(key.pk), str(row.pk))


def test_all_active_upstreams_are_checked_by_the_task(upstream, second_credential):
    upstream.otherwise(accepting_only("sk-1"))
    Upstream.objects.create(name="off", base_url=upstream.url, is_active=False)
    Upstream.objects.create(name="theirs", base_url=upstream.url, pass_client_credentials=True)
    assert tasks.health_check() == {"provider": True}
