"""Usage exports of providers: OpenAI, Anthropic and OpenRouter, as JSON of their usage APIs or as CSV with the same names. Pure.

Fields: `openai.types.admin.organization` (`usage_completions_response`), Anthropic's "Get Messages Usage Report", OpenRouter's
`ActivityItem`. OpenAI's and OpenRouter's input includes cached tokens, Anthropic's does not.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

Fields = Mapping[str, Any]


class ExportError(ValueError):
    """The file is no usage export; the message says what it lacks."""


class Billed(msgspec.Struct, kw_only=True):
    """What a provider says about one model on one day (UTC). `input_tokens` has all input, cached or not; `None`: not stated."""

    day: date
    model: str
    requests: int | None = None
    input_tokens: int = 0
    cache_read_tokens: int | None = None
    output_tokens: int = 0
    cost: Decimal | None = None


def read_export(content: bytes) -> list[Billed]:
    """The days and models of an export, in order, each once. Raises :class:`ExportError`."""
    try:
        text = content.decode("utf-8-sig")
        rows = list(_json_rows(json.loads(text)) if text.lstrip()[:1] in ("{", "[") else csv.DictReader(io.StringIO(text)))
        return _by_day_and_model(_billed(row) for row in rows)
    except ExportError:
        raise
    except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError) as error:
        raise ExportError(f"the file is no usage export that is known: {error}") from error


def _json_rows(document: Any) -> Iterator[Fields]:
    """The results of a page or of a list of pages, each with the beginning of its bucket."""
    pages = document if isinstance(document, list) else [document]
    for page in pages:
        for part in page.get("data", [page]):
            if "results" in part:
                start = part.get("start_time", part.get("starting_at"))
                yield from ({**result, "start_time": start} for result in part["results"])
            else:
                yield part


def _billed(row: Fields) -> Billed:
    values = {name.strip().lower().replace(" ", "_"): value for name, value in row.items() if name}
    if "uncached_input_tokens" in values:
        return _of_anthropic(values)
    if "prompt_tokens" in values:
        return _of_openrouter(values)
    if "input_tokens" in values:
        return _of_openai(values)
    raise ExportError("a row has none of the fields input_tokens (OpenAI), uncached_input_tokens (Anthropic), prompt_tokens (OpenRouter)")


def _of_openai(values: Fields) -> Billed:
    return Billed(
        day=_day(values),
        model=_model(values, "OpenAI's export needs group_by=model"),
        requests=_whole(values.get("num_model_requests")),
        input_tokens=_whole(values["input_tokens"]) or 0,
        cache_read_tokens=_whole(values.get("input_cached_tokens")),
        output_tokens=_whole(values["output_tokens"]) or 0,
    )


def _of_anthropic(values: Fields) -> Billed:
    created = values.get("cache_creation")
    written = sum(_whole(count) or 0 for count in created.values()) if isinstance(created, dict) else 0
    names = (
        "cache_creation_5m_input_tokens", "cache_creation_1h_input_tokens", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens",
    )  # fmt: skip
    written += sum(_whole(values.get(name)) or 0 for name in names)
    read = _whole(values.get("cache_read_input_tokens")) or 0
    return Billed(
        day=_day(values),
        model=_model(values, "Anthropic's export needs group_by[]=model"),
        requests=_whole(values.get("requests")),
        input_tokens=(_whole(values["uncached_input_tokens"]) or 0) + written + read,
        cache_read_tokens=read,
        output_tokens=_whole(values["output_tokens"]) or 0,
    )


def _of_openrouter(values: Fields) -> Billed:
    return Billed(
        day=_day(values),
        model=_model(values, "a row has no model"),
        requests=_whole(values.get("requests")),
        input_tokens=_whole(values["prompt_tokens"]) or 0,
        output_tokens=_whole(values["completion_tokens"]) or 0,
        cost=None if values.get("usage") in (None, "") else Decimal(str(values["usage"])),
    )


def _model(values: Fields, refusal: str) -> str:
    if not values.get("model"):
        raise ExportError(refusal)
    return str(values["model"])


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(Decimal(str(value)))


def _day(values: Fields) -> date:
    """The UTC day of a row: from Unix seconds, a date or a time."""
    for name in ("start_time", "starting_at", "start_time_iso", "date", "usage_date_utc"):
        value = values.get(name)
        if value in (None, ""):
            continue
        text = str(value)
        if text.isdigit():
            return datetime.fromtimestamp(int(text), UTC).date()
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()
    raise ExportError("a row has no date: none of start_time, starting_at, date")


def _by_day_and_model(rows: Iterable[Billed]) -> list[Billed]:
    sums: dict[tuple[date, str], Billed] = {}
    for row in rows:
        day_sums = sums.get((row.day, row.model))
        if day_sums is None:
            sums[row.day, row.model] = row
            continue
        day_sums.input_tokens += row.input_tokens
        day_sums.output_tokens += row.output_tokens
        for name in ("requests", "cache_read_tokens", "cost"):
            parts = [part for part in (getattr(day_sums, name), getattr(row, name)) if part is not None]
            setattr(day_sums, name, sum(parts[1:], parts[0]) if parts else None)
    return [sums[key] for key in sorted(sums)]
