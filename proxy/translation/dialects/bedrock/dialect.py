"""Anthropic's models on AWS Bedrock, InvokeModel: the Messages body in Amazon's envelope."""

from proxy.translation.dialects.anthropic.relay import patch_response, relay
from proxy.translation.dialects.anthropic.response_decode import decode_response
from proxy.translation.dialects.anthropic.response_encode import encode_response
from proxy.translation.dialects.base import Dialect, Traits
from proxy.translation.dialects.bedrock.errors import decode_error, encode_error
from proxy.translation.dialects.bedrock.relay import PING, patch_request
from proxy.translation.dialects.bedrock.request_decode import decode_request, open_request, opener
from proxy.translation.dialects.bedrock.request_encode import encode_request, path
from proxy.translation.dialects.bedrock.response_headers import answer_headers
from proxy.translation.dialects.bedrock.stream_decode import decoder
from proxy.translation.dialects.bedrock.stream_encode import break_off, encoder
from proxy.translation.framing.eventstream import EVENT_STREAM

__all__ = ["DIALECT", "opener"]

DIALECT = Dialect(
    name="bedrock",
    family="anthropic",
    traits=Traits(tool_name_limit=128, strict_call_ids=True, tool_subsets=False, image_urls=False),
    framing=EVENT_STREAM,
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
    answer_headers=answer_headers,
)
