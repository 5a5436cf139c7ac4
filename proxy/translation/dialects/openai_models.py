"""Lists of models of the OpenAI dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.translation.dialects.client_api import ModelInfo


def encode_model(model: ModelInfo) -> dict[str, Any]:
    """A ``model`` object, with additional fields from which agents learn the context window."""
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.provider,
        "display_name": model.display_name,
        "context_window": model.context_window,
        "context_length": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "limit": {"context": model.context_window},
    }


def encode_models(models: Sequence[ModelInfo], query: Mapping[str, str]) -> dict[str, Any]:  # noqa: ARG001  (the list has no pages)
    """All models in one ``list`` object."""
    return {"object": "list", "data": [encode_model(model) for model in models]}
