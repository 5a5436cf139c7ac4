"""Providers whose keys are read from the environment: the preset of each, and the model names that lead to it."""

from typing import Any

import msgspec

from upstreams.presets import PRESETS


class Provider(msgspec.Struct, frozen=True):
    """`variable` contains the key. `patterns` are the model names that the provider serves; `<name>/<model>` works for any model."""

    variable: str
    name: str
    base_url: str
    dialect: str = "openai_chat"
    patterns: tuple[str, ...] = ()
    quirks: dict[str, Any] = {}


def _from_preset(variable: str, name: str, *patterns: str) -> Provider:
    """The provider that the preset `name` describes."""
    preset = PRESETS[name]
    return Provider(variable, name, preset.base_url, preset.dialect, patterns, preset.quirks)


PROVIDERS = (
    _from_preset("OPENAI_API_KEY", "openai", "gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "codex-*"),
    _from_preset("ANTHROPIC_API_KEY", "anthropic", "claude-*"),
    _from_preset("OPENROUTER_API_KEY", "openrouter"),
    _from_preset("GROQ_API_KEY", "groq"),
    _from_preset("DEEPSEEK_API_KEY", "deepseek", "deepseek-*"),
    _from_preset("GEMINI_API_KEY", "gemini", "gemini-*"),
    _from_preset("MISTRAL_API_KEY", "mistral", "mistral-*", "magistral-*", "codestral-*", "devstral-*"),
    _from_preset("XAI_API_KEY", "xai", "grok-*"),
    _from_preset("CEREBRAS_API_KEY", "cerebras"),
    _from_preset("TOGETHER_API_KEY", "together"),
    _from_preset("FIREWORKS_API_KEY", "fireworks"),
)
