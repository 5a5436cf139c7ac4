"""The InvokeModel answer is the Messages reply object, both ways."""

from proxy.dialects.anthropic.response import decode_response, encode_response, patch_response

__all__ = ["decode_response", "encode_response", "patch_response"]
