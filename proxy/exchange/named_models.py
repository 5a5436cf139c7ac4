"""Models that a request names beside ``model``: those to which a provider may switch by itself, and those of its tools.

OpenRouter reads ``models``, Anthropic and LiteLLM ``fallbacks``; LiteLLM also has lists for particular errors. Tools that run at the
provider may have a model of their own (Anthropic's advisor, OpenAI's image generation), and so may OpenRouter's plugins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake

FIELDS = ("models", "fallbacks", "default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
TOOL_FIELDS = ("tools", "plugins")
MAX_MODELS = 100
"""The most models that one field may name."""
_MAX_BYTES = 65_536


class _Tool(msgspec.Struct):
    """The model of a tool or a plugin; those without one are most."""

    model: Any = None


_TOOLS = msgspec.json.Decoder(list[_Tool] | None)


def named_models(fields: Mapping[str, msgspec.Raw]) -> list[tuple[str, str]]:
    """The path and the name of each; raises :class:`ClientMistake` for a field whose names cannot be read."""
    models: list[tuple[str, str]] = []
    for field in FIELDS:
        raw = bytes(fields.get(field, b"null"))
        if len(raw) > _MAX_BYTES:
            raise ClientMistake(f"{field}: the field has more than {_MAX_BYTES} bytes", param=field)
        names = list(_names(json_wire.decode_value(raw, at=field), field))
        if len(names) > MAX_MODELS:
            raise ClientMistake(f"{field}: the field names more than {MAX_MODELS} models", param=field)
        models += names
    for field in TOOL_FIELDS:
        if field in fields:
            tools = json_wire.decode(fields[field], _TOOLS, at=field) or ()
            models += [name for place, tool in enumerate(tools) for name in _names(tool.model, f"{field}.{place}.model")]
    return models


def _names(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """A text is a name; an object names its ``model`` and what its lists name, or without a ``model`` each key and value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            yield from _names(entry, f"{path}.{position}")
    elif isinstance(value, dict):
        aliases = [entry for name, entry in value.items() if name.strip().casefold() == "model"]
        if aliases:
            yield from _names(aliases, f"{path}.model")
            # Beside its ``model`` an object may have settings; lists among them may be the fallbacks of a group.
            value = {name: entry for name, entry in value.items() if isinstance(entry, list)}
        for name, entry in value.items():
            yield f"{path}.{name}", name
            yield from _names(entry, f"{path}.{name}")
