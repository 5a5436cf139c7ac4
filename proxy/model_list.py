"""The dialect-independent fields of a model in lists of models."""

from __future__ import annotations

from datetime import UTC, datetime

from proxy.translation.dialects.client_api import ModelInfo
from upstreams.catalog.snapshot import ModelEntry
from upstreams.routing import context_windows


def model_info(model: ModelEntry, name: str) -> ModelInfo:
    """``name``: the name that the client used: the model's own, an alias, or a name that matched a pattern."""
    return ModelInfo(
        name=name,
        display_name=model.display_name or name,
        provider=model.provider or "pxbin",
        created=model.created,
        created_at=datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        context_window=context_windows.preferred_window(model, name),
        max_output_tokens=model.max_output_tokens,
    )
