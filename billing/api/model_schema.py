"""The bodies and answers of ``/api/v1/models``."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema

from accounts.common.api_schema import Body, Id, Moment, Whole
from upstreams import models
from upstreams.api.upstreams import ShownUpstream

HIGHEST_PRICE = 1_000_000
"""In USD for a million tokens: a dollar for one."""
Strategy = Annotated[str, WithJsonSchema({"type": "string", "enum": list(models.Strategy.values)})]


ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ModelFields(Body):
    """What can be set on a model. A field left out stays as it is; prices are USD per million tokens."""

    name: str | None = None
    display_name: str | None = None
    provider: str | None = None
    upstream_id: Id | None = Field(None, description="The upstream of its first route; null switches its routes off.")
    remote_name: str | None = Field(None, description="Its name there; empty: the one that the client gives.")
    aliases: list[str] | None = None
    input_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    output_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    context_window: Whole | None = None
    max_output_tokens: Whole | None = None
    is_active: bool | None = None
    path_prefix: str | None = None
    strategy: Strategy | None = None
    fallbacks: list[str] | None = None
    timeout_seconds: float | None = None
    cooldown_seconds: float | None = None
    hedge_after_ms: Whole | None = None
    allow_anonymous: bool | None = None
    max_tokens_default: Whole | None = None
    max_tokens_cap: Whole | None = None
    temperature: float | None = None
    system_replacements: dict[str, str] | None = None
    system_append: str | None = None
    inject_progress: bool | None = None
    body_defaults: dict[str, Any] | None = None
    body_extensions: dict[str, Any] | None = None
    tool_enforcement: dict[str, Any] | None = None
    repair_tool_history: bool | None = None
    buffer_tool_calls: bool | None = None
    smooth_streaming: bool | None = None
    quirks: dict[str, Any] | None = None


class NewModel(ModelFields):
    """A model to be made."""

    model_config = ConfigDict(json_schema_extra={"required": ["name"]})


class ShownModel(Schema):
    """A model; its first route stands for "the" upstream. An unknown price shows as 0."""

    id: Id
    name: str
    display_name: str | None
    provider: str
    upstream_id: Id | None
    remote_name: str
    aliases: list[str]
    input_cost_per_million: float
    output_cost_per_million: float
    context_window: int | None
    max_output_tokens: int | None
    is_active: bool
    path_prefix: str
    strategy: Strategy
    fallbacks: list[str]
    timeout_seconds: float | None
    cooldown_seconds: float | None
    hedge_after_ms: int | None
    allow_anonymous: bool
    max_tokens_default: int | None
    max_tokens_cap: int | None
    temperature: float | None
    system_replacements: dict[str, str]
    system_append: str
    inject_progress: bool
    body_defaults: dict[str, Any]
    body_extensions: dict[str, Any]
    tool_enforcement: dict[str, Any]
    repair_tool_history: bool
    buffer_tool_calls: bool
    smooth_streaming: bool
    quirks: dict[str, Any]
    created_at: Moment
    updated_at: Moment


class Discover(Body):
    """Which upstream to ask."""

    model_config = ConfigDict(json_schema_extra={"required": ["upstream_id"]})

    upstream_id: Id | None = None


class Offer(Schema):
    """A model that an upstream lists."""

    id: str
    owned_by: str


class Wanted(Schema):
    """A model to import."""

    model_config = ConfigDict(strict=True)

    name: ModelName
    provider: str | None = None


class Import(Body):
    """Models to make, by name or with their provider."""

    model_config = ConfigDict(json_schema_extra={"required": ["upstream_id", "models"]})

    upstream_id: Id | None = None
    models: list[ModelName | Wanted] = []


class Imported(Schema):
    """What an import made."""

    upstream: ShownUpstream
    models_created: int
    models_skipped: int


class Synchronised(Schema):
    """What a look at the price data changed."""

    models_updated: int
    models_not_found: int
    total_models: int
