"""What a failure says about the upstream, the key and the route, and whether another candidate may help.

Pure. The table is by status and by the words of providers' error bodies; the sources are the providers' public error
documentation. ``Retry-After`` and the rate-limit reset headers say how long (RFC 9110, section 10.2.3; OpenAI's
``x-ratelimit-reset-*`` are durations such as ``6m0s``; Anthropic's ``anthropic-ratelimit-*-reset`` are RFC 3339 times).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from proxy.translation.errors import Failure

Scope = Literal["route", "key", "upstream"]
"""What cools: the key on this route, the key everywhere, or the whole upstream."""

UPSTREAM_WIDE = ("free usage limit", "free tier", "organization rate limit", "account-wide", "all keys", "service is at capacity")
"""Words of a 429 that speak of more than one key."""
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?")
_LONGEST_REST = 86_400.0
_EPOCH = 1e9
"""Larger numbers are moments, not durations; in seconds since 1970, or, from the next one on, in milliseconds (OpenRouter)."""
_EPOCH_MS = 1e11


class FailureAction(msgspec.Struct, frozen=True, kw_only=True):
    """``failover``: another candidate may be tried. ``retry_same``: the same one may be tried once more (429, 503, no connection).

    ``cooldown_scope``: the scope of the cooldown, ``None`` for none. ``disable_credential``: the credential is refused by its provider.
    ``trips_breaker``: the circuit breaker counts it.
    """

    failover: bool = True
    retry_same: bool = False
    cooldown_scope: Scope | None = None
    disable_credential: bool = False
    trips_breaker: bool = False


CLIENTS = FailureAction(failover=False)
BY_STATUS: Mapping[int, FailureAction] = {
    400: CLIENTS,
    413: CLIENTS,
    422: CLIENTS,
    401: FailureAction(disable_credential=True),
    403: FailureAction(disable_credential=True),
    402: FailureAction(cooldown_scope="key"),
    404: FailureAction(cooldown_scope="route"),
    408: FailureAction(trips_breaker=True),
    429: FailureAction(retry_same=True, cooldown_scope="route"),
    503: FailureAction(retry_same=True, cooldown_scope="route", trips_breaker=True),
    504: FailureAction(trips_breaker=True),
    529: FailureAction(cooldown_scope="route", trips_breaker=True),
}
BY_KIND: Mapping[str, FailureAction] = {
    "connect": FailureAction(retry_same=True, trips_breaker=True),
    "network": FailureAction(trips_breaker=True),
    "timeout": FailureAction(trips_breaker=True),
    "overloaded": FailureAction(cooldown_scope="route", trips_breaker=True),
    "rate_limit": FailureAction(cooldown_scope="route"),
    "quota": FailureAction(cooldown_scope="key"),
    "billing": FailureAction(cooldown_scope="key"),
    "invalid_request": CLIENTS,
    "context_length": CLIENTS,
    "too_large": CLIENTS,
    "bad_gateway": FailureAction(trips_breaker=True),
}
"""Failures without a status of their own: no connection, a broken stream, an error event in a stream."""


def failure_action(failure: Failure) -> FailureAction:
    """What to conclude from ``failure``."""
    if failure.status >= 400:
        if failure.kind == "quota":
            return FailureAction(retry_same=failure.status == 429, cooldown_scope="key")
        found = BY_STATUS.get(failure.status)
        if found is None:
            return FailureAction(cooldown_scope="route", trips_breaker=True) if failure.status >= 500 else CLIENTS
        if failure.status == 429 and any(words in failure.message.lower() for words in UPSTREAM_WIDE):
            return msgspec.structs.replace(found, cooldown_scope="upstream")
        return found
    return BY_KIND.get(failure.kind, FailureAction(trips_breaker=True))


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """How long the provider asks us to stay away, from the headers of its answer; ``None`` when it does not say.

    ``now`` is Unix seconds. Bounded to a day: a larger value is a mistake somewhere.
    """
    asked = _milliseconds(headers.get("retry-after-ms"))
    if asked is None:
        asked = _retry_after(headers.get("retry-after"), now)
    if asked is None:
        asked = _resets(headers, now)
    return None if asked is None else min(max(asked, 0.0), _LONGEST_REST)


def _milliseconds(text: str | None) -> float | None:
    return float(text) / 1000 if text and re.fullmatch(r"\d+(\.\d+)?", text) else None


def _retry_after(text: str | None, now: float) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except ValueError:
        return None


def _resets(headers: Mapping[str, str], now: float) -> float | None:
    """The latest reset among the limits that are used up."""
    waits: list[float] = []
    for name, value in headers.items():
        lower = name.lower()
        if "ratelimit" not in lower or "reset" not in lower:
            continue
        remaining = headers.get(lower.replace("reset", "remaining"))
        if remaining is not None and remaining.strip() not in ("0", "0.0"):
            continue
        wait = _reset(value.strip(), now)
        if wait is not None:
            waits.append(wait)
    return max(waits) if waits else None


def _reset(text: str, now: float) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        number = float(text)
        if number > _EPOCH_MS:
            number /= 1000
        return number - now if number > _EPOCH else number
    if "T" in text:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, millis = (float(match[part] or 0) for part in ("h", "m", "s", "ms"))
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
