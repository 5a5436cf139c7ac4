"""Reads what a usage says besides its main counters: modalities, server tools, separately billed parts, the reported cost.

The names are the vendors' (docs/wire-formats.md, section 10). Values of other types than numbers are converted, or ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypedDict

import msgspec

from proxy.translation.usage import Usage, UsagePart

SEPARATE_ITERATIONS = frozenset({"compaction", "advisor_message", "fallback_message"})
"""The types of Anthropic's iterations whose tokens are not in the totals of the usage."""
MAX_PARTS = 50
MAX_TOOLS = 20
MAX_NAME = 200
MAX_COST = Decimal(1_000_000)
_MAX = 10**15


def count(value: Any) -> int | None:
    """A counter as an integer of at least 0; ``None`` for what is none."""
    if type(value) is int:
        return value if 0 <= value < _MAX else None if abs(value) >= _MAX else 0
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None
    if not isinstance(value, float) or not -_MAX < value < _MAX:
        return None
    return max(0, int(value))


def text(value: Any) -> str | None:
    """A name of a tier, speed or region; ``None`` for what is none."""
    return value if isinstance(value, str) and value else None


def server_tools(value: Any) -> dict[str, int]:
    """The counters of ``server_tool_use`` that are above 0."""
    if not isinstance(value, Mapping):
        return {}
    counters = {str(name)[:MAX_NAME]: number for name, counter in list(value.items())[:MAX_TOOLS] if (number := count(counter))}
    return dict(sorted(counters.items()))


def separate_iterations(value: Any, like: Usage) -> tuple[UsagePart, ...]:
    """The iterations of a Messages usage that its totals do not include. ``like``: its service tier, speed and region hold for them."""
    if not isinstance(value, list):
        return ()
    entries = [entry for entry in value if isinstance(entry, Mapping) and entry.get("type") in SEPARATE_ITERATIONS]
    return tuple(
        UsagePart(kind=entry["type"], model=_model(entry.get("model")), usage=_iteration(entry, like)) for entry in entries[:MAX_PARTS]
    )


def _iteration(entry: Mapping[str, Any], like: Usage) -> Usage:
    split = entry.get("cache_creation")
    hour = (count(split.get("ephemeral_1h_input_tokens")) or 0) if isinstance(split, Mapping) else 0
    written = max(hour, count(entry.get("cache_creation_input_tokens")) or 0)
    return Usage(
        fresh=count(entry.get("input_tokens")) or 0,
        cache_read=count(entry.get("cache_read_input_tokens")) or 0,
        cache_write_5m=written - hour,
        cache_write_1h=hour,
        output=count(entry.get("output_tokens")) or 0,
        service_tier=like.service_tier,
        speed=like.speed,
        inference_geo=like.inference_geo,
    )


class Modalities(TypedDict):
    """The fields of :class:`Usage` for audio and images."""

    input_audio: int
    output_audio: int
    input_image: int
    output_image: int


def modalities(input_details: Mapping[str, Any], output_details: Mapping[str, Any], *, fresh: int, output: int) -> Modalities:
    """The fields of :class:`Usage` for audio and images, bounded by the classes that they are parts of."""
    input_audio = min(fresh, count(input_details.get("audio_tokens")) or 0)
    output_audio = min(output, count(output_details.get("audio_tokens")) or 0)
    return {
        "input_audio": input_audio,
        "output_audio": output_audio,
        "input_image": min(fresh - input_audio, count(input_details.get("image_tokens")) or 0),
        "output_image": min(output - output_audio, count(output_details.get("image_tokens")) or 0),
    }


def reported_cost(value: Any) -> Decimal | None:
    """The cost that an upstream reports, in USD, exactly as its digits say; ``None`` for what is no amount."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > 40:
        return None
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    return amount if amount.is_finite() and 0 <= amount < MAX_COST else None


def tool_usage(value: bytes, tools: bytes) -> tuple[dict[str, int], tuple[UsagePart, ...]]:
    """The counts of ``tool_usage`` of a Responses object (JSON), and the tokens of images that its tool generated.

    ``tools``: those of the response (JSON), of which the one for images may name its model.
    """
    try:
        usage = msgspec.json.decode(value) if value else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}, ()
    if not isinstance(usage, Mapping):
        return {}, ()
    search, images = usage.get("web_search"), usage.get("image_gen")
    searches = server_tools({"web_search_requests": search.get("num_requests")}) if isinstance(search, Mapping) else {}
    tokens = _image_tokens(images) if isinstance(images, Mapping) else Usage()
    if not tokens.fresh and not tokens.output and not tokens.cache_read:
        return searches, ()
    return searches, (UsagePart(kind="image_generation", model=_image_model(tools), usage=tokens),)


def _image_tokens(images: Mapping[str, Any]) -> Usage:
    total, output = count(images.get("input_tokens")) or 0, count(images.get("output_tokens")) or 0
    read = min(total, count(images.get("cached_tokens")) or 0)
    input_details, output_details = images.get("input_tokens_details"), images.get("output_tokens_details")
    details = modalities(
        input_details if isinstance(input_details, Mapping) else {},
        output_details if isinstance(output_details, Mapping) else {"image_tokens": output},
        fresh=total - read,
        output=output,
    )
    return Usage(fresh=total - read, cache_read=read, output=output, **details)


def _image_model(tools: bytes) -> str:
    try:
        entries = msgspec.json.decode(tools) if tools else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    of_images = (
        [entry for entry in entries or () if isinstance(entry, Mapping) and entry.get("type") == "image_generation"]
        if isinstance(entries, list)
        else []
    )
    return (_model(of_images[0].get("model")) or "") if of_images else ""


def _model(value: Any) -> str | None:
    return value[:MAX_NAME] if isinstance(value, str) and value else None
