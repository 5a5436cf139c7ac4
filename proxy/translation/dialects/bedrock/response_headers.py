"""Headers of a Bedrock response. Its body is a Messages response object (:mod:`proxy.translation.dialects.anthropic.response_encode`)."""

from __future__ import annotations

from proxy.translation.canonical import Usage


def answer_headers(usage: Usage | None) -> dict[str, str]:
    """Headers that AWS clients read: token counts of a whole response; of a stream (``usage`` is ``None``) the type of its events."""
    if usage is None:
        return {"x-amzn-bedrock-content-type": "application/json"}
    counts = {"x-amzn-bedrock-input-token-count": str(usage.fresh), "x-amzn-bedrock-output-token-count": str(usage.output)}
    if usage.cache_read or usage.cache_write:
        counts["x-amzn-bedrock-cache-read-input-token-count"] = str(usage.cache_read)
        counts["x-amzn-bedrock-cache-write-input-token-count"] = str(usage.cache_write)
    return counts
