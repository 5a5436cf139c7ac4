"""OpenAI Chat Completions, and the many servers that speak it."""

from __future__ import annotations

import msgspec

from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.dialects.openai_chat.errors import decode_error, encode_error
from proxy.translation.dialects.openai_chat.relay import patch_request, relay, replace_model
from proxy.translation.dialects.openai_chat.request_decode import decode_request, open_request
from proxy.translation.dialects.openai_chat.request_encode import MAX_STOPS, encode_request
from proxy.translation.dialects.openai_chat.response_decode import decode_response
from proxy.translation.dialects.openai_chat.response_encode import encode_response
from proxy.translation.dialects.openai_chat.stream_decode import ChatStreamDecoder
from proxy.translation.dialects.openai_chat.stream_encode import ChatStreamEncoder, break_off
from proxy.translation.framing.sse import SSE, Frame


def _path(destination: EncodeTarget) -> str:  # noqa: ARG001 - the same for every model
    return "/v1/chat/completions"


def patch_response(body: bytes, model: str) -> bytes:
    """An answer with the client's name for the model."""
    return replace_model(body, msgspec.json.encode(model))


DIALECT = Dialect(
    name="openai_chat",
    family="openai_chat",
    traits=Traits(tool_name_limit=64, custom_tools=False, strict_call_ids=False, stops=MAX_STOPS),
    framing=SSE,
    path=_path,
    open_request=open_request,
    decode_request=decode_request,
    encode_request=encode_request,
    patch_request=patch_request,
    decode_response=decode_response,
    encode_response=encode_response,
    patch_response=patch_response,
    decoder=ChatStreamDecoder,
    encoder=ChatStreamEncoder,
    relay=relay,
    break_off=break_off,
    ending=(Frame(b"[DONE]"),),
    decode_error=decode_error,
    encode_error=encode_error,
)
