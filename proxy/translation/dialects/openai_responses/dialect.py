"""OpenAI Responses, as client dialect and as upstream."""

from proxy.translation.dialects.base import Dialect, EncodeTarget, Traits
from proxy.translation.dialects.openai_responses.errors import decode_error, encode_error
from proxy.translation.dialects.openai_responses.relay import patch_request, patch_response, relay
from proxy.translation.dialects.openai_responses.request_decode import decode_request, open_request
from proxy.translation.dialects.openai_responses.request_encode import encode_request
from proxy.translation.dialects.openai_responses.response_decode import decode_response
from proxy.translation.dialects.openai_responses.response_encode import encode_response
from proxy.translation.dialects.openai_responses.stream_decode import decoder
from proxy.translation.dialects.openai_responses.stream_encode import break_off, encoder
from proxy.translation.dialects.openai_responses.usage import encode_count
from proxy.translation.framing.sse import COMMENT, SSE

PATH = "/v1/responses"


def _path(destination: EncodeTarget) -> str:
    return destination.quirks.api_path or PATH


DIALECT = Dialect(
    name="openai_responses",
    family="openai_responses",
    traits=Traits(tool_name_limit=64, custom_tools=True, namespaces=True, conversation_field="input", stops=0),
    framing=SSE,
    path=_path,
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
    encode_count=encode_count,
    keepalive=COMMENT,
)
