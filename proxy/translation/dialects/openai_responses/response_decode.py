"""Decodes a whole response of a Responses upstream (docs/wire-formats.md, sections 3.4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import msgspec

from proxy.translation.canonical import Part, Response, Text, ToolCall, settled
from proxy.translation.dialects.base import error_object
from proxy.translation.dialects.openai_responses.response_decode_items import (
    NativeItems,
    RawOutput,
    WireResponse,
    decode_failure,
    decode_finish,
    decode_item,
    decode_response_usage,
)
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.quirks import Quirks

_RESPONSE_DECODER = msgspec.json.Decoder(WireResponse)
_RAW_RESPONSE_DECODER = msgspec.json.Decoder(RawOutput)


def decode_response(body: bytes, quirks: Quirks) -> Response:  # noqa: ARG001 - no quirk applies
    """The canonical response.

    That of a background response is empty until the model has worked. Raises :class:`UpstreamFailed` if the body of the 200 has an
    error, is a failed response or one that is unfinished without running in the background, or is no response object.
    """
    try:
        response = _RESPONSE_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamFailed(_unusable_response(body), answered=True) from None
    if response.error or response.status in ("failed", "cancelled"):
        raise UpstreamFailed(decode_failure(response.error or f"The upstream response has the status {response.status}."), answered=True)
    is_unfinished = response.status in ("queued", "in_progress")
    if response.output is None or (is_unfinished and response.background is not True):
        raise UpstreamFailed(_unusable_response(body), answered=True)
    output = response.output
    natives = NativeItems(lambda: _RAW_RESPONSE_DECODER.decode(body).output)
    parts = [part for position, item in enumerate(output) for part in decode_item(item, partial(natives.item, position))]
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    refused = has_refusal(parts)
    return Response(
        id=response.id or "",
        model=response.model or "",
        parts=tuple(_blank_repeated_ids(parts)),
        finish=settled(decode_finish(response, refused=refused and not has_calls), has_calls=has_calls),
        usage=decode_response_usage(response),
    )


def has_refusal(parts: Iterable[Part]) -> bool:
    """Whether one of the parts is a refusal."""
    return any(isinstance(part, Text) and part.refusal for part in parts)


def _unusable_response(body: bytes) -> Failure:
    value = error_object(body)
    if isinstance(value, dict) and value.get("error"):
        return decode_failure(value["error"])
    return Failure(kind="bad_gateway", message="The upstream response is not a complete response object.")


def _blank_repeated_ids(parts: list[Part]) -> list[Part]:
    """The parts with an empty id for each call whose id was used before; encoders generate ids for empty ones."""
    seen_ids: set[str] = set()
    result: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            if part.id in seen_ids:
                part = msgspec.structs.replace(part, id="")  # noqa: PLW2901 - the same part without its id
            seen_ids.add(part.id)
        result.append(part)
    return result
