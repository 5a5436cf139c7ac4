"""A usage as columns of the log, and back: of a request's row, and as JSON of an attempt. Pure.

The token columns include the parts of a usage; `usage_parts` holds them singly, so that each can be priced by its own model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypedDict

import msgspec

from billing.columns import compile_function
from billing.log_columns import MAX_SERVICE_TIER
from billing.money import from_pico, to_pico
from billing.request_log.bounds import bound_count, clean_text
from proxy.translation.usage import COUNTS, Usage, UsagePart, add_usages

MAIN: Mapping[str, str] = {
    "input_tokens": "fresh",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
}
"""The fields of :class:`Usage` in the token columns that rows of requests and of attempts have."""
MODALITIES: Mapping[str, str] = {
    "input_audio_tokens": "input_audio",
    "output_audio_tokens": "output_audio",
    "input_image_tokens": "input_image",
    "output_image_tokens": "output_image",
}
"""The same of the columns that only rows of requests have."""
ALL = {**MAIN, **MODALITIES}


class TokenCounts(TypedDict):
    """The columns of :data:`MAIN` with their values."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int


class UsageRow(Protocol):
    """What has the columns of a usage: an entry of the journal or a row of the log. `cost` amounts differ and are not read."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    input_image_tokens: int
    output_image_tokens: int
    server_tool_use: dict[str, int] | None
    usage_parts: list[dict[str, Any]] | None
    service_tier: str
    speed: str
    inference_geo: str


def token_counts(usage: Usage) -> TokenCounts:
    """The token columns of an entry or an attempt, with the parts."""
    return _token_counts(usage.with_parts())


_token_counts: Callable[[Usage], TokenCounts] = compile_function(
    "tokens",
    f"{{{', '.join(f'{column!r}: bound_count(tokens.{name})' for column, name in MAIN.items())}}}",
    bound_count=bound_count,
)


def set_usage(row: UsageRow, usage: Usage) -> None:
    """Set the columns of a usage on an entry; those of the rarer counts only where there are any."""
    tokens = usage.with_parts()
    for column, count in token_counts(tokens).items():
        setattr(row, column, count)
    if tokens.input_audio or tokens.output_audio or tokens.input_image or tokens.output_image:
        for column, name in MODALITIES.items():
            setattr(row, column, bound_count(getattr(tokens, name)))
    if usage.server_tools:
        row.server_tool_use = {name: bound_count(count) for name, count in usage.server_tools.items()}
    if usage.parts:
        row.usage_parts = [_part_as_json(part) for part in usage.parts]
    if usage.service_tier:
        row.service_tier = _name(usage.service_tier)
    if usage.speed:
        row.speed = _name(usage.speed)
    if usage.inference_geo:
        row.inference_geo = _name(usage.inference_geo)


def usage_of_row(row: UsageRow) -> Usage:
    """The usage that the columns were set from; its counts have been bounded. Without the reported cost."""
    like = Usage(service_tier=row.service_tier or None, speed=row.speed or None, inference_geo=row.inference_geo or None)
    counts = {name: getattr(row, column) for column, name in ALL.items()}
    return _without_parts(counts, like, server_tools=row.server_tool_use or {}, parts=_parts_of_json(row.usage_parts, like))


def details_as_json(usage: Usage) -> dict[str, Any] | None:
    """What an attempt's token columns do not hold of its usage, as JSON; `None` if there is nothing else."""
    tokens = usage.with_parts()
    details: dict[str, Any] = {column: bound_count(count) for column, name in MODALITIES.items() if (count := getattr(tokens, name))}
    texts = {"service_tier": usage.service_tier, "speed": usage.speed, "inference_geo": usage.inference_geo}
    details |= {name: _name(text) for name, text in texts.items() if text}
    if usage.server_tools:
        details["server_tool_use"] = dict(usage.server_tools)
    if usage.parts:
        details["usage_parts"] = [_part_as_json(part) for part in usage.parts]
    if usage.reported_cost is not None:
        details["reported_cost"] = str(from_pico(to_pico(usage.reported_cost)))
    if not usage.is_measured:
        details["unmeasured"] = True
    return details or None


def usage_of_attempt(row: Any) -> Usage:
    """The usage of an attempt, from its token columns and its details."""
    details = row.usage_details or {}
    like = Usage(
        service_tier=details.get("service_tier"),
        speed=details.get("speed"),
        inference_geo=details.get("inference_geo"),
        is_measured=not details.get("unmeasured"),
    )
    counts = {name: getattr(row, column) for column, name in MAIN.items()}
    counts |= {name: details.get(column, 0) for column, name in MODALITIES.items()}
    return _without_parts(
        counts, like, server_tools=details.get("server_tool_use", {}), parts=_parts_of_json(details.get("usage_parts"), like)
    )


def _without_parts(counts: Mapping[str, int], like: Usage, *, server_tools: dict[str, int], parts: tuple[UsagePart, ...]) -> Usage:
    if parts:
        inside = add_usages([part.usage for part in parts], like=like)
        counts = {name: max(0, count - getattr(inside, name)) for name, count in counts.items()}
    return msgspec.structs.replace(like, **counts, server_tools=server_tools, parts=parts)


def _part_as_json(part: UsagePart) -> dict[str, Any]:
    tokens = {column: bound_count(count) for column, name in ALL.items() if (count := getattr(part.usage, name))}
    model = {} if part.model is None else {"model": clean_text(part.model, 200)}
    return {"kind": part.kind, **model, **tokens}


def _parts_of_json(value: list[dict[str, Any]] | None, like: Usage) -> tuple[UsagePart, ...]:
    return tuple(
        UsagePart(
            kind=part["kind"],
            model=part.get("model"),
            usage=msgspec.structs.replace(like, **{name: part.get(column, 0) for column, name in ALL.items()}),
        )
        for part in value or ()
    )


def _name(text: str) -> str:
    return clean_text(text, MAX_SERVICE_TIER)


assert set(ALL.values()) == set(COUNTS)
