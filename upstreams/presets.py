"""Presets: base URL, dialect and quirks of known providers.

A preset fills fields that an admin left empty when an upstream is created; it is not used later. The quirks come from the
providers' documentation and from tests (docs/wire-formats.md, section 14). An admin replaces ``{…}`` in a base URL.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Settings for one provider. ``fields``: other fields of an upstream, for example authentication.

    ``note``: a warning for the admin.
    """

    name: str
    title: str
    base_url: str
    dialect: str = "openai_chat"
    quirks: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    note: str = ""


PROCESS_ID = "{process-id}"
"""In an extra header's value: replaced by a random id, made at the start of each process."""
_COMPATIBLE: dict[str, Any] = {"max_tokens_field": "max_tokens"}
"""A server that accepts only older fields of Chat Completions."""
_PLAIN: dict[str, Any] = {**_COMPATIBLE, "settings_refused": ["prompt_cache_key", "metadata", "service_tier", "verbosity"]}
"""The same; the server also rejects settings of OpenAI."""
_LOCAL: dict[str, Any] = {**_PLAIN, "user_field": "none", "late_system": "hoist", "top_k": True}
"""A local server: chat templates of open models require system text at the beginning."""
_MESSAGES: dict[str, Any] = {"unsigned_thinking": True, "thinking_style": "enabled"}
"""A Messages server other than Anthropic's: thinking has a budget and no signature."""

