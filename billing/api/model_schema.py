"""The bodies and responses of ``/api/v1/models``."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema

from accounts.common.api_resource import shows
from accounts.common.api_schema import Clearable, DecimalText, Id, Int32, ModelNames, RequestBody
from billing.pricing.price_book import PriceState
from upstreams import models
from upstreams.api.upstream_schema import ShownUpstream

HIGHEST_PRICE = 1_000_000
"""USD per million tokens, that is one dollar per token."""
StrategyName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(models.Strategy.values)})]
PriceStateName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PriceState)})]
ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ModelFields(RequestBody):
    """What can be set on a model. A field left out stays as it is; prices are USD per million tokens."""

    table = models.Model

    name: str | None = None
    display_name: Clearable[str] = None
    provider: Clearable[str] = None
    upstream_id: Id | None = Field(None, description="The upstream of its first route; null switches its routes off.")
    remote_name: str | None = Field(None, description="The upstream's name of the model; empty: the name that the client gives.")
    aliases: Clearable[ModelNames] = None
    input_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    output_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    context_window: Clearable[Int32] = None
    max_output_tokens: Clearable[Int32] = None
    is_active: bool | None = None
    path_prefix: Clearable[str] = None
    strategy: StrategyName | None = None
    fallbacks: Clearable[ModelNames] = None
    timeout_seconds: Clearable[float] = None
    cooldown_seconds: Clearable[float] = None
    hedge_after_ms: Clearable[Int32] = None
    allow_anonymous: bool | None = None
    capture_payloads: bool | None = None
    max_tokens_default: Clearable[Int32] = None
    max_tokens_cap: Clearable[Int32] = None
    temperature: Clearable[float] = None
    system_replacements: Clearable[dict[str, str]] = None
    system_append: Clearable[str] = None
    inject_progress: bool | None = None
    body_defaults: Clearable[dict[str, Any]] = None
    body_extensions: Clearable[dict[str, Any]] = None
    tool_enforcement: Clearable[dict[str, Any]] = None
    repair_tool_history: bool | None = None
    buffer_tool_calls: bool | None = None
    smooth_streaming: bool | None = None
    quirks: Clearable[dict[str, Any]] = None


class NewModel(ModelFields):
    """A model to create."""

    needs = ("name",)


@shows(ModelFields, models.Model)
class ShownModel(Schema):
    """A model; its first route stands for "the" upstream. An unknown price is null in `…_usd`, and 0 in the number beside it."""

    upstream_id: Id | None
    remote_name: str
    price_state: PriceStateName = Field(description="Of the first route: `free` has a price of 0, `unpriced` none.")
    input_cost_per_million: float
    input_cost_per_million_usd: DecimalText | None = Field(description="Exact; null if it is unknown.")
    output_cost_per_million: float
    output_cost_per_million_usd: DecimalText | None = Field(description="Exact; null if it is unknown.")


class Discover(RequestBody):
    """The upstream whose models to list."""

    needs = ("upstream_id",)

    upstream_id: Id | None = None


class ImportCandidate(Schema):
    """A model that an upstream lists."""

    id: str
    owned_by: str


class ModelToImport(Schema):
    """A model to import."""

    model_config = ConfigDict(strict=True)

    name: ModelName
    provider: str | None = None


class Import(RequestBody):
    """Models to create, by name or with their provider."""

    needs = ("upstream_id", "models")

    upstream_id: Id | None = None
    models: list[ModelName | ModelToImport] = []


class Imported(Schema):
    """Result of an import."""

    upstream: ShownUpstream
    models_created: int
    models_skipped: int


class Synchronised(Schema):
    """Result of a synchronisation with the price data."""

    models_updated: int
    models_not_found: int
    total_models: int
