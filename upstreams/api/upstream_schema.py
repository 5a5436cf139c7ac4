"""The bodies and responses of ``/api/v1/upstreams``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from ninja import Field, Schema
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from accounts.common.api_resource import shows
from accounts.common.api_schema import Clearable, Id, IdOrEmpty, Int32, Moment, RequestBody, decimal_schema
from proxy.translation.dialects.lookup import FORMATS
from upstreams.models import Upstream
from upstreams.presets import PRESETS
from upstreams.routing.circuit_breaker import BreakerState
from upstreams.validators import CAPABILITIES, ONE_LINE, header_value

FORMAT_BY_DIALECT = {dialect: name for name, dialect in FORMATS.items()}
"""The API's ``format`` by dialect; bodies may also give the dialect's own name."""


def _one_line(text: str) -> str:
    try:
        header_value(text.strip())
    except ValidationError as problem:
        raise PydanticCustomError("one_line", "{message}", {"message": problem.message}) from None
    return text


def _factor(text: str) -> str:
    if not FACTOR.fullmatch(text):
        raise PydanticCustomError("factor", "must be a decimal number of at least 0 with at most 6 places, as a string")
    return text


FACTOR = re.compile(r"\d{1,6}(\.\d{1,6})?")
Secret = Annotated[str, AfterValidator(_one_line), WithJsonSchema({"type": "string", "pattern": f"^{ONE_LINE.pattern}$"})]
"""An upstream's key in a body: one line, so that a header can carry it."""
PriceFactor = Annotated[str, AfterValidator(_factor), decimal_schema(FACTOR)]
BaseUrl = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(https?://[A-Za-z0-9]+([.-][A-Za-z0-9]+)*(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]+)*/?|echo://(openai|anthropic))$",
        }
    ),
]
Format = Annotated[str, WithJsonSchema({"type": "string", "enum": list(FORMATS)})]
Capabilities = Annotated[
    dict[str, bool],
    WithJsonSchema(
        {"type": "object", "properties": {name: {"type": "boolean"} for name in sorted(CAPABILITIES)}, "additionalProperties": False}
    ),
]
"""Switches of what a model takes; names that are left out are on."""
PresetName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PRESETS)})]


class UpstreamFields(RequestBody):
    """What can be set on an upstream. A field left out stays as it is."""

    table = Upstream

    name: str | None = None
    preset: PresetName | None = Field(None, description="Fills in the fields that are not given; GET /presets lists them.")
    base_url: BaseUrl | None = None
    endpoint: BaseUrl | None = Field(None, description="Alias of base_url.")
    api_key: Secret | None = Field(None, description="Becomes or replaces the first credential; never shown again.")
    access_key_id: str | None = Field(None, description="Of AWS credentials; api_key is then the secret access key.")
    session_token: Secret | None = Field(None, description="Of temporary AWS credentials, beside api_key; never shown again.")
    format: Format | None = None
    region: Clearable[str] = None
    priority: Int32 | None = Field(None, description="A lower number is preferred.")
    is_active: bool | None = None
    auth_header: Clearable[str] = None
    auth_scheme: Clearable[str] = None
    extra_headers: Clearable[dict[str, str]] = None
    connect_timeout_seconds: float | None = None
    first_byte_timeout_seconds: float | None = None
    idle_timeout_seconds: float | None = None
    max_retries: Annotated[int, Field(le=2**15 - 1)] | None = None
    retry_base_delay_ms: Int32 | None = None
    cooldown_seconds: float | None = None
    pass_client_credentials: bool | None = None
    proxy: Clearable[str] = Field(None, description="HTTP proxy of this upstream; none: no proxy; empty: the one of the settings.")
    ca_file: Clearable[str] = Field(None, description="PEM file of certificate authorities, on the gateway's machines.")
    client_certificate_file: Clearable[str] = Field(None, description="PEM file of a certificate with its key, on the gateway's machines.")
    http2: bool | None = Field(None, description="Whether the upstream speaks only HTTP/2.")
    test_model: Clearable[str] = None
    price_factor: PriceFactor | None = Field(None, description="Every cost at this upstream is its price times this factor.")
    quirks: Clearable[dict[str, Any]] = None
    capabilities: Clearable[Capabilities] = None


class NewUpstream(UpstreamFields):
    """An upstream to create; most presets have a base URL."""

    needs = ("name",)
    alternatives = (("base_url",), ("endpoint",), ("preset",))


@shows(UpstreamFields, Upstream)
class ShownUpstream(Schema):
    """An upstream; secrets are never shown."""

    preset: str = Field(description="The preset that it was made from; empty if it was made from none.")
    base_url: str
    format: Format
    circuit_breaker: BreakerState = Field(description="In the process that answers; with Redis, all processes share it.")
    resting_until: Moment | None = Field(description="Until when its circuit breaker, or a cooldown of the whole upstream, puts it last.")
    tested_at: Moment | None = Field(description="When a health check last called it.")
    test_error: str = Field(description="Error of the last health check; empty if it passed or none was made.")


class Discovered(Schema):
    """Models that discovery created, routes whose names the upstream no longer lists, and routes whose names it lists again."""

    created: int
    vanished: int
    returned: int


class HealthCheck(RequestBody):
    """Either a stored upstream, or the base URL and key of one that is not stored."""

    alternatives = (("upstream_id",), ("base_url", "api_key"))

    upstream_id: IdOrEmpty | None = None
    base_url: BaseUrl | None = None
    api_key: Secret | None = None
    format: Format | None = None
    test_model: str | None = Field(None, description="The model that is asked for one token.")


class CredentialHealth(Schema):
    """Result of a health check with one credential. `status`: the HTTP status that refused it."""

    id: Id
    name: str
    healthy: bool
    error: str | None
    status: int | None


class Health(Schema):
    """Result of a health check: that of the preferred credential that works, or of the first one if none works."""

    healthy: bool
    models_found: int
    tested_model: str
    latency_ms: int
    error: str | None
    keys: list[CredentialHealth] = Field(description="One result for each active credential of a stored upstream.")
