"""The lists of models: that of clients, in pages, and that of upstreams (docs/wire-formats.md, section 16.9)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from proxy.translation.dialects.client_api import ModelInfo
from proxy.translation.dialects.upstream_api import ListedModel, ListedPage
from proxy.translation.errors import ClientMistake

_DEFAULT_PAGE, _LARGEST_PAGE = 50, 1000
_METHODS = ["generateContent", "countTokens"]


def encode_model(model: ModelInfo) -> dict[str, Any]:
    """A ``Model`` resource."""
    limits = {"inputTokenLimit": model.context_window, "outputTokenLimit": model.max_output_tokens}
    return {
        "name": f"models/{model.name}",
        "baseModelId": model.name,
        "version": model.created_at[:10],
        "displayName": model.display_name,
        "description": f"{model.display_name} ({model.provider})",
        **{name: value for name, value in limits.items() if value is not None},
        "supportedGenerationMethods": _METHODS,
    }


def encode_models(models: Sequence[ModelInfo], query: Mapping[str, str]) -> dict[str, Any]:
    """One page; ``pageSize`` and ``pageToken`` of the query. Raises :class:`ClientMistake` for an invalid one."""
    size = query.get("pageSize", query.get("page_size", ""))
    if size and not (size.isascii() and size.isdecimal() and len(size) < 10):
        raise ClientMistake("pageSize: must be a number", param="pageSize")
    count = min(int(size) if size else 0, _LARGEST_PAGE) or _DEFAULT_PAGE
    start = _start(query.get("pageToken", query.get("page_token", "")))
    page = {"models": [encode_model(model) for model in models[start : start + count]]}
    if start + count < len(models):
        page["nextPageToken"] = base64.urlsafe_b64encode(str(start + count).encode()).decode()  # type: ignore[assignment]
    return page


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        raise ClientMistake("pageToken: not a token of this list", param="pageToken") from None


def decode_page(value: Any) -> ListedPage | None:
    """A page of an upstream's list: the models that generate text. ``None`` if it is invalid."""
    models = value.get("models", []) if isinstance(value, dict) else None
    if not isinstance(models, list) or "error" in value:
        return None
    listed = [_listed(model) for model in models if isinstance(model, dict) and _generates(model)]
    token = value.get("nextPageToken")
    return ListedPage(listed, f"pageToken={quote(token, safe='')}" if isinstance(token, str) and token else None)


def _generates(model: dict[str, Any]) -> bool:
    methods = model.get("supportedGenerationMethods")
    return isinstance(model.get("name"), str) and bool(model["name"]) and (not isinstance(methods, list) or "generateContent" in methods)


def _listed(model: dict[str, Any]) -> ListedModel:
    title = model.get("displayName")
    return ListedModel(
        name=model["name"].removeprefix("models/"),
        provider="google",
        display_name=title if isinstance(title, str) and title else None,
        context_window=_tokens(model.get("inputTokenLimit")),
        max_output_tokens=_tokens(model.get("outputTokenLimit")),
    )


def _tokens(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None
