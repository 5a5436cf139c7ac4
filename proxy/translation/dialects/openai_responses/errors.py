"""Error bodies, which the OpenAI dialects share."""

from proxy.translation.dialects.openai_errors import decode_error, encode_error

__all__ = ["decode_error", "encode_error"]
