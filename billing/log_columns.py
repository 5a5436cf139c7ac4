"""The columns of the request log: the one place that lists them. Pure.

**A new column is a field here and a migration** (`manage.py makemigrations billing`). Everything else is derived: the fields of the
models (`billing.models`), the keys of journal lines and the copy from the meter (`request_log.entry`), the rows of the bulk insert
(`request_log.bulk_insert`) and the items of `/api/v1/logs` (`api.log_items`). `columns` describes the annotations.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from billing.columns import HIDDEN, PicoDollars, Timestamp, Uuid, column, columns_of
from billing.outcomes import OUTCOME_LABELS, Outcome
from proxy.translation.dialects.registry import DEFAULT

MAX_ERROR_TYPE = 64
MAX_SERVICE_TIER = 32
MAX_REASON = 500


class CostSource(StrEnum):
    """What a cost was taken from."""

    UNPRICED = ""
    PRICE = "price"
    REPORTED = "reported_cost"


COST_SOURCE_LABELS: Final[Mapping[CostSource, str]] = {
    CostSource.UNPRICED: "Unpriced",
    CostSource.PRICE: "A price",
    CostSource.REPORTED: "The upstream's report",
}
"""Each source with its name for people."""


class LogColumns(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The columns of `RequestLog`, in the order of the API. The names are also the keys of journal lines: renaming one needs `rename`.

    (`created_at`, when the row was written, is the only column that an entry does not have.)
    """

    id: Uuid
    request_id: Annotated[
        str,
        column("The x-request-id that the client sent or got.", max_length=128, from_client=True, required=True),
    ] = ""
    response_id: Annotated[
        str, column("The id of the response, as the client got it (`msg_…`, `chatcmpl-…`, `resp_…`).", max_length=200, from_client=True)
    ] = ""
    timestamp: Annotated[Timestamp, column("When the request began.")]
    method: Annotated[str, column(max_length=16, from_client=True, required=True)] = "POST"
    path: Annotated[str, column(max_length=500, from_client=True, required=True)] = ""
    dialect: Annotated[str, column("The dialect of the client.", max_length=32)] = ""
    input_format: Annotated[str, column("`anthropic` or `openai`: the group of the client's dialect.", max_length=16, required=True)] = (
        DEFAULT.input_format
    )
    upstream_dialect: Annotated[str, column("The dialect of the upstream that was called last.", max_length=32)] = ""
    stream: Annotated[bool, column("Whether the client asked for a stream.")] = False
    api_key_id: Annotated[Uuid | None, column("The client key.", api=("llm_key_id",))] = None
    key_prefix: Annotated[str, column("The first characters of the client key.", max_length=8)] = ""
    key_name: Annotated[str, column(max_length=200)] = ""
    owner: Annotated[str, column("The user or team to whom the client key belonged.", max_length=200)] = ""
    session_id: Annotated[str, column("The session that the client named.", max_length=200, from_client=True)] = ""
    trace_id: Annotated[str, column("The trace that the client named.", max_length=200, from_client=True)] = ""
    tags: Annotated[dict[str, str] | None, column("The values of the declared tags, by key.")] = None
    client_ip: Annotated[str, column(label="client address", max_length=45, from_client=True, api=HIDDEN)] = ""
    user_agent: Annotated[str, column(max_length=200, from_client=True, api=HIDDEN)] = ""
    model: Annotated[str, column("The model name that the client sent.", max_length=200, from_client=True)] = ""
    counted_model: Annotated[
        str, column("The name under which sums count the request: the model name, its pattern, or `(unknown)`.", max_length=200, api=HIDDEN)
    ] = ""
    remote_model: Annotated[str, column("The model name that was sent to the upstream.", max_length=500, from_client=True)] = ""
    upstream_id: Annotated[Uuid | None, column("The upstream that was called last.")] = None
    upstream_name: Annotated[str, column(max_length=200)] = ""
    status_code: Annotated[
        int, column("The HTTP status that the client got; 499 if it left before one.", label="status", required=True)
    ] = 200
    upstream_status: Annotated[int | None, column("The HTTP status of the upstream that was called last.")] = None
    outcome: Annotated[Outcome, column(max_length=16, labels=OUTCOME_LABELS, required=True)] = Outcome.FINISHED
    error_type: Annotated[str, column("The kind of the failure; empty if there was none.", max_length=MAX_ERROR_TYPE)] = ""
    error_message: str = ""
    reason: Annotated[str, column("Why the request was refused, where the client was told less.", max_length=MAX_REASON)] = ""
    attempts: Annotated[int, column("The number of calls of upstreams.")] = 0
    latency_ms: Annotated[
        int,
        column("Milliseconds from the end of the body to the last byte of the response.", label="latency (ms)", required=True),
    ] = 0
    overhead_us: Annotated[
        int,
        column("Microseconds from the end of the body to the first call of an upstream.", label="overhead (µs)", required=True),
    ] = 0
    ttft_ms: Annotated[
        int | None,
        column("Milliseconds from the end of the body to the first content of the response.", label="time to first token (ms)"),
    ] = None
    input_tokens: Annotated[int, column("Input tokens that were neither read from nor written to a cache.")] = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: Annotated[int, column("Input tokens written to a cache for 5 minutes.")] = 0
    cache_write_1h_tokens: Annotated[int, column("Input tokens written to a cache for 1 hour.")] = 0
    output_tokens: Annotated[int, column("Output tokens, including reasoning.")] = 0
    reasoning_tokens: Annotated[int, column("Reasoning tokens, which are part of the output tokens.")] = 0
    input_audio_tokens: Annotated[int, column("Audio tokens, which are part of the input tokens.")] = 0
    output_audio_tokens: Annotated[int, column("Audio tokens, which are part of the output tokens.")] = 0
    input_image_tokens: Annotated[int, column("Image tokens, which are part of the input tokens.")] = 0
    output_image_tokens: Annotated[int, column("Image tokens, which are part of the output tokens.")] = 0
    server_tool_use: Annotated[
        dict[str, int] | None, column("Calls of tools that ran at the provider, by the names of its counters (`web_search_requests`).")
    ] = None
    usage_parts: Annotated[
        list[dict[str, Any]] | None,
        column("Tokens that the upstream reported besides its totals, by kind and model; the token fields include them."),
    ] = None
    usage_estimated: Annotated[bool, column("Whether the upstream reported no usage and pxbin estimated it.")] = False
    service_tier: Annotated[str, column("The service tier that the upstream reported.", max_length=MAX_SERVICE_TIER)] = ""
    speed: Annotated[str, column("The speed that the upstream reported (`fast`).", max_length=MAX_SERVICE_TIER)] = ""
    inference_geo: Annotated[
        str, column("The inference geography that the upstream reported.", label="inference geography", max_length=MAX_SERVICE_TIER)
    ] = ""
    cost: Annotated[PicoDollars | None, column("USD.", api=("cost", "cost_usd"))] = None
    cost_source: Annotated[
        CostSource, column("What the cost was taken from; empty if it is unknown.", max_length=16, labels=COST_SOURCE_LABELS)
    ] = CostSource.UNPRICED
    reported_cost: Annotated[PicoDollars | None, column("USD that the upstream reported; null if it reported none.")] = None
    price_id: Annotated[Uuid | None, column("The price that the cost was computed with.")] = None
    price_version: Annotated[str, column("The version of the price data that the cost was computed with.", max_length=64)] = ""
    over_budget: Annotated[bool, column("Whether a soft budget had no room for the request.")] = False
    request_metadata: Annotated[dict[str, Any] | None, column("What translation dropped or changed.")] = None
    routing: Annotated[
        list[Any] | dict[str, Any] | None,
        column("The first choice, and the targets that were skipped, with reasons."),
    ] = None


