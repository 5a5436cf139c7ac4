"""How routing reacts to a failure: failover, retries, cooldowns, disabled credentials, the circuit breaker.

Pure. The actions are chosen by what the failure is about, by status, by kind and by phrases of the provider's message; their
sources are the providers' public error documentation. Only words or codes about the credential disable it. Cooldowns last as
long as the response says: ``Retry-After`` (RFC 9110, section 10.2.3), ``retry-after-ms``, OpenAI's ``x-ratelimit-reset-*``
(durations such as ``6m0s``) and Anthropic's ``anthropic-ratelimit-*-reset`` (RFC 3339 times).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from proxy.translation.errors import Failure
from upstreams.routing.cooldowns import CooldownScope

UPSTREAM_WIDE = ("free usage limit", "free tier", "organization rate limit", "account-wide", "all keys", "service is at capacity")
"""Phrases in the message of a 429 that concern more than one credential."""
_DURATION = re.compile(r"(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m(?!s))?(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+(?:\.\d+)?)ms)?")
_MAX_SECONDS = 86_400.0
_EPOCH = 1e9
"""A larger number in a reset header is a Unix time in seconds, not a duration."""
_EPOCH_MS = 1e11
"""A larger number is a Unix time in milliseconds (OpenRouter)."""


class FailureAction(msgspec.Struct, frozen=True, kw_only=True):
    """What a failure leads to.

    ``failover``: other candidates are tried. ``retry_same``: this candidate is tried again when no other is left, as often as
    its upstream's ``max_retries`` allows. ``cooldown_scope``: what cools; ``None``: nothing. ``disable_credential``: the
    provider has refused the credential. ``trips_breaker``: the circuit breaker counts the failure. ``skip_credentials``: other
    credentials of the same upstream would get the same response, so that they are not tried.
    """

    failover: bool = True
    retry_same: bool = False
    cooldown_scope: CooldownScope | None = None
    disable_credential: bool = False
    trips_breaker: bool = False
    skip_credentials: bool = False


_CLIENT_ERROR = FailureAction(failover=False)
BY_STATUS: Mapping[int, FailureAction] = {
    400: _CLIENT_ERROR,
    413: _CLIENT_ERROR,
    422: _CLIENT_ERROR,
    401: FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    403: FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    402: FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    404: FailureAction(cooldown_scope=CooldownScope.ROUTE),
    408: FailureAction(trips_breaker=True),
    429: FailureAction(retry_same=True, cooldown_scope=CooldownScope.ROUTE),
    503: FailureAction(retry_same=True, cooldown_scope=CooldownScope.ROUTE, trips_breaker=True),
    504: FailureAction(trips_breaker=True),
    529: FailureAction(cooldown_scope=CooldownScope.ROUTE, trips_breaker=True),
}
BY_KIND: Mapping[str, FailureAction] = {
    "connect": FailureAction(retry_same=True, trips_breaker=True),
    "network": FailureAction(trips_breaker=True),
    "timeout": FailureAction(trips_breaker=True),
    "overloaded": FailureAction(cooldown_scope=CooldownScope.ROUTE, trips_breaker=True),
    "rate_limit": FailureAction(cooldown_scope=CooldownScope.ROUTE),
    "quota": FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    "billing": FailureAction(cooldown_scope=CooldownScope.CREDENTIAL),
    "invalid_request": _CLIENT_ERROR,
    "context_length": _CLIENT_ERROR,
    "too_large": _CLIENT_ERROR,
    "bad_gateway": FailureAction(trips_breaker=True),
}
"""Failures without an HTTP status: no connection, a broken stream, an error event in a stream."""


def failure_action(failure: Failure) -> FailureAction:
    """The action for a failure: by its status if it has one, else by its kind."""
    if failure.about == "request":
        return FailureAction(skip_credentials=True)
    if 0 < failure.status < 400:  # a redirect, or no content: the address is wrong, which no rest mends
        return FailureAction(skip_credentials=True)
    if failure.status >= 400:
        if failure.kind in ("quota", "billing"):
            return FailureAction(retry_same=failure.status == 429, cooldown_scope=CooldownScope.CREDENTIAL)
        if failure.about == "credential":
            return FailureAction(disable_credential=True)
        action = BY_STATUS.get(failure.status)
        if action is None:
            return FailureAction(cooldown_scope=CooldownScope.ROUTE, trips_breaker=True) if failure.status >= 500 else _CLIENT_ERROR
        if failure.status == 429 and any(phrase in failure.message.lower() for phrase in UPSTREAM_WIDE):
            return msgspec.structs.replace(action, cooldown_scope=CooldownScope.UPSTREAM)
        return action
    return BY_KIND.get(failure.kind, FailureAction(trips_breaker=True))


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """How long the provider asks to wait, from the headers of its response; ``None`` if they do not say.

    ``now`` is Unix seconds. Limited to a day: a larger value is probably a mistake.
    """
    seconds = _milliseconds(headers.get("retry-after-ms"))
    if seconds is None:
        seconds = _retry_after(headers.get("retry-after"), now)
    if seconds is None:
        seconds = _latest_reset(headers, now)
    return None if seconds is None else min(max(seconds, 0.0), _MAX_SECONDS)


def _milliseconds(text: str | None) -> float | None:
    return float(text) / 1000 if text and re.fullmatch(r"\d+(\.\d+)?", text) else None


def _retry_after(text: str | None, now: float) -> float | None:
    if not text:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return _unix(parsedate_to_datetime(text)) - now
    except (ValueError, TypeError, IndexError, OverflowError):  # also of offsets and years that no datetime can have
        return None


def _unix(moment: datetime) -> float:
    """A time without an offset is UTC. Raises ``OverflowError`` where the offset leads out of the years of a datetime."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _latest_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to the latest reset among the limits that are used up."""
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
    """Seconds to a reset that is given as a number (duration or Unix time), an RFC 3339 time, or a duration with units."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        number = float(text)
        if number > _EPOCH_MS:
            number /= 1000
        return number - now if number > _EPOCH else number
    if "T" in text:
        try:
            return _unix(datetime.fromisoformat(text)) - now
        except (ValueError, OverflowError):
            return None
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, millis = (float(match[part] or 0) for part in ("h", "m", "s", "ms"))
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
