"""pxbin's own response headers: the upstream that answered, the number of attempts, and on request the routing decision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from proxy.exchange.http_request import HttpRequest
from proxy.exchange.upstream_call import Attempt
from proxy.translation import json_wire

MAX_DECISION = 4096
"""Characters of the decision; servers and clients limit headers to 8 KiB or more."""
MAX_NAME = 256
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def headers(tried: Sequence[Attempt], *, request: HttpRequest, model: str = "") -> list[tuple[str, str]]:
    """The ``X-Pxbin-*`` headers of a response. If no upstream was called: the requested ``model``, and the time until now."""
    own = [("x-pxbin-request-id", request.request_id), ("x-pxbin-attempts", str(len(tried)))]
    if tried:
        target = tried[-1].target
        own += [("x-pxbin-upstream", printable(target.upstream.name)), ("x-pxbin-model", printable(target.remote_name))]
        called_ns = min(attempt.call.started_ns for attempt in tried)
    else:
        called_ns = perf_counter_ns()
        if model:
            own.append(("x-pxbin-model", printable(model[:MAX_NAME])))
    own.append(("x-pxbin-overhead-ms", f"{(called_ns - request.started_ns) / 1e6:.2f}"))
    return own


def decision(tried: Sequence[Attempt], rows: Sequence[dict[str, Any]]) -> str:
    """The routing decision as one line of ASCII JSON.

    ``tried``: the attempts in order. ``rows``: the log row's ``routing``, why the first target is the first, and the skips.
    """
    fields = {
        "tried": [_attempt_fields(attempt) for attempt in tried],
        "chosen": [row for row in rows if "chosen" in row],
        "skipped": [row for row in rows if "skipped" in row],
    }
    text = _UNPRINTABLE.sub(lambda match: "".join(f"\\u{unit:04x}" for unit in _utf16_units(match[0])), json_wire.encode(fields).decode())
    return text[:MAX_DECISION]


def printable(text: str) -> str:
    """``text`` with a question mark for each character that a header value cannot have."""
    return _UNPRINTABLE.sub("?", text)


def _utf16_units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]


def _attempt_fields(attempt: Attempt) -> dict[str, Any]:
    target = attempt.target
    return {
        "upstream": target.upstream.name,
        "key": target.credential.name or target.credential.id if target.credential else "",
        "model": target.remote_name,
        "status": attempt.call.status,
        "outcome": attempt.call.outcome or "running",
        "error": attempt.call.failure.kind if attempt.call.failure else None,
    }
