"""The models that a key may use, in the shapes of both vendors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from upstreams.catalog.snapshot import ModelEntry
from upstreams.routing import context_windows


def openai_model(model: ModelEntry, name: str) -> dict[str, Any]:
    """OpenAI's ``model`` object, with the fields that agents read to know when to compact."""
    window = context_windows.preferred_window(model, name)
    return {
        "id": name,
        "object": "model",
        "created": model.created,
        "owned_by": model.provider or "pxbin",
        "display_name": model.display_name or name,
        "context_window": window,
        "context_length": window,
        "max_output_tokens": model.max_output_tokens,
        "limit": {"context": window},
    }


def anthropic_model(model: ModelEntry, name: str) -> dict[str, Any]:
    """Anthropic's ``ModelInfo``, with the same context window fields beside its own."""
    window = context_windows.preferred_window(model, name)
    return {
        "type": "model",
        "id": name,
        "display_name": model.display_name or name,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": window,
        "max_tokens": model.max_output_tokens,
        "context_window": window,
        "context_length": window,
        "limit": {"context": window},
    }


def openai_list(models: list[ModelEntry]) -> dict[str, Any]:
    """OpenAI's list; it has no pages."""
    return {"object": "list", "data": [openai_model(model, model.name) for model in models]}


def anthropic_list(models: list[ModelEntry], *, limit: int, after: str | None, before: str | None) -> dict[str, Any]:
    """One page of Anthropic's list: ``limit`` models behind ``after`` or before ``before`` (ids of the list)."""
    names = [model.name for model in models]
    start, end = 0, len(models)
    if after in names:
        start = names.index(str(after)) + 1
    if before in names:
        end = names.index(str(before))
        start = max(start, end - limit)
    page = models[start:end][:limit]
    return {
        "data": [anthropic_model(model, model.name) for model in page],
        "has_more": (start > 0) if before in names else start + limit < end,
        "first_id": page[0].name if page else None,
        "last_id": page[-1].name if page else None,
    }
