"""Whole answers, read and written."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from proxy.translation.canonical import Part, Response, Text, ToolCall, settled
from proxy.translation.dialects.base import error_object
from proxy.translation.dialects.openai_responses.response_decode_items import ResponseOnWire, failure_of, finish_of, item_parts, usage_of
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.quirks import Quirks

_RESPONSE_DECODER = msgspec.json.Decoder(ResponseOnWire)


def decode_response(body: bytes, quirks: Quirks) -> Response:  # noqa: ARG001 - no quirk concerns these replies
    """The answer; raises :class:`UpstreamFailed` for an error in a 200, a failed response and nonsense."""
    try:
        response = _RESPONSE_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamFailed(_unreadable(body), answered=True) from None
    if response.error or response.status in ("failed", "cancelled"):
        raise UpstreamFailed(failure_of(response.error or f"the response was {response.status}"), answered=True)
    if response.output is None or response.status in ("queued", "in_progress"):
        raise UpstreamFailed(_unreadable(body), answered=True)
    parts = [part for item in response.output for part in item_parts(item)]
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    refused = has_refusal(parts)
    return Response(
        id=response.id or "",
        model=response.model or "",
        parts=tuple(_with_distinct_ids(parts)),
        finish=settled(finish_of(response, refused=refused and not has_calls), has_calls=has_calls),
        usage=usage_of(response),
    )


def has_refusal(parts: Iterable[Part]) -> bool:
    """Whether one of the parts is a refusal."""
    return any(isinstance(part, Text) and part.refusal for part in parts)


def _unreadable(body: bytes) -> Failure:
    given = error_object(body)
    if isinstance(given, dict) and given.get("error"):
        return failure_of(given["error"])
    return Failure(kind="bad_gateway", message="the upstream's answer is not a response object")


def _with_distinct_ids(parts: list[Part]) -> list[Part]:
    """Call ids that come twice are blanked, so that an encoder makes new ones."""
    seen: set[str] = set()
    out: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            if part.id in seen:
                part = msgspec.structs.replace(part, id="")  # noqa: PLW2901 - the same part under no id
            seen.add(part.id)
        out.append(part)
    return out
