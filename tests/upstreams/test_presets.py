"""Presets through the management API."""

import uuid

from tests.support.fake_upstream import json_reply
from upstreams.presets import PRESETS


def create_upstream(gateway, **fields):
    """An upstream made by script, as the API shows it."""
    upstream_id = gateway.api("POST", "/upstreams", json={"name": f"preset-{uuid.uuid4().hex[:8]}", **fields})["id"]
    return gateway.api("GET", f"/upstreams/{upstream_id}")


def test_the_presets_are_listed(gateway):
    listed = gateway.api("GET", "/presets")
    assert [preset["name"] for preset in listed] == list(PRESETS)
    assert next(preset for preset in listed if preset["name"] == "azure-openai") == {
        "name": "azure-openai",
        "title": "Azure OpenAI",
        "base_url": "https://{resource}.openai.azure.com/openai/v1",
        "format": "openai",
        "quirks": {"supports_developer": True},
        "auth_header": "api-key",
    }


def test_a_preset_fills_in_what_is_not_given(gateway):
    row = create_upstream(gateway, preset="deepseek-anthropic", api_key="k")
    fields = {name: row[name] for name in ("base_url", "format", "quirks")}
    preset = PRESETS["deepseek-anthropic"]
    assert fields == {"base_url": preset.base_url, "format": "anthropic", "quirks": preset.quirks}


def test_explicit_values_win(gateway):
    row = create_upstream(gateway, preset="vllm", base_url="http://127.0.0.1:1/v1", quirks={"top_k": False}, format="openai_responses")
    assert (row["base_url"], row["format"]) == ("http://127.0.0.1:1/v1", "openai_responses")
    assert row["quirks"] == {**PRESETS["vllm"].quirks, "top_k": False}


def test_a_preset_that_does_not_exist_is_refused(gateway):
    answer = gateway.http.post(
        f"{gateway.url}/api/v1/upstreams", json={"name": "x", "preset": "made-up"}, headers=gateway.management_headers
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("Preset must be one of openai, ")


def test_another_clients_headers_are_sent_only_by_an_upstream_that_was_made_so(gateway, upstream):
    upstream.otherwise(json_reply({"type": "error", "error": {"type": "api_error", "message": "no"}}, status=400))
    name = f"cli-{uuid.uuid4().hex[:8]}"
    for model, preset in ((name, "anthropic-claude-cli"), (f"{name}-plain", "anthropic")):
        row = create_upstream(gateway, preset=preset, base_url=upstream.url, api_key="k")
        gateway.api("POST", "/models", json={"name": model, "upstream_id": row["id"]})
        body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        for _ in range(2):
            gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    cli, again, plain, _ = ({name.lower(): value for name, value in request.headers} for request in upstream.requests)
    assert (cli["user-agent"], cli["x-app"], cli["anthropic-version"]) == ("claude-cli/1.0.18 (pro, cli)", "cli", "2023-06-01")
    assert cli["anthropic-beta"].split(",")[0] == "interleaved-thinking-2025-05-14"
    assert uuid.UUID(cli["x-claude-code-session-id"]) == uuid.UUID(again["x-claude-code-session-id"])
    assert (plain["user-agent"], "x-app" in plain, "x-claude-code-session-id" in plain) == ("pxbin", False, False)
    assert "terms" in next(preset for preset in gateway.api("GET", "/presets") if preset["name"] == "anthropic-claude-cli")["note"]
