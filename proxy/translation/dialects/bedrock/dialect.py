"""The dialect of AWS Bedrock's InvokeModel for Anthropic models: Messages bodies, with the model in the path and AWS event streams."""

from collections.abc import Mapping

from proxy.translation.dialects.anthropic.dialect import PROMPT_SHAPE
from proxy.translation.dialects.anthropic.model_list import encode_model, encode_models
from proxy.translation.dialects.anthropic.models import accepts_sampling
from proxy.translation.dialects.anthropic.relay import patch_response, relay
from proxy.translation.dialects.anthropic.response_decode import decode_response
from proxy.translation.dialects.anthropic.response_encode import encode_response
from proxy.translation.dialects.base import Dialect, Traits
from proxy.translation.dialects.bedrock.betas import BETAS
from proxy.translation.dialects.bedrock.errors import decode_error, encode_error
from proxy.translation.dialects.bedrock.places import PLACES, keeps, leaves_out
from proxy.translation.dialects.bedrock.relay import PING, patch_request
from proxy.translation.dialects.bedrock.request_decode import decode_request, open_request, opener
from proxy.translation.dialects.bedrock.request_encode import encode_fields, path
from proxy.translation.dialects.bedrock.response_headers import answer_headers
from proxy.translation.dialects.bedrock.stream_decode import decoder
from proxy.translation.dialects.bedrock.stream_encode import break_off, encoder
from proxy.translation.dialects.client_api import ClientApi, Endpoint
from proxy.translation.dialects.upstream_api import ModelListApi, UpstreamApi, read_model_page
from proxy.translation.framing.eventstream import EVENT_STREAM
from proxy.translation.json_wire import Envelope


def _open_complete(body: bytes, captured: Mapping[str, str]) -> Envelope:
    return opener(captured["model"], stream=False)(body)


def _open_streamed(body: bytes, captured: Mapping[str, str]) -> Envelope:
    return opener(captured["model"], stream=True)(body)


CLIENT = ClientApi(
    endpoints=(
        Endpoint(path="/model/{model:path}/invoke", open_request=_open_complete),
        Endpoint(path="/model/{model:path}/invoke-with-response-stream", open_request=_open_streamed),
    ),
    request_id_header="x-amzn-requestid",
    beta_header="anthropic-beta",
    encode_model=encode_model,
    encode_models=encode_models,
    session_fields=(("prompt_cache_key",), ("metadata", "user_id")),
)
UPSTREAM = UpstreamApi(
    sigv4_service="bedrock",
    regional_base_url="https://bedrock-runtime.{region}.amazonaws.com",
    headers_up=("x-amzn-bedrock-",),  # guardrails and service tiers
    headers_down=("x-amzn-bedrock-",),
    model_list=ModelListApi(decode=read_model_page),
    lists_for_clients=False,
    binds_thinking=True,
)
DIALECT = Dialect(
    name="bedrock",
    family="anthropic",
    title="AWS Bedrock InvokeModel",
    short_title="Bedrock",
    letter="B",
    format="bedrock",
    input_format="anthropic",
    client=CLIENT,
    upstream=UPSTREAM,
    prompt_shape=PROMPT_SHAPE,
    beta_field=BETAS,
    traits=Traits(tool_name_limit=128, strict_call_ids=True, tool_subsets=False, image_urls=False, requires_limit=True),
    framing=EVENT_STREAM,
    path=path,
    open_request=open_request,
    decode_request=decode_request,
    encode_fields=encode_fields,
    places=PLACES,
    leaves_out=leaves_out,
    keeps=keeps,
    patch_request=patch_request,
    accepts_sampling=accepts_sampling,
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
