"""Error bodies, which the OpenAI dialects share."""

from proxy.dialects.openai_errors import decode_error, encode_error

__all__ = ["decode_error", "encode_error"]
