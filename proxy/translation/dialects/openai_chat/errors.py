"""Errors of Chat Completions: those of the whole OpenAI family."""

from proxy.translation.dialects.openai_errors import decode_error, encode_error

__all__ = ["decode_error", "encode_error"]
