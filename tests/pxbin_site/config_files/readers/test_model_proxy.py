"""model-proxy: directories and bundles."""

import json
from decimal import Decimal

import pytest

from pxbin_site.config_files import importing
from pxbin_site.config_files.configuration import Options
from pxbin_site.config_files.documents import ConfigFileError
from tests.pxbin_site.config_files.readers.conftest import Read

PROVIDER = {
    "name": "groq",
    "enabled": True,
    "api_keys": {"env_var_patterns": ["GROQ_API_KEY", "GROQ_API_KEY_{INDEX}"]},
    "endpoints": {"base_url": "https://api.groq.com/openai/v1", "completions": "/chat/completions", "compatible_format": "openai"},
    "authentication": {"header_name": "X-Key", "header_format": "Token {api_key}"},
    "error_handling": {"429": "cooldown"},
}
MODEL = {
    "logical_name": "turbo",
    "timeout_seconds": 20,
    "default_cooldown_seconds": 10,
    "model_routings": [
        {"provider": "groq", "model": "one", "pricing": {"input": 0.5, "output": 1}, "capabilities": {"multimodal": False}},
        {"provider": "groq", "model": "two", "base_url": "https://other.example", "wire_protocol": "anthropic", "timeout_seconds": 40},
    ],
    "fallback_model_routings": ["slow"],
    "enforce_tool_call": {"max_retries": 3},
}
KEYS = {"GROQ_API_KEY_2": "k2", "GROQ_API_KEY_10": "k10", "GROQ_API_KEY": "k0", "GROQ_API_KEY_3": "k2"}


def bundle(*models, environment=None, provider=PROVIDER):
    return {"version": "1.0.0", "setup": {"providers": [provider], "models": list(models), "environment": environment or {}}}


def test_a_bundle(read):
    found = read(bundle(MODEL, {"logical_name": "slow", "model_routings": []}, environment={**KEYS, "CLIENT_API_KEY": "of-clients-1234"}))
    assert found.pick("upstreams", "name", "base_url", "format", "auth_header", "auth_scheme", "first_byte_timeout_seconds") == [
        ("groq", "https://api.groq.com/openai/v1", "openai", "X-Key", "Token", 20.0),
        ("groq-2", "https://other.example", "anthropic", "X-Key", "Token", 40.0),
    ]
    assert [row["name"] for row in found["credentials"] if row["upstream"] == "groq"] == [
        "GROQ_API_KEY",
        "GROQ_API_KEY_2",
        "GROQ_API_KEY_10",
    ]
    assert [row["secret"] for row in found["credentials"] if row["upstream"] == "groq"] == ["k0", "k2", "k10"]
    assert found.pick("models", "name", "timeout_seconds", "cooldown_seconds", "fallbacks", "tool_enforcement") == [
        ("turbo", 60.0, 10.0, ["slow"], {"max_retries": 3}),
        ("slow", None, None, None, None),
    ]
    assert found.pick("routes", "upstream", "remote_name", "priority", "capabilities") == [
        ("groq", "one", 0, {"images": False}),
        ("groq-2", "two", 1, None),
    ]
    assert [(row["remote_name"], row["upstream"], Decimal(str(row["input"])), row["output"]) for row in found["prices"]] == [
        ("one", "groq", Decimal("0.5"), 1)
    ]
    assert found.pick("keys", "name", "key_prefix") == [("model-proxy", "of-")]
    assert [item.rpartition(": ")[2] for item in found.not_taken] == ["setup.providers[0].error_handling"]


def test_a_path_that_does_not_follow_from_the_base_url_is_a_quirk(read):
    endpoints = {"base_url": "https://own.example/api", "completions": "/chat", "compatible_format": "openai"}
    found = read(bundle({"logical_name": "m", "model_routings": []}, provider={**PROVIDER, "endpoints": endpoints}))
    assert found["upstreams"][0]["quirks"] == {"api_path": "/chat"}


def test_variables_of_the_environment_become_values_of_rows_and_settings(read):
    environment = {
        "DEFAULT_CONTEXT_WINDOW": "64000",
        "KEY_COOLDOWN_SECONDS": "7",
        "ENFORCE_TOOL_CALL_MODE": "true",
        "TOOL_CALL_MAX_RETRIES": "4",
        "EMPTY_RESPONSE_POLICY": "lenient",
        "LOG_LEVEL": "warn",
        "CORS_ORIGINS": "*",
    }
    found = read(bundle({"logical_name": "m", "model_routings": [{"provider": "groq", "model": "x"}]}, environment=environment))
    assert found.pick("models", "context_window", "tool_enforcement") == [
        (64000, {"enabled": True, "max_retries": 4, "empty_response_policy": "lenient"})
    ]
    assert found.pick("upstreams", "cooldown_seconds") == [(7.0,)]
    assert {line.name: line.value for line in found.configuration.settings} == {
        "PXBIN_DEFAULT_CONTEXT_WINDOW": "64000",
        "PXBIN_KEY_COOLDOWN_SECONDS": "7",
        "PXBIN_CORS_ORIGINS": "*",
        "PXBIN_LOG_LEVEL": "warning",
        "PXBIN_ENFORCE_TOOL_CALL_MODE": "true",
    }
    assert found.warnings == [
        "CLIENT_API_KEY is not set: clients need a pxb_ key",
        "provider groq has no key: GROQ_API_KEY, GROQ_API_KEY_{INDEX} is not set",
    ]


def test_a_directory_with_audio_models(tmp_path):
    for folder, name, content in [
        ("providers", "groq", PROVIDER),
        ("models", "turbo", MODEL),
        ("audio-models", "whisper", {"model_routings": [{"provider": "groq", "model": "whisper-1"}], "language_default": "de"}),
        ("templates", "ignored", {"logical_name": "x"}),
    ]:
        (tmp_path / "config" / folder).mkdir(parents=True)
        (tmp_path / "config" / folder / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / ".env").write_text("GROQ_API_KEY=of-the-file\nPORT=9999\nHOST=0.0.0.0\n")
    found = Read(importing.read(tmp_path, Options(variables={"GROQ_API_KEY": "of-the-environment"})))
    assert [row["name"] for row in found["models"]] == ["turbo", "whisper"]
    assert found["credentials"][0]["secret"] == "of-the-environment"
    assert (found.configuration.host, found.configuration.port) == ("0.0.0.0", 9999)
    assert any(item.endswith("whisper.json, line 1: language_default") for item in found.not_taken)
    before = importing.digest(tmp_path)
    (tmp_path / ".env").write_text("GROQ_API_KEY=other\n")
    assert importing.digest(tmp_path) != before


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"logical_name": "m", "model_routings": [{"provider": "x", "model": "y"}]}, "provider: there is no provider x"),
        ({"logical_name": "m", "model_routings": [{"provider": "groq"}]}, "model_routings[0]: model is missing"),
        ({"logical_name": "m", "model_routings": "groq"}, "model_routings: must be a list"),
        ({"logical_name": "m", "context_window": "big", "model_routings": []}, "context_window: must be a whole number"),
    ],
)
def test_mistakes_name_the_line(problems, model, message):
    (problem,) = problems(bundle(model))
    assert (problem.startswith("config.json, line "), message in problem) == (True, True), problem


def test_a_directory_without_a_configuration(tmp_path):
    with pytest.raises(ConfigFileError, match="there is neither config/models nor config/providers in it"):
        importing.read(tmp_path, Options())
