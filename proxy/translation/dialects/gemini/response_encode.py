"""Canonical responses to generateContent responses (docs/wire-formats.md, section 16.5)."""

from __future__ import annotations

from typing import Any

from proxy.translation import json_wire
from proxy.translation.accumulate import replay
from proxy.translation.canonical import Response
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.gemini.stream_encode import EncodedPart, PartsEncoder, candidate, chunk_head
from proxy.translation.dialects.gemini.usage import encode_usage


def encode_response(response: Response, context: EncodeContext) -> bytes:
    """The response object for a client of this dialect."""
    encoder = PartsEncoder(context)
    parts: list[EncodedPart] = []
    for event in replay(response):
        parts += encoder.feed(event)
    body: dict[str, Any] = {"candidates": [candidate(parts, encoder)], "usageMetadata": encode_usage(response.usage)}
    return json_wire.encode(body | chunk_head(context))
