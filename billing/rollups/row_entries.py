"""Rows of the log as the structs that are summed up: with the columns that sums need, in the form of journal lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from billing.log_columns import LogColumns
from billing.models import RequestLog, RequestLogQuerySet
from billing.money import to_pico

NAMES = (
    "timestamp", "api_key_id", "key_prefix", "key_name", "owner", "tags", "dialect", "counted_model", "upstream_id", "upstream_name",
    "status_code", "outcome", "error_type", "attempts", "latency_ms", "overhead_us", "ttft_ms", "input_tokens", "cache_read_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens",
    "input_image_tokens", "output_image_tokens", "server_tool_use", "usage_estimated", "cost", "price_id",
)  # fmt: skip
CHUNK_ROWS = 5000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def read(rows: RequestLogQuerySet) -> Iterator[LogColumns]:
    """The rows of a query, a chunk at a time."""
    for values in rows.order_by().values_list(*NAMES).iterator(chunk_size=CHUNK_ROWS):
        yield _entry(dict(zip(NAMES, values, strict=True)))


def from_row(row: RequestLog) -> LogColumns:
    """A row that is in memory."""
    return _entry({name: getattr(row, name) for name in NAMES})


def _entry(values: dict[str, Any]) -> LogColumns:
    values["timestamp"] = (values["timestamp"] - _EPOCH) // _MICROSECOND
    for name in ("api_key_id", "upstream_id", "price_id"):
        if values[name] is not None:
            values[name] = values[name].hex
    if values["cost"] is not None:
        values["cost"] = to_pico(values["cost"])
    return LogColumns(id="", **values)
