"""Reports as JSON objects and CSV lines: the one form for the API, the admin's export and `manage.py usage`. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from accounts.common.api_envelope import timestamp
from billing.reports.breakdowns import Group, Session
from billing.reports.latency import Latency
from billing.reports.totals import Totals

Item = dict[str, Any]


def money(name: str, amount: Any) -> Item:
    """An amount as a JSON number, and exactly as a string."""
    return {name: float(amount), f"{name}_usd": f"{amount:f}"}


def totals_item(totals: Totals) -> Item:
    """Totals in the names of `/api/v1/stats`."""
    return {
        "total_requests": totals.requests,
        "total_input_tokens": totals.input_tokens,
        "total_output_tokens": totals.output_tokens,
        "total_cache_read_tokens": totals.cache_read_tokens,
        "total_cache_creation_tokens": totals.cache_write_tokens,
        "total_cache_write_5m_tokens": totals.cache_write_5m_tokens,
        "total_cache_write_1h_tokens": totals.cache_write_1h_tokens,
        "total_reasoning_tokens": totals.reasoning_tokens,
        "cache_hit_rate": totals.cache_hit_rate,
        **money("cache_savings", totals.saved),
        **money("total_cost", totals.cost),
        "avg_latency_ms": totals.avg_latency_ms,
        "avg_overhead_us": totals.avg_overhead_us,
        "avg_ttft_ms": totals.avg_ttft_ms,
        "error_count": totals.errors,
        "error_rate": totals.error_rate,
        "failed_count": totals.failed,
        "cancelled_count": totals.cancelled,
        "rejected_count": totals.rejected,
        "priced_count": totals.priced,
        "free_count": totals.free,
        "unpriced_count": totals.unpriced,
        "estimated_count": totals.estimated,
    }


def group_item(dimension: str, group: Group, latency: Latency | None = None) -> Item:
    """One value of a dimension. The fields that name it begin with the dimension's name."""
    named: Mapping[str, Item] = {
        "key": {"key_id": group.value, "key_prefix": group.prefix, "key_name": group.name},
        "upstream": {"upstream_id": group.value, "upstream_name": group.name},
        "status": {"status_code": group.value},
        "error": {"error_type": group.value},
    }
    return {**named.get(dimension, {dimension: group.value}), **totals_item(group.totals), **(latency_item(latency) if latency else {})}


def session_item(session: Session) -> Item:
    """One session."""
    return {
        "session_id": session.session_id,
        "first_request": timestamp(session.first),
        "last_request": timestamp(session.last),
        "models": session.models,
        **totals_item(session.totals),
    }


def bucket_item(start: int, totals: Totals, latency: Latency | None = None) -> Item:
    """One bucket of a time series."""
    return {
        "bucket": timestamp(datetime.fromtimestamp(start, UTC)),
        "requests": totals.requests,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cache_read_tokens": totals.cache_read_tokens,
        "cache_creation_tokens": totals.cache_write_tokens,
        **money("cost", totals.cost),
        "avg_latency_ms": totals.avg_latency_ms,
        "avg_overhead_us": totals.avg_overhead_us,
        "errors": totals.errors,
        "unpriced": totals.unpriced,
        **(latency_item(latency) if latency else {}),
    }


def latency_item(latency: Latency) -> Item:
    """Percentiles in the names of a time series."""
    return {
        f"{name}_{quantity}": getattr(percentiles, name)
        for quantity, percentiles in (
            ("latency_ms", latency.latency_ms),
            ("overhead_us", latency.overhead_us),
            ("ttft_ms", latency.ttft_ms),
        )
        for name in ("p50", "p95", "p99")
    }


def as_csv(items: Sequence[Item]) -> str:
    """Items of the same fields as CSV with a header; amounts of money only exactly. A text that a spreadsheet would run is quoted."""
    exact = {name.removesuffix("_usd") for name in (items[0] if items else ()) if name.endswith("_usd")}
    columns = [name for name in (items[0] if items else ()) if name not in exact]
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(item.get(name)) for name in columns] for item in items)
    return output.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value) else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
