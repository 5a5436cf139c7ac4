"""Anthropic Messages."""

from proxy.translation.dialects.anthropic.errors import decode_error, encode_error
from proxy.translation.dialects.anthropic.request import decode_request, encode_request, open_request, patch_request
from proxy.translation.dialects.anthropic.response import decode_response, encode_response, patch_response
from proxy.translation.dialects.anthropic.stream import PING, break_off, decoder, encoder, relay
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
