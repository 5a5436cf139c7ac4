"""Anthropic Messages."""

from proxy.translation.dialects.anthropic.envelope import open_request
from proxy.translation.dialects.anthropic.errors import decode_error, encode_error
from proxy.translation.dialects.anthropic.relay import PING, patch_request, patch_response, relay
from proxy.translation.dialects.anthropic.request_decode import decode_request
from proxy.translation.dialects.anthropic.request_encode import encode_request
from proxy.translation.dialects.anthropic.response_decode import decode_response
from proxy.translation.dialects.anthropic.response_encode import encode_response
from proxy.translation.dialects.anthropic.stream_decode import decoder
from proxy.translation.dialects.anthropic.stream_encode import break_off, encoder
from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.framing.sse import SSE


def path(destination: EncodeTarget) -> str:
    """The upstream's path."""
    return destination.quirks.api_path or "/v1/messages"


DIALECT = Dialect(
    name="anthropic",
    family="anthropic",
    traits=Traits(tool_name_limit=128, strict_call_ids=True, tool_subsets=False),
    framing=SSE,
    path=path,
    open_request=open_request,
    decode_request=decode_request,
    encode_request=encode_request,
    patch_request=patch_request,
    decode_response=decode_response,
    encode_response=encode_response,
    patch_response=patch_response,
    decoder=decoder,
    encoder=encoder,
    relay=relay,
    break_off=break_off,
    decode_error=decode_error,
    encode_error=encode_error,
    keepalive=PING,
)
