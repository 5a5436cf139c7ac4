"""Which dialect a caller speaks."""

import subprocess
import sys

import pytest

from proxy.translation.dialects.lookup import FORMATS, PATH_ROOTS, TITLES, dialect_named, dialect_of

VERSION, KEY, BEARER = "anthropic-version", "x-api-key", "authorization"


@pytest.mark.parametrize(
    ("path", "header", "name"),
    [
        ("/v1/messages", BEARER, "anthropic"),
        ("/team-a/v1/messages/count_tokens", BEARER, "anthropic"),
        ("/v1/messages/batches", BEARER, "anthropic"),
        ("/v1/chat/completions", VERSION, "openai_chat"),  # the path says more than a header
        ("/v1/embeddings", KEY, "openai_chat"),
        ("/team-a/v1/responses", BEARER, "openai_responses"),
        ("/v1/responses/resp_1/input_items", BEARER, "openai_responses"),
        ("/model/claude/invoke", BEARER, "bedrock"),
        ("/model/claude/unheard-of", BEARER, "bedrock"),
        ("/model/claude/converse", BEARER, "bedrock_converse"),
        ("/team-a/model/a/b/converse-stream", BEARER, "bedrock_converse"),
        ("/model/claude/count-tokens", BEARER, "bedrock_converse"),
        ("/v1beta/models/gemini-2.5-pro:generateContent", BEARER, "gemini"),
        ("/v1/models/a/b:streamGenerateContent", BEARER, "gemini"),
        ("/v1/models/gemini:countTokens", BEARER, "gemini"),
        ("/v1beta/unheard-of", BEARER, "gemini"),
        ("/v1/models", "x-goog-api-key", "gemini"),
        ("/v1/models", "x-goog-api-client", "openai_chat"),
        ("/v1/chat/completions", "x-goog-api-key", "openai_chat"),
        ("/team-a/model/a/b/invoke-with-response-stream", BEARER, "bedrock"),
        ("/team-a/model/claude", BEARER, "openai_chat"),
        ("/v1/models", BEARER, "openai_chat"),
        ("/v1/models", KEY, "anthropic"),
        ("/team-a/v1/models/claude", KEY, "anthropic"),
        ("/v1/models", VERSION, "anthropic"),
        ("/v1/unheard-of", VERSION, "anthropic"),
        ("/v1/unheard-of", KEY, "openai_chat"),
    ],
)
def test_the_path_decides_and_at_shared_paths_a_header(path, header, name):
    assert dialect_of(path, {header: "x"}).name == name
    assert dialect_of(path, {header.encode(): b"x"}).name == name


@pytest.mark.parametrize(
    ("path", "agent", "name"),
    [
        ("/v1/models", "claude-cli/2.1.200 (external, cli)", "anthropic"),
        ("/team-a/v1/models/m", "claude-cli/2.1.200", "anthropic"),
        ("/v1/models", "curl/8 claude-cli/2", "openai_chat"),
        ("/v1/chat/completions", "claude-cli/2", "openai_chat"),
        ("/v1/unheard-of", "claude-cli/2", "openai_chat"),
    ],
)
def test_at_shared_paths_the_name_of_a_program_decides_too(path, agent, name):
    assert dialect_of(path, {"user-agent": agent}).name == name
    assert dialect_of(path, {b"user-agent": agent.encode()}).name == name


def test_what_other_modules_derive_from_the_registry():
    assert list(FORMATS) == ["openai", "anthropic", "openai_responses", "bedrock", "gemini", "bedrock_converse", "passthrough"]
    assert list(TITLES) == ["openai_chat", "anthropic", "openai_responses", "bedrock", "gemini", "bedrock_converse", "passthrough"]
    assert PATH_ROOTS == ("/model/", "/v1/", "/v1beta/")
    assert dialect_named("unheard-of").name == "openai_chat"


@pytest.mark.slow
def test_a_dialect_that_is_registered_too_late_is_refused():
    code = (
        "from proxy.translation.dialects import lookup, registry\n"
        "try:\n    registry.register(registry.DEFAULT)\nexcept RuntimeError as error:\n    print(error)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "register(openai_chat) was called too late: tables were already derived from the registry\n"
