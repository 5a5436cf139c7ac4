"""The envelope of a Messages request: its top-level fields, their types, and the fields that only some targets accept.

Source of the fields: docs/wire-formats.md, section 1.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Demand
from proxy.translation.dialects.anthropic.wire import ABSENT, OBJECT, is_present, read_heads
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_object
from proxy.translation.json_wire import Envelope


class Settings(msgspec.Struct):
    """The scalar fields of a body. ``None``: absent or ``null``."""

    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    service_tier: str | None = None


class _Object(msgspec.Struct):
    """Any JSON object; its fields are not decoded."""


_SETTINGS = {field.name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(Settings)}
_OBJECT = msgspec.json.Decoder(_Object)
_SHAPES: Mapping[str, msgspec.json.Decoder[Any]] = {
    "system": msgspec.json.Decoder(str | list[_Object]),
    "tools": msgspec.json.Decoder(list[_Object]),
    "thinking": _OBJECT,
    "tool_choice": _OBJECT,
    "metadata": _OBJECT,
    "output_config": _OBJECT,
    "output_format": _OBJECT,
}

FAMILY_FIELDS = frozenset(
    {
        "billing_policy", "cache_control", "compaction", "container", "context_management", "diagnostics", "fallback_credit_token",
        "fallbacks", "inference_geo", "mcp_servers", "speed", "thread", "user_profile_id",
    }
)  # fmt: skip
"""Fields that only this family knows. They become ``Request.extra``."""

NESTED_FIELDS = {"output_config": ("task_budget",), "thinking": ("block_binding",)}
"""Settings inside mapped fields that only this family knows; they become ``Request.extra`` with the name ``field.setting``."""

_DEMANDS = (
    Demand(
        field="thread",
        message="thread: threads are not available for this model; send the whole conversation",
        carried_by=("anthropic",),
        details={"error_code": "thread_unsupported_request"},
    ),
    Demand(field="mcp_servers", message="mcp_servers: not available at this model's upstream", carried_by=("anthropic",)),
    Demand(field="container", message="container: not available at this model's upstream", carried_by=("anthropic",)),
    Demand(field="fallbacks", message="fallbacks: not available at this model's upstream", carried_by=("anthropic",)),
    Demand(
        field="inference_geo",
        message="inference_geo: this model's upstream does not guarantee where the request is processed",
        carried_by=("anthropic",),
    ),
    Demand(field="compaction", message="compaction: not available at this model's upstream", carried_by=("anthropic", "bedrock")),
)
_DEMANDED_FIELDS = frozenset(demand.field for demand in _DEMANDS)
_CACHE_WARMING = Demand(
    field="max_tokens",
    message="max_tokens: 0 (only warm the cache) is not available at this model's upstream",
    carried_by=("anthropic", "bedrock"),
)


def open_request(body: bytes) -> Envelope:
    """Raises :class:`ClientMistake` with the path of a field of the wrong type."""
    fields = open_object(body)
    settings = check_fields(fields)
    if not settings.model:
        raise ClientMistake("model: Field required", param="model")
    return Envelope(fields, settings.model, bool(settings.stream))


def check_fields(fields: Mapping[str, Raw]) -> Settings:
    """Check the types of all main fields and the roles of all messages, and return the scalar fields.

    Raises :class:`ClientMistake` with the path of the first invalid field.
    """
    settings = decode_settings(fields)
    for name, raw in fields.items():
        if name in _SHAPES and is_present(raw):
            json_wire.decode(raw, _SHAPES[name], at=name)
    read_heads(messages_field(fields))
    return settings


def decode_settings(fields: Mapping[str, Raw]) -> Settings:
    """The scalar fields. Raises :class:`ClientMistake` for a wrong type and for a negative ``max_tokens``."""
    values = {name: json_wire.decode(fields[name], decoder, at=name) for name, decoder in _SETTINGS.items() if name in fields}
    settings = Settings(**values)
    if settings.max_tokens is not None and settings.max_tokens < 0:
        raise ClientMistake("max_tokens: must not be negative", param="max_tokens")
    return settings


def messages_field(fields: Mapping[str, Raw]) -> Raw:
    """Raises :class:`ClientMistake` if the field is absent."""
    if "messages" not in fields:
        raise ClientMistake("messages: Field required", param="messages")
    return fields["messages"]


def nested_settings(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The values of :data:`NESTED_FIELDS` in a body, by ``field.setting``."""
    if fields.keys().isdisjoint(NESTED_FIELDS):
        return {}
    return {
        f"{field}.{name}": raw
        for field, names in NESTED_FIELDS.items()
        if is_present(fields.get(field, ABSENT))
        for name, raw in json_wire.decode(fields[field], OBJECT, at=field).items()
        if name in names and is_present(raw)
    }


def find_demands(fields: Mapping[str, Raw], settings: Settings) -> tuple[Demand, ...]:
    """A demand for each field that changes the response and that only some targets accept."""
    demands: tuple[Demand, ...] = ()
    if not fields.keys().isdisjoint(_DEMANDED_FIELDS):
        demands = tuple(demand for demand in _DEMANDS if bytes(fields.get(demand.field, ABSENT)) not in (b"", b"null", b"[]"))
    return (*demands, _CACHE_WARMING) if settings.max_tokens == 0 else demands
