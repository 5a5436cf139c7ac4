"""The dialect-independent fields of a model in lists of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from proxy.translation.dialects.client_api import ClientApi, ModelInfo
from upstreams.catalog.snapshot import ModelEntry, ResolvedModel
from upstreams.routing import context_windows


def model_info(model: ModelEntry, name: str, *, resolved: str = "") -> ModelInfo:
    """``name``: the name that the client used: the model's own, an alias, or a name that matched a pattern.

    ``resolved``: the name that it stands for, if it is one of a client's model picker.
    """
    return ModelInfo(
        name=name,
        display_name=model.display_name or name,
        provider=model.provider or "pxbin",
        created=model.created,
        created_at=datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        context_window=context_windows.preferred_window(model, resolved or name),
        max_output_tokens=model.max_output_tokens,
    )


def model_infos(models: Iterable[ResolvedModel], client: ClientApi, headers: Mapping[str, str]) -> list[ModelInfo]:
    """The models under their requested names; for a client with a picker, also under the names that it accepts, after all others."""
    infos = [model_info(resolved.model, resolved.requested) for resolved in models]
    if not client.is_agent(headers):
        return infos
    names = {info.name for info in infos}
    further = [msgspec.structs.replace(info, name=name) for info in infos for name in client.picker_names(info) if name not in names]
    return infos + further
