"""Schemas of what `/api/v1/stats` returns."""

from __future__ import annotations

from ninja import Field, Schema

from accounts.common.api_schema import DecimalText, Id, Moment


class Percentiles(Schema):
    """Percentiles of a group of requests, where there are any."""

    p50_latency_ms: int | None = None
    p95_latency_ms: int | None = None
    p99_latency_ms: int | None = None
    p50_overhead_us: int | None = None
    p95_overhead_us: int | None = None
    p99_overhead_us: int | None = None
    p50_ttft_ms: int | None = None
    p95_ttft_ms: int | None = None
    p99_ttft_ms: int | None = None


class TotalsItem(Schema):
    """Sums of requests. Input tokens are without those of caches; rates are from 0 to 1; costs leave out unpriced requests."""

    total_requests: int
    total_input_tokens: int
    total_output_tokens: int
    total_cache_read_tokens: int
    total_cache_creation_tokens: int
    total_cache_write_5m_tokens: int
    total_cache_write_1h_tokens: int
    total_reasoning_tokens: int
    cache_hit_rate: float = Field(description="Tokens read from a cache, as a share of those read and fresh.")
    cache_savings: float
    cache_savings_usd: DecimalText
    total_cost: float
    total_cost_usd: DecimalText
    avg_latency_ms: int
    avg_overhead_us: int
    avg_ttft_ms: int
    error_count: int = Field(description="Requests with a status of 400 or more.")
    error_rate: float
    failed_count: int
    cancelled_count: int
    rejected_count: int
    priced_count: int
    free_count: int
    unpriced_count: int
    estimated_count: int


class Overview(TotalsItem):
    """Totals of a time, and of the time before."""

    previous: TotalsItem


class GroupItem(TotalsItem, Percentiles):
    """Totals of one value of a dimension, which the fields of this dimension name."""

    key_id: Id | None = None
    key_prefix: str | None = None
    key_name: str | None = None
    model: str | None = None
    upstream_id: Id | None = None
    upstream_name: str | None = None
    owner: str | None = None
    dialect: str | None = None
    status_code: int | None = None
    outcome: str | None = None
    error_type: str | None = None
    tag: str | None = None
    value: str | None = None
    session_id: str | None = None
    first_request: Moment | None = None
    last_request: Moment | None = None
    models: int | None = Field(None, description="The number of models in a session.")


class Bucket(Percentiles):
    """Totals of one bucket; `bucket` is its start."""

    bucket: Moment
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    cost: float
    cost_usd: DecimalText
    avg_latency_ms: int
    avg_overhead_us: int
    errors: int
    unpriced: int


class LatencyItem(Schema):
    """Percentiles, as SQL's `percentile_cont` computes them, rounded; 0 if there are no requests."""

    p50: int
    p95: int
    p99: int
    overhead_p50_us: int
    overhead_p95_us: int
    overhead_p99_us: int
    ttft_p50_ms: int
    ttft_p95_ms: int
    ttft_p99_ms: int


class Forecast(Schema):
    """USD."""

    month_to_date: float
    month_to_date_usd: DecimalText
    per_day: float
    per_day_usd: DecimalText
    month: float
    month_usd: DecimalText