_ALL = (
    Preset(
        name="openai",
        title="OpenAI (Chat Completions)",
        base_url="https://api.openai.com/v1",
        quirks={"supports_developer": True, "supports_custom_tools": True, "user_field": "safety_identifier"},
    ),
    Preset(
        name="openai-responses",
        title="OpenAI (Responses)",
        base_url="https://api.openai.com/v1",
        dialect="openai_responses",
        quirks={"user_field": "safety_identifier"},
    ),
    Preset(name="anthropic", title="Anthropic", base_url="https://api.anthropic.com", dialect="anthropic"),
    Preset(
        name="anthropic-claude-cli",
        title="Anthropic, with the headers of Claude Code (check the provider's terms)",
        base_url="https://api.anthropic.com",
        dialect="anthropic",
        fields={
            "extra_headers": {
                "User-Agent": "claude-cli/1.0.18 (pro, cli)",
                "X-App": "cli",
                "anthropic-version": "2023-06-01",
                "anthropic-beta": "interleaved-thinking-2025-05-14,prompt-caching-scope-2026-01-05,context-management-2025-06-27",
                "X-Claude-Code-Session-Id": PROCESS_ID,
            }
        },
        note="Sending another client's identity may violate the provider's terms. Check them before you use this preset.",
    ),
    Preset(
        name="azure-openai",
        title="Azure OpenAI",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        quirks={"supports_developer": True},
        fields={"auth_header": "api-key"},
    ),
    Preset(
        name="bedrock",
        title="AWS Bedrock (InvokeModel)",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        dialect="bedrock",
        quirks={"image_urls": False},
    ),
    Preset(
        name="bedrock-converse",
        title="AWS Bedrock (Converse)",
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        dialect="bedrock_converse",
    ),
    Preset(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        quirks={
            **_COMPATIBLE,
            "cache_markers": "passthrough",
            "top_k": True,
            "efforts": ["none", "minimal", "low", "medium", "high", "xhigh"],
        },
    ),
    Preset(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        quirks={
            "settings_refused": ["prompt_cache_key", "metadata", "verbosity"],
            "efforts": ["low", "medium", "high"],
            "reasoning_history": "omit",
        },
    ),
    Preset(
        name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        quirks={"settings_refused": ["prompt_cache_key", "metadata", "verbosity"], "efforts": ["low", "medium", "high"], "images": False},
    ),
    Preset(
        name="deepseek",
        title="DeepSeek (Chat Completions)",
        base_url="https://api.deepseek.com/v1",
        quirks={
            **_PLAIN,
            "requires_reasoning_content": True,
            "tool_choice": "auto_only",
            "images": False,
            "structured_output": False,
            "reasoning_effort": False,
            "parallel_tool_calls": False,
            "user_field": "none",
        },
    ),
    Preset(
        name="deepseek-anthropic",
        title="DeepSeek (Messages)",
        base_url="https://api.deepseek.com/anthropic",
        dialect="anthropic",
        quirks={**_MESSAGES, "images": False, "tool_choice": "auto_only", "structured_output": False},
    ),
    Preset(
        name="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        quirks={
            **_PLAIN,
            "stream_usage": False,
            "reasoning_effort": False,
            "user_field": "none",
            "reasoning_history": "omit",
            "call_ids": "nine_characters",
        },
    ),
    Preset(
        name="moonshot",
        title="Moonshot (Kimi)",
        base_url="https://api.moonshot.ai/v1",
        quirks={
            **_PLAIN,
            "requires_reasoning_content": True,
            "tool_choice": "auto_only",
            "reasoning_effort": False,
            "parallel_tool_calls": False,
            "image_urls": False,
            "user_field": "none",
        },
    ),
    Preset(
        name="moonshot-anthropic",
        title="Moonshot (Kimi, Messages)",
        base_url="https://api.moonshot.ai/anthropic",
        dialect="anthropic",
        quirks={**_MESSAGES, "tool_choice": "auto_only"},
    ),
    Preset(
        name="zai",
        title="Z.ai (GLM)",
        base_url="https://api.z.ai/api/paas/v4",
        quirks={
            **_PLAIN,
            "tool_choice": "auto_only",
            "reasoning_effort": False,
            "parallel_tool_calls": False,
            "structured_output": False,
            "user_field": "none",
        },
    ),
    Preset(
        name="zai-anthropic",
        title="Z.ai (GLM, Messages)",
        base_url="https://api.z.ai/api/anthropic",
        dialect="anthropic",
        quirks=_MESSAGES,
    ),
    Preset(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        quirks={"settings_refused": ["prompt_cache_key", "metadata", "verbosity"], "efforts": ["low", "high"]},
    ),
    Preset(
        name="gemini",
        title="Gemini (its OpenAI endpoint)",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        quirks={
            **_PLAIN,
            "api_path": "/chat/completions",
            "user_field": "none",
            "parallel_tool_calls": False,
            "efforts": ["none", "minimal", "low", "medium", "high"],
            "schema_keywords_refused": ["$schema", "additionalProperties", "patternProperties", "propertyNames", "const"],
        },
    ),
    Preset(name="gemini-native", title="Gemini (generateContent)", base_url="https://generativelanguage.googleapis.com", dialect="gemini"),
    Preset(name="vllm", title="vLLM", base_url="http://{host}:8000/v1", quirks={**_LOCAL, "tool_image_parts": True}),
    Preset(
        name="ollama",
        title="Ollama",
        base_url="http://{host}:11434/v1",
        quirks={**_LOCAL, "tool_choice": "none", "parallel_tool_calls": False, "image_urls": False, "top_k": False},
    ),
    Preset(
        name="llamacpp",
        title="llama.cpp",
        base_url="http://{host}:8080/v1",
        quirks={**_LOCAL, "empty_assistant_content": "empty", "reasoning_effort": False},
    ),
    Preset(
        name="lmstudio",
        title="LM Studio",
        base_url="http://{host}:1234/v1",
        quirks={**_LOCAL, "split_think_tags": True, "reasoning_effort": False, "image_urls": False},
    ),
    Preset(
        name="together",
        title="Together",
        base_url="https://api.together.xyz/v1",
        quirks={**_PLAIN, "top_k": True, "user_field": "none", "parallel_tool_calls": False, "efforts": ["low", "medium", "high"]},
    ),
    Preset(
        name="fireworks",
        title="Fireworks",
        base_url="https://api.fireworks.ai/inference/v1",
        quirks={**_PLAIN, "top_k": True, "efforts": ["none", "low", "medium", "high"]},
    ),
    Preset(
        name="anthropic-compatible",
        title="Another server with the Messages API",
        base_url="https://{host}",
        dialect="anthropic",
        quirks=_MESSAGES,
    ),
    Preset(name="openai-compatible", title="Another server with the Chat Completions API", base_url="https://{host}/v1", quirks=_PLAIN),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
"""By name, in the order of the form."""


def merge_preset(preset: Preset, values: dict[str, Any]) -> dict[str, Any]:
    """The fields of an upstream: ``values``, and those of the preset for missing or empty ones; quirks are merged by name.

    A base URL with a placeholder is left out.
    """
    address = {} if "{" in preset.base_url else {"base_url": preset.base_url}
    present = {name: value for name, value in values.items() if value not in ("", None, {})}
    quirks = {**preset.quirks, **(present.pop("quirks", None) or {})}
    return {"dialect": preset.dialect, **address, **preset.fields, **present, "quirks": quirks}
