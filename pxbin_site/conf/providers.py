"""Well-known providers: which preset a key in the environment stands for, and which model names lead to it."""

from typing import Any

import msgspec

from upstreams.presets import PRESETS


class Provider(msgspec.Struct, frozen=True):
    """`variable` holds the key. `patterns` are names that clients may ask for as they are; `<name>/…` always works."""

    variable: str
    name: str
    base_url: str
    dialect: str = "openai_chat"
    patterns: tuple[str, ...] = ()
    quirks: dict[str, Any] = {}


def _known(variable: str, name: str, *patterns: str) -> Provider:
    """The provider of the preset `name`."""
    preset = PRESETS[name]
    return Provider(variable, name, preset.base_url, preset.dialect, patterns, preset.quirks)


PROVIDERS = (
    _known("OPENAI_API_KEY", "openai", "gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "codex-*"),
    _known("ANTHROPIC_API_KEY", "anthropic", "claude-*"),
    _known("OPENROUTER_API_KEY", "openrouter"),
    _known("GROQ_API_KEY", "groq"),
    _known("DEEPSEEK_API_KEY", "deepseek", "deepseek-*"),
    _known("GEMINI_API_KEY", "gemini", "gemini-*"),
    _known("MISTRAL_API_KEY", "mistral", "mistral-*", "magistral-*", "codestral-*", "devstral-*"),
    _known("XAI_API_KEY", "xai", "grok-*"),
    _known("CEREBRAS_API_KEY", "cerebras"),
    _known("TOGETHER_API_KEY", "together"),
    _known("FIREWORKS_API_KEY", "fireworks"),
)
