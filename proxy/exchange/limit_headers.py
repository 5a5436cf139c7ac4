"""Response headers about the limits of a key by the minute, in the names of the client's dialect.

OpenAI: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``, with durations such as ``6m0s``. Anthropic:
``anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}``, with times in RFC 3339.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from accounts.keys import Key
from accounts.limits.claims import Levels
from proxy.translation.dialects.client_api import LimitHeaders

Headers = list[tuple[str, str]]


def replace(pairs: Headers, names: LimitHeaders, key: Key | None, levels: Levels) -> Headers:
    """``pairs`` with the headers of the key's limits instead of the upstream's for the same dimensions."""
    own = of_key(names, key, levels)
    if not own:
        return pairs
    replaced = {name for name, _ in own}
    return [pair for pair in pairs if pair[0].lower() not in replaced] + own


def of_key(names: LimitHeaders, key: Key | None, levels: Levels) -> Headers:
    """The headers of the limits that a key has."""
    if key is None:
        return []
    own: Headers = []
    for dimension, limit, level in (("requests", key.rate_limit, levels.requests), ("tokens", key.token_limit, levels.tokens)):
        if limit is not None and level is not None:
            own.extend(_of_dimension(names, dimension, limit, level))
    return own


def _of_dimension(names: LimitHeaders, dimension: str, limit: int, level: float) -> Iterable[tuple[str, str]]:
    remaining = str(max(0, math.floor(level)))
    seconds = max(0.0, (limit - level) * 60.0 / limit)
    if names == "anthropic":
        reset = datetime.fromtimestamp(math.ceil(time.time() + seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        values = {"limit": str(limit), "remaining": remaining, "reset": reset}
        return ((f"anthropic-ratelimit-{dimension}-{name}", value) for name, value in values.items())
    values = {"limit": str(limit), "remaining": remaining, "reset": duration(seconds)}
    return ((f"x-ratelimit-{name}-{dimension}", value) for name, value in values.items())


def duration(seconds: float) -> str:
    """``12ms``, ``6s``, ``1m0s``: rounded up, as OpenAI writes them."""
    milliseconds = math.ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(math.ceil(milliseconds / 1000), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
