"""The page that connects a client: its configuration, a fresh key, and the test that waits for its first call."""

import ast
import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey
from billing.models import RequestLog
from pxbin_site.pages.client_setups import SETUPS, Gateway, as_markdown
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db

PAGE = "/admin/connect/"
GATEWAY = Gateway("http://127.0.0.1:8080", "pxb_1", "acme/large", 128_000)


@pytest.fixture
def models():
    upstream = Upstream.objects.create(name="acme", base_url="http://127.0.0.1:9")
    for name, window in (("echo", None), ("large", 128_000), ("small", None)):
        Route.objects.create(model=Model.objects.create(name=name, context_window=window), upstream=upstream)


@pytest.mark.parametrize("name", SETUPS)
def test_every_configuration_has_the_address_the_key_and_the_model(name):
    text = "\n".join(snippet.text for snippet in SETUPS[name].snippets(GATEWAY))
    assert [part in text for part in (GATEWAY.url, GATEWAY.key, GATEWAY.model)] == [True, True, True]


def test_the_documentation_of_clients_has_the_same_configurations():
    assert (Path(__file__).parents[3] / "docs" / "clients.md").read_text(encoding="utf-8") == as_markdown()


def test_files_are_valid_and_have_the_context_window():
    claude, codex = (SETUPS[name].snippets(GATEWAY) for name in ("claude-code", "codex"))
    assert json.loads(claude[1].text)["env"]["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == "128000"
    assert tomllib.loads(codex[0].text) == {
        "model": "acme/large",
        "model_provider": "pxbin",
        "model_context_window": 128_000,
        "model_providers": {
            "pxbin": {"name": "pxbin", "base_url": "http://127.0.0.1:8080/v1", "env_key": "PXBIN_KEY", "wire_api": "responses"}
        },
    }


def test_programs_are_valid_python():
    programs = [snippet.text for setup in SETUPS.values() for snippet in setup.snippets(GATEWAY) if "import " in snippet.text]
    assert [ast.parse(program).body != [] for program in programs] == [True] * 5


def test_a_key_is_made_and_shown_once_in_the_configuration(admin_client, models):
    page = admin_client.post(f"{PAGE}?client=codex", {"name": "Anna's Codex"})
    (plaintext,) = set(re.findall(r"pxb_[0-9a-f]{40}", page.content.decode()))
    row = ApiKey.objects.get(name="Anna's Codex")
    assert (keys.hash_key(plaintext), "no-store" in page.headers["cache-control"]) == (row.key_hash, True)
    assert plaintext not in admin_client.get(f"{PAGE}?client=codex&key={row.pk}").content.decode()


def test_only_models_that_the_key_may_use_are_offered_and_the_echo_comes_last(admin_client, models):
    row = ApiKey.objects.create(name="k", key_hash="0" * 64, allowed_models=["small"])
    assert admin_client.get(PAGE).context["models"] == ["large", "small", "echo"]
    page = admin_client.get(PAGE, {"key": str(row.pk), "model": "large"})
    assert (page.context["models"], page.context["model"]) == (["small"], "small")


def test_the_test_waits_for_the_first_call_with_the_key(admin_client):
    row = ApiKey.objects.create(name="k", key_hash="0" * 64)
    since = (timezone.now() - timedelta(minutes=1)).isoformat()
    fields = {"method": "POST", "path": "/", "input_format": "openai", "latency_ms": 12, "overhead_us": 1, "model": "large"}

    def shown():
        return " ".join(admin_client.get(f"{PAGE}test/", {"key": str(row.pk), "since": since}).content.decode().split())

    RequestLog.objects.create(request_id="other", timestamp=timezone.now(), status_code=200, outcome="finished", **fields)
    assert "Waiting for the first call" in shown()
    failed = {"status_code": 404, "outcome": "rejected", "error_message": "no such model", "reason": "The key may not use it."}
    call = RequestLog.objects.create(request_id="mine", timestamp=timezone.now(), api_key_id=row.pk, **failed, **fields)
    assert "but failed:</strong> 404 no such model The key may not use it." in shown()
    RequestLog.objects.filter(pk=call.pk).update(outcome="finished", status_code=200, user_agent="codex/1")
    assert '<strong class="font-semibold">It works.</strong> codex/1 called large; the answer took 12 ms.' in shown()
