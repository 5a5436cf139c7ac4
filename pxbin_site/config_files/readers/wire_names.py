"""The names that other gateways' files have for API formats and providers, with ours."""

from __future__ import annotations

CHAT, MESSAGES, RESPONSES, BEDROCK, UNTRANSLATED = "openai", "anthropic", "openai_responses", "bedrock", "passthrough"
"""Our `format` of an upstream."""
LLM_PROXY_DIALECTS = {"openai-chat": CHAT, "openai-responses": RESPONSES, "claude": MESSAGES, "bedrock": BEDROCK}
MODEL_PROXY_PROTOCOLS = {"openai": CHAT, "anthropic": MESSAGES, "responses": RESPONSES}

LITELLM_PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure-openai",
    "azure_ai": "openai-compatible",
    "bedrock": "bedrock",
    "groq": "groq",
    "cerebras": "cerebras",
    "deepseek": "deepseek",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "zai": "zai",
    "xai": "xai",
    "gemini": "gemini",
    "openrouter": "openrouter",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "lm_studio": "lmstudio",
    "vllm": "vllm",
    "hosted_vllm": "vllm",
    "openai_like": "openai-compatible",
    "custom_openai": "openai-compatible",
    "anthropic_text": "anthropic",
}
"""Our preset of each provider of LiteLLM that has a counterpart."""
LITELLM_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "azure": "AZURE_API_KEY",
    "groq": "GROQ_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "moonshot": "MOONSHOT_API_KEY",
    "zai": "ZAI_API_KEY",
    "xai": "XAI_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "fireworks_ai": "FIREWORKS_AI_API_KEY",
}
"""The environment variable in which LiteLLM expects the key of a provider that the file gives none for."""
