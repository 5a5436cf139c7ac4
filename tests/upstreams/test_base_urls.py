import pytest

from upstreams.base_urls import tidy

AZURE = "https://x.openai.azure.com/openai/deployments/gpt"


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        (" https://api.openai.com/v1/ ", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/chat/completions/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/embeddings", "https://api.openai.com/v1"),
        ("https://api.openai.com/V1/Chat/Completions", "https://api.openai.com/v1"),
        ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1"),
        ("https://api.anthropic.com/v1/messages/count_tokens", "https://api.anthropic.com/v1"),
        ("https://example.test/V1", "https://example.test/v1"),
        ("https://example.test/v1?", "https://example.test/v1"),
        ("https://example.test/v1#", "https://example.test/v1"),
        ("https://example.test/v1/models", "https://example.test/v1"),
        ("https://models", "https://models"),
        ("https://responses/", "https://responses"),
        (f"{AZURE}/chat/completions?api-version=2024-10-21", f"{AZURE}?api-version=2024-10-21"),
        ("echo://openai", "echo://openai"),
        ("", ""),
        ("no address", "no address"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_what_people_paste_with_a_base_url_is_taken_off(pasted, base):
    assert tidy(pasted) == base
