"""Which program a configuration file is of, by its content. No Django: `serve --config` reads the file before the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pxbin_site.conf.config import Config
from pxbin_site.conf.setting import declarations
from pxbin_site.config_files.documents import ConfigFileError, Document, read

PXBIN, PROXX, CLAUDE_PROXY, MODEL_PROXY = "pxbin", "proxx", "claude-proxy", "model-proxy"
LLM_PROXY, LITELLM, CLAUDE_CODE_ROUTER = "llm-proxy", "litellm", "claude-code-router"
FORMATS = (PXBIN, PROXX, CLAUDE_PROXY, MODEL_PROXY, LLM_PROXY, LITELLM, CLAUDE_CODE_ROUTER)
AUTO = "auto"
DECLARED = frozenset({PXBIN, "upstreams", "models", "prices", "owners", "pools", "keys", "budgets", "key_defaults", "management_keys"})
"""Names at the top of pxbin's own files with rows; others hold settings. One of them is enough."""
LITELLM_SETTINGS = frozenset({"litellm_settings", "router_settings", "general_settings", "environment_variables"})


def document_of(path: Path) -> Document:
    """The content of a file; of a directory an empty document. Raises :class:`ConfigFileError`."""
    return Document(str(path), None) if path.is_dir() else read(path)


def detect(document: Document) -> str:
    """The format of a document. Raises :class:`ConfigFileError` if it is none of :data:`FORMATS`."""
    content = document.value
    if Path(document.path).is_dir():
        return MODEL_PROXY
    if content is None:
        return PXBIN
    if not isinstance(content, dict):
        raise document.error((), "must contain names and values")
    name = next((name for name, is_one in _SIGNS if is_one(content)), "")
    if not name:
        hint = "; give the directory that holds config/" if "logical_name" in content or "endpoints" in content else ""
        raise document.error((), f"is no configuration of {', '.join(FORMATS)}{hint}. --format names one")
    return name


def holds_settings(document: Document) -> bool:
    """Whether a file of pxbin holds settings, and not rows."""
    return document.value is None or (isinstance(document.value, dict) and not _is_declared(document.value))


def _is_declared(content: dict[str, Any]) -> bool:
    return not DECLARED.isdisjoint(content)


def _items(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = content.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_llm_proxy(content: dict[str, Any]) -> bool:
    return any("frontend_model_name" in item or "backend_base_url" in item for item in _items(content, "models"))


def _is_settings(content: dict[str, Any]) -> bool:
    return bool(content) and any(str(name) in declarations(Config) for name in content)


_SIGNS = (
    (PXBIN, lambda content: PXBIN in content),
    (LITELLM, lambda content: "model_list" in content or not LITELLM_SETTINGS.isdisjoint(content)),
    (CLAUDE_CODE_ROUTER, lambda content: "Providers" in content or ("Router" in content and "providers" not in content)),
    (CLAUDE_CODE_ROUTER, lambda content: any("api_base_url" in item for item in _items(content, "providers"))),
    (MODEL_PROXY, lambda content: isinstance(content.get("setup") or content.get("bundle"), dict)),
    (CLAUDE_PROXY, lambda content: isinstance(content.get("providers"), list) or "ak" in content),
    (LLM_PROXY, _is_llm_proxy),
    (PROXX, lambda content: "upstream_url" in content),
    (PXBIN, _is_declared),
    (PXBIN, _is_settings),
)
"""The formats in the order in which they are tried, each with its sign."""

__all__ = ["AUTO", "FORMATS", "ConfigFileError", "detect", "document_of", "holds_settings"]