class AttemptColumns(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The columns of `RequestAttempt`.

    (The table also has `id`, `log_id` and `number`, which follow from the attempt's place in the list `tries` of its entry.)
    """

    timestamp: Annotated[Timestamp, column("When the upstream was called.")]
    upstream_id: Uuid | None = None
    upstream_name: Annotated[str, column(max_length=200)] = ""
    credential_id: Uuid | None = None
    credential_name: Annotated[str, column(max_length=200)] = ""
    route_id: Uuid | None = None
    remote_model: Annotated[str, column("The model name that was sent to the upstream.", max_length=500)] = ""
    status_code: Annotated[int | None, column("The HTTP status of the upstream; null if it sent none.")] = None
    outcome: Annotated[Outcome, column(max_length=16, labels=OUTCOME_LABELS, required=True)] = Outcome.FINISHED
    error_type: Annotated[str, column(max_length=MAX_ERROR_TYPE)] = ""
    error_message: str = ""
    latency_ms: Annotated[int, column(label="latency (ms)", required=True)] = 0
    ttft_ms: Annotated[
        int | None, column("Milliseconds from the call to the first content of the response.", label="time to first token (ms)")
    ] = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    usage_details: Annotated[
        dict[str, Any] | None, column("What else the usage of this attempt says, where a request has several attempts.")
    ] = None
    cost: Annotated[PicoDollars | None, column("USD; null if the price is unknown.", api=("cost_usd",))] = None
    price_id: Annotated[Uuid | None, column(api=HIDDEN)] = None


LOG_COLUMNS = columns_of(LogColumns)
ATTEMPT_COLUMNS = columns_of(AttemptColumns)
