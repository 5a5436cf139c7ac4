"""The InvokeModel answer is the Messages reply object, both ways; headers count its tokens."""

from proxy.translation.canonical import Usage
from proxy.translation.dialects.anthropic.response import decode_response, encode_response, patch_response

__all__ = ["answer_headers", "decode_response", "encode_response", "patch_response"]


def answer_headers(usage: Usage | None) -> dict[str, str]:
    """What clients of AWS read beside the body: the token counts of a whole answer, the type of a stream's events."""
    if usage is None:
        return {"x-amzn-bedrock-content-type": "application/json"}
    counts = {"x-amzn-bedrock-input-token-count": str(usage.fresh), "x-amzn-bedrock-output-token-count": str(usage.output)}
    if usage.cache_read or usage.cache_write:
        counts["x-amzn-bedrock-cache-read-input-token-count"] = str(usage.cache_read)
        counts["x-amzn-bedrock-cache-write-input-token-count"] = str(usage.cache_write)
    return counts
