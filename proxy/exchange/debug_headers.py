"""The gateway's own reply headers: who answered, after how many tries, and on request the whole decision."""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from proxy.exchange.attempt_base import Attempt
from proxy.exchange.http_request import HttpRequest
from proxy.translation import json_wire

LONGEST = 4096
"""Characters of a trace; servers and clients bound headers at 8 KiB and more."""
LONGEST_NAME = 256
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def headers(tried: Sequence[Attempt], *, request: HttpRequest, model: str = "") -> list[tuple[str, str]]:
    """``X-Pxbin-*`` of an answer. Where no upstream was called: the model that was asked for, and all the time that it took."""
    own = [("x-pxbin-request-id", request.request_id), ("x-pxbin-attempts", str(len(tried)))]
    if tried:
        target = tried[-1].target
        own += [("x-pxbin-upstream", printable(target.upstream.name)), ("x-pxbin-model", printable(target.remote_name))]
        called = min(attempt.started_ns for attempt in tried)
    else:
        called = perf_counter_ns()
        if model:
            own.append(("x-pxbin-model", printable(model[:LONGEST_NAME])))
    own.append(("x-pxbin-overhead-ms", f"{(called - request.started_ns) / 1e6:.2f}"))
    return own


def decision(tried: Sequence[Attempt], decided: Sequence[dict[str, Any]]) -> str:
    """The routing decision as one line of ASCII JSON: what was tried, in order, what came first and what did not, and why."""
    shown = {
        "tried": [_shown(each) for each in tried],
        "chosen": [each for each in decided if "chosen" in each],
        "skipped": [each for each in decided if "skipped" in each],
    }
    return _UNPRINTABLE.sub(lambda match: "".join(f"\\u{unit:04x}" for unit in _units(match[0])), json_wire.encode(shown).decode())[
        :LONGEST
    ]


def printable(text: str) -> str:
    """``text`` as a header value can hold it."""
    return _UNPRINTABLE.sub("?", text)


def _units(character: str) -> list[int]:
    encoded = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(encoded[at : at + 2], "big") for at in range(0, len(encoded), 2)]


def _shown(tried: Attempt) -> dict[str, Any]:
    target = tried.target
    return {
        "upstream": target.upstream.name,
        "key": target.credential.name or target.credential.id if target.credential else "",
        "model": target.remote_name,
        "status": tried.status,
        "outcome": tried.outcome or "running",
        "error": tried.failure.kind if tried.failure else None,
    }
