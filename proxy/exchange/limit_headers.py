"""Response headers about the limits of a key by the minute, in the names of the client's dialect (``ClientApi.limit_headers``)."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from functools import lru_cache

from accounts.keys import Key
from accounts.limits.claims import Levels
from proxy.translation.dialects.client_api import LimitHeaders

Headers = list[tuple[str, str]]


def replace(pairs: Headers, names: LimitHeaders, key: Key | None, levels: Levels) -> Headers:
    """``pairs`` with the headers of the key's limits instead of the upstream's for the same dimensions."""
    own = of_key(names, key, levels)
    if not own:
        return pairs
    if any("ratelimit" in name for name, _ in pairs):
        replaced = {name for name, _ in own}
        pairs = [pair for pair in pairs if pair[0].lower() not in replaced]
    return pairs + own


def of_key(names: LimitHeaders, key: Key | None, levels: Levels) -> Headers:
    """The headers of the limits that a key has."""
    if key is None:
        return []
    own: Headers = []
    if key.rate_limit is not None and levels.requests is not None:
        own += _of_dimension(names, "requests", key.rate_limit, levels.requests)
    if key.token_limit is not None and levels.tokens is not None:
        own += _of_dimension(names, "tokens", key.token_limit, levels.tokens)
    return own


def _of_dimension(names: LimitHeaders, dimension: str, limit: int, level: float) -> Headers:
    limit_name, remaining_name, reset_name = _names(names.name, dimension)
    remaining = str(int(level)) if level > 0 else "0"
    seconds = max(0.0, (limit - level) * 60.0 / limit)
    reset = _moment(math.ceil(time.time() + seconds)) if names.resets_at else duration(seconds)
    return [(limit_name, str(limit)), (remaining_name, remaining), (reset_name, reset)]


@lru_cache(maxsize=64)
def _names(template: str, dimension: str) -> tuple[str, str, str]:
    limit, remaining, reset = (template.format(dimension=dimension, value=value) for value in ("limit", "remaining", "reset"))
    return limit, remaining, reset


@lru_cache(maxsize=64)
def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """``12ms``, ``6s``, ``1m0s``: rounded up, as OpenAI writes them."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(math.ceil(milliseconds / 1000), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
