import pytest

from proxy.translation.quirks import Quirks
from upstreams.catalog.entries import UpstreamEntry
from upstreams.http.urls import url_for

AZURE = "https://x.openai.azure.com/openai/deployments/gpt"
CASES = [
    ("https://api.openai.com/v1", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
    ("https://api.openai.com/v1/", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
    ("https://api.openai.com", "/v1/chat/completions", "https://api.openai.com/v1/chat/completions"),
    ("https://api.anthropic.com", "/v1/messages?beta=true", "https://api.anthropic.com/v1/messages?beta=true"),
    ("https://api.anthropic.com/v1", "/v1/messages", "https://api.anthropic.com/v1/messages"),
    ("https://open.bigmodel.cn/api/paas/v4", "/v1/chat/completions", "https://open.bigmodel.cn/api/paas/v4/chat/completions"),
    ("https://example.test/v1beta", "/v1/models", "https://example.test/v1beta/models"),
    ("https://example.test/v1beta/openai", "/v1/models", "https://example.test/v1beta/openai/models"),
    ("https://example.test/v1/account/gateway/openai", "/v1/models", "https://example.test/v1/account/gateway/openai/models"),
    ("https://example.test/v1/account/gateway/anthropic", "/v1/messages", "https://example.test/v1/account/gateway/anthropic/v1/messages"),
    ("https://example.test/openai", "/v1/models", "https://example.test/openai/v1/models"),
    (f"{AZURE}?api-version=2024-10-21", "/v1/chat/completions", f"{AZURE}/chat/completions?api-version=2024-10-21"),
    (f"{AZURE}?api-version=2024-10-21", "/v1/embeddings", f"{AZURE}/embeddings?api-version=2024-10-21"),
    (f"{AZURE}?api-version=2024-10-21", "/v1/files?limit=2", f"{AZURE}/files?api-version=2024-10-21&limit=2"),
    ("https://x.test/v1?api-version=preview", "/v1/responses", "https://x.test/v1/responses?api-version=preview"),
    ("https://example.test/vision", "/v1/models", "https://example.test/vision/v1/models"),
    ("http://127.0.0.1:11434", "/v1/models", "http://127.0.0.1:11434/v1/models"),
    ("echo://openai", "/v1/chat/completions", "echo://openai/v1/chat/completions"),
    ("https://bedrock.test/v1", "/model/claude/invoke", "https://bedrock.test/v1/model/claude/invoke"),
]


def upstream(base_url, **fields):
    return UpstreamEntry(**{"id": "u", "name": "u", "base_url": base_url, "dialect": "openai_chat", **fields})


@pytest.mark.parametrize(("base_url", "path", "url"), CASES)
def test_the_version_is_added_once(base_url, path, url):
    assert url_for(upstream(base_url), path) == url


@pytest.mark.parametrize(
    ("base_url", "api_path", "path", "url"),
    [
        ("https://x.test/openai", "/chat/completions", "/v1/chat/completions", "https://x.test/openai/chat/completions"),
        ("https://x.test/openai", "chat/completions", "/v1/chat/completions", "https://x.test/openai/chat/completions"),
        ("https://x.test", "/chat?api-version=1", "/v1/chat/completions", "https://x.test/chat?api-version=1"),
        ("https://x.test", "/m?api-version=1", "/v1/messages?beta=true", "https://x.test/m?api-version=1&beta=true"),
        ("https://x.test", "/m", "/v1/messages?beta=true", "https://x.test/m?beta=true"),
        ("https://x.test/openai", "/chat/completions", "/v1/models", "https://x.test/openai/models"),
        ("https://x.test/v1", "/v2/chat", "/v1/chat/completions", "https://x.test/v1/v2/chat"),
        ("https://x.test?api-version=1", "/chat", "/v1/chat/completions", "https://x.test/chat?api-version=1"),
    ],
)
def test_an_api_path_replaces_the_dialects_own(base_url, api_path, path, url):
    assert url_for(upstream(base_url), path, Quirks(api_path=api_path)) == url


def test_bedrock_finds_its_regions_endpoint():
    assert url_for(upstream("", region="eu-central-1", dialect="bedrock"), "/model/m/invoke") == (
        "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/invoke"
    )
