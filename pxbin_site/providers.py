"""Well-known providers: which upstream a key in the environment stands for, and which model names lead to it."""

from typing import Any

import msgspec


class Provider(msgspec.Struct, frozen=True):
    """`variable` holds the key. `patterns` are names that clients may ask for as they are; `<name>/…` always works."""

    variable: str
    name: str
    base_url: str
    dialect: str = "openai_chat"
    patterns: tuple[str, ...] = ()
    quirks: dict[str, Any] = {}


PROVIDERS = (
    Provider(
        "OPENAI_API_KEY",
        "openai",
        "https://api.openai.com/v1",
        patterns=("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "codex-*"),
        quirks={"supports_developer": True},
    ),
    Provider("ANTHROPIC_API_KEY", "anthropic", "https://api.anthropic.com", "anthropic", patterns=("claude-*",)),
    Provider("OPENROUTER_API_KEY", "openrouter", "https://openrouter.ai/api/v1"),
    Provider("GROQ_API_KEY", "groq", "https://api.groq.com/openai/v1"),
    Provider("DEEPSEEK_API_KEY", "deepseek", "https://api.deepseek.com/v1", patterns=("deepseek-*",)),
    Provider(
        "GEMINI_API_KEY",
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        patterns=("gemini-*",),
        quirks={"api_path": "/chat/completions"},
    ),
    Provider("MISTRAL_API_KEY", "mistral", "https://api.mistral.ai/v1", patterns=("mistral-*", "magistral-*", "codestral-*", "devstral-*")),
    Provider("XAI_API_KEY", "xai", "https://api.x.ai/v1", patterns=("grok-*",)),
    Provider("CEREBRAS_API_KEY", "cerebras", "https://api.cerebras.ai/v1"),
    Provider("TOGETHER_API_KEY", "together", "https://api.together.xyz/v1"),
    Provider("FIREWORKS_API_KEY", "fireworks", "https://api.fireworks.ai/inference/v1"),
)
