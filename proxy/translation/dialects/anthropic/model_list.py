"""Anthropic's list of models, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.translation.dialects.client_api import ModelInfo
from proxy.translation.errors import ClientMistake

DEFAULT_PAGE, LARGEST_PAGE = 20, 1000


def encode_model(model: ModelInfo) -> dict[str, Any]:
    """A ``ModelInfo``, with the fields beside its own that agents read to know when to compact."""
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.display_name,
        "created_at": model.created_at,
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        "context_window": model.context_window,
        "context_length": model.context_window,
        "limit": {"context": model.context_window},
    }


def encode_models(models: Sequence[ModelInfo], query: Mapping[str, str]) -> dict[str, Any]:
    """One page: ``limit`` models after ``after_id`` or before ``before_id``. Raises ``ClientMistake`` for a bad limit or unlisted id."""
    limit, after, before = _page_size(query), query.get("after_id"), query.get("before_id")
    names = [model.name for model in models]
    first = 0 if after is None else _position(names, after, "after_id") + 1
    end = len(models) if before is None else _position(names, before, "before_id")
    start = first if before is None else max(first, end - limit)
    page = models[start:end][:limit]
    return {
        "data": [encode_model(model) for model in page],
        "has_more": start + limit < end if before is None else start > first,
        "first_id": page[0].name if page else None,
        "last_id": page[-1].name if page else None,
    }


def _position(names: Sequence[str], name: str, parameter: str) -> int:
    if name not in names:  # the first page instead would repeat models, without an end for a client that reads all pages
        raise ClientMistake(f"{parameter}: no such model in the list", param=parameter)
    return names.index(name)


def _page_size(query: Mapping[str, str]) -> int:
    limit = query.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= LARGEST_PAGE):
        raise ClientMistake(f"limit: a whole number from 1 to {LARGEST_PAGE} is expected", param="limit")
    return int(limit)
